"""A stack of the program's, made and removed for a benchmark, with a state of its own."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import threading
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Final

import yaml

from components.core.errors import LabError
from components.core.run import CommandError, run
from components.docker import container as containers
from components.docker import engine as docker_engine
from components.gitops import git_backups
from components.k3d import provider as k3d_provider
from components.k3d import volumes
from devtools.bench.table import Step
from lab.host import local, needs, paths
from lab.host.console import say

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from pathlib import Path

RUN_TIME: Final = 1200.0  # seconds until one run has to have ended
ANSWER: Final = 120.0  # seconds for a question, or for something small
GIB: Final = 1 << 30
# cgroup v2, or else v1: https://docs.docker.com/engine/containers/runmetrics/
MEMORY: Final = (
    "cd /sys/fs/cgroup; if test -e memory.current; then cat memory.current memory.stat;"
    " else cat memory/memory.usage_in_bytes memory/memory.stat; fi"
)


class Program:
    """A stack that the benchmark brings up and removes."""

    def __init__(self, folder: Path, stack: str, settings: Mapping[str, Any]) -> None:
        """Make the stack, in a state below the folder, which this process asks from here on as well.

        Args:
            folder: where the state is; removed by the caller.
            stack: the stack's name.
            settings: by key.
        """
        self.stack = stack
        self.settings = settings
        self.config = folder / f"Pulumi.{stack}.yaml"
        (folder / "state").mkdir(exist_ok=True)
        os.environ["PULUMI_BACKEND_URL"] = f"file://{folder}/state"
        shutil.copy(paths.ROOT / "Pulumi.yaml", folder)
        config = {f"iot:{key}": value for key, value in settings.items()}
        self.config.write_text(yaml.safe_dump({"config": config}), encoding="utf-8")
        self.pulumi("--cwd", str(folder), "stack", "init", stack, "--secrets-provider", "passphrase", config=False)

    @property
    def clusters(self) -> list[str]:
        """The names of its clusters, Argo CD's first."""
        first = str(self.settings["clusterName"])
        return [first, *(f"{first}-{name}" for name in self.settings.get("clusters") or {})]

    @property
    def containers(self) -> list[str]:
        """The names of what can stand beside them: Git, a registry, a runner."""
        return [f"{self.clusters[0]}-{what}" for what in ("git", "registry", "runner")]

    def pulumi(self, *args: str, config: bool = True) -> None:
        """Run Pulumi.

        Args:
            args: its arguments.
            config: whether it is about this stack.

        Raises:
            LabError: it failed; has what it said.
        """
        more = ["--stack", self.stack, "--config-file", str(self.config)] if config else []
        try:
            run(["pulumi", "--non-interactive", *args, *more], cwd=paths.ROOT, timeout=RUN_TIME)
        except CommandError as error:
            raise LabError(f"pulumi {args[0]} failed", why=error.printed or str(error)) from error

    def timed(self, *args: str) -> float:
        """Run Pulumi, and return how long it took, in seconds."""
        begin = time.monotonic()
        self.pulumi(*args)
        return time.monotonic() - begin

    def destroy(self) -> float:
        """Remove all that it has made, and return how long it took, in seconds."""
        return self.timed("destroy", "--yes", "--skip-preview")

    def up(self, begin: float) -> list[Step]:
        """Run `pulumi up` and return when each resource was made.

        Args:
            begin: what the steps' times are counted from, in seconds of ``time.monotonic``.

        Raises:
            LabError: it failed; has what it said last.
        """
        command = ["pulumi", "--non-interactive", "up", "--yes", "--skip-preview", "--json", "--stack", self.stack]
        open_steps: dict[str, float] = {}
        steps, said = [], []
        with running([*command, "--config-file", str(self.config)], dict(os.environ)) as process:
            for line in process.stdout or ():
                now = time.monotonic() - begin
                event = json.loads(line) if line.startswith("{") else {}
                said.append(_message(event) if event else line.rstrip("\n"))
                if started := event.get("resourcePreEvent"):
                    open_steps[started["metadata"]["urn"]] = now
                if ended := event.get("resOutputsEvent"):
                    urn = ended["metadata"]["urn"]
                    if not urn.split("::")[2].split("$")[-1].startswith(("iot:", "pulumi:")):
                        steps.append(Step(what=urn.split("::")[-1], begin=open_steps.get(urn, now), end=now))
        if process.returncode:
            raise LabError("pulumi up failed", why="\n".join([each for each in said if each][-20:]))
        return steps

    def forget(self) -> None:
        """Remove what the nodes have kept."""
        for cluster in self.clusters:
            volumes.drop(set(containers.volumes(f"{volumes.LABEL}={cluster}")))

    def memory(self) -> float:
        """Return what its nodes and what stands beside them use, in GiB, as `docker stats` counts it.

        They are asked themselves: an engine inside a container says 0.
        """
        labels = [f"{k3d_provider.CLUSTER_LABEL}={cluster}" for cluster in self.clusters]
        names = [node.name for label in labels for node in docker_engine.containers(label)]
        names += [each for each in self.containers if containers.inspect("container", each)]
        return sum(used(run(["docker", "exec", each, "sh", "-c", MEMORY], timeout=ANSWER)) for each in names) / GIB

    def clean(self) -> None:
        """Remove whatever is left, also after an interruption."""
        try:
            self.destroy()
        except LabError as error:
            # What it could not remove, the next lines do; the state goes with its folder.
            say(str(error))
        there = run(["k3d", "cluster", "list", "--no-headers"], timeout=ANSWER).split()
        for cluster in self.clusters:
            if cluster in there:
                run(["k3d", "cluster", "delete", cluster], timeout=ANSWER)
        for kind, name in [
            *(("container", each) for each in self.containers),
            *(("volume", each) for each in self.containers),
            ("network", self.clusters[0]),
        ]:
            if containers.inspect(kind, name):
                flags = [] if kind == "network" else ["--force"]
                run(["docker", kind, "rm", *flags, name], timeout=ANSWER)
        self.forget()
        shutil.rmtree(git_backups.FOLDER / self.containers[0], ignore_errors=True)


def check(stacks: Sequence[str], arguments: Sequence[str] = ()) -> None:
    """Stop unless a benchmark can run and disturbs nothing, and have a `kill` end it as the keyboard does.

    Args:
        stacks: those that it makes.
        arguments: settings of theirs that say what they need, as `pulumi up` takes them.

    Raises:
        LabError: says what is missing or in the way.
    """
    local.prepare()
    for each in stacks:
        wanted = needs.of(each, arguments)
        needs.host(wanted)
        needs.fetch(wanted)
        if local.states().get(each):
            raise LabError(
                f"the stack {each} is up",
                why="the benchmark builds and removes the same images, and would measure beside it",
                fix=f"make destroy STACK={each} first",
            )
    signal.signal(signal.SIGTERM, lambda number, _: sys.exit(128 + number))


@contextmanager
def running(command: list[str], env: dict[str, str]) -> Iterator[subprocess.Popen[str]]:
    """Start a program whose lines are read; end it when it takes longer than ``RUN_TIME``, or when this is ended."""
    with subprocess.Popen(
        command,
        cwd=paths.ROOT,
        env=env,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        # A group of its own, to end a script together with what it runs.
        start_new_session=True,
    ) as process:
        timer = threading.Timer(RUN_TIME, os.killpg, (process.pid, signal.SIGTERM))
        timer.start()
        try:
            yield process
        except BaseException:
            os.killpg(process.pid, signal.SIGTERM)
            raise
        finally:
            timer.cancel()


def _message(event: dict[str, Any]) -> str:
    """Return what an event of the engine says to people, if anything."""
    said = event.get("diagnosticEvent") or {}
    return "" if said.get("severity") == "debug" else str(said.get("message", "")).strip()


def add(record: dict[str, list[float]], name: str, value: float) -> None:
    """Put a value to those of its name, and say it."""
    say(f"{name}: {value:.1f}")
    record.setdefault(name, []).append(value)


def used(said: str) -> int:
    """Return the bytes in use: all that is accounted for, but files that are only cached.

    Args:
        said: the number, then the kernel's memory.stat, of cgroup v1 or v2.
    """
    total, *lines = said.splitlines()
    stat = dict(line.split() for line in lines)
    return int(total) - int(stat.get("total_inactive_file") or stat["inactive_file"])
