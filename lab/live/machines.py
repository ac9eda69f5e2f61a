"""The machines of p1 and p2 that a stack has made on this host."""

from __future__ import annotations

import json
import re
from typing import Any

from components.core.errors import LabError
from components.machines.vagrant import Machine
from lab.host import paths


def find(name: str, which: str) -> Machine:
    """Return a machine of a stack.

    Args:
        name: the stack.
        which: server, agent, agent2, or the machine's name.

    Raises:
        LabError: there is no such machine.
    """
    found = of(name)
    for machine in found:
        if which in {machine.name, role(machine.name)}:
            return machine
    if not found:
        raise LabError(f"the stack {name} has no machines here", fix="make up STACK=p1, then make ssh STACK=p1")
    known = ", ".join(f"{role(machine.name)} ({machine.name})" for machine in found)
    fix = f"make ssh STACK={name} MACHINE=server"
    raise LabError(f"there is no machine {which!r}", why=f"expected one of {known}", fix=fix)


def of(name: str) -> list[Machine]:
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
