"""The same again and again: what it takes, and what it leaves, stays as it was.

It takes the better part of an hour, so that `make faults` alone runs it.
"""

from __future__ import annotations

import json
import statistics
import time
from typing import TYPE_CHECKING, Final

import pytest

from devtools.bench import program
from tests.lab import cluster
from tests.lab.cluster import CLUSTER, GIT, NODE, answers
from tests.lab.faults import by_itself, fault
from tests.lab.lab import Lab, eventually

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from pathlib import Path

pytestmark = [pytest.mark.lab, pytest.mark.k3d, pytest.mark.long, pytest.mark.timeout(4 * 3600)]

RELEASES: Final = 100
ROUNDS: Final = 20
PUSHES: Final = 1000
EVERY: Final = 100  # pushes, after which the app is asked
# Of the last quarter over the first one. What is measured beside another lab is not that even.
SLOWER: Final = 1.5
MORE: Final = 1.3
A_RELEASE: Final = 100  # KiB on Git's disk: a commit, a tree, two blobs, what Gitea notes of the push
GROWS: Final = 64 << 20  # bytes that containers' memory may differ by, whatever the share: caches


@pytest.fixture(scope="module")
def lab(tmp_path_factory: pytest.TempPathFactory, before: dict[str, set[str]]) -> Iterator[Lab]:
    """Bring p3 up, and down again whatever has happened."""
    with cluster.lab(tmp_path_factory.mktemp("long")) as made:
        made.command("up")
        yield made


def memory(lab: Lab) -> float:
    """Return the bytes that the node and Git hold, without cached files."""
    asked = (lab.run("docker", "exec", name, "sh", "-c", program.MEMORY).stdout for name in (NODE, GIT))
    return float(sum(map(program.used, asked)))


def handles(lab: Lab) -> float:
    """Return how many files the processes of Git have open."""
    said = lab.run("docker", "exec", GIT, "sh", "-c", "ls /proc/[0-9]*/fd | wc -l").stdout
    return float(said)


def disk(lab: Lab) -> float:
    """Return the KiB that Git has on its disk."""
    data = lab.run("docker", "inspect", "--format", "{{(index .Mounts 0).Destination}}", GIT).stdout.strip()
    return float(lab.run("docker", "exec", GIT, "du", "-sk", data).stdout.split()[0])


def stays(what: str, values: Sequence[float], most: float, beyond: float = 0.0) -> None:
    """See that the last quarter of some values is not more than the first one."""
    quarter = max(1, len(values) // 4)
    first, last = statistics.median(values[:quarter]), statistics.median(values[-quarter:])
    assert last <= max(first * most, first + beyond), f"{what}: {first:.1f}, and then {last:.1f} of {values}"


@fault("long", "`make release`", when=f"{RELEASES} times back and forth", saw="is live", out="make release")
def test_a_hundred_releases_take_the_same_time_and_leave_the_same(lab: Lab) -> None:
    took: list[float] = []
    held: list[float] = []
    opened: list[float] = []
    full = disk(lab)
    for number in range(RELEASES):
        begin = time.monotonic()
        lab.command("release", "v2" if number % 2 == 0 else "v1")
        took.append(time.monotonic() - begin)
        if number % 5 == 4:
            held.append(memory(lab))
            opened.append(handles(lab))
    stays("seconds", took, SLOWER)
    stays("memory", held, MORE, GROWS)
    stays("open files", opened, MORE, 20)
    assert (disk(lab) - full) / RELEASES < A_RELEASE
    assert len(lab.kubectl("-n", "dev", "get", "replicasets", "-o", "name").split()) <= 11  # the Deployment's history


@fault("long", "the webhook", when=f"{PUSHES} pushes", saw="", out=by_itself("it is seen"))
def test_a_thousand_pushes_are_all_seen(lab: Lab, tmp_path: Path) -> None:
    clone = tmp_path / "gitops"
    # With the password at hand: to ask the lab for it, as `make clone` has it done, takes longer than a push.
    lab.run("git", "clone", "--quiet", "--branch=main", cluster.git_url(lab), str(clone))
    took: list[float] = []
    held: list[float] = []
    for number in range(PUSHES):
        begin = time.monotonic()
        lab.run("git", "-C", str(clone), "commit", "--quiet", "--allow-empty", "-m", f"Push {number}")
        lab.run("git", "-C", str(clone), "push", "--quiet")
        took.append(time.monotonic() - begin)
        if number % EVERY == EVERY - 1:
            eventually("it is seen", seen(lab), lambda: json.dumps(cluster.application(lab)["sync"]))
            held.append(memory(lab))
    stays("seconds", took, SLOWER)
    stays("memory", held, MORE, GROWS)


def seen(lab: Lab) -> Callable[[], bool]:
    """Return what tells whether Argo CD is at the commit that Git has now."""
    head = cluster.head(lab)
    return lambda: bool(cluster.application(lab)["sync"].get("revision") == head)


@fault("long", "`make destroy` and `make up`", when=f"{ROUNDS} times", saw="", out="make up")
def test_twenty_rounds_take_the_same_time_and_leave_nothing(lab: Lab, before: dict[str, set[str]]) -> None:
    pushed = cluster.head(lab)
    took: list[float] = []
    for _ in range(ROUNDS):
        lab.command("destroy")
        assert cluster.left(before) == {}
        begin = time.monotonic()
        lab.command("up")
        took.append(time.monotonic() - begin)
        assert cluster.head(lab) == pushed
    answers("v1")
    # The first one has the node's images to bring in.
    stays("seconds", took[1:], SLOWER)
    kept = list((lab.folder / ".lab" / "backups").rglob("*.bundle"))
    assert len(kept) == 1, kept  # nothing was pushed in between


def test_destroy_leaves_nothing(lab: Lab, before: dict[str, set[str]]) -> None:
    lab.command("destroy")
    assert cluster.left(before) == {}
    assert CLUSTER not in lab.run("k3d", "cluster", "list").stdout
