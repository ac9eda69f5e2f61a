"""Whether the kernel has killed something in a cluster's nodes because there was no memory left."""

from __future__ import annotations

from typing import Final

from components.core.errors import LabError
from components.core.names import K3D_NODES, K3D_ROLE
from components.docker import engine
from components.docker.container import STACK_LABEL

# Where a container's kernel counts it, with cgroup v2 and with v1; one of them is there:
# https://docs.kernel.org/admin-guide/cgroup-v2.html#memory-interface-files
COUNTED: Final = ("/sys/fs/cgroup/memory.events", "/sys/fs/cgroup/memory/memory.oom_control")
KEY: Final = "oom_kill"


def killed(stack: str) -> dict[str, int]:
    """Return how many processes the kernel has killed for want of memory since each node was started.

    Args:
        stack: whose nodes on this host.

    Returns:
        The numbers by the name of the node's container, without those that are none, and those that can't be asked.
    """
    try:
        nodes = [each for each in engine.containers(f"{STACK_LABEL}={stack}") if each.labels.get(K3D_ROLE) in K3D_NODES]
    except LabError:
        return {}
    found = {each.name: _count(each.name) for each in nodes if each.state == "running"}
    return {name: number for name, number in sorted(found.items()) if number}


def _count(node: str) -> int:
    try:
        said = engine.ask("exec", node, "sh", "-c", f"cat {' '.join(COUNTED)} 2>/dev/null || true")
    except LabError:
        return 0
    numbers = dict(line.split() for line in said.splitlines() if line.count(" ") == 1)
    return int(numbers.get(KEY, 0))
