"""A K3s agent on a machine, which joins a server."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import pulumi
import yaml

from components.k3s import config, script
from components.k3s.airgap import copies as copies_of
from components.k3s.presence import K3sPresence
from components.machines.machine import node_name

if TYPE_CHECKING:
    from components.k3s.airgap import AirgapFiles
    from components.k3s.server import K3sServer
    from components.machines.machine import VagrantMachine


@dataclass(frozen=True, kw_only=True)
class K3sAgentArgs:
    """A K3s agent.

    Attributes:
        machine: what it runs on.
        server: what it joins.
        airgap: K3s's files on this host; None means that the machine downloads them.
        timeout: seconds that one wait may take.
    """

    machine: VagrantMachine
    server: K3sServer
    airgap: AirgapFiles | None
    timeout: int


class K3sAgent(pulumi.ComponentResource):
    """A K3s agent, which is a node of a server's cluster.

    Type token ``iot:k3s:K3sAgent``. Makes a dynamic resource named ``{name}-presence`` and three
    ``command.remote.Command``: on the server ``{name}-admission``, which removes the node of a machine that is gone, on
    the agent ``{name}-install``, on the server ``{name}-ready``, whose deletion takes the node out of the cluster; and
    air-gapped, a dynamic resource named ``{name}-files``.

    Attributes:
        ready: the resource that is there once the node is Ready.
    """

    def __init__(self, name: str, args: K3sAgentArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__(
            "iot:k3s:K3sAgent", name, {"machine": args.machine.name, "server": args.server.machine.name}, opts
        )
        machine, server = args.machine, args.server
        about = {"NODE_NAME": node_name(machine.name), "ADDRESS": machine.address, "TIMEOUT": str(args.timeout)}
        presence = K3sPresence(f"{name}-presence", machine, "k3s-agent", machine.on_it(self))
        admission = script.run(
            f"{name}-admission",
            server.machine,
            "forget",
            about | {"MACHINE": machine.identity},
            server.machine.on_it(self, server.installed),
            undo="remove",
            again=[machine.identity, server.machine.identity],
        )
        settings = machine.identity.apply(
            lambda identity: yaml.safe_dump(
                config.agent(machine.name, machine.address, server.machine.address, identity)
            )
        )
        installed = script.run(
            f"{name}-install",
            machine,
            "agent",
            script.download()
            | about
            | {
                "AIRGAP_IMAGES": args.airgap.images.name if args.airgap else "",
                "K3S_CONFIG": settings,
                "TOKEN": server.agent_token,
            },
            machine.on_it(self, admission, *copies_of(f"{name}-files", args.airgap, presence, self, args.timeout)),
            undo="uninstall",
            again=[machine.identity, machine.boots, presence.faults, *(args.airgap.versions if args.airgap else [])],
        )
        self.ready = script.run(
            f"{name}-ready",
            server.machine,
            "ready",
            about,
            server.machine.on_it(self, installed),
            undo="remove",
            again=[machine.identity, server.cluster_id, machine.boots, presence.faults],
        )
        self.register_outputs({"node": node_name(machine.name)})
