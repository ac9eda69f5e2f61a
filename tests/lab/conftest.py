"""One run of the lab's tests at a time: they share names and ports. What a run that was killed has left goes first.

A run has several processes. The tests of one file share a lab, and run in one of them in their order.
"""

from __future__ import annotations

import fcntl
import getpass
import json
import os
import shutil
import subprocess
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import pytest

from components.docker.container import PROJECT_LABEL
from tests.lab import cluster, faults
from tests.lab.receiver import listening

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.lab.receiver import Receiver

# Where pytest makes the folders that the copies of the project are in.
COPIES: Final = Path(tempfile.gettempdir()).resolve() / f"pytest-of-{getpass.getuser()}"


@pytest.hookimpl(wrapper=True)
def pytest_runtest_call(item: pytest.Item) -> Any:  # noqa: ANN401 - pytest's own
    """Take down what a test that breaks something has seen."""
    faults.SAID.clear()
    held = False
    try:
        result = yield
        for mark in item.iter_markers("fault"):
            faults.hold(mark, faults.SAID)
        held = True
    finally:
        for mark in item.iter_markers("fault"):
            faults.take_down(mark, faults.SAID, item, held=held)
    return result


@pytest.fixture(scope="module")
def before() -> Iterator[dict[str, set[str]]]:
    """Return what Docker has before a file with tests of p3 brings anything up; others have one of their own."""
    with cluster.alone():
        yield cluster.there()


@pytest.fixture(scope="module")
def receiver() -> Iterator[Receiver]:
    """Listen to what is told of alerts."""
    with listening() as made:
        yield made


@pytest.fixture(scope="session", autouse=True)
def _alone() -> Iterator[None]:
    """Hold a lock until the end, which the end of the process releases, too. The first process of a run tidies up."""
    run = os.environ.get("PYTEST_XDIST_TESTRUNUID", str(os.getpid()))
    with (Path(tempfile.gettempdir()) / f"iot-lab-tests-{os.getuid()}.lock").open("a+", encoding="ascii") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            fcntl.flock(file, fcntl.LOCK_SH)  # when the first one has tidied up
        else:
            for kind in ("container", "network", "volume"):
                for name in left(kind):
                    remove(kind, name)
            file.truncate(0)
            file.write(run)
            file.flush()
            fcntl.flock(file, fcntl.LOCK_SH)
        file.seek(0)
        if file.read() != run:
            pytest.exit("another run of the lab's tests is going on: wait until it has ended", returncode=1)
        yield


def left(kind: str) -> list[str]:
    """Return the names of what copies of the project have made in Docker. Those of this run have not begun."""
    listed = docker(kind, "ls", *(["--all"] if kind == "container" else []), f"--filter=label={PROJECT_LABEL}", "-q")
    if not listed.split():
        return []
    found: list[dict[str, Any]] = json.loads(docker(kind, "inspect", *listed.split()))
    labels = {each["Name"].lstrip("/"): (each.get("Labels") or each["Config"]["Labels"]) for each in found}
    return [name for name, its in labels.items() if COPIES in Path(its[PROJECT_LABEL]).parents]


def remove(kind: str, name: str) -> None:
    """Remove one of them; with a network, the clusters that are on it."""
    if kind == "network":
        shown = ["--all", f"--filter=network={name}", "--format", '{{.Label "k3d.cluster"}}']
        for cluster in sorted(set(docker("ps", *shown).split())):
            subprocess.run(["k3d", "cluster", "delete", cluster], check=True, capture_output=True, timeout=120)
    docker(kind, "rm", *([] if kind == "network" else ["--force"]), name)


def docker(*arguments: str) -> str:
    """Return what Docker answers; nothing where there is no engine, which some of the tests do without."""
    if not shutil.which("docker"):
        return ""
    done = subprocess.run(["docker", *arguments], check=False, capture_output=True, text=True, timeout=120)
    if done.returncode and "connect to the docker daemon" not in done.stderr.lower():
        raise AssertionError(f"docker {' '.join(arguments)}: {done.stderr}")
    return done.stdout
