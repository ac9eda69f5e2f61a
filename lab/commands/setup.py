"""Fetch what a stack needs, into .lab/: tools, Pulumi's plugins, Argo CD's chart; check Docker or Vagrant.

What PATH has in the right version is used from there. Nothing is installed elsewhere, but Docker when asked for.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from components.core.errors import LabError, all_of
from lab.host import chart, docker, local, needs, plugins, tools
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
    fetch(wanted)
    # From here on `pulumi config set --stack` works, also where something is missing that a setting can do without.
    stack.ensure(args.stack)
    host(wanted)
    say(f"the stack {args.stack} has all it needs: make up STACK={args.stack}")
    return 0


def fetch(wanted: needs.Needs) -> None:
    """Fetch what can be fetched.

    Raises:
        LabError: something can't be reached.
    """
    tools.ensure(list(wanted.tools))
    plugins.ensure(wanted.plugins)
    if wanted.chart:
        chart.ensure()


def host(wanted: needs.Needs) -> None:
    """Check what has to be on this machine; offer to install Docker.

    Raises:
        LabError: lists what is missing.
    """
    if wanted.docker:
        docker.offer()
    missing = [check for check in needs.host_checks(wanted) if not check.ok]
    if missing:
        raise all_of([LabError(check.found or f"{check.name} is missing", fix=check.fix) for check in missing])
