"""Open a shell in a machine of p1 or p2, or run a command there: --machine server, agent, agent2, or its name."""

from __future__ import annotations

import json
import re
import subprocess
from typing import TYPE_CHECKING, Any

from components.core.errors import LabError
from components.machines import ssh
from components.machines.vagrant import Machine
from lab.host import paths
from lab.live import stack

if TYPE_CHECKING:
    import argparse


def arguments(parser: argparse.ArgumentParser) -> None:
    """Add the command's arguments."""
    stack.argument(parser)
    parser.add_argument("--machine", default="server", help="server, agent, agent2, or its name (default: %(default)s)")
    stack.further_arguments(parser)


def run(args: argparse.Namespace) -> int:
    """Log in with the key that Vagrant has made."""
    machine = find(args.stack, args.machine)
    with ssh.client(machine.login()) as command:
        return subprocess.run([*command, *args.arguments], check=False).returncode


def find(name: str, which: str) -> Machine:
    """Return a machine of a stack.

    Args:
        name: the stack.
        which: server, agent, agent2, or the machine's name.

    Raises:
        LabError: there is no such machine.
    """
    found = machines(name)
    for machine in found:
        if which in {machine.name, role(machine.name)}:
            return machine
    if not found:
        raise LabError(f"the stack {name} has no machines here", fix="make up STACK=p1, then make ssh STACK=p1")
    known = ", ".join(f"{role(machine.name)} ({machine.name})" for machine in found)
    raise LabError(f"there is no machine {which!r}", why=f"expected one of {known}", fix="make ssh MACHINE=server")


def machines(name: str) -> list[Machine]:
    """Return the machines that a stack has made on this host."""
    descriptions = sorted((paths.RUN / name).glob("*/machine.json"))
    props: list[dict[str, Any]] = [json.loads(path.read_text(encoding="utf-8")) for path in descriptions]
    return [Machine(each) for each in props]


def role(machine: str) -> str:
    """Return what a machine's name says about it: <login>S is the server, <login>SW an agent, <login>SW2 agent2."""
    match = re.search(r"S(W(\d*))?$", machine)
    if match is None or match[1] is None:
        return "server"
    return f"agent{match[2]}"
