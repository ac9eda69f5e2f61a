"""The values of the chart, in which no secret is.

https://github.com/prometheus-community/helm-charts/tree/main/charts/prometheus
"""

from __future__ import annotations

import hashlib
import json
from typing import TYPE_CHECKING, Any, Final

import pulumi

from components.core import names, versions
from components.monitoring import alerting, scraping

if TYPE_CHECKING:
    from collections.abc import Mapping

RETENTION: Final = "7d"
# What is over it is deleted, the oldest first. The volume is twice as large: a block is written before another goes.
RETENTION_SIZE: Final = "512MB"
VOLUME: Final = "1Gi"
USER: Final = 65534  # of all three images
# Of the chart's own, which look for annotations in all namespaces.
_JOBS: Final = (
    *("prometheus", "kubernetes-api-servers", "kubernetes-nodes", "kubernetes-nodes-cadvisor"),
    *("kubernetes-service-endpoints", "kubernetes-service-endpoints-slow", "prometheus-pushgateway"),
    *("kubernetes-services", "kubernetes-pods", "kubernetes-pods-slow"),
)
_POD: Final = {
    "runAsUser": USER,
    "runAsGroup": USER,
    "fsGroup": USER,
    "runAsNonRoot": True,
    "seccompProfile": {"type": "RuntimeDefault"},
}
_CONTAINER: Final = {
    "allowPrivilegeEscalation": False,
    "readOnlyRootFilesystem": True,
    "runAsNonRoot": True,
    "capabilities": {"drop": ["ALL"]},
}


def chart_values(  # noqa: PLR0913 - what the chart is told
    config: Mapping[str, Any],
    rules: Mapping[str, Any],
    receivers: Mapping[str, Any],
    namespaces: list[str],
    *,
    node_port: int | None,
    clusters: str,
    secrets: str,
) -> dict[str, Any]:
    """Return them.

    Args:
        config: of Prometheus.
        rules: of Prometheus, by the name of their file; some of it may be known only when what it is about is there.
        receivers: the configuration of Alertmanager.
        namespaces: whose Deployments, pods and quotas kube-state-metrics looks at.
        node_port: at which Prometheus is asked from outside the cluster; None for none.
        clusters: the Secret with the tokens of further clusters; empty for none.
        secrets: the Secret with those of the receivers; empty for none.
    """
    files = {f"{name}.rules.yml": content for name, content in rules.items()}
    return {
        # Its rights are in our own Roles: those of the chart are for the whole cluster.
        "rbac": {"create": False},
        "configmapReload": {"prometheus": {"enabled": False}},
        "scrapeConfigs": {name: {"enabled": False} for name in _JOBS},
        "serverFiles": {
            "prometheus.yml": {"rule_files": config["rule_files"], "scrape_configs": config["scrape_configs"]},
            **files,
        },
        "server": {
            "fullnameOverride": names.PROMETHEUS,
            "image": _image(versions.PROMETHEUS_IMAGE),
            "global": config["global"],
            "alertmanagers": config["alerting"]["alertmanagers"],
            # It is started anew for a new configuration, and nobody may reload or end it over the network.
            "extraFlags": [],
            "podAnnotations": {
                "iot/config": pulumi.Output.from_input(files).apply(lambda known: digest([config, known]))
            },
            "strategy": {"type": "Recreate"},
            "enableServiceLinks": False,
            "retention": RETENTION,
            "retentionSize": RETENTION_SIZE,
            "persistentVolume": {"size": VOLUME},
            "extraSecretMounts": _mount("clusters", clusters, scraping.CLUSTERS),
            "service": {
                "servicePort": names.PROMETHEUS_PORT,
                **({"type": "NodePort", "nodePort": node_port} if node_port else {}),
            },
            "resources": _resources("50m", "128Mi", "384Mi"),
            "securityContext": _POD,
            "containerSecurityContext": _CONTAINER,
            # The chart waits 30 s before it asks for the first time.
            "readinessProbeInitialDelay": 1,
            "readinessProbePeriodSeconds": 2,
            "readinessProbeFailureThreshold": 30,
            "terminationGracePeriodSeconds": 60,
        },
        "alertmanager": {
            "fullnameOverride": names.ALERTMANAGER,
            "image": _image(versions.ALERTMANAGER_IMAGE),
            "config": dict(receivers),
            # There is one, which talks to no other.
            "extraArgs": {"cluster.listen-address": ""},
            "automountServiceAccountToken": False,
            # Silences last as long as the pod; a claim would outlive the release.
            "persistence": {"enabled": False, "emptyDir": {"sizeLimit": "50Mi"}},
            "extraSecretMounts": _mount("receivers", secrets, alerting.RECEIVERS),
            "podSecurityContext": _POD,
            "securityContext": _CONTAINER,
            "resources": _resources("10m", "24Mi", "96Mi"),
            "readinessProbe": _probe("/-/ready"),
            "livenessProbe": _probe("/-/healthy"),
        },
        "kube-state-metrics": {
            "fullnameOverride": scraping.KUBE_STATE_METRICS,
            "image": _registry_image(versions.KUBE_STATE_METRICS_IMAGE),
            "collectors": ["deployments", "pods", "replicasets", "resourcequotas"],
            "namespaces": ",".join(namespaces),
            "rbac": {"useClusterRole": False},
            "prometheusScrape": False,
            "resources": _resources("10m", "24Mi", "96Mi"),
        },
        "prometheus-node-exporter": {"enabled": False},
        "prometheus-pushgateway": {"enabled": False},
    }


def _image(reference: str) -> dict[str, str]:
    repository, _, tag = reference.rpartition(":")
    return {"repository": repository, "tag": tag}


def _registry_image(reference: str) -> dict[str, str]:
    registry, _, repository = reference.partition("/")
    return {"registry": registry, **_image(repository)}


def _mount(name: str, secret: str, path: str) -> list[dict[str, Any]]:
    # Of a path inside the Secret, a change would not be seen.
    return [{"name": name, "secretName": secret, "mountPath": path, "readOnly": True}] if secret else []


def _probe(path: str) -> dict[str, Any]:
    return {"httpGet": {"path": path, "port": "http"}, "initialDelaySeconds": 1, "periodSeconds": 5}


def _resources(cpu: str, memory: str, limit: str) -> dict[str, dict[str, str]]:
    return {"requests": {"cpu": cpu, "memory": memory}, "limits": {"cpu": "1", "memory": limit}}


def digest(content: object) -> str:
    """Return what is another one when what a pod reads as it starts is another one."""
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()[:16]
