"""Open a shell in a machine of p1 or p2, or run a command there: --machine server, agent, agent2, or its name."""

from __future__ import annotations

from typing import TYPE_CHECKING

from components.core.run import show
from components.machines import ssh
from lab.live import machines, stack

if TYPE_CHECKING:
    import argparse


def arguments(parser: argparse.ArgumentParser) -> None:
    """Add the command's arguments."""
    stack.argument(parser)
    parser.add_argument("--machine", default="server", help="server, agent, agent2, or its name (default: %(default)s)")
    stack.further_arguments(parser)


def run(args: argparse.Namespace) -> int:
    """Log in with the key that Vagrant has made."""
    machine = machines.find(args.stack, args.machine)
    with ssh.client(machine.login()) as command:
        return show([*command, *args.arguments])
