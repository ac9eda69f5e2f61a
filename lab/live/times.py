"""Where the time of a `pulumi up` went, from the events that the engine writes down."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Iterable

LEAST: Final = 2  # seconds; the events say whole ones
MOST: Final = 6  # lines
WIDTH: Final = 28  # columns of the bar, so that a line fits into a terminal of 80


def summary(lines: Iterable[str]) -> list[str]:
    """Return the resources that took longest, in the order of their begin, a line and a bar each.

    Args:
        lines: of the file that ``--event-log`` names; one that was cut off is left out.
    """
    begun: dict[str, int] = {}
    taken: list[tuple[int, int, str]] = []
    times: list[int] = []
    for line in lines:
        try:
            event: dict[str, Any] = json.loads(line)
        except ValueError:
            continue
        now = int(event.get("timestamp") or 0)
        times.append(now)
        for key, begins in (("resourcePreEvent", True), ("resOutputsEvent", False)):
            if not (metadata := (event.get(key) or {}).get("metadata")):
                continue
            urn = str(metadata["urn"])
            # Components and the stack take what their parts take.
            if urn.split("::")[2].rpartition("$")[2].startswith(("iot:", "pulumi:pulumi:")):
                continue
            if begins:
                begun.setdefault(urn, now)
            elif urn in begun:
                taken.append((begun.pop(urn), now, urn.rpartition("::")[2]))
    if not times:
        return []
    start, end = min(times), max(times)
    longest = sorted((each for each in taken if each[1] - each[0] >= LEAST), key=lambda each: each[0] - each[1])[:MOST]
    return [_line(begin - start, stop - start, end - start, name) for begin, stop, name in sorted(longest)]


def _line(begin: int, end: int, whole: int, name: str) -> str:
    left, right = (round(each * WIDTH / max(whole, 1)) for each in (begin, end))
    return f"{end - begin:4} s  {'.' * left}{'#' * max(right - left, 1)}{'.' * (WIDTH - max(right, left + 1))}  {name}"
