"""Run one of the lab's commands: ``python -m lab COMMAND [ARGUMENTS]``."""

from __future__ import annotations

import argparse
import ast
import difflib
import importlib
import os
import signal
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Final, NoReturn, Protocol, cast

from components.core.errors import LabError, said_of
from lab.host.environment import environment

if TYPE_CHECKING:
    from collections.abc import Sequence

COMMANDS: Final = Path(__file__).parent / "commands"


class Command(Protocol):
    """What a module in lab/commands offers."""

    __doc__: str | None

    def arguments(self, parser: argparse.ArgumentParser) -> None:
        """Add the command's arguments to its parser."""

    def run(self, args: argparse.Namespace) -> int:
        """Run the command and return its exit code."""


def names() -> list[str]:
    """Return the names of all commands."""
    return sorted(path.stem for path in COMMANDS.glob("*.py") if path.stem != "__init__")


def summary(name: str) -> str:
    """Return the first line of a command's docstring, without importing the command."""
    tree = ast.parse((COMMANDS / f"{name}.py").read_text(encoding="utf-8"))
    return (ast.get_docstring(tree) or "").partition("\n")[0]


def usage() -> str:
    """Return the list of commands."""
    lines = "".join(f"  {name:10} {summary(name)}\n" for name in names())
    return f"usage: python -m lab COMMAND [ARGUMENTS]\n\n{lines}"


def main(argv: Sequence[str]) -> int:
    """Run the command that ``argv`` names and return its exit code: 2 for a wrong call, 130 when interrupted."""
    if not argv or argv[0] in {"-h", "--help"}:
        print(usage(), end="")
        return 0 if argv else 2
    name, *rest = argv
    if name not in names():
        near = difflib.get_close_matches(name, names(), n=1)
        hint = f"did you mean {near[0]}?" if near else f"expected one of {', '.join(names())}"
        print(f"error: there is no command {name!r}: {hint}", file=sys.stderr)
        return 2
    # What a command starts finds the project's own tools.
    os.environ.update(environment())
    # Imported only now, so that a command pays for nothing that others need.
    module = cast("Command", importlib.import_module(f"lab.commands.{name}"))
    parser = argparse.ArgumentParser(prog=f"python -m lab {name}", description=module.__doc__)
    module.arguments(parser)
    return report(module, parser.parse_args(rest))


def _end(number: int, _frame: object) -> NoReturn:
    """End as a signal asks for, but in order."""
    sys.exit(128 + number)


def report(module: Command, args: argparse.Namespace) -> int:
    """Run a command; print an error that is meant for the user as one message instead of a traceback."""
    # From here on there may be something to tidy up: lab/interrupt.pth has it end at once until now.
    if signal.getsignal(signal.SIGINT) is signal.SIG_DFL:
        signal.signal(signal.SIGINT, signal.default_int_handler)
    # When the terminal is closed, a key or a kubeconfig may be among the temporary files.
    for number in (signal.SIGHUP, signal.SIGTERM):
        if signal.getsignal(number) is signal.SIG_DFL:
            signal.signal(number, _end)
    try:
        return module.run(args)
    except KeyboardInterrupt:
        return 130
    except LabError as error:
        sys.stdout.flush()
        stack = getattr(args, "stack", None)
        print(f"error: {said_of(stack, str(error)) if stack else error}", file=sys.stderr)
        return 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
