"""What a cluster's nodes keep when the cluster goes: containerd's folder, with all images that are unpacked in it.

Every node has a volume of its own, named after the cluster, the node and the node's image: two clusters never share
one, and another version of K3s begins with an empty one. docs/adr/0004-images.md has what that is worth.
"""

from __future__ import annotations

import hashlib
from typing import Any, Final

from components.docker import container as containers
from components.docker import engine

LABEL: Final = "iot.images"  # the cluster whose nodes they are for
FOLDER: Final = "/var/lib/rancher/k3s/agent/containerd"


def of(config: dict[str, Any]) -> dict[str, str]:
    """Return the volume of each node, by k3d's filter for that node.

    Args:
        config: of the cluster, as k3d has it.
    """
    cluster, image = config["metadata"]["name"], hashlib.sha256(config["image"].encode()).hexdigest()[:8]
    roles = {"server": config["servers"], "agent": config.get("agents", 0)}
    return {
        f"{role}:{number}": f"{cluster}-{role}-{number}-images-{image}"
        for role, count in roles.items()
        for number in range(count)
    }


def prepare(config: dict[str, Any], stack: str) -> bool:
    """Make the volumes that are not there, remove those that the cluster has no use for, and say whether one was there.

    Args:
        config: of the cluster, as k3d has it.
        stack: whose cluster it is.

    Raises:
        LabError: one of these names is someone else's.
    """
    cluster, wanted = config["metadata"]["name"], [*of(config).values()]
    for name in wanted:
        containers.refuse_foreign("volume", name, stack, kept=True)
    there = set(containers.volumes(f"{LABEL}={cluster}", f"{containers.STACK_LABEL}={stack}"))
    drop(there - set(wanted))
    for name in wanted:
        containers.ensure_volume(name, stack=stack, images=cluster)
    return bool(there & set(wanted))


def drop(names: set[str]) -> None:
    """Remove volumes."""
    if names:
        engine.ask("volume", "rm", "--force", *sorted(names))


def mounts(config: dict[str, Any]) -> list[dict[str, Any]]:
    """Return what k3d's configuration says of them."""
    return [{"volume": f"{name}:{FOLDER}", "nodeFilters": [node]} for node, name in of(config).items()]
