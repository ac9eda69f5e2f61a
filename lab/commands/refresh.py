"""Compare a stack's state with what is there: `pulumi refresh` without questions."""

from __future__ import annotations

from typing import TYPE_CHECKING

from lab.host import local, needs
from lab.live import locks, stack

if TYPE_CHECKING:
    import argparse


def arguments(parser: argparse.ArgumentParser) -> None:
    """Add the command's arguments."""
    stack.argument(parser)
    stack.further_arguments(parser)


def run(args: argparse.Namespace) -> int:
    """Run `pulumi refresh`."""
    wanted = needs.of(args.stack)
    local.prepare()
    stack.require(args.stack)
    local.check_version(args.stack)
    needs.fetch(wanted)
    locks.recover(args.stack)
    stack.recognise(args.stack)
    command = ["pulumi", "refresh", "--stack", args.stack, "--yes", "--skip-preview"]
    return stack.run_pulumi([*command, *stack.QUIET, *args.arguments])
