"""The k3d cluster: its configuration, the resource that keeps it alive, and the way into it."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import pulumi
import pulumi_kubernetes as kubernetes
import yaml
from pulumi.dynamic import Resource

from components.core import versions
from components.core.cluster import Cluster
from components.core.dynamic import Provider
from components.k3d import registry

if TYPE_CHECKING:
    from components.core.settings import ClusterSettings, PortSettings

# What K3s brings and this lab does not use: without them the cluster is up sooner and needs less memory.
UNUSED: Final = ("traefik", "servicelb", "metrics-server")


@dataclass(frozen=True, kw_only=True)
class K3dClusterArgs:
    """A k3d cluster.

    Attributes:
        settings: its name, size, image and where it listens.
        ports: the services that are published.
        stack: whose cluster it is; written on its nodes as a label.
        timeout: seconds until it has to be ready.
        network: the Docker network that it is on, with what stands beside it; empty for one of its own name.
        after: what has to be as it should be before it is made.
    """

    settings: ClusterSettings
    ports: tuple[PortSettings, ...]
    stack: str
    timeout: int
    network: str = ""
    after: tuple[pulumi.Resource, ...] = ()


class K3dCluster(pulumi.ComponentResource):
    """A k3d cluster that is healed when it was lost or stopped.

    Type token ``iot:k3d:K3dCluster``. Makes a dynamic resource named ``{name}-nodes`` and a ``kubernetes.Provider``
    named ``{name}-provider``.

    Attributes:
        cluster: the way to it.
    """

    def __init__(self, name: str, args: K3dClusterArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__(
            "iot:k3d:K3dCluster",
            name,
            {"cluster": args.settings.name, "image": args.settings.image, "stack": args.stack},
            opts,
        )
        nodes = _Nodes(f"{name}-nodes", args, pulumi.ResourceOptions(parent=self, depends_on=[*args.after]))
        provider = kubernetes.Provider(
            f"{name}-provider",
            kubeconfig=nodes.kubeconfig,
            # Another kubeconfig of the same cluster, as after a restart, must not replace what is inside.
            cluster_identifier=nodes.id,
            # After a loss, `pulumi refresh` drops what is inside instead of failing to reach it.
            delete_unreachable=True,
            opts=pulumi.ResourceOptions(parent=self, deleted_with=nodes),
        )
        self.cluster = Cluster(
            provider=provider,
            kubeconfig=nodes.kubeconfig,
            lifetime=provider,
            nodes=nodes.node_names,
            identity=nodes.id,
        )
        self.register_outputs({"nodes": nodes.node_names, "identity": nodes.id})


class _Nodes(Resource, module="k3d", name="Nodes"):
    """The containers of the cluster."""

    kubeconfig: pulumi.Output[str]
    node_names: pulumi.Output[list[str]]

    def __init__(self, name: str, args: K3dClusterArgs, opts: pulumi.ResourceOptions) -> None:
        settings = args.settings
        super().__init__(
            Provider("k3d-nodes"),
            name,
            {
                "name": settings.name,
                "stack": args.stack,
                "nodes": settings.servers + settings.agents,
                "config": json.dumps(k3d_config(args), sort_keys=True),
                # Not part of the configuration: another archive does not make another cluster.
                "archive": str(settings.images_archive.resolve()) if settings.images_archive else "",
                "images": [settings.image, versions.K3D_TOOLS_IMAGE],
                "timeout": args.timeout,
                "kubeconfig": None,
                "node_names": None,
                "made_at": None,
            },
            pulumi.ResourceOptions.merge(
                opts,
                pulumi.ResourceOptions(
                    additional_secret_outputs=["kubeconfig"],
                    delete_before_replace=True,
                    custom_timeouts=pulumi.CustomTimeouts(create=f"{args.timeout * 2}s"),
                ),
            ),
        )


def k3d_config(args: K3dClusterArgs) -> dict[str, Any]:
    """Return the configuration of the cluster as k3d's file has it (https://k3d.io/stable/usage/configfile/)."""
    settings = args.settings
    port = settings.registry_port
    network = args.network or settings.name
    mirrors = registry.mirrors(network, port) if port else {}
    return {
        "apiVersion": "k3d.io/v1alpha5",
        "kind": "Simple",
        "metadata": {"name": settings.name},
        "servers": settings.servers,
        "agents": settings.agents,
        "image": settings.image,
        # Made before the cluster and left by k3d: what stands beside the cluster stays on it.
        "network": network,
        # Of a text with more than one line k3d knows that it is no path.
        **({"registries": {"config": yaml.safe_dump(mirrors)}} if mirrors else {}),
        "kubeAPI": {"host": settings.bind_address, "hostIP": settings.bind_address, "hostPort": str(settings.api_port)},
        "ports": [
            {"port": f"{settings.bind_address}:{host_port}:{port.node_port}", "nodeFilters": ["server:0:direct"]}
            for port in args.ports
            for host_port in port.host_ports
        ],
        "options": {
            "k3d": {"wait": True, "disableLoadbalancer": True},
            "k3s": {"extraArgs": [{"arg": f"--disable={each}", "nodeFilters": ["server:*"]} for each in UNUSED]},
            "kubeconfig": {"updateDefaultKubeconfig": False, "switchCurrentContext": False},
        },
    }
