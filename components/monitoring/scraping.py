"""What Prometheus asks, and how: its configuration, in which no secret is.

https://prometheus.io/docs/
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import urlsplit

from components.core import names

if TYPE_CHECKING:
    from collections.abc import Mapping

RULES: Final = "/etc/config/*.rules.yml"
CLUSTERS: Final = "/etc/clusters"  # with a token and a certificate of each further cluster
KUBE_STATE_METRICS: Final = "kube-state-metrics"  # its Service and its job
SAMPLES: Final = 1000  # of one pod of the app, which has some 20 by version, method and status
_POD: Final = "__meta_kubernetes_pod"
# The versions of an app that run side by side differ in it; that of a Rollout goes before.
_HASHES: Final = ("pod_template_hash", "rollouts_pod_template_hash")


@dataclass(frozen=True, kw_only=True)
class Job:
    """Pods that are asked for their metrics.

    Attributes:
        name: of the job.
        namespaces: where they are.
        app: their label app.kubernetes.io/name.
        port: of their containers.
        interval: how often they are asked; empty for as often as the others.
        own: whether the metrics are about the pods themselves, and not about other things in the cluster.
        keep: which metrics are kept, a pattern of their names; empty for all.
        most: how many series one of them may have to tell; 0 for any number.
    """

    name: str
    namespaces: tuple[str, ...]
    app: str
    port: int
    interval: str = ""
    own: bool = False
    keep: str = ""
    most: int = 0


def app_job(app: str, namespaces: tuple[str, ...], port: int) -> Job:
    """Return the job of the app; what judges a new version in a minute needs it often.

    Who pushes the app's code says what it has to tell: not so much that Prometheus has no room for the rest, and
    nothing that is for others to say.
    """
    pattern = "http_request_duration_seconds_.*|app_info|(process|python)_.*"
    return Job(
        name="app", namespaces=namespaces, app=app, port=port, interval="5s", own=True, keep=pattern, most=SAMPLES
    )


def rollouts_job() -> Job:
    """Return the job of Argo Rollouts' controller."""
    pattern = "(rollout|analysis_run|experiment|controller)_.*"
    return Job(name=names.ROLLOUTS, namespaces=(names.ROLLOUTS,), app=names.ROLLOUTS, port=8090, keep=pattern)


def argocd_jobs() -> tuple[Job, ...]:
    """Return the jobs of Argo CD, whose pods have a port for that in any case."""
    ports = {"application-controller": 8082, "server": 8083, "repo-server": 8084}
    return tuple(
        # Most of what they have to say is about Go and their clients.
        Job(
            name=f"argocd-{each}",
            namespaces=(names.ARGOCD,),
            app=f"argocd-{each}",
            port=port,
            keep="(argocd|process)_.*",
        )
        for each, port in ports.items()
    )


def config(
    jobs: tuple[Job, ...], further: Mapping[str, tuple[str, tuple[Job, ...]]], beside: Mapping[str, str]
) -> dict[str, Any]:
    """Return the configuration of Prometheus.

    Args:
        jobs: in its own cluster.
        further: where the API of each further cluster answers, and the jobs in it, by the cluster's name.
        beside: addresses of what is beside the cluster, by job.
    """
    here = {"cluster": names.IN_CLUSTER}
    fixed = {
        names.PROMETHEUS: f"localhost:{names.PROMETHEUS_PORT}",
        names.ALERTMANAGER: f"{names.ALERTMANAGER}:{names.ALERTMANAGER_PORT}",
        **beside,
    }
    return {
        "global": {"scrape_interval": "15s", "scrape_timeout": "5s", "evaluation_interval": "15s"},
        "rule_files": [RULES],
        "alerting": {
            "alertmanagers": [
                {"static_configs": [{"targets": [f"{names.ALERTMANAGER}:{names.ALERTMANAGER_PORT}"]}]},
            ]
        },
        "scrape_configs": [
            *(
                {"job_name": name, "static_configs": [{"targets": [address], "labels": here}]}
                for name, address in fixed.items()
            ),
            {
                "job_name": KUBE_STATE_METRICS,
                # What it says is about other pods than its own.
                "honor_labels": True,
                "static_configs": [{"targets": [f"{KUBE_STATE_METRICS}:8080"], "labels": here}],
            },
            *(_pods(job, names.IN_CLUSTER) | {"job_name": job.name} for job in jobs),
            *(_pods_of(cluster, server, job) for cluster, (server, its) in further.items() for job in its),
        ],
    }


def _pods(job: Job, cluster: str) -> dict[str, Any]:
    """Return how the pods of a job are found, and what their metrics are labelled with."""
    relabel: list[dict[str, Any]] = [
        {"source_labels": [f"{_POD}_label_app_kubernetes_io_name"], "regex": job.app, "action": "keep"},
        {"source_labels": [f"{_POD}_container_port_number"], "regex": str(job.port), "action": "keep"},
        {"source_labels": [f"{_POD}_phase"], "regex": "Running", "action": "keep"},
        {"source_labels": [f"{_POD}_name"], "target_label": "pod"},
        {"target_label": "job", "replacement": job.name},
        {"target_label": "cluster", "replacement": cluster},
    ]
    if job.own:
        relabel.append({"source_labels": ["__meta_kubernetes_namespace"], "target_label": "namespace"})
        relabel += [
            {"source_labels": [f"{_POD}_label_{label}"], "regex": "(.+)", "target_label": _HASHES[0]}
            for label in _HASHES
        ]
    found: dict[str, Any] = {
        "kubernetes_sd_configs": [{"role": "pod", "namespaces": {"names": list(job.namespaces)}}],
        "relabel_configs": relabel,
    }
    if job.interval:
        found["scrape_interval"] = job.interval
    if job.most:
        found["sample_limit"] = job.most
    if job.keep:
        found["metric_relabel_configs"] = [{"source_labels": ["__name__"], "regex": job.keep, "action": "keep"}]
    return found


def _pods_of(cluster: str, server: str, job: Job) -> dict[str, Any]:
    """Return how the pods of a further cluster are asked: its API server passes the question on."""
    url = urlsplit(server)
    access = {
        "authorization": {"credentials_file": f"{CLUSTERS}/{cluster}.token"},
        "tls_config": {"ca_file": f"{CLUSTERS}/{cluster}.crt"},
    }
    found = _pods(job, cluster)
    found["kubernetes_sd_configs"][0] |= {"api_server": server, **access}
    found["relabel_configs"] += [
        {
            "source_labels": ["__meta_kubernetes_namespace", f"{_POD}_name"],
            "separator": "/",
            "regex": "(.+)/(.+)",
            "target_label": "__metrics_path__",
            "replacement": f"{url.path.rstrip('/')}/api/v1/namespaces/$1/pods/$2:{job.port}/proxy/metrics",
        },
        {"target_label": "__address__", "replacement": f"{url.hostname}:{url.port or 443}"},
        # That of the API server is the same for all.
        {"source_labels": [f"{_POD}_name"], "target_label": "instance"},
    ]
    return {**found, "job_name": f"{job.name}-{cluster}", "scheme": "https", **access}
