"""P3, made by the program and by the plain script in turns, with clusters and a state of their own."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import yaml

from components.core.errors import LabError
from components.core.run import CommandError, run
from components.docker import container as containers
from components.docker import engine as docker_engine
from components.gitops import git_backups
from components.k3d import provider as k3d_provider
from components.k3d import volumes
from devtools import graph
from devtools.bench import facts, inputs, table
from devtools.bench.table import Row, Step
from lab.host import local, needs, paths
from lab.host.console import say
from lab.live import releases, stack

if TYPE_CHECKING:
    from collections.abc import Iterator

STACK: Final = "p3"
# A cluster and ports that nothing else has; in the settings' own terms.
SETTINGS: Final[dict[str, Any]] = {
    "part": STACK,
    "clusterName": "iot-bench",
    "apiPort": 16550,
    "appPorts": [18888],
    "argocdPorts": [18080],
    "gitPorts": [18003],
    "gitRestore": False,
}
SCRIPT: Final = "devtools/bench/p3.sh"
RUN_TIME: Final = 1200.0  # seconds until one run has to have ended
RELEASE_TIME: Final = 120.0  # seconds until a pushed version has to be live
SHORTEST: Final = 0.3  # seconds; shorter steps are not shown
CACHE: Final = "iot-bench/cache"  # tags that keep the app's layers in Docker's cache while its images come and go
ANSWER: Final = 30.0  # seconds for a question to a node
GIB: Final = 1 << 30
# The least that Pulumi can be asked for in a cluster: what it costs by itself.
SMALL: Final = """\
import os

import pulumi
import pulumi_kubernetes as kubernetes

provider = kubernetes.Provider("cluster", kubeconfig=os.environ["KUBECONFIG_TEXT"])
kubernetes.core.v1.ConfigMap(
    "one", metadata={"namespace": "default", "name": "iot-bench"}, opts=pulumi.ResourceOptions(provider=provider)
)
"""
# cgroup v2, or else v1: https://docs.docker.com/engine/containers/runmetrics/
MEMORY: Final = (
    "cd /sys/fs/cgroup; if test -e memory.current; then cat memory.current memory.stat;"
    " else cat memory/memory.usage_in_bytes memory/memory.stat; fi"
)


@dataclass
class Figures:
    """What was measured: seconds, but for the memory; a value for each repetition."""

    ours: dict[str, list[float]] = field(default_factory=dict)
    theirs: dict[str, list[float]] = field(default_factory=dict)
    small: dict[str, list[float]] = field(default_factory=dict)
    our_steps: list[list[Step]] = field(default_factory=list)
    their_steps: list[list[Step]] = field(default_factory=list)


class Bench:
    """One benchmark."""

    def __init__(self, folder: Path, overrides: dict[str, Any]) -> None:
        """Prepare both sides.

        Args:
            folder: for the state and the script's files; removed by the caller.
            overrides: settings by key, over ``SETTINGS``.
        """
        self.figures = Figures()
        self._settings = SETTINGS | overrides
        self._config = folder / f"Pulumi.{STACK}.yaml"
        (folder / "state").mkdir()
        # From here on this process, too, asks the state of the benchmark.
        os.environ["PULUMI_BACKEND_URL"] = f"file://{folder}/state"
        shutil.copy(paths.ROOT / "Pulumi.yaml", folder)
        config = {f"iot:{key}": value for key, value in self._settings.items()}
        self._config.write_text(yaml.safe_dump({"config": config}), encoding="utf-8")
        self._pulumi("--cwd", str(folder), "stack", "init", STACK, "--secrets-provider", "passphrase", config=False)
        (folder / "script").mkdir(mode=0o700)
        self.inputs = inputs.write(graph.build(STACK, paths.ROOT, self._settings), folder / "script")

    @property
    def cluster(self) -> str:
        """The name of the cluster."""
        return self.inputs.environment["CLUSTER"]

    def prepare(self) -> None:
        """Bring what both sides are to find in Docker: images, and the layers of the app's."""
        for image in [*self.inputs.images, self.inputs.environment["PYTHON_IMAGE"]]:
            docker_engine.ensure_image(image)
        for number, version in enumerate((self.inputs.folder / "versions.txt").read_text(encoding="utf-8").split()):
            arguments = [f"VERSION={version}", f"PYTHON_IMAGE={self.inputs.environment['PYTHON_IMAGE']}"]
            flags = [each for argument in arguments for each in ("--build-arg", argument)]
            run(["docker", "build", "--quiet", *flags, "--tag", f"{CACHE}:{number}", "app"], timeout=RUN_TIME)

    def ours(self) -> None:
        """Make, change, lose, remove and make the lab again with the program."""
        record = self.figures.ours
        self._forget()
        self._up("first")
        _add(record, "memory", memory(self.cluster, self.inputs.environment["GIT"]))
        self._start(record)
        target = releases.of(stack.outputs(STACK, show_secrets=True))
        times, _ = releases.release(target, "v2", RELEASE_TIME)
        _add(record, "release", times.live)
        begin = time.monotonic()
        run(["k3d", "cluster", "delete", self.cluster], timeout=RELEASE_TIME)
        _add(self.figures.theirs, "delete", time.monotonic() - begin)
        self._up("lost")
        _add(record, "down", self._timed("destroy", "--yes", "--skip-preview"))
        self.figures.our_steps.append(self._up("up"))
        self._timed("destroy", "--yes", "--skip-preview")
        self._forget()

    def _up(self, name: str) -> list[Step]:
        begin = time.monotonic()
        steps = self.up(begin)
        _add(self.figures.ours, name, time.monotonic() - begin)
        return steps

    def _forget(self) -> None:
        """Remove what the nodes have kept."""
        volumes.drop(set(containers.volumes(f"{volumes.LABEL}={self.cluster}")))

    def _start(self, record: dict[str, list[float]]) -> None:
        """Take the time of runs that have nothing to do, of the program and of one with a ConfigMap, in turns."""
        kubeconfig = str(stack.outputs(STACK, show_secrets=True)["kubeconfig"])
        with tempfile.TemporaryDirectory(dir=self._config.parent) as name:
            folder = Path(name)
            project = {"name": "small", "runtime": {"name": "python", "options": {"virtualenv": str(paths.VENV)}}}
            (folder / "Pulumi.yaml").write_text(yaml.safe_dump(project), encoding="utf-8")
            (folder / "__main__.py").write_text(SMALL, encoding="utf-8")

            def small(*args: str) -> None:
                command = ["pulumi", "--non-interactive", "--cwd", str(folder), *args]
                run(command, env={"KUBECONFIG_TEXT": kubeconfig}, timeout=RUN_TIME)

            small("stack", "init", "small", "--secrets-provider", "passphrase")
            small("up", "--yes", "--skip-preview")
            for what, args in (("second", ("up", "--yes", "--skip-preview")), ("preview", ("preview",))):
                _add(record, what, self._timed(*args))
                begin = time.monotonic()
                small(*args)
                _add(self.figures.small, what, time.monotonic() - begin)
            small("destroy", "--yes", "--skip-preview")
            small("stack", "rm", "--yes", "small")

    def theirs(self) -> None:
        """Make and remove the lab with the script."""
        record = self.figures.theirs
        seconds, steps = self._script("up")
        _add(record, "up", seconds)
        self.figures.their_steps.append(steps)
        _add(record, "memory", memory(self.cluster, self.inputs.environment["GIT"]))
        _add(record, "down", self._script("down")[0])

    def clean(self) -> None:
        """Remove whatever is left, also after an interruption."""
        try:
            self._pulumi("destroy", "--yes", "--skip-preview")
        except LabError as error:
            # What it could not remove, the next lines do; the state goes with its folder.
            say(str(error))
        if self.cluster in run(["k3d", "cluster", "list", "--no-headers"], timeout=RELEASE_TIME).split():
            run(["k3d", "cluster", "delete", self.cluster], timeout=RELEASE_TIME)
        git = self.inputs.environment["GIT"]
        for kind, name in (("container", git), ("volume", git), ("network", self.cluster)):
            if containers.inspect(kind, name):
                flags = [] if kind == "network" else ["--force"]
                run(["docker", kind, "rm", *flags, name], timeout=RELEASE_TIME)
        self._forget()
        shutil.rmtree(git_backups.FOLDER / git, ignore_errors=True)
        versions = (self.inputs.folder / "versions.txt").read_text(encoding="utf-8").split()
        tags = [f"{CACHE}:{number}" for number in range(len(versions))]
        tags += [f"{self.inputs.environment['REPOSITORY']}:{version}" for version in versions]
        for tag in tags:
            if docker_engine.has_image(tag):
                run(["docker", "image", "rm", "--force", tag], timeout=RELEASE_TIME)

    def _timed(self, *args: str) -> float:
        begin = time.monotonic()
        self._pulumi(*args)
        return time.monotonic() - begin

    def _pulumi(self, *args: str, config: bool = True) -> None:
        more = ["--stack", STACK, "--config-file", str(self._config)] if config else []
        try:
            run(["pulumi", "--non-interactive", *args, *more], cwd=paths.ROOT, timeout=RUN_TIME)
        except CommandError as error:
            raise LabError(f"pulumi {args[0]} failed", why=error.printed or str(error)) from error

    def up(self, begin: float) -> list[Step]:
        """Run `pulumi up` and return when each resource was made.

        Args:
            begin: what the steps' times are counted from, in seconds of ``time.monotonic``.

        Raises:
            LabError: it failed; has what it said last.
        """
        command = ["pulumi", "--non-interactive", "up", "--yes", "--skip-preview", "--json", "--stack", STACK]
        open_steps: dict[str, float] = {}
        steps, said = [], []
        with _running([*command, "--config-file", str(self._config)], dict(os.environ)) as process:
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

    def _script(self, what: str) -> tuple[float, list[Step]]:
        """Run the script and return how long it took, and when each of its steps began."""
        begin = time.monotonic()
        steps: list[Step] = []
        said = []
        env = os.environ | self.inputs.environment
        with _running(["bash", SCRIPT, what, str(self.inputs.folder)], env) as process:
            for line in process.stdout or ():
                now = time.monotonic() - begin
                said.append(line.rstrip("\n"))
                if line.startswith("step: "):
                    _close(steps, now)
                    steps.append(Step(what=line.removeprefix("step: ").strip(), begin=now, end=now))
        seconds = time.monotonic() - begin
        _close(steps, seconds)
        if process.returncode:
            raise LabError(f"{SCRIPT} {what} failed", why="\n".join(said[-20:]))
        return seconds, steps


def _close(steps: list[Step], now: float) -> None:
    if steps:
        steps[-1] = Step(what=steps[-1].what, begin=steps[-1].begin, end=now)


@contextmanager
def _running(command: list[str], env: dict[str, str]) -> Iterator[subprocess.Popen[str]]:
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


def _add(record: dict[str, list[float]], name: str, value: float) -> None:
    say(f"{name}: {value:.1f}")
    record.setdefault(name, []).append(value)


def memory(cluster: str, git: str) -> float:
    """Return what the nodes of a k3d cluster and a Git server use, in GiB, as `docker stats` counts it.

    They are asked themselves: an engine inside a container says 0.

    Args:
        cluster: name of the cluster.
        git: name of the Git server's container.
    """
    names = [node.name for node in docker_engine.containers(f"{k3d_provider.CLUSTER_LABEL}={cluster}")]
    return sum(used(run(["docker", "exec", each, "sh", "-c", MEMORY], timeout=ANSWER)) for each in [*names, git]) / GIB


def used(said: str) -> int:
    """Return the bytes in use: all that is accounted for, but files that are only cached.

    Args:
        said: the number, then the kernel's memory.stat, of cgroup v1 or v2.
    """
    total, *lines = said.splitlines()
    stat = dict(line.split() for line in lines)
    return int(total) - int(stat.get("total_inactive_file") or stat["inactive_file"])


def report(figures: Figures, machine: list[str]) -> str:
    """Return all figures as Markdown.

    Args:
        figures: what was measured.
        machine: on what, a list item each.
    """
    ours, theirs, small = figures.ours, figures.theirs, figures.small
    rows = [
        Row(what="`up` after `destroy`", ours=ours["up"], theirs=theirs["up"]),
        Row(what="first `up`, images in Docker", ours=ours["first"], theirs=theirs["up"]),
        Row(what="lost cluster -> Healthy at Git's commit", ours=ours["lost"], theirs=theirs["up"]),
        Row(what="removed again", ours=ours["down"], theirs=theirs["down"]),
        Row(what="removed again, beside `k3d cluster delete`", ours=ours["down"], theirs=theirs["delete"]),
        Row(what="commit -> live, by webhook", ours=ours["release"]),
        Row(what="memory of the whole lab", ours=ours["memory"], theirs=theirs["memory"], unit="GiB"),
    ]
    starts = [
        Row(what="a second `up`, nothing to do", ours=ours["second"], theirs=small["second"]),
        Row(what="a preview of the same", ours=ours["preview"], theirs=small["preview"]),
    ]
    parts = [
        *machine,
        "",
        table.comparison(rows),
        "",
        "What it takes to find nothing to do, beside a program of Pulumi's with one ConfigMap in the same cluster:",
        "",
        table.comparison(starts, "one ConfigMap"),
        "",
        "Where the time goes, in the fastest run of the program (its resources at work) and of the script:",
        "",
        table.steps(_fastest(figures.our_steps), least=SHORTEST),
        "",
        table.steps(_fastest(figures.their_steps), least=SHORTEST),
    ]
    return "\n".join(parts)


def _fastest(runs: list[list[Step]]) -> list[Step]:
    return min(runs, key=lambda steps: max((step.end for step in steps), default=0.0))


def measure(repetitions: int, overrides: dict[str, Any]) -> str:
    """Run the benchmark and return its figures as Markdown.

    Args:
        repetitions: how often each side runs; they take turns in who is first.
        overrides: settings by key.

    Raises:
        LabError: something is missing, or a run failed. What was made is removed then, too.
    """
    _check()
    # A `kill` has to clean up as an interruption by the keyboard does.
    signal.signal(signal.SIGTERM, lambda number, _: sys.exit(128 + number))
    with tempfile.TemporaryDirectory(prefix="iot-bench-") as folder:
        bench, machine = Bench(Path(folder), overrides), facts.lines()
        try:
            bench.prepare()
            for number in range(repetitions):
                sides = [("program", bench.ours), ("script", bench.theirs)]
                for name, side in sides if number % 2 == 0 else reversed(sides):
                    say(f"repetition {number + 1} of {repetitions}: {name}")
                    side()
            return report(bench.figures, machine)
        finally:
            say("removing what is left")
            bench.clean()


def _check() -> None:
    """Stop unless the benchmark can run and disturbs nothing.

    Raises:
        LabError: says what is missing or in the way.
    """
    local.prepare()
    wanted = needs.of(STACK)
    needs.host(wanted)
    needs.fetch(wanted)
    if local.states().get(STACK):
        raise LabError(
            "the stack p3 is up",
            why="the benchmark builds and removes the same images, and would measure beside it",
            fix="make destroy first",
        )
    if shutil.which("helm") is None:
        raise LabError("helm is not on PATH", why="the plain script uses it", fix="https://helm.sh/docs/intro/install/")
    try:
        run(["bash", "--version"], timeout=RELEASE_TIME)
    except CommandError as error:
        raise LabError("bash does not run", why=str(error)) from error
