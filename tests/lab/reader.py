"""Somebody who types what a page says, in its order, beside a lab that is up."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

from tests import pages
from tests.lab.lab import eventually

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from tests.lab.lab import Lab

# What changes nothing: who reads it too early looks again.
LOOKS: Final = re.compile(r"curl |docker ps|make (status|check|alerts)|make kubectl .*\b(get|describe) ")
# What is typed into the machine that the line before has opened a shell in.
IN_MACHINE: Final = re.compile(r"exit|hostname|sudo ")


def has(*words: str) -> Callable[[str], bool]:
    """Return a check that all of these are in what a command has printed; without any, that it works is enough."""
    return lambda said: all(word in said for word in words)


def lines(page: str, *, but: tuple[str, ...] = ()) -> list[tuple[str, str, list[str]]]:
    """Return what a page tells people to type into a lab that is up: a line, what is typed into it, and the remarks.

    Args:
        page: its path.
        but: leave out these lines.
    """
    found: list[tuple[str, str, list[str]]] = []
    for command in pages.commands(page, pages.LAB):
        remarks = [command.remark] if command.remark else []
        if IN_MACHINE.match(command.line):
            line, given, earlier = found.pop()
            found.append((line, f"{given}{command.line}\n", earlier + remarks))
        elif command.line not in but:
            found.append((command.line, "", remarks))
    return found


def read(
    lab: Lab,
    page: str,
    shown: Mapping[str, Callable[[str], bool]],
    names: Mapping[str, str],
    *,
    but: tuple[str, ...] = (),
) -> None:
    """Type what a page says; each command has to work, and what the page remarks on it has to hold.

    Args:
        lab: the lab that is up.
        page: its path.
        shown: what each remark means, told what the command has printed. Every remark of the page is in it.
        names: what the page calls otherwise than the lab does, and what it is there.
        but: leave out these lines.
    """
    typed = lines(page, but=but)
    assert {remark for _, _, remarks in typed for remark in remarks} == set(shown)
    for written, given, remarks in typed:
        _type(lab, _renamed(written, names), _renamed(given, names), [shown[remark] for remark in remarks])


def _renamed(text: str, names: Mapping[str, str]) -> str:
    for name, here in names.items():
        text = text.replace(name, here)
    return text


def _type(lab: Lab, line: str, given: str, checks: list[Callable[[str], bool]]) -> None:
    looks = bool(LOOKS.match(line))
    done = lab.shell(line, given=given, check=not looks)

    def holds() -> bool:
        return done.returncode == 0 and all(check(done.stdout) for check in checks)

    def holds_now() -> bool:
        nonlocal done
        if looks and not holds():
            done = lab.shell(line, check=False)
        return holds()

    eventually(f"what the page says of `{line}`", holds_now, lambda: done.stdout + done.stderr)
