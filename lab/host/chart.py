"""Argo CD's Helm chart, fetched once and kept, so that a preview and an air-gapped machine need no repository."""

from __future__ import annotations

import filecmp
import shutil
from typing import TYPE_CHECKING, Final

import yaml

from components.core import versions
from components.gitops import chart as charts
from lab.host import paths
from lab.host.console import say
from lab.host.fetch import download, sha256

if TYPE_CHECKING:
    from pathlib import Path

NAME: Final = f"{versions.ARGOCD_CHART}-{versions.ARGOCD_CHART_VERSION}.tgz"
KEPT: Final = paths.ROOT / charts.KEPT / NAME


def offline() -> Path | None:
    """Return the chart in the offline folder, or None when there is none."""
    folder = paths.offline()
    path = folder / "charts" / NAME if folder else None
    return path if path and path.is_file() else None


def is_kept() -> bool:
    """Tell whether the chart is here: the official archive, or the one that the offline folder has."""
    if not KEPT.exists():
        return False
    own = offline()
    if own:
        return filecmp.cmp(own, KEPT, shallow=False) and charts.record(KEPT).is_file()
    return sha256(KEPT) == versions.ARGOCD_CHART_SHA256


def ensure() -> None:
    """Bring the chart to .lab/charts: from the offline folder as it is, or else from the official address.

    Raises:
        LabError: it can't be fetched, or is not the expected file.
    """
    if is_kept():
        return
    if own := offline():
        say(f"using {own}")
        KEPT.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(own, KEPT)
        # The program holds it to this, for it is not the official one.
        charts.record(KEPT).write_text(f"{sha256(KEPT)}\n", encoding="utf-8")
        return
    what = f"the chart {versions.ARGOCD_CHART} {versions.ARGOCD_CHART_VERSION}"
    way = f"pulumi config set iot:argocdChart PATH --stack p3, with a {NAME} or its unpacked folder"
    download(what, versions.ARGOCD_CHART_URL, versions.ARGOCD_CHART_SHA256, KEPT, instead=[way])


def stand_in(folder: Path) -> Path:
    """Make a chart of the pinned name and version without anything in it: enough for a preview, and for nothing else.

    Args:
        folder: where it is made.

    Returns:
        The chart's folder.
    """
    chart = folder / versions.ARGOCD_CHART
    (chart / "templates").mkdir(parents=True)
    metadata = {"apiVersion": "v2", "name": versions.ARGOCD_CHART, "version": versions.ARGOCD_CHART_VERSION}
    (chart / "Chart.yaml").write_text(yaml.safe_dump(metadata), encoding="utf-8")
    return chart
