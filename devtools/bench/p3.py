"""P3, made by the program and by the plain script in turns, with clusters and a state of their own."""

from __future__ import annotations

import os
import shutil
import tempfile
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import yaml

from components.core.errors import LabError
from components.core.run import CommandError, run
from components.docker import engine as docker_engine
from devtools import graph
from devtools.bench import facts, inputs, program, table
from devtools.bench.program import RUN_TIME, Program, add
from devtools.bench.table import Row, Step
from lab.host import paths
from lab.host.console import say
from lab.live import releases, stack

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
RELEASE_TIME: Final = 120.0  # seconds until a pushed version has to be live
SHORTEST: Final = 0.3  # seconds; shorter steps are not shown
CACHE: Final = "iot-bench/cache"  # tags that keep the app's layers in Docker's cache while its images come and go
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
        self._program = Program(folder, STACK, SETTINGS | overrides)
        (folder / "script").mkdir(mode=0o700)
        self.inputs = inputs.write(graph.build(STACK, paths.ROOT, dict(self._program.settings)), folder / "script")

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
        record, mine = self.figures.ours, self._program
        mine.forget()
        self.up("first")
        add(record, "memory", mine.memory())
        self._start(record)
        target = releases.of(stack.outputs(STACK, show_secrets=True))
        times, _ = releases.release(target, "v2", RELEASE_TIME)
        add(record, "release", times.live)
        begin = time.monotonic()
        run(["k3d", "cluster", "delete", *mine.clusters], timeout=RELEASE_TIME)
        add(self.figures.theirs, "delete", time.monotonic() - begin)
        self.up("lost")
        add(record, "down", mine.destroy())
        self.figures.our_steps.append(self.up("up"))
        mine.destroy()
        mine.forget()

    def up(self, name: str) -> list[Step]:
        """Bring the lab up, take its time under a name, and return when each resource was made."""
        begin = time.monotonic()
        steps = self._program.up(begin)
        add(self.figures.ours, name, time.monotonic() - begin)
        return steps

    def _start(self, record: dict[str, list[float]]) -> None:
        """Take the time of runs that have nothing to do, of the program and of one with a ConfigMap, in turns."""
        kubeconfig = str(stack.outputs(STACK, show_secrets=True)["kubeconfig"])
        with tempfile.TemporaryDirectory(dir=self._program.config.parent) as name:
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
                add(record, what, self._program.timed(*args))
                begin = time.monotonic()
                small(*args)
                add(self.figures.small, what, time.monotonic() - begin)
            small("destroy", "--yes", "--skip-preview")
            small("stack", "rm", "--yes", "small")

    def theirs(self) -> None:
        """Make and remove the lab with the script."""
        record = self.figures.theirs
        seconds, steps = self._script("up")
        add(record, "up", seconds)
        self.figures.their_steps.append(steps)
        add(record, "memory", self._program.memory())
        add(record, "down", self._script("down")[0])

    def clean(self) -> None:
        """Remove whatever is left, also after an interruption."""
        self._program.clean()
        versions = (self.inputs.folder / "versions.txt").read_text(encoding="utf-8").split()
        tags = [f"{CACHE}:{number}" for number in range(len(versions))]
        tags += [f"{self.inputs.environment['REPOSITORY']}:{version}" for version in versions]
        for tag in tags:
            if docker_engine.has_image(tag):
                run(["docker", "image", "rm", "--force", tag], timeout=RELEASE_TIME)

    def _script(self, what: str) -> tuple[float, list[Step]]:
        """Run the script and return how long it took, and when each of its steps began."""
        begin = time.monotonic()
        steps: list[Step] = []
        said = []
        env = os.environ | self.inputs.environment
        with program.running(["bash", SCRIPT, what, str(self.inputs.folder)], env) as process:
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
    with tempfile.TemporaryDirectory(prefix="iot-bench-") as folder:
        bench, machine = Bench(Path(folder), overrides), facts.lines(helm=True)
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
    program.check((STACK,))
    if shutil.which("helm") is None:
        raise LabError("helm is not on PATH", why="the plain script uses it", fix="https://helm.sh/docs/intro/install/")
    try:
        run(["bash", "--version"], timeout=RELEASE_TIME)
    except CommandError as error:
        raise LabError("bash does not run", why=str(error)) from error
