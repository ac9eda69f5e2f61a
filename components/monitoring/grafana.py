"""Grafana beside Prometheus, for those who want to look at what it has in a page of their own.

https://grafana.com/docs/grafana/v12.4/setup-grafana/configure-grafana/
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import pulumi
import pulumi_kubernetes as kubernetes

from components.core import names, pods, versions
from components.core.random_secret import RandomSecret
from components.monitoring import grafana_dashboard
from components.monitoring.values import digest

if TYPE_CHECKING:
    from collections.abc import Callable

    from components.core.cluster import Cluster

USER: Final = 472  # of the image
LABELS: Final = {"app.kubernetes.io/name": names.GRAFANA}
# The folders that it looks into.
PROVISIONING: Final = "/etc/provisioning"
DASHBOARDS: Final = "/etc/dashboards"
SECRETS: Final = "/etc/secrets"
DATA: Final = "/var/lib/grafana"
SAMPLES: Final = "15s"  # between two of a series; the app's come more often
# What it asks of others, or would let anybody do, unasked.
OFF: Final = (
    *("ANALYTICS_REPORTING_ENABLED", "ANALYTICS_CHECK_FOR_UPDATES", "ANALYTICS_CHECK_FOR_PLUGIN_UPDATES"),
    *("ANALYTICS_FEEDBACK_LINKS_ENABLED", "NEWS_NEWS_FEED_ENABLED", "PLUGINS_PLUGIN_ADMIN_ENABLED"),
    *("AUTH_ANONYMOUS_ENABLED", "USERS_ALLOW_SIGN_UP", "SNAPSHOTS_ENABLED"),
    "UNIFIED_ALERTING_ENABLED",  # alerts are Prometheus'
)
ON: Final = ("PLUGINS_PREINSTALL_DISABLED", "PLUGINS_PUBLIC_KEY_RETRIEVAL_DISABLED", "SECURITY_DISABLE_GRAVATAR")


@dataclass(frozen=True, kw_only=True)
class GrafanaArgs:
    """What Grafana shows.

    Attributes:
        cluster: where Prometheus is.
        images: makes what has to be there before the image can run, as part of a component.
        timeout: seconds until it has to be ready.
        title: of the dashboard.
        namespaces: of the environments, in all clusters.
        depends_on: the namespace of Prometheus, and what closes it.
    """

    cluster: Cluster
    images: Callable[[str, Cluster, pulumi.Resource], list[pulumi.Resource]]
    timeout: int
    title: str
    namespaces: tuple[str, ...]
    depends_on: list[pulumi.Resource]


class Grafana(pulumi.ComponentResource):
    """A Grafana that reads Prometheus and keeps nothing: what it shows, the program says.

    Type token ``iot:monitoring:Grafana``. Makes two random secrets, and in the namespace of Prometheus a Secret of
    them, ConfigMaps named ``{name}-provisioning`` and ``{name}-dashboards``, a NetworkPolicy by which it reaches
    Prometheus alone, a Deployment and a Service. Nothing reaches it but its node: `kubectl port-forward`.

    Attributes:
        password: of the user ``admin``, as a secret.
    """

    def __init__(self, name: str, args: GrafanaArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("iot:monitoring:Grafana", name, {"namespaces": list(args.namespaces)}, opts)
        inside = args.cluster.inside(self, depends_on=args.depends_on)
        own = pulumi.ResourceOptions(parent=self)
        self.password = RandomSecret(f"{name}-admin", own).value
        secret = kubernetes.core.v1.Secret(
            f"{name}-secret",
            metadata=_metadata(names.GRAFANA),
            # Its own default for the second one is the same everywhere.
            string_data={"admin-password": self.password, "secret-key": RandomSecret(f"{name}-key", own).value},
            opts=inside,
        )
        files = {"provisioning": provisioning(), "dashboards": dashboards(args.title, args.namespaces)}
        there = [
            kubernetes.core.v1.ConfigMap(
                f"{name}-{key}", metadata=_metadata(f"{names.GRAFANA}-{key}"), data=data, opts=inside
            )
            for key, data in files.items()
        ]
        egress = kubernetes.networking.v1.NetworkPolicy(
            f"{name}-egress", metadata=_metadata("egress-grafana"), spec=_egress(), opts=inside
        )
        images = args.images(name, args.cluster, self)
        limit = pulumi.CustomTimeouts(create=f"{args.timeout}s", update=f"{args.timeout}s")
        kubernetes.apps.v1.Deployment(
            f"{name}-deployment",
            metadata=_metadata(names.GRAFANA, labels=LABELS),
            spec=kubernetes.apps.v1.DeploymentSpecArgs(
                replicas=1,
                revision_history_limit=3,
                selector=kubernetes.meta.v1.LabelSelectorArgs(match_labels=LABELS),
                strategy=kubernetes.apps.v1.DeploymentStrategyArgs(type="Recreate"),
                template=kubernetes.core.v1.PodTemplateSpecArgs(
                    # It reads them when it starts.
                    metadata=kubernetes.meta.v1.ObjectMetaArgs(
                        labels=LABELS, annotations={"iot/config": digest(files)}
                    ),
                    spec=_pod(),
                ),
            ),
            opts=args.cluster.inside(
                self, depends_on=[*args.depends_on, secret, *there, egress, *images], custom_timeouts=limit
            ),
        )
        kubernetes.core.v1.Service(
            f"{name}-service",
            # The Deployment waits for its pod.
            metadata=_metadata(names.GRAFANA, labels=LABELS, annotations={"pulumi.com/skipAwait": "true"}),
            spec=kubernetes.core.v1.ServiceSpecArgs(
                selector=LABELS,
                ports=[kubernetes.core.v1.ServicePortArgs(name="http", port=names.GRAFANA_PORT, target_port="http")],
            ),
            opts=inside,
        )
        self.register_outputs({"service": names.GRAFANA})


def provisioning() -> dict[str, str]:
    """Return the files that say where Prometheus is, and where dashboards are. JSON is YAML.

    https://grafana.com/docs/grafana/v12.4/administration/provisioning/
    """
    source = {
        **grafana_dashboard.DATASOURCE,
        "name": "Prometheus",
        "access": "proxy",
        "url": f"http://{names.PROMETHEUS}:{names.PROMETHEUS_PORT}",
        "isDefault": True,
        "editable": False,
        "jsonData": {"timeInterval": SAMPLES, "manageAlerts": False},
    }
    folder = {"name": "iot", "type": "file", "disableDeletion": True, "options": {"path": DASHBOARDS}}
    return {
        "datasources.yaml": _text({"apiVersion": 1, "datasources": [source]}),
        "dashboards.yaml": _text({"apiVersion": 1, "providers": [folder]}),
    }


def dashboards(title: str, namespaces: tuple[str, ...]) -> dict[str, str]:
    """Return the dashboards by the names of their files.

    Args:
        title: as in the arguments.
        namespaces: likewise.
    """
    return {f"{grafana_dashboard.UID}.json": _text(grafana_dashboard.dashboard(title, namespaces))}


def environment() -> dict[str, str]:
    """Return its settings, as variables."""
    return {
        **{f"GF_{key}": "false" for key in OFF},
        **{f"GF_{key}": "true" for key in ON},
        "GF_DASHBOARDS_DEFAULT_HOME_DASHBOARD_PATH": f"{DASHBOARDS}/{grafana_dashboard.UID}.json",
        "GF_LOG_MODE": "console",
        "GF_PATHS_LOGS": f"{DATA}/log",
        "GF_PATHS_PROVISIONING": PROVISIONING,
        # The image's own start script reads the files that end so.
        "GF_SECURITY_ADMIN_PASSWORD__FILE": f"{SECRETS}/admin-password",
        "GF_SECURITY_SECRET_KEY__FILE": f"{SECRETS}/secret-key",
    }


def _pod() -> kubernetes.core.v1.PodSpecArgs:
    core = kubernetes.core.v1
    get = core.HTTPGetActionArgs(path="/api/health", port="http")
    # Each kind of file is in a folder of its own.
    items = [core.KeyToPathArgs(key=f"{each}.yaml", path=f"{each}/iot.yaml") for each in ("datasources", "dashboards")]
    configs = {
        "provisioning": core.ConfigMapVolumeSourceArgs(name=f"{names.GRAFANA}-provisioning", items=items),
        "dashboards": core.ConfigMapVolumeSourceArgs(name=f"{names.GRAFANA}-dashboards"),
    }
    written = {"data": (DATA, "256Mi"), "tmp": ("/tmp", "64Mi")}  # noqa: S108 - a folder of the pod
    read = {"provisioning": PROVISIONING, "dashboards": DASHBOARDS, "secrets": SECRETS}
    container = core.ContainerArgs(
        name=names.GRAFANA,
        image=versions.GRAFANA_IMAGE,
        image_pull_policy="IfNotPresent",
        ports=[core.ContainerPortArgs(name="http", container_port=names.GRAFANA_PORT)],
        env=[core.EnvVarArgs(name=key, value=value) for key, value in environment().items()],
        readiness_probe=core.ProbeArgs(http_get=get, period_seconds=2, timeout_seconds=2),
        # It fills its database when it starts.
        liveness_probe=core.ProbeArgs(http_get=get, initial_delay_seconds=60, period_seconds=10, timeout_seconds=5),
        resources=core.ResourceRequirementsArgs(
            requests={"cpu": "50m", "memory": "128Mi"}, limits={"cpu": "1", "memory": "512Mi"}
        ),
        security_context=pods.RESTRICTED_CONTAINER,
        volume_mounts=[
            *(core.VolumeMountArgs(name=key, mount_path=path) for key, (path, _) in written.items()),
            *(core.VolumeMountArgs(name=key, mount_path=path, read_only=True) for key, path in read.items()),
        ],
    )
    return core.PodSpecArgs(
        automount_service_account_token=False,
        enable_service_links=False,
        security_context=pods.restricted_pod(USER),
        containers=[container],
        volumes=[
            *(
                core.VolumeArgs(name=key, empty_dir=core.EmptyDirVolumeSourceArgs(size_limit=size))
                for key, (_, size) in written.items()
            ),
            *(core.VolumeArgs(name=key, config_map=source) for key, source in configs.items()),
            core.VolumeArgs(name="secrets", secret=core.SecretVolumeSourceArgs(secret_name=names.GRAFANA)),
        ],
    )


def _egress() -> kubernetes.networking.v1.NetworkPolicySpecArgs:
    """Let it reach Prometheus, and ask for names."""
    api = kubernetes.networking.v1
    prometheus = kubernetes.meta.v1.LabelSelectorArgs(match_labels={"app.kubernetes.io/name": names.PROMETHEUS})
    return api.NetworkPolicySpecArgs(
        pod_selector=kubernetes.meta.v1.LabelSelectorArgs(match_labels=LABELS),
        policy_types=["Egress"],
        egress=[
            api.NetworkPolicyEgressRuleArgs(
                to=[api.NetworkPolicyPeerArgs(pod_selector=prometheus)],
                ports=[api.NetworkPolicyPortArgs(port=names.PROMETHEUS_PORT, protocol="TCP")],
            ),
            # Who answers that has other labels in other clusters, or is on the node.
            api.NetworkPolicyEgressRuleArgs(
                ports=[api.NetworkPolicyPortArgs(port=53, protocol=each) for each in ("UDP", "TCP")]
            ),
        ],
    )


def _metadata(
    name: str, *, labels: dict[str, str] | None = None, annotations: dict[str, str] | None = None
) -> kubernetes.meta.v1.ObjectMetaArgs:
    return kubernetes.meta.v1.ObjectMetaArgs(
        name=name, namespace=names.MONITORING, labels=labels, annotations=annotations
    )


def _text(content: object) -> str:
    return json.dumps(content, indent=2) + "\n"
