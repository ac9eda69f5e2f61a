"""A lab of the tests' own: a copy of the project with its own state, cluster name and ports, beside a user's lab."""

from __future__ import annotations

import copy
import json
import os
import re
import shutil
import subprocess
import sys
import time
import urllib.error
import urllib.request
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import yaml

from components.core import versions
from components.docker.container import PROJECT_LABEL
from components.k3d import volumes
from lab.commands.faults import BY_ITSELF
from lab.host import chart, local, paths
from tests.lab import faults

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

ROOT: Final = Path(__file__).resolve().parents[2]
NOT_COPIED: Final = (".git", ".lab", ".venv", "__pycache__", ".mypy_cache", ".ruff_cache", ".pytest_cache")
# A state that is not the lab's own, and what the `make` that runs the tests was told.
NOT_HANDED_ON: Final = ("PULUMI_BACKEND_URL", "ARGS", "MAKEOVERRIDES")
BEGUN: Final[dict[int, tuple[float, str]]] = {}  # when what is at work in the background has begun, and as what
UP: Final = 900  # seconds
SOON: Final = 180  # seconds; another lab is at work beside this one
MOMENT: Final = 5  # seconds that a volume of a container that is being made may be without it


class Lab:
    """A copy of the project, and its commands.

    Args:
        folder: where the copy goes.
        stack: which part.
        settings: values by key without a namespace; strings, numbers, or what JSON can say.
        project: the project that is copied: the one that is tested, or another version of it.
    """

    def __init__(self, folder: Path, stack: str, settings: dict[str, Any], project: Path = ROOT) -> None:
        self.stack, self.folder = stack, folder / "project"
        self.before: tuple[str, ...] = ()  # a command that runs the commands
        self._outputs: tuple[int, dict[str, Any]] = (0, {})
        shutil.copytree(project, self.folder, ignore=shutil.ignore_patterns(*NOT_COPIED))
        (self.folder / ".venv").symlink_to(sys.prefix)
        self.env = {
            **{key: value for key, value in os.environ.items() if key not in NOT_HANDED_ON},
            "PATH": os.pathsep.join([str(ROOT / ".lab" / "bin"), str(Path(sys.executable).parent), os.environ["PATH"]]),
            "PULUMI_CONFIG_PASSPHRASE": "made up for the tests",
            "PULUMI_SKIP_UPDATE_CHECK": "true",
            "STACK": stack,
            # The virtual environment is there: `make` has not to make one.
            "MAKEFLAGS": "READY=true",
            **{f"GIT_{who}_{what}": "test@localhost" for who in ("AUTHOR", "COMMITTER") for what in ("NAME", "EMAIL")},
        }
        (self.folder / ".lab" / "state").mkdir(parents=True)
        # A user's own stack has tied the file to its passphrase.
        content = self._settings.read_text(encoding="utf-8").splitlines(keepends=True)
        self._settings.write_text("".join(line for line in content if not line.startswith("encryptionsalt:")))
        self.run("pulumi", "stack", "init", stack)
        for key, value in settings.items():
            self.set(key, value)

    @property
    def _settings(self) -> Path:
        return self.folder / f"Pulumi.{self.stack}.yaml"

    def become(self, project: Path = ROOT) -> None:
        """Put another version of the project in the place of the copy's own, as `git pull` does.

        What the copy has made itself stays: the state, the tools, and what is set.
        """
        kept = {".lab", ".venv", self._settings.name}
        for path in self.folder.iterdir():
            if path.name in kept:
                continue
            if path.is_dir():
                shutil.rmtree(path)
            else:
                path.unlink()
        ignored = shutil.ignore_patterns(*NOT_COPIED, self._settings.name)
        shutil.copytree(project, self.folder, ignore=ignored, dirs_exist_ok=True)

    def set(self, key: str, value: Any) -> None:  # noqa: ANN401 - any JSON
        """Set a setting in the copy."""
        content = yaml.safe_load(self._settings.read_text(encoding="utf-8"))
        content["config"][f"iot:{key}"] = value
        self._settings.write_text(yaml.safe_dump(content, sort_keys=False), encoding="utf-8")

    def use_kept_chart(self) -> None:
        """Use the charts that `make setup` has kept, or those of the offline folder; others are downloaded."""
        # What an older version does not know, it refuses.
        known = yaml.safe_load((self.folder / "Pulumi.yaml").read_text(encoding="utf-8"))["config"]
        for each in [one for one in versions.CHARTS if one.setting in known]:
            found = [path for path in (chart.kept(each), chart.offline(each)) if path and path.is_file()]
            if found:
                self.set(each.setting, str(found[0]))

    def run(
        self, *command: str, timeout: float = UP, check: bool = True, given: str = ""
    ) -> subprocess.CompletedProcess[str]:
        """Run a program in the copy, and type what it is given; show what it printed when it fails."""
        begin = time.monotonic()
        done = subprocess.run(
            [*self.before, *command],
            cwd=self.folder,
            env=self.env,
            capture_output=True,
            text=True,
            timeout=timeout,
            check=False,
            input=given,
        )
        took = time.monotonic() - begin
        faults.SAID.append(
            faults.Said(line=faults.typed(command), code=done.returncode, seconds=took, text=done.stdout + done.stderr)
        )
        if check and done.returncode:
            raise AssertionError(f"{' '.join(command)} -> {done.returncode}\n{done.stdout}\n{done.stderr}")
        return done

    def pulumi(self, command: str, *arguments: str, check: bool = True) -> str:
        """Run `pulumi up`, `preview`, `refresh` or `destroy`, and return what it printed."""
        yes = ["--yes"] if command != "preview" else []
        done = self.run("pulumi", command, "--stack", self.stack, "--non-interactive", *yes, *arguments, check=check)
        return done.stdout + done.stderr

    def mend(self, planned: str) -> str:
        """Have a preview say what is to be mended, and `pulumi up` mend it; return what that one printed."""
        assert planned in self.pulumi("preview")
        return self.pulumi("up", "--skip-preview")

    def command(self, *arguments: str, check: bool = True) -> subprocess.CompletedProcess[str]:
        """Run one of the lab's own commands."""
        return self.run(sys.executable, "-m", "lab", *arguments, check=check)

    def shell(self, line: str, *, given: str = "", check: bool = True) -> subprocess.CompletedProcess[str]:
        """Type a line into a shell in the copy, as users do."""
        return self.run("sh", "-c", line, check=check, given=given)

    def outputs(self) -> dict[str, Any]:
        """Return the stack's outputs, with secrets, of which Pulumi is asked once for each state."""
        state = self.folder / local.STACKS.relative_to(paths.ROOT) / f"{self.stack}.json"
        written = state.stat().st_mtime_ns
        if written != self._outputs[0]:
            done = self.run("pulumi", "stack", "output", "--stack", self.stack, "--json", "--show-secrets")
            self._outputs = written, json.loads(done.stdout)
        return copy.deepcopy(self._outputs[1])

    def kubectl(self, *arguments: str, check: bool = True) -> str:
        """Run kubectl against the stack's cluster and return what it printed."""
        kubeconfig = self.folder / ".lab" / "kubeconfig"
        kubeconfig.touch(mode=0o600)
        kubeconfig.write_text(self.outputs()["kubeconfig"], encoding="utf-8")
        return self.run("kubectl", f"--kubeconfig={kubeconfig}", *arguments, timeout=SOON, check=check).stdout

    def get(self, kind: str, namespace: str, name: str) -> dict[str, Any]:
        """Return an object of the cluster."""
        found: dict[str, Any] = json.loads(self.kubectl("-n", namespace, "get", kind, name, "-o", "json"))
        return found


def state(lab: Lab, name: str) -> str:
    """Return how an Application is, such as "Synced and Healthy", which costs less than to ask `make status`."""
    found = lab.get("application", "argocd", name)["status"]
    return f"{found['sync']['status']} and {found['health']['status']}"


def status(lab: Lab) -> str:
    """Return what `make status` says."""
    return lab.command("status", check=False).stdout


def settled(lab: Lab, *names: str) -> None:
    """Wait until Applications are Synced and Healthy."""
    for name in names:
        eventually(f"{name} is settled", lambda: state(lab, name) == "Synced and Healthy", lambda: state(lab, name))  # noqa: B023 - it is asked at once


def failed(done: subprocess.CompletedProcess[str]) -> str:
    """Return what a command says that had to fail, in words of its own."""
    said = done.stdout + done.stderr
    assert done.returncode != 0, said
    assert "Traceback" not in said
    return said


def kept(*clusters: str) -> list[str]:
    """Return the volumes with images that the nodes of clusters of one node keep when those go."""
    one = {"image": versions.K3S_IMAGE, "servers": 1, "agents": 0}
    return [volume for name in clusters for volume in volumes.of({"metadata": {"name": name}, **one}).values()]


def missing(*images: str, charts: tuple[versions.Chart, ...] = ()) -> list[str]:
    """Return what can't be had here of some images and charts: offline, what nobody has brought."""
    if not paths.offline():
        return []
    here = ["docker", "image", "inspect"]
    return [
        *(each.archive for each in charts if not (chart.offline(each) or chart.is_kept(each))),
        *(each for each in images if subprocess.run([*here, each], capture_output=True, check=False).returncode),
    ]


@contextmanager
def going_on(lab: Lab, *arguments: str) -> Iterator[subprocess.Popen[str]]:
    """Have a command of the lab's at work, and wait for its end."""
    line = [sys.executable, "-m", "lab", *arguments]
    with subprocess.Popen(
        [*lab.before, *line], cwd=lab.folder, env=lab.env, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    ) as process:
        BEGUN[process.pid] = time.monotonic(), faults.typed(line)
        yield process


def said(process: subprocess.Popen[str]) -> str:
    """Return what a command has printed, when it has ended."""
    printed = process.communicate(timeout=600)[0]
    begin, line = BEGUN[process.pid]
    took = time.monotonic() - begin
    faults.SAID.append(faults.Said(line=line, code=process.returncode, seconds=took, text=printed))
    assert "Traceback" not in printed
    return printed


def answer(url: str, *, data: str | None = None, **headers: str) -> tuple[int, str]:
    """Return the status and the body that a URL answers with; status 0 when nothing listens.

    Args:
        url: on this machine.
        data: what to post; None gets the URL.
        headers: of the request.
    """
    request = urllib.request.Request(url, data=data.encode() if data is not None else None, headers=headers)  # noqa: S310
    try:
        with urllib.request.urlopen(request, timeout=5) as response:  # noqa: S310
            return response.status, response.read().decode()
    except urllib.error.HTTPError as error:
        return error.code, error.read().decode()
    except OSError as error:
        return 0, str(error)


def eventually(what: str, holds: Callable[[], bool], state: Callable[[], str], seconds: float = SOON) -> None:
    """Wait until something holds; fail with the state that it is in after the given time."""
    begin = asked = time.monotonic()
    while not holds():
        now = time.monotonic()
        assert now < begin + seconds, f"{what} did not come true within {seconds:.0f} s; now: {state()}"
        # Who asks all the time takes the processor from what is waited for.
        time.sleep(max(0.5, now - asked))
        asked = time.monotonic()
    faults.SAID.append(faults.Said(line=f"{BY_ITSELF}: {what}", code=0, seconds=time.monotonic() - begin))


def docker_things(*words: str) -> dict[str, set[str]]:
    """Return the names of the engine's containers, networks, volumes and tagged images that have one of some words.

    Other labs may be at work. A volume without a name that no container uses is in it as well, whosever it is.
    """
    found = {
        "containers": listed("ps", "--all", "--format", "{{.Names}}"),
        "networks": listed("network", "ls", "--format", "{{.Name}}"),
        "volumes": listed("volume", "ls", "--quiet"),
        "images": listed("image", "ls", "--format", "{{.Repository}}:{{.Tag}}"),
    }
    named = {kind: {each for each in names if any(word in each for word in words)} for kind, names in found.items()}
    unnamed = unused()
    if unnamed:
        time.sleep(MOMENT)
        unnamed &= unused()
    return named | {"volumes": named["volumes"] | unnamed}


def listed(*arguments: str) -> list[str]:
    """Return the words that Docker answers."""
    asked = ["docker", *arguments]
    return subprocess.run(asked, capture_output=True, text=True, check=True, timeout=60).stdout.split()


def unused() -> set[str]:
    """Return the volumes without a name that no container uses."""
    found = listed("volume", "ls", "--quiet", "--filter=dangling=true")
    return {each for each in found if re.fullmatch("[0-9a-f]{64}", each)}


def left(before: dict[str, set[str]], after: dict[str, set[str]]) -> dict[str, set[str]]:
    """Return what Docker has after a `destroy`, of each kind, and had not before.

    While a lab of another clone is there, images are no part of it: `destroy` leaves those that both name alike.
    """
    others = listed("ps", "--all", "--quiet", f"--filter=label={PROJECT_LABEL}")
    kinds = after.keys() - ({"images"} if others else set())
    return {kind: names for kind in kinds if (names := after[kind] - before[kind])}
