"""Where Argo CD's chart comes from, and what is refused in its place."""

from __future__ import annotations

import hashlib
import io
import tarfile
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from components.core import versions
from components.core.errors import LabError
from components.gitops import chart as charts

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.unit

GOOD = f"apiVersion: v2\nname: argo-cd\nversion: {versions.ARGOCD_CHART.version}\n"


def folder(path: Path, metadata: str = GOOD) -> Path:
    path.mkdir(parents=True)
    (path / "Chart.yaml").write_text(metadata, encoding="utf-8")
    return path


def archive(path: Path, metadata: str = GOOD, name: str = "argo-cd/Chart.yaml") -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    with tarfile.open(path, "w:gz") as tar:
        member = tarfile.TarInfo(name)
        member.size = len(metadata.encode())
        tar.addfile(member, io.BytesIO(metadata.encode()))
    return path


def test_without_a_local_chart_it_is_the_official_one(tmp_path: Path) -> None:
    chart = charts.find(versions.ARGOCD_CHART, None, tmp_path)

    assert (chart.name, chart.version) == ("argo-cd", versions.ARGOCD_CHART.version)
    assert chart.repository == "https://argoproj.github.io/argo-helm"


def kept(root: Path) -> Path:
    """Write an archive where one is kept that was copied from the offline folder."""
    path = archive(root / ".lab" / "charts" / f"argo-cd-{versions.ARGOCD_CHART.version}.tgz")
    charts.record(path).write_text(hashlib.sha256(path.read_bytes()).hexdigest(), encoding="utf-8")
    return path


@pytest.mark.parametrize("recorded", [True, False])
def test_a_kept_chart_that_is_not_what_was_fetched_is_refused(tmp_path: Path, *, recorded: bool) -> None:
    path = kept(tmp_path)
    if recorded:
        archive(path, GOOD + "description: changed since\n")
    else:
        charts.record(path).unlink()

    with pytest.raises(LabError, match=r"is not the chart that was fetched.*make setup"):
        charts.find(versions.ARGOCD_CHART, None, tmp_path)


def test_the_kept_chart_is_used_when_there_is_one(tmp_path: Path) -> None:
    kept(tmp_path)
    chart = charts.find(versions.ARGOCD_CHART, None, tmp_path)

    assert chart.name == f"./.lab/charts/argo-cd-{versions.ARGOCD_CHART.version}.tgz"
    assert chart.repository is None


@pytest.mark.parametrize("kind", [folder, archive])
def test_a_local_chart_wins_as_a_folder_or_an_archive(tmp_path: Path, kind: type) -> None:
    archive(tmp_path / ".lab" / "charts" / f"argo-cd-{versions.ARGOCD_CHART.version}.tgz")
    chart = charts.find(versions.ARGOCD_CHART, kind(tmp_path / "mine"), tmp_path)

    assert (chart.name, chart.repository) == ("./mine", None)


def test_a_chart_outside_the_project_keeps_its_path(tmp_path: Path) -> None:
    local = archive(tmp_path / "elsewhere.tgz")

    assert charts.find(versions.ARGOCD_CHART, local, tmp_path / "project").name == str(local)


@pytest.mark.parametrize(
    ("metadata", "found"),
    [
        ("name: argo-cd\nversion: 9.0.0\n", "argo-cd 9.0.0"),
        (f"name: argo\nversion: {versions.ARGOCD_CHART.version}\n", f"argo {versions.ARGOCD_CHART.version}"),
        ("name: argo-cd\nversion: 1.0\n", "argo-cd 1.0"),
    ],
)
def test_another_chart_or_version_is_refused_with_the_right_one(tmp_path: Path, metadata: str, found: str) -> None:
    local = folder(tmp_path / "chart", metadata)

    with pytest.raises(LabError) as caught:
        charts.find(versions.ARGOCD_CHART, local, tmp_path)
    assert str(caught.value) == (
        f"{local} is the chart {found}. argo-cd {versions.ARGOCD_CHART.version} was expected. "
        f"Fix: get {versions.ARGOCD_CHART.url}."
    )


def test_a_chart_whose_checksum_is_not_known_is_held_to_the_one_that_was_noted(tmp_path: Path) -> None:
    wanted = replace(versions.ARGOCD_CHART, sha256="")
    kept = tmp_path / charts.KEPT / wanted.archive
    kept.parent.mkdir(parents=True)
    archive(kept)

    with pytest.raises(LabError, match="is not the chart that was fetched"):
        charts.find(wanted, None, tmp_path)

    charts.record(kept).write_text(hashlib.sha256(kept.read_bytes()).hexdigest())
    assert charts.find(wanted, None, tmp_path).repository is None


def truncated(path: Path) -> Path:
    whole = archive(path, GOOD + "# " + "".join(chr(33 + i * 7 % 90) for i in range(5000))).read_bytes()
    path.write_bytes(whole[: len(whole) // 2])
    return path


def no_archive(path: Path) -> Path:
    path.write_text("<html>not found</html>", encoding="utf-8")
    return path


def other_archive(path: Path) -> Path:
    return archive(path, name="other/Chart.yaml")


def empty_folder(path: Path) -> Path:
    path.mkdir()
    return path


def no_yaml(path: Path) -> Path:
    return folder(path, "name: [")


def no_mapping(path: Path) -> Path:
    return folder(path, "- argo-cd\n")


@pytest.mark.parametrize("make", [truncated, no_archive, other_archive, empty_folder, no_yaml, no_mapping])
def test_what_is_no_chart_is_refused_in_one_line(tmp_path: Path, make: type) -> None:
    local = make(tmp_path / "chart.tgz")

    with pytest.raises(LabError) as caught:
        charts.find(versions.ARGOCD_CHART, local, tmp_path)
    message = str(caught.value)
    assert message.startswith(f"{local} is not a Helm chart")
    assert "Fix: " in message
    assert "\n" not in message
