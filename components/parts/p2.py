"""P2: one Vagrant machine with K3s, and web apps that are told apart by their hosts."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pulumi
import pulumi_kubernetes as kubernetes

from components.core import names, pods
from components.docker.image import AppImage, AppImageArgs, package_index
from components.k3s import airgap
from components.k3s.cluster import K3sCluster
from components.k3s.images import MachineImage, MachineImageArgs
from components.k3s.server import K3sServer, K3sServerArgs
from components.machines import preflight as machine_checks
from components.machines.machine import VagrantMachine, node_name, server_args
from components.web.apps import WebApp, WebAppArgs
from components.web.routes import HostRoutes, HostRoutesArgs, Route

if TYPE_CHECKING:
    from pathlib import Path

    from components.core.settings import Settings


def deploy(settings: Settings, root: Path) -> dict[str, Any]:  # noqa: ARG001 - every part is given the root
    """Deploy P2: machine -> K3s -> image -> an app each -> routes.

    Args:
        settings: the stack's settings.
        root: the project's folder.

    Returns:
        ``nodes``, ``routes`` (which host leads to which app), ``hosts`` (the line for /etc/hosts), ``kubeconfig``
        (secret) and ``next`` (what to run next).

    Raises:
        LabError: something that the machine needs is missing, or taken.
    """
    if not settings.image.reference:
        package_index()  # what is wrong with it is said before anything is made
    server = _server(settings)
    cluster = K3sCluster("cluster", server).cluster
    image = _image(settings, server)
    namespace = kubernetes.core.v1.Namespace(
        names.WEB_NAMESPACE,
        metadata=kubernetes.meta.v1.ObjectMetaArgs(name=names.WEB_NAMESPACE, labels=pods.restricted()),
        opts=pulumi.ResourceOptions(provider=cluster.provider, deleted_with=cluster.lifetime),
    )
    name = namespace.metadata.apply(lambda found: str(found.name or names.WEB_NAMESPACE))
    apps = {
        app.name: WebApp(
            app.name,
            WebAppArgs(
                cluster=cluster,
                namespace=name,
                app=app.name,
                replicas=app.replicas,
                image=image.reference,
                image_id=image.id,
                depends_on=image.there,
                timeout=settings.timeout,
            ),
        )
        for app in settings.apps
    }
    default = settings.default_app or settings.apps[-1].name
    HostRoutes(
        "hosts",
        HostRoutesArgs(
            cluster=cluster,
            namespace=name,
            routes=[Route(host=app.host, app=apps[app.name]) for app in settings.apps],
            default=apps[default],
            address=settings.machines.server_address,
            names_itself=settings.image.reference is None,
            triggers=[cluster.identity, server.machine.boots, server.faults, image.reference, image.id or ""],
            timeout=settings.timeout,
        ),
    )
    return _outputs(settings, server, default)


def _server(settings: Settings) -> K3sServer:
    machines = settings.machines
    machine = server_args(machines, settings.stack, settings.timeout)
    files = airgap.find(machines.airgap_dir) if machines.airgap_dir else None
    machine_checks.check([machine])
    return K3sServer(
        "server",
        K3sServerArgs(
            machine=VagrantMachine("server-machine", machine),
            arguments=machines.k3s_args,
            airgap=files,
            timeout=settings.timeout,
        ),
    )


@dataclass(frozen=True, kw_only=True)
class _Image:
    """What the pods run.

    Attributes:
        reference: its name.
        id: its content's, or None when it comes from a registry.
        there: what pods have to wait for.
    """

    reference: pulumi.Input[str]
    id: pulumi.Input[str] | None
    there: list[pulumi.Resource]


def _image(settings: Settings, server: K3sServer) -> _Image:
    """Build the app's image and bring it to the machine, unless a registry has one."""
    if settings.image.reference:
        return _Image(reference=settings.image.reference, id=None, there=[])
    version = settings.image.version
    # Only the version that runs: what is built here need not wait for the machine.
    built = AppImage("flask-app", AppImageArgs(context="app", repository=settings.image.built, versions=(version,)))
    brought = MachineImage(
        "flask-app-image",
        MachineImageArgs(
            server=server,
            reference=built.references[version],
            image_id=built.ids[version],
            timeout=settings.timeout,
        ),
    )
    return _Image(reference=built.references[version], id=built.ids[version], there=[brought.there])


def _outputs(settings: Settings, server: K3sServer, default: str) -> dict[str, Any]:
    address = settings.machines.server_address
    machine = server.machine
    return {
        "part": "p2",
        "nodes": [
            {"machine": machine.name, "name": node_name(machine.name), "role": "server", "address": machine.address}
        ],
        # Whom each host leads to; the last one is for every other host, and for none.
        "routes": [
            *({"url": f"http://{address}/", "host": app.host, "app": app.name} for app in settings.apps),
            {"url": f"http://{address}/", "host": "", "app": default},
        ],
        "hosts": f"{address} {' '.join(app.host for app in settings.apps)}",
        "kubeconfig": server.kubeconfig,
        "next": [
            f'curl -H "Host: {settings.apps[0].host}" http://{address}',
            f"make check STACK={settings.stack}",
            "docs/p2.md says how to see the apps in a browser",
        ],
    }
