"""A K3s server on a machine."""

from __future__ import annotations

import base64
import json
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
    from components.machines.machine import VagrantMachine


@dataclass(frozen=True, kw_only=True)
class K3sServerArgs:
    """A K3s server.

    Attributes:
        machine: what it runs on.
        arguments: further ones of ``k3s server``; may be a secret.
        airgap: K3s's files on this host; None means that the machine downloads them.
        timeout: seconds that one wait may take.
    """

    machine: VagrantMachine
    arguments: tuple[str, ...] | pulumi.Output[tuple[str, ...]]
    airgap: AirgapFiles | None
    timeout: int


class K3sServer(pulumi.ComponentResource):
    """A K3s server, which is a control plane and a node.

    Type token ``iot:k3s:K3sServer``. Makes a dynamic resource named ``{name}-presence``, a ``command.remote.Command``
    named ``{name}-install`` and, air-gapped, a dynamic resource named ``{name}-files``.

    Attributes:
        machine: what it runs on.
        installed: the resource that is there once the server's node is Ready.
        agent_token: what agents join with; a secret. It lets nobody in as a server.
        kubeconfig: how this host reaches its cluster; a secret.
        cluster_id: changes when it is another cluster.
        faults: grows when K3s or its node was not as it should be.
    """

    def __init__(self, name: str, args: K3sServerArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("iot:k3s:K3sServer", name, {"machine": args.machine.name}, opts)
        self.machine = machine = args.machine
        presence = K3sPresence(f"{name}-presence", machine, "k3s", machine.on_it(self))
        self.faults = presence.faults
        copies = copies_of(f"{name}-files", args.airgap, presence, self, args.timeout)
        values: dict[str, pulumi.Input[str]] = {
            **script.download(),
            "NODE_NAME": node_name(machine.name),
            "ADDRESS": machine.address,
            "TIMEOUT": str(args.timeout),
            "AIRGAP_IMAGES": args.airgap.images.name if args.airgap else "",
            # Secret when the arguments are, and with it the whole input of the Command.
            "K3S_CONFIG": pulumi.Output.from_input(args.arguments).apply(
                lambda given: yaml.safe_dump(config.server(machine.name, machine.address, given))
            ),
        }
        self.installed = script.run(
            f"{name}-install",
            machine,
            "server",
            values,
            machine.on_it(self, *copies),
            undo="uninstall",
            again=[machine.identity, machine.boots, presence.faults, *(args.airgap.versions if args.airgap else [])],
        )
        stdout: pulumi.Output[str] = pulumi.Output.secret(self.installed.stdout)
        answer = stdout.apply(json.loads)
        self.agent_token = answer.apply(lambda found: str(found["agentToken"]))
        self.kubeconfig = answer.apply(
            lambda found: config.host_kubeconfig(
                base64.b64decode(found["kubeconfig"]).decode(), machine.address, node_name(machine.name)
            )
        )
        # The cluster's own identity, and not the machine's: of what depends on a machine that is to be replaced, the
        # engine closes the Kubernetes provider beforehand, and then fails to delete with it what was in the cluster.
        self.cluster_id = pulumi.Output.unsecret(answer.apply(lambda found: str(found["cluster"])))
        self.register_outputs({"node": node_name(machine.name), "identity": self.cluster_id})
