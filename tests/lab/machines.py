"""What the tests of p1 and p2 share: a provider of this host, addresses beside a user's lab, K3s without a network."""

from __future__ import annotations

import json
import subprocess
from typing import TYPE_CHECKING, Any, Final

from components.core import versions
from components.machines import preflight as machine_checks
from lab.host import paths
from tests.lab.lab import docker_things
from tests.lab.lab import left as left_of

if TYPE_CHECKING:
    from tests.lab.lab import Lab

SERVER: Final = {"p1": "192.168.56.210", "p2": "192.168.57.210"}
AGENT: Final = "192.168.56.211"


def settings(stack: str) -> dict[str, Any]:
    """Return the settings of a lab beside a user's own one: other names, other addresses.

    The docker provider goes first, because it needs no virtualisation; K3s comes from ``k3s/`` in the folder for
    machines without a network, where there is one.
    """
    ready = machine_checks.installed()
    assert ready, "no provider of Vagrant is ready; `python -m lab test` says so and leaves these tests out"
    offline = paths.offline()
    airgap = offline / "k3s" if offline else None
    return {
        "login": "test",
        "serverAddress": SERVER[stack],
        "vagrantProvider": "docker" if "docker" in ready else ready[0],
        **({"k3sAirgapDir": str(airgap)} if airgap and airgap.is_dir() else {}),
    }


def nodes(lab: Lab) -> dict[str, tuple[bool, str]]:
    """Return of each node whether it is Ready, and its address."""
    items = json.loads(lab.kubectl("get", "nodes", "-o", "json"))["items"]
    return {
        item["metadata"]["name"]: (
            any(each["type"] == "Ready" and each["status"] == "True" for each in item["status"]["conditions"]),
            next(each["address"] for each in item["status"]["addresses"] if each["type"] == "InternalIP"),
        )
        for item in items
    }


def on(lab: Lab, machine: str, line: str, *, stack: str = "", check: bool = True) -> str:
    """Run a line on a machine, over SSH, and return what it printed.

    Args:
        lab: whose machine.
        machine: such as server.
        line: for a shell there.
        stack: whose machine, when not of the lab's first stack.
        check: whether it has to succeed.
    """
    return lab.command(
        "ssh", "--stack", stack or lab.stack, "--machine", machine, "--", line, check=check
    ).stdout.strip()


def vagrant(lab: Lab, machine: str, *arguments: str) -> None:
    """Run Vagrant by hand on a machine of a lab."""
    folder = lab.folder / ".lab" / "run" / lab.stack / machine
    lab.run(
        "env",
        f"VAGRANT_CWD={lab.folder / 'vagrant'}",
        f"VAGRANT_DOTFILE_PATH={folder}",
        "vagrant",
        *arguments,
    )


def containers(lab: Lab) -> list[str]:
    """Return the containers of a lab's machines, whether they run or not."""
    done = subprocess.run(
        ["docker", "ps", "-aq", "--filter", f"label=iot.project={lab.folder}"],
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    )
    return done.stdout.split()


def descendants(process: int) -> list[int]:
    """Return the processes that a process has started, and those that they have."""
    listed = subprocess.run(["ps", "-eo", "pid=,ppid="], capture_output=True, text=True, check=True, timeout=60).stdout
    pairs = [(int(pid), int(parent)) for pid, parent in (line.split() for line in listed.splitlines())]
    found = [process]
    for each in found:
        found += [pid for pid, parent in pairs if parent == each]
    return found[1:]


def there(stack: str) -> dict[str, set[str]]:
    """Return what Docker has of the tests of p1 or p2."""
    network = SERVER[stack].rpartition(".")[0]
    return docker_things(f"iot-{stack}-", f"iot-{network}.", f"{versions.APP_REPOSITORY}-{stack}")


def left(stack: str, before: dict[str, set[str]]) -> dict[str, set[str]]:
    """Return what Docker has after a `destroy` of p1 or p2, and had not before; they have no volumes."""
    return left_of(before, {**there(stack), "volumes": set()})


def remove(lab: Lab) -> None:
    """Destroy a lab, whatever state it is in, and then what a failed destroy has left."""
    lab.pulumi("destroy", "--skip-preview", check=False)
    found = containers(lab)
    if found:
        subprocess.run(["docker", "rm", "--force", "--volumes", *found], check=False, capture_output=True, timeout=120)
