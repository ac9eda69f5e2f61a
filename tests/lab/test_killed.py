"""Killed at any moment: the same command once more makes it whole, and nothing is lost.

Each strike has three tests, in their order on one lab: at an `up` from nothing, at one that makes a lost cluster anew,
and at a `destroy`. `make faults` has many strikes, at boundaries between resources and at moments, drawn from a seed.
"""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
import time
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import pytest

from devtools import golden
from lab.commands.faults import SEED
from tests.lab import cluster, machines
from tests.lab.cluster import CLUSTER
from tests.lab.faults import fault
from tests.lab.lab import Lab, eventually

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = [pytest.mark.lab, pytest.mark.k3d]

RESOURCES: Final = len(json.loads(golden.path("p3").read_text(encoding="utf-8")))  # each a boundary, of every command
MOMENTS: Final = {"up": 15.0, "destroy": 4.0}  # seconds that each takes at least
ENDS: Final = 180  # seconds until what was struck has ended
STRIKES: Final = 5  # of each kind, in the long half
HOW: Final = {
    "SIGKILL": "SIGKILL of Pulumi alone, as the kernel does when memory is short",
    "power": "SIGKILL of every process, as a power cut does",
    "SIGINT": "Ctrl-C",
}


@dataclass(frozen=True, kw_only=True)
class Strike:
    """How and when a command is struck.

    Attributes:
        how: a key of ``HOW``.
        boundary: after how many resources; None for a moment instead.
        moment: after what share of the seconds that it takes at least.
    """

    how: str
    boundary: int | None
    moment: float

    @property
    def words(self) -> str:
        """Return how, in words."""
        return HOW[self.how]

    def __str__(self) -> str:
        """Return it in short."""
        at = f"moment{self.moment:.2f}" if self.boundary is None else f"resource{self.boundary}"
        return f"{self.how}-{at}"


def strikes() -> list[Any]:
    """Return strikes, drawn from the seed: one of every process is one that every run of the tests has."""
    drawn = random.Random(int(os.environ.get(SEED, "1")))  # noqa: S311 - to be repeated, no secret
    found: list[Any] = []
    for number in range(STRIKES):
        for how in HOW:
            # The second one of each kind is the first at a moment.
            at = drawn.randrange(1, RESOURCES) if number % 2 == 0 else None
            strike = Strike(how=how, boundary=at, moment=drawn.uniform(0.05, 1.0))
            found.append(
                pytest.param(strike, id=str(strike), marks=[pytest.mark.long] if number or how != "power" else [])
            )
    return found


@pytest.fixture(scope="module")
def lab(tmp_path_factory: pytest.TempPathFactory, before: dict[str, set[str]]) -> Iterator[Lab]:
    """Make a lab that has to be brought up, with a commit of its own in the Git that was kept."""
    with cluster.lab(tmp_path_factory.mktemp("killed")) as made:
        made.command("up")
        made.command("release", "v2")
        made.command("destroy")
        yield made


def struck(lab: Lab, command: str, strike: Strike, tmp_path: Path) -> None:
    """Run a command of the lab's, and strike it while it is at work."""
    log = tmp_path / "events"
    env = lab.env | {"PULUMI_DEBUG_COMMANDS": "true", "TMPDIR": str(tmp_path)}
    line = [sys.executable, "-m", "lab", command]
    if command == "destroy":  # `up` makes one by itself, in a folder of its own
        line += ["--", f"--event-log={log}"]
    with (tmp_path / "printed").open("w") as printed:
        process = subprocess.Popen(
            line, cwd=lab.folder, env=env, stdout=printed, stderr=printed, start_new_session=True
        )
        begin = time.monotonic()
        try:
            while process.poll() is None:
                if strike.boundary is None and time.monotonic() > begin + strike.moment * MOMENTS[command]:
                    break
                if strike.boundary is not None and done(tmp_path) >= strike.boundary:
                    break
                time.sleep(0.01)
            ended = process.poll()
            hit(process.pid, strike.how)
            process.wait(ENDS)
        finally:
            hit(process.pid, "power")
    printed_ = (tmp_path / "printed").read_text(encoding="utf-8")
    assert ended is None, f"it had ended before: {printed_}"
    assert "Traceback" not in printed_


def done(folder: Path) -> int:
    """Return how many resources the engine has said to be done."""
    logs = [*folder.glob("events"), *folder.glob("*/events.jsonl")]
    return sum(path.read_text(encoding="utf-8").count('"resOutputsEvent"') for path in logs)


def hit(process: int, how: str) -> None:
    """Strike a process, or what it has started."""
    if how == "SIGINT":
        with suppress(ProcessLookupError):
            os.killpg(process, signal.SIGINT)
        return
    for each in [*machines.descendants(process), process]:
        with suppress(ProcessLookupError, FileNotFoundError):  # it has ended since
            if how == "power" or Path(f"/proc/{each}/comm").read_text(encoding="utf-8").strip() == "pulumi":
                os.kill(each, signal.SIGKILL)


def at_work(lab: Lab) -> str:
    """Return the processes that are at work in a lab's folder, or were when they were begun."""
    found = []
    for folder in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):
            command = (folder / "cmdline").read_text(encoding="utf-8").replace("\0", " ")
            if (folder / "cwd").readlink().is_relative_to(lab.folder) and int(folder.name) != os.getpid():
                found.append(f"{folder.name} {command}")
    return "\n".join(found)


def whole(lab: Lab) -> None:
    """See that a lab is as an `up` leaves it, and that nothing of the run before is at work."""
    cluster.answers("v2")
    cluster.wait_settled(lab)
    assert "Synced and Healthy" in lab.command("status").stdout
    eventually("nothing is at work any more", lambda: not at_work(lab), lambda: at_work(lab), 30)


@pytest.mark.parametrize("strike", strikes(), scope="class")
class TestAStrike:
    """An `up`, a heal and a `destroy` that are struck, and each one's second run."""

    @fault("killed", "`make up`", when="{strike.words}", saw="", out="make up")
    def test_an_up_is_gone_on_with(self, lab: Lab, strike: Strike, tmp_path: Path) -> None:
        struck(lab, "up", strike, tmp_path)
        lab.command("up")
        whole(lab)

    @fault("killed", "`make up` of a lost cluster", when="{strike.words}", saw="", out="make up")
    def test_a_heal_is_gone_on_with_and_changes_no_password(self, lab: Lab, strike: Strike, tmp_path: Path) -> None:
        known = cluster.facts(lab)
        lab.run("k3d", "cluster", "delete", CLUSTER)
        struck(lab, "up", strike, tmp_path)
        lab.command("up")
        whole(lab)
        assert cluster.facts(lab) == known

    @fault("killed", "`make destroy`", when="{strike.words}", saw="", out="make destroy")
    def test_a_destroy_is_gone_on_with_and_keeps_what_was_pushed(
        self, lab: Lab, strike: Strike, tmp_path: Path, before: dict[str, set[str]]
    ) -> None:
        pushed = cluster.head(lab)
        struck(lab, "destroy", strike, tmp_path)
        lab.command("destroy")
        assert cluster.left(before) == {}
        eventually("nothing is at work any more", lambda: not at_work(lab), lambda: at_work(lab), 30)
        kept = lab.folder / ".lab" / "backups" / cluster.GIT
        newest = max(kept.rglob("*.bundle"), key=lambda path: path.stat().st_mtime)
        assert lab.run("git", "bundle", "list-heads", str(newest), "refs/heads/main").stdout.split()[0] == pushed
