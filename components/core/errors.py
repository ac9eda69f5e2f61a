"""The one kind of error that is meant for the person at the keyboard."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Sequence

    import yaml


CONFIG: Final = re.compile(r"pulumi config (?:set|rm)(?![^`,;\n]* --stack)")


class LabError(Exception):
    """A mistake or a missing thing, in words: what is wrong, why, and how to fix it.

    The program and the lab's commands print it as one message, without a traceback.

    Args:
        what: what is wrong, with the offending value in it.
        why: what was expected instead, or what makes it wrong.
        fix: what to do next, preferably a command.
    """

    def __init__(self, what: str, *, why: str = "", fix: str = "") -> None:
        self.what, self.why, self.fix = what, why, fix
        super().__init__(str(self))

    def __str__(self) -> str:
        """Return the message on one line."""
        parts = [self.what]
        if self.why:
            parts.append(self.why)
        if self.fix:
            parts.append(f"Fix: {self.fix}")
        return ". ".join(part.rstrip(".") for part in parts) + "."


def said_of(stack: str, text: str) -> str:
    """Return what an error says, with the commands in it for a stack: Pulumi takes the one that is selected."""
    return CONFIG.sub(rf"\g<0> --stack {stack}", text)


def all_of(problems: Sequence[LabError]) -> LabError:
    """Return one error that lists several, a line each; the error itself when there is only one."""
    if len(problems) == 1:
        return problems[0]
    lines = "".join(f"\n  - {problem}" for problem in problems)
    return LabError(f"{len(problems)} problems{lines}")


# What PyYAML raises besides its own errors, of a tag that does not fit, and of what is nested too deep.
MALFORMED: Final = (ValueError, LookupError, AttributeError, ArithmeticError, RecursionError)


def not_yaml(error: yaml.YAMLError, name: str, text: str) -> LabError:
    """Return what to say of a file that can't be parsed: its line and column, for an editor to jump to.

    Args:
        error: what PyYAML says of it.
        name: of the file.
        text: what is in it.
    """
    mark = getattr(error, "problem_mark", None)
    if mark:
        line, column, why = mark.line, mark.column, getattr(error, "problem", "")
    else:
        # A character that YAML does not allow comes with its position alone.
        before, why = text[: getattr(error, "position", 0)], getattr(error, "reason", str(error))
        line, column = before.count("\n"), len(before) - before.rfind("\n") - 1
    return LabError(f"{name}:{line + 1}:{column + 1} is not YAML", why=why, fix="correct that line")


def other_version(what: str) -> LabError:
    """Return the error about something in a state that this version can't handle.

    Args:
        what: the thing.
    """
    return LabError(
        f"The stack was made by another version of this project, and this one can't handle {what}",
        why="the state names code that is not here; nothing was changed",
        fix="check out the version that made the stack and run `make destroy` there, then bring it up with this one",
    )
