"""A registry beside the cluster: ``docker push localhost:PORT/NAME:TAG`` on this host is all that it takes."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any, Final

import pulumi
import pulumi_kubernetes as kubernetes
from pulumi.dynamic import Resource

from components.core import versions
from components.core.dynamic import Provider
from components.docker.container import ContainerSpec

if TYPE_CHECKING:
    from components.core.cluster import Cluster

PORT: Final = 5000  # in the container
METRICS_PORT: Final = 5001  # in the container, and not published
DATA: Final = "/var/lib/registry"


@dataclass(frozen=True, kw_only=True)
class RegistryArgs:
    """A registry.

    Attributes:
        cluster: the cluster that is told of it.
        name: of the cluster.
        stack: whose it is.
        bind_address: where this host listens.
        port: of this host.
        metrics: whether it says how it is doing, on the cluster's network.
    """

    cluster: Cluster
    name: str
    stack: str
    bind_address: str
    port: int
    metrics: bool = False


class Registry(pulumi.ComponentResource):
    """A registry in a container of the host's Docker engine, which the cluster's nodes know by this host's name for it.

    Type token ``iot:k3d:Registry``. Makes a dynamic resource named ``{name}-server`` and a ConfigMap by which Tilt,
    Skaffold and ctlptl find it (https://github.com/kubernetes/enhancements/tree/master/keps/sig-cluster-lifecycle/generic/1755-communicating-a-local-registry).

    Attributes:
        ready: what has to be there before anything is pulled from it.
    """

    def __init__(self, name: str, args: RegistryArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("iot:k3d:Registry", name, {"port": args.port}, opts)
        server = _Server(f"{name}-server", container(args), pulumi.ResourceOptions(parent=self))
        hosting = {
            "host": host(args.port),
            "hostFromContainerRuntime": f"{container_name(args.name)}:{PORT}",
            "hostFromClusterNetwork": f"{container_name(args.name)}:{PORT}",
            "help": "docs/p3.md",
        }
        found = kubernetes.core.v1.ConfigMap(
            f"{name}-hosting",
            metadata=kubernetes.meta.v1.ObjectMetaArgs(name="local-registry-hosting", namespace="kube-public"),
            # YAML, which JSON is.
            data={"localRegistryHosting.v1": json.dumps(hosting, sort_keys=True)},
            opts=args.cluster.inside(self),
        )
        self.ready: list[pulumi.Resource] = [server, found]
        self.register_outputs({"host": host(args.port)})


class _Server(Resource, module="docker", name="Container"):
    """The container."""

    def __init__(self, name: str, spec: ContainerSpec, opts: pulumi.ResourceOptions) -> None:
        merged = pulumi.ResourceOptions.merge(opts, pulumi.ResourceOptions(delete_before_replace=True))
        super().__init__(Provider("container"), name, {**asdict(spec), "made_at": None}, merged)


def container(args: RegistryArgs) -> ContainerSpec:
    """Return the container (https://distribution.github.io/distribution/)."""
    metrics = {"REGISTRY_HTTP_DEBUG_ADDR": f":{METRICS_PORT}", "REGISTRY_HTTP_DEBUG_PROMETHEUS_ENABLED": "true"}
    return ContainerSpec(
        name=container_name(args.name),
        stack=args.stack,
        image=versions.REGISTRY_IMAGE,
        network=args.name,
        alias=container_name(args.name),
        ports=[f"{args.bind_address}:{args.port}:{PORT}"],
        mount=DATA,
        script="exec registry serve /etc/distribution/config.yml",
        environment={"REGISTRY_STORAGE_DELETE_ENABLED": "true", "OTEL_TRACES_EXPORTER": "none"}
        | (metrics if args.metrics else {}),
        temporary=["/tmp"],  # noqa: S108 - in the container
        memory="256m",
        keeps=True,
    )


def container_name(cluster: str) -> str:
    """Return the name of a cluster's registry: of its container and its volume, and on the cluster's network."""
    return f"{cluster}-registry"


def host(port: int) -> str:
    """Return what images of the registry begin with, on this host and in the cluster alike."""
    return f"localhost:{port}"


def mirrors(cluster: str, port: int) -> dict[str, Any]:
    """Return what K3s's nodes have to know of it (https://docs.k3s.io/installation/private-registry)."""
    return {"mirrors": {host(port): {"endpoint": [f"http://{container_name(cluster)}:{PORT}"]}}}
