"""A preview of all stacks goes on without a chart."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from components.core import versions
from components.core.errors import LabError
from components.gitops import chart as charts
from lab.commands import preview
from lab.host import chart, paths


@pytest.fixture
def no_chart(monkeypatch: pytest.MonkeyPatch) -> None:
    def ensure(_wanted: versions.Chart) -> None:
        raise LabError("could not fetch the chart", fix="make setup")

    monkeypatch.setattr(chart, "ensure", ensure)


def test_an_empty_chart_takes_the_place_of_one_that_is_not_here(
    no_chart: None, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    option, setting = preview.charts_for("p3", tmp_path)
    assert option == "--config"
    key, _, value = setting.partition("=")
    assert key == "iot:argocdChart"
    # The program takes it for the pinned one.
    assert charts.find(versions.ARGOCD_CHART, Path(value), paths.ROOT).version == versions.ARGOCD_CHART.version
    (line,) = capsys.readouterr().err.splitlines()
    assert "empty chart" in line
    assert "could not fetch the chart" in line


def test_it_has_nothing_but_its_name(tmp_path: Path) -> None:
    made = chart.stand_in(tmp_path, versions.ARGOCD_CHART)
    assert [path.name for path in made.rglob("*") if path.is_file()] == ["Chart.yaml"]
    metadata = yaml.safe_load((made / "Chart.yaml").read_text(encoding="utf-8"))
    assert (metadata["name"], metadata["version"]) == (versions.ARGOCD_CHART.name, versions.ARGOCD_CHART.version)


@pytest.mark.parametrize("stack", ["p1", "p2"])
def test_stacks_without_a_chart_are_previewed_without_looking_for_one(
    no_chart: None, tmp_path: Path, stack: str
) -> None:
    assert preview.charts_for(stack, tmp_path) == []
