"""P1: a K3s server and its agents, each on a Vagrant machine of its own."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING, Any

from components.k3s import airgap
from components.k3s.agent import K3sAgent, K3sAgentArgs
from components.k3s.server import K3sServer, K3sServerArgs
from components.machines import preflight as machine_checks
from components.machines.machine import VagrantMachine, agent_args, node_name, server_args

if TYPE_CHECKING:
    from pathlib import Path

    import pulumi

    from components.core.settings import Settings


def deploy(settings: Settings, root: Path) -> dict[str, Any]:  # noqa: ARG001 - every part is given the root
    """Deploy P1.

    Args:
        settings: the stack's settings.
        root: the project's folder.

    Returns:
        ``part``, ``nodes`` (name, role and address of each), ``kubeconfig`` (secret) and ``next`` (what to run next).

    Raises:
        LabError: something that the machines need is missing, or taken.
    """
    machines, timeout = settings.machines, settings.timeout
    server_machine = server_args(machines, settings.stack, timeout)
    agent_machines = [agent_args(machines, number, settings.stack, timeout) for number in range(1, machines.agents + 1)]
    files = airgap.find(machines.airgap_dir) if machines.airgap_dir else None
    machine_checks.check([server_machine, *agent_machines])

    machine = VagrantMachine("server-machine", server_machine)
    server = K3sServer(
        "server", K3sServerArgs(machine=machine, arguments=machines.k3s_args, airgap=files, timeout=timeout)
    )
    nodes = [_node(machine, "server", server.installed)]
    for number, args in enumerate(agent_machines, start=1):
        # VirtualBox's part of Vagrant is not made for two at a time, so there each machine waits for the one before.
        before = machine if machines.provider == "virtualbox" else None
        machine = VagrantMachine(f"agent{number}-machine", dataclasses.replace(args, after=before))
        agent = K3sAgent(f"agent{number}", K3sAgentArgs(machine=machine, server=server, airgap=files, timeout=timeout))
        nodes.append(_node(machine, "agent", agent.ready))
    return {
        "part": "p1",
        "nodes": nodes,
        "kubeconfig": server.kubeconfig,
        "next": [
            f'make kubectl STACK={settings.stack} ARGS="get nodes -o wide"',
            f"make ssh STACK={settings.stack} MACHINE=server",
            f"make check STACK={settings.stack}",
        ],
    }


def _node(machine: VagrantMachine, role: str, there: pulumi.CustomResource) -> dict[str, pulumi.Input[str]]:
    """Describe a node; its name is known once it is Ready."""
    return {
        "machine": machine.name,
        "name": there.id.apply(lambda _: node_name(machine.name)),
        "role": role,
        "address": machine.address,
    }
