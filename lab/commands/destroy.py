"""Remove everything that a stack has made: `pulumi destroy` without questions."""

from __future__ import annotations

from typing import TYPE_CHECKING

from lab.host import local, needs
from lab.host.console import say
from lab.live import locks, stack

if TYPE_CHECKING:
    import argparse


def arguments(parser: argparse.ArgumentParser) -> None:
    """Add the command's arguments."""
    stack.argument(parser)
    stack.further_arguments(parser)


def run(args: argparse.Namespace) -> int:
    """Run `pulumi destroy`; do nothing when there is no such stack."""
    wanted = needs.of(args.stack)
    if stack.exists(args.stack):
        local.prepare()
        local.check_version(args.stack)
        needs.fetch(wanted)
        locks.recover(args.stack)
        say(f"pulumi destroy --stack {args.stack}")
        command = ["pulumi", "destroy", "--stack", args.stack, "--yes", "--skip-preview"]
        return stack.run_pulumi([*command, *stack.QUIET, *args.arguments])
    say(f"the stack {args.stack} was never brought up: nothing to destroy")
    return 0
