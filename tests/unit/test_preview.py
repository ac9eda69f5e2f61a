"""A preview of all stacks goes on without a chart, and an environment beside .venv is made from its lock alone."""

from __future__ import annotations

import subprocess
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import yaml

from components.core import versions
from components.core.errors import LabError
from components.gitops import chart as charts
from lab.commands import preview
from lab.host import chart, extras, paths


@pytest.fixture
def no_chart(monkeypatch: pytest.MonkeyPatch) -> None:
    def ensure() -> None:
        raise LabError("could not fetch the chart", fix="make setup")

    monkeypatch.setattr(chart, "ensure", ensure)


def test_an_empty_chart_takes_the_place_of_one_that_is_not_here(
    no_chart: None, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    option, setting = preview.chart_for("p3", tmp_path)
    assert option == "--config"
    key, _, value = setting.partition("=")
    assert key == "iot:argocdChart"
    # The program takes it for the pinned one.
    assert charts.argocd(Path(value), paths.ROOT).version == versions.ARGOCD_CHART_VERSION
    (line,) = capsys.readouterr().err.splitlines()
    assert "empty chart" in line
    assert "could not fetch the chart" in line


def test_it_has_nothing_but_its_name(tmp_path: Path) -> None:
    made = chart.stand_in(tmp_path)
    assert [path.name for path in made.rglob("*") if path.is_file()] == ["Chart.yaml"]
    metadata = yaml.safe_load((made / "Chart.yaml").read_text(encoding="utf-8"))
    assert (metadata["name"], metadata["version"]) == (versions.ARGOCD_CHART, versions.ARGOCD_CHART_VERSION)


@pytest.mark.parametrize("stack", ["p1", "p2"])
def test_stacks_without_a_chart_are_previewed_without_looking_for_one(
    no_chart: None, tmp_path: Path, stack: str
) -> None:
    assert preview.chart_for(stack, tmp_path) == []


def test_the_rules_are_asked_when_that_is_wanted(monkeypatch: pytest.MonkeyPatch) -> None:
    made: list[str] = []
    monkeypatch.setattr(extras, "ensure", made.append)
    assert preview.policy_pack(wanted=False) == []
    assert made == []
    assert preview.policy_pack(wanted=True) == ["--policy-pack", str(paths.ROOT / "policy")]
    assert made == ["policy"]


@pytest.fixture
def lock(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return a lock of the environment `one`, in a project of its own."""
    path = tmp_path / "requirements.txt"
    path.write_text("one==1\n", encoding="utf-8")
    monkeypatch.setattr(paths, "ROOT", tmp_path)
    monkeypatch.setattr(extras, "FOLDER", tmp_path / ".lab" / "extras")
    monkeypatch.setattr(extras, "LOCKS", {"one": path})
    return path


@pytest.fixture
def calls(monkeypatch: pytest.MonkeyPatch) -> list[list[str]]:
    """Return the commands that would have run; an installation of the package `none` fails."""
    made: list[list[str]] = []

    def run(command: list[str], **_: Any) -> SimpleNamespace:  # noqa: ANN401 - of any type
        made.append(command)
        if "venv" in command:
            Path(command[-1]).mkdir(parents=True, exist_ok=True)
        failed = "install" in command and "none" in (paths.ROOT / "requirements.txt").read_text(encoding="utf-8")
        return SimpleNamespace(returncode=int(failed), stderr="no such package", stdout="")

    monkeypatch.setattr(subprocess, "run", run)
    return made


def test_an_environment_is_made_once_from_hashes_alone(lock: Path, calls: list[list[str]]) -> None:
    folder = extras.ensure("one")
    assert [command for command in calls if "--require-hashes" in command and str(folder) in command]
    calls.clear()
    assert extras.ensure("one") == folder
    assert calls == []


def test_another_lock_makes_it_again(lock: Path, calls: list[list[str]]) -> None:
    extras.ensure("one")
    lock.write_text("one==2\n", encoding="utf-8")
    assert not extras.is_current("one")


def test_a_package_that_can_not_be_had_is_told_with_what_to_do(lock: Path, calls: list[list[str]]) -> None:
    lock.write_text("none==1\n", encoding="utf-8")
    with pytest.raises(LabError, match=r"could not install the packages of requirements\.txt.*no such package.*mirror"):
        extras.ensure("one")
    assert not extras.is_current("one")


def test_a_mirror_and_a_folder_of_wheels_are_used(
    lock: Path, calls: list[list[str]], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv(paths.OFFLINE, str(tmp_path / "none"))
    monkeypatch.setenv("PIP_INDEX_URL", "https://mirror.example/simple")
    extras.ensure("one")
    assert calls[-1][calls[-1].index("--default-index") + 1] == "https://mirror.example/simple"
    (tmp_path / "offline" / "wheels").mkdir(parents=True)
    monkeypatch.setenv(paths.OFFLINE, str(tmp_path / "offline"))
    lock.write_text("one==3\n", encoding="utf-8")
    extras.ensure("one")
    assert "--no-index" in calls[-1]
