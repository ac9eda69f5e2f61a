"""The hosts that lead to web apps: one Ingress, and the proof that it leads there."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import pulumi
import pulumi_kubernetes as kubernetes
from pulumi.dynamic import Resource

from components.core.dynamic import Provider

if TYPE_CHECKING:
    from collections.abc import Sequence

    from components.core.cluster import Cluster
    from components.web.apps import WebApp

INGRESS_CLASS: Final = "traefik"  # the controller that K3s brings


@dataclass(frozen=True, kw_only=True)
class Route:
    """A host and the app that it leads to.

    Attributes:
        host: the Host header.
        app: the app.
    """

    host: str
    app: WebApp


@dataclass(frozen=True, kw_only=True)
class HostRoutesArgs:
    """Which host leads to which app.

    Attributes:
        cluster: where the apps are.
        namespace: in that cluster.
        routes: the hosts that are known.
        default: the app for every other host, and for none.
        address: where the cluster's Ingress controller answers, on port 80.
        names_itself: whether the apps' answers name the app, so that a wrong route can be told from a right one.
        triggers: values whose change makes the routes be tried again.
        timeout: seconds until every route has to answer.
    """

    cluster: Cluster
    namespace: pulumi.Input[str]
    routes: Sequence[Route]
    default: WebApp
    address: str
    names_itself: bool
    triggers: list[pulumi.Input[Any]]
    timeout: int


class HostRoutes(pulumi.ComponentResource):
    """One Ingress that leads hosts to apps, and the proof that it does.

    Type token ``iot:web:HostRoutes``. Makes an ``Ingress`` named ``{name}-ingress`` and a dynamic resource named
    ``{name}-answers``, which is there once every route has answered this host as it should.
    """

    def __init__(self, name: str, args: HostRoutesArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__(
            "iot:web:HostRoutes",
            name,
            {"hosts": {route.host: route.app.app for route in args.routes}, "default": args.default.app},
            opts,
        )
        ingress = kubernetes.networking.v1.Ingress(
            f"{name}-ingress",
            metadata=kubernetes.meta.v1.ObjectMetaArgs(
                name=name,
                namespace=args.namespace,
                # What Pulumi would wait for is the address in its status; below, every route is tried instead.
                annotations={"pulumi.com/skipAwait": "true"},
            ),
            spec=kubernetes.networking.v1.IngressSpecArgs(
                ingress_class_name=INGRESS_CLASS,
                rules=[
                    *(_rule(route.app, route.host) for route in args.routes),
                    # Not spec.defaultBackend, which Traefik heeds only in an Ingress without rules.
                    _rule(args.default, None),
                ],
            ),
            opts=args.cluster.inside(self),
        )
        apps = {route.app.app: route.app for route in args.routes} | {args.default.app: args.default}
        _Answers(
            f"{name}-answers",
            {
                "address": args.address,
                "routes": {route.host: route.app.app for route in args.routes},
                "default": args.default.app,
                "names_itself": args.names_itself,
                "triggers": args.triggers,
                "timeout": args.timeout,
            },
            pulumi.ResourceOptions(
                parent=self,
                deleted_with=args.cluster.lifetime,
                depends_on=[ingress, *(app.deployment for app in apps.values())],
            ),
        )
        self.register_outputs({"url": f"http://{args.address}/"})


def _rule(app: WebApp, host: str | None) -> kubernetes.networking.v1.IngressRuleArgs:
    backend = kubernetes.networking.v1.IngressBackendArgs(
        service=kubernetes.networking.v1.IngressServiceBackendArgs(
            name=app.service, port=kubernetes.networking.v1.ServiceBackendPortArgs(name="http")
        )
    )
    path = kubernetes.networking.v1.HTTPIngressPathArgs(path="/", path_type="Prefix", backend=backend)
    return kubernetes.networking.v1.IngressRuleArgs(
        host=host, http=kubernetes.networking.v1.HTTPIngressRuleValueArgs(paths=[path])
    )


class _Answers(Resource, module="web", name="Answers"):
    """That every route answers as it should."""

    def __init__(self, name: str, props: dict[str, Any], opts: pulumi.ResourceOptions) -> None:
        super().__init__(Provider("route-answers"), name, props, opts)
