"""Helm charts, fetched once and kept, so that a preview and an air-gapped machine need no repository."""

from __future__ import annotations

import filecmp
import shutil
from typing import TYPE_CHECKING

import yaml

from components.core.names import PROJECT
from components.gitops import chart as charts
from lab.host import paths
from lab.host.console import say
from lab.host.fetch import download, sha256

if TYPE_CHECKING:
    from pathlib import Path

    from components.core.versions import Chart


def kept(wanted: Chart) -> Path:
    """Return where a chart is kept."""
    return paths.ROOT / charts.KEPT / wanted.archive


def offline(wanted: Chart) -> Path | None:
    """Return a chart in the offline folder, or None when there is none."""
    folder = paths.offline()
    path = folder / "charts" / wanted.archive if folder else None
    return path if path and path.is_file() else None


def is_kept(wanted: Chart) -> bool:
    """Tell whether a chart is here: the official archive, or the one that the offline folder has."""
    here = kept(wanted)
    if not here.exists():
        return False
    own = offline(wanted)
    if own:
        return filecmp.cmp(own, here, shallow=False) and charts.record(here).is_file()
    return sha256(here) in ([wanted.sha256] if wanted.sha256 else charts.noted(here))


def ensure(wanted: Chart) -> None:
    """Bring a chart to .lab/charts: from the offline folder as it is, or else from the official address.

    Args:
        wanted: the pinned one.

    Raises:
        LabError: it can't be fetched, or is not the expected file.
    """
    if is_kept(wanted):
        return
    here = kept(wanted)
    if own := offline(wanted):
        say(f"using {own}")
        here.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(own, here)
        # The program holds it to this, for it is not the official one.
        charts.record(here).write_text(f"{sha256(here)}\n", encoding="utf-8")
        return
    what = f"the chart {wanted.name} {wanted.version}"
    way = f"pulumi config set {PROJECT}:{wanted.setting} PATH, with a {wanted.archive} or its unpacked folder"
    download(what, wanted.url, wanted.sha256, here, instead=[way])
    if not wanted.sha256:
        charts.record(here).write_text(f"{sha256(here)}\n", encoding="utf-8")


def stand_in(folder: Path, wanted: Chart) -> Path:
    """Make a chart of a pinned name and version without anything in it: enough for a preview, and for nothing else.

    Args:
        folder: where it is made.
        wanted: the chart whose place it takes.

    Returns:
        The chart's folder.
    """
    chart = folder / wanted.name
    (chart / "templates").mkdir(parents=True)
    metadata = {"apiVersion": "v2", "name": wanted.name, "version": wanted.version}
    (chart / "Chart.yaml").write_text(yaml.safe_dump(metadata), encoding="utf-8")
    return chart
