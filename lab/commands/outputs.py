"""Show a stack's outputs; secret ones with ARGS=--show-secrets."""

from __future__ import annotations

from typing import TYPE_CHECKING

from lab.live import stack

if TYPE_CHECKING:
    import argparse


def arguments(parser: argparse.ArgumentParser) -> None:
    """Add the command's arguments."""
    stack.argument(parser)
    stack.further_arguments(parser)


def run(args: argparse.Namespace) -> int:
    """Run `pulumi stack output`."""
    stack.require(args.stack)
    return stack.run_pulumi(["pulumi", "stack", "output", "--stack", args.stack, *args.arguments])
