"""The platform beside p3, both made by the program in turns: what the features cost in time and memory."""

from __future__ import annotations

import tempfile
import time
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import yaml

from components.core import project, wait
from components.core.errors import LabError
from components.core.run import run
from components.docker import engine as docker_engine
from components.gitops.allowed import DEVELOPER
from devtools.bench import facts, p3, program, table
from devtools.bench.program import ANSWER, Program, add
from devtools.bench.table import Row
from lab.host import paths
from lab.host.console import say
from lab.live import answers, environments, git, pipeline, stack

if TYPE_CHECKING:
    from collections.abc import Mapping

STACK: Final = "platform"
# Over the stack's own: a cluster and ports that nothing else has.
APART: Final[dict[str, Any]] = {
    "clusterName": "iot-bench-platform",
    "apiPort": 16560,
    "argocdPorts": [18081],
    "gitPorts": [18004],
    "registryPort": 18005,
    "gitRestore": False,
}
FIRST_PORT: Final = 31200  # the first environment's; those after it have the next ones
CACHE: Final = "iot-bench/platform"
CODE_TIME: Final = 180.0  # seconds until code that was pushed has to be live
EVERY: Final = 0.1
PAGE: Final = "app/templates/index.html"


def settings(overrides: Mapping[str, Any]) -> dict[str, Any]:
    """Return the settings of the platform that is measured: those of the committed stack, with other ports.

    Args:
        overrides: settings by key.
    """
    file = yaml.safe_load(project.stack_file(STACK, paths.ROOT).read_text(encoding="utf-8"))
    committed = {key.removeprefix("iot:"): value for key, value in file["config"].items()}
    committed["environments"] = {
        name: {**each, "port": FIRST_PORT + number}
        for number, (name, each) in enumerate(committed["environments"].items())
    }
    committed["clusters"] = {
        name: {**each, "apiPort": APART["apiPort"] + number}
        for number, (name, each) in enumerate(committed["clusters"].items(), 1)
    }
    return committed | APART | dict(overrides)


class Bench:
    """One benchmark of two stacks."""

    def __init__(self, folder: Path, overrides: Mapping[str, Any]) -> None:
        """Make both stacks.

        Args:
            folder: for their state; removed by the caller.
            overrides: settings of the platform by key.
        """
        self.programs = {p3.STACK: Program(folder, p3.STACK, p3.SETTINGS)}
        self.programs[STACK] = Program(folder, STACK, settings(overrides))
        self.figures: dict[str, dict[str, list[float]]] = {name: {} for name in self.programs}
        self._kept: list[str] = []

    def prepare(self) -> None:
        """Bring both up once, and keep the layers of the images that were built for them in Docker."""
        for each in self.programs.values():
            before = images()
            each.up(time.monotonic())
            for image in sorted(images() - before):
                if image.startswith(("iot-lab/", "localhost:")):
                    kept = f"{CACHE}:{len(self._kept)}"
                    run(["docker", "tag", image, kept], timeout=ANSWER)
                    self._kept.append(kept)
            each.destroy()

    def measure(self, name: str) -> None:
        """Make one of them, from nothing and once more, and remove it again."""
        mine, record = self.programs[name], self.figures[name]
        mine.forget()
        self._up(name, "first")
        add(record, "memory", mine.memory())
        add(record, "second", mine.timed("up", "--yes", "--skip-preview"))
        if name == STACK:
            add(record, "code", code(stack.outputs(STACK, show_secrets=True)))
        add(record, "down", mine.destroy())
        self._up(name, "up")
        mine.destroy()

    def _up(self, name: str, what: str) -> None:
        begin = time.monotonic()
        self.programs[name].up(begin)
        add(self.figures[name], what, time.monotonic() - begin)

    def clean(self) -> None:
        """Remove whatever is left, also after an interruption."""
        with ExitStack() as stack_:  # whatever becomes of the one before
            for each in self.programs.values():
                stack_.callback(each.clean)
            for image in self._kept:
                stack_.callback(run, ["docker", "image", "rm", "--force", image], timeout=ANSWER)


def images() -> set[str]:
    """Return the tags of the images that Docker has."""
    return set(docker_engine.ask("image", "ls", "--format", "{{.Repository}}:{{.Tag}}").split())


def code(outputs: Mapping[str, Any]) -> float:
    """Push a change of the app's code, and return after how many seconds the first environment runs it.

    Args:
        outputs: the platform's, with secrets.

    Raises:
        LabError: it did not come; has what became of it.
    """
    first = environments.of(outputs)[0]
    source = git.remote(outputs)
    source = replace(source, url=outputs["ci"]["repository"], revision="main", path=str(Path(PAGE).parent))
    source = replace(source, username=DEVELOPER, password=outputs["accounts"][DEVELOPER])
    with git.cloned(source) as clone:
        page = clone.root / PAGE
        page.write_text(page.read_text(encoding="utf-8") + f"<!-- {time.time()} -->\n", encoding="utf-8")
        commit = clone.commit("Change the page")
        begin = time.monotonic()
        clone.push()

        def live() -> None:
            version = answers.version(first.url)
            if not commit.startswith(version):
                raise LabError(f"{first.url} says {version}", why=str(pipeline.runs(outputs, 1)))

        wait.until(live, timeout=CODE_TIME, every=EVERY)
    return time.monotonic() - begin


def report(figures: Mapping[str, Mapping[str, list[float]]], machine: list[str]) -> str:
    """Return all figures as Markdown.

    Args:
        figures: by stack, and by what was measured.
        machine: on what, a list item each.
    """
    ours, theirs = figures[STACK], figures[p3.STACK]
    rows = [
        Row(what="first `up`, images in Docker", ours=ours["first"], theirs=theirs["first"]),
        Row(what="`up` after `destroy`", ours=ours["up"], theirs=theirs["up"]),
        Row(what="a second `up`, nothing to do", ours=ours["second"], theirs=theirs["second"]),
        Row(what="removed again", ours=ours["down"], theirs=theirs["down"]),
        Row(what="memory of the whole lab", ours=ours["memory"], theirs=theirs["memory"], unit="GiB"),
        Row(what="code pushed -> live in the first environment", ours=ours["code"]),
    ]
    return "\n".join([*machine, "", table.comparison(rows, other=p3.STACK, this=STACK)])


def measure(repetitions: int, overrides: Mapping[str, Any]) -> str:
    """Run the benchmark and return its figures as Markdown.

    Args:
        repetitions: how often each stack is made; they take turns in who is first.
        overrides: settings of the platform by key.

    Raises:
        LabError: something is missing, or a run failed. What was made is removed then, too.
    """
    program.check((p3.STACK, STACK))
    with tempfile.TemporaryDirectory(prefix="iot-bench-") as folder:
        bench, machine = Bench(Path(folder), overrides), facts.lines(helm=False)
        try:
            bench.prepare()
            for number in range(repetitions):
                for name in sorted(bench.programs, reverse=number % 2 == 1):
                    say(f"repetition {number + 1} of {repetitions}: {name}")
                    bench.measure(name)
            return report(bench.figures, machine)
        finally:
            say("removing what is left")
            bench.clean()
