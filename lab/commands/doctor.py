"""Check what a stack needs on this machine, a line per need.

The exit code is 1 when something is missing or of a wrong version.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from lab.host import needs
from lab.live import stack

if TYPE_CHECKING:
    import argparse


def arguments(parser: argparse.ArgumentParser) -> None:
    """Add the command's arguments."""
    stack.argument(parser)


def run(args: argparse.Namespace) -> int:
    """Print the checks."""
    checks = needs.checks(needs.of(args.stack))
    for check in checks:
        print(check)
    return 0 if all(check.ok for check in checks) else 1
