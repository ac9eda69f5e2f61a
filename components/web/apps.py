"""Web apps in a cluster: their pods, and one address for each."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import pulumi
import pulumi_kubernetes as kubernetes

from components.core import pods
from components.web.answers import SERVICE_PORT

if TYPE_CHECKING:
    from components.core.cluster import Cluster

PORT: Final = 8080  # of the container
USER_ID: Final = 10001  # of the image
HEALTH: Final = "/healthz"
NAME_LABEL: Final = "app.kubernetes.io/name"
# Traefik hears of a pod that is to end a moment after the pod does; until then the pod goes on answering.
DRAIN: Final = 5  # seconds


@dataclass(frozen=True, kw_only=True)
class WebAppArgs:
    """One web app.

    Attributes:
        cluster: where it runs.
        namespace: in that cluster.
        app: its name, and that of its Deployment and Service.
        replicas: number of pods.
        image: what the pods run.
        image_id: changes when another image has that name; None for an image from a registry.
        depends_on: what pods need, such as the image on the node.
        timeout: seconds until it has to be available.
    """

    cluster: Cluster
    namespace: pulumi.Input[str]
    app: str
    replicas: int
    image: pulumi.Input[str]
    image_id: pulumi.Input[str] | None
    depends_on: list[pulumi.Resource]
    timeout: int


class WebApp(pulumi.ComponentResource):
    """An app that answers HTTP: its pods, and the one address for all of them.

    Type token ``iot:web:WebApp``. Makes a ``Deployment`` named ``{name}-deployment`` and a ``Service`` named
    ``{name}-service``; in the cluster both have the app's name.

    Attributes:
        app: its name.
        service: the Service's name, known once it is there.
        deployment: there once all replicas are available.
    """

    def __init__(self, name: str, args: WebAppArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("iot:web:WebApp", name, {"app": args.app, "replicas": args.replicas}, opts)
        self.app = args.app
        labels = {NAME_LABEL: args.app}
        metadata = kubernetes.meta.v1.ObjectMetaArgs(name=args.app, namespace=args.namespace, labels=labels)
        limit = pulumi.CustomTimeouts(create=f"{args.timeout}s", update=f"{args.timeout}s")
        self.deployment = kubernetes.apps.v1.Deployment(
            f"{name}-deployment",
            metadata=metadata,
            spec=kubernetes.apps.v1.DeploymentSpecArgs(
                replicas=args.replicas,
                revision_history_limit=3,
                selector=kubernetes.meta.v1.LabelSelectorArgs(match_labels=labels),
                # A new pod is ready before an old one goes, so that a new version costs no request.
                strategy=kubernetes.apps.v1.DeploymentStrategyArgs(
                    type="RollingUpdate",
                    rolling_update=kubernetes.apps.v1.RollingUpdateDeploymentArgs(max_surge=1, max_unavailable=0),
                ),
                template=_template(args, labels),
            ),
            opts=args.cluster.inside(self, depends_on=args.depends_on, custom_timeouts=limit),
        )
        service = kubernetes.core.v1.Service(
            f"{name}-service",
            metadata=kubernetes.meta.v1.ObjectMetaArgs(
                name=args.app,
                namespace=args.namespace,
                labels=labels,
                # The Deployment waits for its pods, and the routes are tried: waiting for the Service adds 10 s.
                annotations={"pulumi.com/skipAwait": "true"},
            ),
            spec=kubernetes.core.v1.ServiceSpecArgs(
                selector=labels,
                ports=[kubernetes.core.v1.ServicePortArgs(name="http", port=SERVICE_PORT, target_port="http")],
            ),
            opts=args.cluster.inside(self, custom_timeouts=limit),
        )
        self.service = service.metadata.apply(lambda found: str(found.name or args.app))
        self.register_outputs({"service": self.service})


def _template(args: WebAppArgs, labels: dict[str, str]) -> kubernetes.core.v1.PodTemplateSpecArgs:
    # Another image of the same name has to reach the pods too.
    annotations = {} if args.image_id is None else {"iot/image-id": args.image_id}
    return kubernetes.core.v1.PodTemplateSpecArgs(
        metadata=kubernetes.meta.v1.ObjectMetaArgs(labels=labels, annotations=annotations),
        spec=kubernetes.core.v1.PodSpecArgs(
            automount_service_account_token=False,
            enable_service_links=False,
            security_context=pods.restricted_pod(USER_ID),
            containers=[_container(args)],
        ),
    )


def _container(args: WebAppArgs) -> kubernetes.core.v1.ContainerArgs:
    get = kubernetes.core.v1.HTTPGetActionArgs(path=HEALTH, port="http")
    pod_name = kubernetes.core.v1.ObjectFieldSelectorArgs(field_path="metadata.name")
    return kubernetes.core.v1.ContainerArgs(
        name=args.app,
        image=args.image,
        image_pull_policy="IfNotPresent",
        ports=[kubernetes.core.v1.ContainerPortArgs(name="http", container_port=PORT)],
        env=[
            kubernetes.core.v1.EnvVarArgs(name="APP_NAME", value=args.app),
            kubernetes.core.v1.EnvVarArgs(
                name="POD_NAME", value_from=kubernetes.core.v1.EnvVarSourceArgs(field_ref=pod_name)
            ),
        ],
        readiness_probe=kubernetes.core.v1.ProbeArgs(http_get=get, period_seconds=2, timeout_seconds=2),
        liveness_probe=kubernetes.core.v1.ProbeArgs(
            http_get=get, initial_delay_seconds=15, period_seconds=10, timeout_seconds=5
        ),
        lifecycle=kubernetes.core.v1.LifecycleArgs(
            pre_stop=kubernetes.core.v1.LifecycleHandlerArgs(
                sleep=kubernetes.core.v1.SleepActionArgs(seconds=DRAIN),
            ),
        ),
        resources=kubernetes.core.v1.ResourceRequirementsArgs(
            requests={"cpu": "25m", "memory": "48Mi"}, limits={"cpu": "500m", "memory": "128Mi"}
        ),
        security_context=pods.RESTRICTED_CONTAINER,
    )
