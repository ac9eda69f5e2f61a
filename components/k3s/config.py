"""What K3s's servers and agents are told, and what a server tells this host."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import yaml

from components.machines.machine import node_name

if TYPE_CHECKING:
    from collections.abc import Sequence

API_PORT: Final = 6443
RELATED_MACHINE: Final = "iot/machine"


def server(machine: str, address: str, arguments: Sequence[str]) -> dict[str, Any]:
    """Return the server's config.yaml (https://docs.k3s.io/installation/configuration#configuration-file).

    Args:
        machine: the machine's name.
        address: its IPv4 address on the private network.
        arguments: further ones, as on K3s's command line.
    """
    config: dict[str, Any] = {
        "node-name": node_name(machine),
        "node-ip": address,
        "tls-san": [address],
        "write-kubeconfig-mode": "0600",
        "agent-token-file": "/etc/rancher/k3s/agent-token",
    }
    for argument in arguments:
        name, given, value = argument.removeprefix("--").partition("=")
        _add(config, name, value if given else True)
    return config


def _add(config: dict[str, Any], name: str, value: str | bool) -> None:  # noqa: FBT001 - a flag's value, not a switch
    """Add an argument; one that is given again makes a list, as on the command line."""
    if name not in config:
        config[name] = value
    elif isinstance(config[name], list):
        config[name] = [*config[name], value]
    else:
        config[name] = [config[name], value]


def agent(machine: str, address: str, server_address: str, identity: str) -> dict[str, Any]:
    """Return an agent's config.yaml.

    Args:
        machine: the machine's name.
        address: its IPv4 address on the private network.
        server_address: the server's.
        identity: of the machine; the node carries it as a label, so that a new machine's node is told from the old.
    """
    return {
        "server": f"https://{server_address}:{API_PORT}",
        "node-name": node_name(machine),
        "node-ip": address,
        "node-label": [f"{RELATED_MACHINE}={identity}"],
    }


def host_kubeconfig(text: str, address: str, name: str) -> str:
    """Return a server's own kubeconfig as this host needs it.

    Args:
        text: what K3s wrote, which names 127.0.0.1.
        address: the server's IPv4 address on the private network.
        name: what cluster, user and context are called.
    """
    content = yaml.safe_load(text)
    content["clusters"][0]["cluster"]["server"] = f"https://{address}:{API_PORT}"
    for kind in ("clusters", "users", "contexts"):
        content[kind][0]["name"] = name
    content["contexts"][0]["context"].update(cluster=name, user=name)
    content["current-context"] = name
    result: str = yaml.safe_dump(content)
    return result
