"""Where Helm charts come from: a folder of the machine when there is one, else the official repository."""

from __future__ import annotations

import hashlib
import tarfile
import zlib
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import yaml

from components.core.errors import LabError

if TYPE_CHECKING:
    from components.core import versions

# Where `make setup` keeps charts, relative to the project.
KEPT: Final = Path(".lab/charts")


@dataclass(frozen=True, kw_only=True)
class Chart:
    """A chart as a Helm Release names it.

    Attributes:
        name: of the chart in its repository, or a path.
        version: of the chart.
        repository: URL of its repository; None for a path.
    """

    name: str
    version: str
    repository: str | None


def find(wanted: versions.Chart, local: Path | None, root: Path) -> Chart:
    """Return a chart: the local one that is set, the kept one, or the official repository's.

    Args:
        wanted: the pinned one.
        local: a folder or archive, or None.
        root: the project's folder.

    Raises:
        LabError: the local one is not that chart in that version.
    """
    kept = root / KEPT / wanted.archive
    if local:
        _check_metadata(local, wanted)
    elif kept.is_file():
        _check_metadata(kept, wanted)
        _check_content(kept, wanted)
    else:
        return Chart(name=wanted.name, version=wanted.version, repository=wanted.repository)
    path = local or kept
    # Relative where it can be, so that the state says the same wherever the project is.
    name = f"./{path.relative_to(root)}" if path.is_relative_to(root) else str(path)
    return Chart(name=name, version=wanted.version, repository=None)


def record(kept: Path) -> Path:
    """Return where the SHA-256 of an archive is noted that is not the official one, or the first of an unknown one."""
    return kept.with_name(f"{kept.name}.sha256")


def noted(kept: Path) -> list[str]:
    """Return that SHA-256; none for an official archive whose own is known."""
    return record(kept).read_text(encoding="utf-8").split() if record(kept).is_file() else []


def _check_content(kept: Path, chart: versions.Chart) -> None:
    """Stop unless an archive is the official one, or the one that was noted when it came here."""
    wanted = {each for each in (chart.sha256, *noted(kept)) if each}
    found = hashlib.sha256(kept.read_bytes()).hexdigest()
    if found not in wanted:
        raise LabError(
            f"{kept} is not the chart that was fetched: its SHA-256 is {found}",
            why=f"{' or '.join(sorted(wanted)) or 'one that was noted when it came here'} was expected",
            fix=f"remove it, then `make setup`; a chart of your own: pulumi config set iot:{chart.setting} PATH",
        )


def _check_metadata(path: Path, chart: versions.Chart) -> None:
    try:
        metadata = _metadata(path, chart.name)
    except (OSError, EOFError, KeyError, TypeError, tarfile.TarError, zlib.error, yaml.YAMLError) as error:
        raise LabError(
            f"{path} is not a Helm chart",
            why=" ".join(str(error).split()) or "it has no Chart.yaml",
            fix="`make setup` gets the right one",
        ) from error
    found = (metadata.get("name"), str(metadata.get("version")))
    wanted = (chart.name, chart.version)
    if found != wanted:
        raise LabError(
            f"{path} is the chart {' '.join(map(str, found))}",
            why=f"{' '.join(wanted)} was expected",
            fix=f"get {chart.url}",
        )


def _metadata(path: Path, name: str) -> dict[str, Any]:
    """Return Chart.yaml of a chart's folder or archive."""
    if path.is_dir():
        text = (path / "Chart.yaml").read_bytes()
    else:
        with tarfile.open(path) as archive:
            member = archive.extractfile(f"{name}/Chart.yaml")
            text = member.read() if member else b""
    metadata = yaml.safe_load(text)
    if not isinstance(metadata, dict):
        raise TypeError("its Chart.yaml is no mapping")
    return metadata
