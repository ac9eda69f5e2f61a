"""Bring a stack up: fetch what it needs, then `pulumi up` without questions."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from components.core import names
from lab.host import local, needs
from lab.host.console import say
from lab.live import drift, locks, stack

if TYPE_CHECKING:
    import argparse


def arguments(parser: argparse.ArgumentParser) -> None:
    """Add the command's arguments."""
    stack.argument(parser)
    stack.further_arguments(parser)


def run(args: argparse.Namespace) -> int:
    """Run `pulumi up`, and say where the time went."""
    wanted = needs.of(args.stack, args.arguments)
    local.prepare()
    # What has to be installed by hand comes first: nobody wants to hear of it after a long download.
    needs.host(wanted)
    needs.fetch(wanted)
    local.check_version(args.stack)
    locks.recover(args.stack)
    stack.recognise(args.stack)
    stack.ensure(args.stack)
    if stack.is_empty(args.stack):
        os.environ[names.BEGINS] = "true"
    looks = drift.flags(args.stack)
    say(f"pulumi up --stack {args.stack}")
    # No preview first: the program checks its settings before it creates anything, and `make preview` is there.
    command = ["pulumi", "up", "--stack", args.stack, "--yes", "--skip-preview", *stack.QUIET, *looks, *args.arguments]
    code = stack.run_up(command)
    return stack.run_up(command) if code and drift.mended(args.stack) else code
