"""The way into the cluster of a K3s server. Apart from K3s itself: who only makes machines needs no Kubernetes SDK."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pulumi
import pulumi_kubernetes as kubernetes

from components.core.cluster import Cluster

if TYPE_CHECKING:
    from components.k3s.server import K3sServer


class K3sCluster(pulumi.ComponentResource):
    """The Kubernetes cluster of a K3s server, for what is to run in it.

    Type token ``iot:k3s:K3sCluster``. Makes a ``kubernetes.Provider`` named ``{name}-provider``.

    Attributes:
        cluster: the way into it.
    """

    def __init__(self, name: str, server: K3sServer, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("iot:k3s:K3sCluster", name, {"server": server.machine.name}, opts)
        machine = server.machine
        provider = kubernetes.Provider(
            f"{name}-provider",
            kubeconfig=server.kubeconfig,
            # Another kubeconfig of the same cluster, as after a restart, must not replace what is inside.
            cluster_identifier=server.cluster_id,
            # After a loss, `pulumi refresh` drops what is inside instead of failing to reach it.
            delete_unreachable=True,
            opts=pulumi.ResourceOptions(parent=self, deleted_with=machine.vm),
        )
        self.cluster = Cluster(
            provider=provider,
            kubeconfig=server.kubeconfig,
            lifetime=provider,
            nodes=pulumi.Output.from_input([machine.name]),
            identity=server.cluster_id,
        )
        self.register_outputs({"identity": server.cluster_id})
