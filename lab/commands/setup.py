"""Fetch what a stack needs, into .lab/: tools, Pulumi's plugins, Argo CD's chart; check Docker or Vagrant.

What PATH has in the right version is used from there. Nothing is installed elsewhere, but Docker when asked for.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from lab.host import local, needs
from lab.host.console import say
from lab.live import stack

if TYPE_CHECKING:
    import argparse


def arguments(parser: argparse.ArgumentParser) -> None:
    """Add the command's arguments."""
    stack.argument(parser)


def run(args: argparse.Namespace) -> int:
    """Fetch everything, then check everything."""
    wanted = needs.of(args.stack)
    local.prepare()
    needs.fetch(wanted)
    # From here on `pulumi config set --stack` works, also where something is missing that a setting can do without.
    stack.ensure(args.stack)
    needs.host(wanted)
    say(f"the stack {args.stack} has all it needs: make up STACK={args.stack}")
    return 0
