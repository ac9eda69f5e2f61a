"""Figures as Markdown, and the page that they go to."""

from __future__ import annotations

import statistics
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from components.core.errors import LabError

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

BEGIN, END = "<!-- figures{of} -->", "<!-- end of figures{of} -->"
SECONDS: Final = "s"


@dataclass(frozen=True, kw_only=True)
class Row:
    """One thing that was measured.

    Attributes:
        what: in words.
        ours: the program's values; empty when there are none.
        theirs: the script's values; empty when it does no such thing.
        unit: of both.
    """

    what: str
    ours: Sequence[float] = ()
    theirs: Sequence[float] = ()
    unit: str = SECONDS


@dataclass(frozen=True, kw_only=True)
class Step:
    """A part of a run.

    Attributes:
        what: in words.
        begin: seconds after the run began.
        end: seconds after the run began.
    """

    what: str
    begin: float
    end: float


def comparison(rows: Sequence[Row], other: str = "script", this: str = "program") -> str:
    """Return a table of medians, each with all its values, and their ratios.

    Args:
        rows: what was measured.
        other: what it is compared with.
        this: what is measured.
    """
    lines = [f"| | {this} | {other} | {this} / {other} |", "|---|---|---|---|"]
    for row in rows:
        ratio = f"{median(row.ours) / median(row.theirs):.2f}" if row.ours and row.theirs else ""
        lines.append(f"| {row.what} | {_cell(row.ours, row.unit)} | {_cell(row.theirs, row.unit)} | {ratio} |")
    return "\n".join(lines)


def median(values: Sequence[float]) -> float:
    """Return the median."""
    return statistics.median(values)


def _cell(values: Sequence[float], unit: str) -> str:
    if not values:
        return ""
    listed = ", ".join(f"{value:.1f}" for value in values)
    return f"**{median(values):.1f} {unit}** ({listed})" if len(values) > 1 else f"**{values[0]:.1f} {unit}**"


def steps(found: Sequence[Step], *, least: float = 0.0) -> str:
    """Return a table of a run's steps in the order in which they began.

    Args:
        found: the steps.
        least: seconds; shorter ones are left out.
    """
    lines = ["| step | from | to | takes |", "|---|---|---|---|"]
    lines += [
        f"| {step.what} | {step.begin:.1f} s | {step.end:.1f} s | {step.end - step.begin:.1f} s |"
        for step in sorted(found, key=lambda each: each.begin)
        if step.end - step.begin >= least
    ]
    return "\n".join(lines)


def put(page: Path, figures: str, of: str = "") -> None:
    """Put figures between the two marks of a page, in the place of those that are there.

    Args:
        page: a Markdown file.
        figures: what goes there.
        of: what they are of, where a page has several.

    Raises:
        LabError: the page has no such marks.
    """
    begin, end = marks(of)
    text = page.read_text(encoding="utf-8")
    before, found, rest = text.partition(begin)
    _, ended, after = rest.partition(end)
    if not found or not ended:
        raise LabError(f"{page.name} has no place for figures", why=f"expected {begin} ... {end}", fix="put it there")
    page.write_text(f"{before}{begin}\n{figures}\n{end}{after}", encoding="utf-8")


def marks(of: str = "") -> tuple[str, str]:
    """Return the marks between which a page has its figures."""
    return BEGIN.format(of=f" of {of}" if of else ""), END.format(of=f" of {of}" if of else "")
