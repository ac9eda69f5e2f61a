"""Nobody waits in silence, and `make up` ends with where the time went."""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
import time
from typing import TYPE_CHECKING

import pytest

from components.core import wait
from components.core.errors import LabError
from components.docker import engine
from lab.host import paths
from lab.live import stack, times

if TYPE_CHECKING:
    from pathlib import Path

    from tests.unit.programs import Programs

pytestmark = pytest.mark.unit


@pytest.fixture
def _soon(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(wait, "FIRST", 0.01)
    monkeypatch.setattr(wait, "EVERY", 0.01)


@pytest.mark.usefixtures("_soon")
def test_a_wait_says_what_it_waits_for_how_long_and_what_is_left(capsys: pytest.CaptureFixture[str]) -> None:
    with wait.told("pulling it", most=60, left=lambda: "3 of 7 layers"):
        time.sleep(0.1)
    lines = capsys.readouterr().out.splitlines()

    assert len(lines) >= 2
    assert set(lines) == {"pulling it: 0 of at most 60 s, 3 of 7 layers"}


@pytest.mark.usefixtures("_soon")
def test_what_is_left_may_not_be_known(capsys: pytest.CaptureFixture[str]) -> None:
    def left() -> str:
        raise LabError("nobody knows")

    with wait.told("pulling it", most=60, left=left):
        time.sleep(0.1)

    assert capsys.readouterr().out.splitlines()[0] == "pulling it: 0 of at most 60 s"


def test_what_is_quick_is_not_told(capsys: pytest.CaptureFixture[str]) -> None:
    with wait.told("pulling it", most=60):
        pass

    assert capsys.readouterr().out == ""


def test_layers_are_counted_from_what_docker_says(tmp_path: Path) -> None:
    said = tmp_path / "said"
    assert engine.layers(said) == ""
    said.write_text(
        "v1: Pulling from team/app\na1: Already exists\nb2: Pulling fs layer\nc3: Pulling fs layer\n"
        "b2: Download complete\nb2: Pull complete\n",
        encoding="utf-8",
    )
    assert engine.layers(said) == "2 of 3 layers"


def event(second: int, kind: str, type_: str, name: str) -> str:
    return json.dumps({"timestamp": second, kind: {"metadata": {"urn": f"urn:pulumi:p3::iot::{type_}::{name}"}}})


def test_the_longest_are_shown_in_the_order_of_their_begin_and_fit_into_80_columns() -> None:
    lines = [
        event(100, "resourcePreEvent", "iot:k3d:K3dCluster", "cluster"),
        event(102, "resourcePreEvent", "iot:k3d:K3dCluster$pulumi-python:dynamic/k3d:Nodes", "nodes"),
        event(103, "resourcePreEvent", "iot:git:GitServer$pulumi-python:dynamic/random:Secret", "quick"),
        event(104, "resOutputsEvent", "iot:git:GitServer$pulumi-python:dynamic/random:Secret", "quick"),
        event(112, "resOutputsEvent", "iot:k3d:K3dCluster$pulumi-python:dynamic/k3d:Nodes", "nodes"),
        event(113, "resourcePreEvent", "kubernetes:helm.sh/v3:Release", "r" * 36),
        event(119, "resOutputsEvent", "kubernetes:helm.sh/v3:Release", "r" * 36),
        event(130, "resOutputsEvent", "iot:k3d:K3dCluster", "cluster"),
        '{"timestamp": 1',
    ]
    shown = times.summary(lines)

    assert [line.split()[0] for line in shown] == ["10", "6"]
    assert shown[0] == "  10 s  ..#########.................  nodes"
    assert all(len(f"lab: {line}") <= 80 for line in shown)
    assert times.summary([]) == []


def test_up_ends_with_it_and_with_pulumis_own_exit_code(
    programs: Programs, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(paths, "ROOT", tmp_path)
    events = [event(1, "resourcePreEvent", "a:b:C", "it"), event(9, "resOutputsEvent", "a:b:C", "it")]
    text = "\n".join(events)
    programs.add(
        "pulumi",
        "path = next(each for each in args if each.startswith('--event-log=')).partition('=')[2]\n"
        f"pathlib.Path(path).write_text({text!r})\n"
        "sys.exit(3)",
    )
    code = stack.run_up(["pulumi", "up"])

    assert code == 3
    said = capsys.readouterr().err.splitlines()
    assert said[0].endswith("s, most of them here, side by side:")
    assert said[1].split()[1:3] == ["8", "s"]


def test_what_plugins_leave_among_the_temporary_files_goes_in_the_end(
    programs: Programs, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As pulumi-kubernetes leaves a kubeconfig, and the cluster's key in it."""
    monkeypatch.setattr(paths, "ROOT", tmp_path)
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    programs.add("pulumi", "import tempfile\ntempfile.mkstemp(prefix='kubeconfig')\nsys.exit(4)")

    assert [stack.run_pulumi(["pulumi", "preview"]), stack.run_up(["pulumi", "up"])] == [4, 4]
    assert not list(tmp_path.rglob("kubeconfig*"))
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    subprocess.run(["pulumi"], check=False)
    assert list(tmp_path.rglob("kubeconfig*"))


def test_an_interruption_waits_for_pulumi_to_end_in_order(programs: Programs, tmp_path: Path) -> None:
    """As Ctrl-C does: the signal goes to both."""
    programs.add(
        "pulumi",
        "import signal\n"
        "def end(*_):\n    time.sleep(0.5)\n    print('in order', flush=True)\n    sys.exit(5)\n"
        "signal.signal(signal.SIGINT, end)\n"
        "print('ready', flush=True)\n"
        "time.sleep(30)",
    )
    script = "import sys; from lab.live import stack; sys.exit(stack.run_up(['pulumi', 'up']))"
    with subprocess.Popen(
        [sys.executable, "-c", script],
        cwd=paths.ROOT,
        env={"PATH": str(programs.folder)},
        stdout=subprocess.PIPE,
        text=True,
        start_new_session=True,
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
        time.sleep(0.2)
        subprocess.run(["/bin/kill", "-INT", "--", f"-{process.pid}"], check=True)
        said = process.stdout.read()
    assert (said, process.returncode) == ("in order\n", 5)
