"""What was broken on purpose, what the user saw of it, and what got them out: a row of docs/reliability.md per test.

A test says by ``@fault(...)`` what it breaks. What it says of the outcome is held against what its commands printed, so
that no row has what nobody saw; ``make faults`` makes the page of them.
"""

from __future__ import annotations

import json
import os
import re
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

import pytest

from lab.commands.faults import BY_ITSELF, ROWS

if TYPE_CHECKING:
    from collections.abc import Sequence


@dataclass(frozen=True, kw_only=True)
class Said:
    """A command that a test has run.

    Attributes:
        line: as a user types it.
        code: its exit code.
        seconds: how long it took.
        text: what it printed.
    """

    line: str
    code: int
    seconds: float
    text: str = ""


SAID: Final[list[Said]] = []  # by the test that runs just now


def fault(  # noqa: PLR0913 - the columns of a row
    kind: str, what: str, *, when: str, saw: str, out: str, lost: str = "nothing"
) -> pytest.MarkDecorator:
    """Mark a test as one that breaks something.

    Args:
        kind: the table that its row is in, see docs/reliability.md.
        what: is broken; {NAME} stands for a parameter of the test, here and in the next one.
        when: it is.
        saw: what a command printed of it; "..." stands for what is left out. Empty where there is nothing to see.
        out: the beginning of the command that mended it, or ``by_itself(WAIT)``; what the first one took is timed.
        lost: what the test has seen to be lost.
    """
    return pytest.mark.fault(kind=kind, what=what, when=when, saw=saw, out=out, lost=lost)


def by_itself(wait: str) -> str:
    """Return the way out of what mends itself: what the test waits for then, as it tells ``eventually``."""
    return f"{BY_ITSELF}: {wait}"


def typed(command: Sequence[str]) -> str:
    """Return a command as a user types it."""
    if list(command[:2]) == ["sh", "-c"]:
        return command[2]
    if list(command[1:3]) == ["-m", "lab"]:
        return f"make {' '.join(command[3:])}"
    return " ".join(command)


def hold(mark: pytest.Mark, said: Sequence[Said]) -> None:
    """Hold what a mark says against what commands have printed and done.

    Args:
        mark: the test's.
        said: by its commands.

    Raises:
        AssertionError: none has printed that, or none has mended it.
    """
    words = ".*".join(re.escape(each.strip()) for each in mark.kwargs["saw"].split("..."))
    assert any(re.search(words, each.text, re.DOTALL) for each in said), f"nobody was told {mark.kwargs['saw']!r}"
    out = mark.kwargs["out"]
    assert _mended(out, said), f"{out!r} has mended nothing; there were {[each.line for each in said]}"


def take_down(mark: pytest.Mark, said: Sequence[Said], test: pytest.Item, *, held: bool) -> None:
    """Add a row to the file that is asked for, when one is.

    Args:
        mark: the test's.
        said: by its commands.
        test: it.
        held: whether all was as the test expects it.
    """
    if ROWS in os.environ:
        seconds = [each.seconds for each in _mended(mark.kwargs["out"], said)]
        given = test.callspec.params if isinstance(test, pytest.Function) and hasattr(test, "callspec") else {}
        named = {column: mark.kwargs[column].format(**given) for column in ("what", "when")}
        row = {**mark.kwargs, **named, "held": held, "test": test.name}
        line = json.dumps({**row, "seconds": seconds[0] if seconds else None})
        with Path(os.environ[ROWS]).open("a", encoding="utf-8") as file:
            file.write(f"{line}\n")


def _mended(out: str, said: Sequence[Said]) -> list[Said]:
    return [each for each in said if each.line.startswith(out) and each.code == 0]
