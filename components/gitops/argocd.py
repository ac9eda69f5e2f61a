"""Argo CD by its Helm chart."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import pulumi
import pulumi_kubernetes as kubernetes

from components.core import names, pods
from components.core.random_secret import RandomSecret
from components.gitops.release import release

if TYPE_CHECKING:
    from collections.abc import Mapping

    from components.core.cluster import Cluster
    from components.gitops.chart import Chart


# Sessions from before this time are invalid; without it, every upgrade would end all of them.
SINCE: Final = "2026-01-01T00:00:00Z"
# What Argo CD goes by to say whether an object is well, a file named GROUP_KIND.lua for each kind: docs/adr/0019.
HEALTH: Final = Path(__file__).parent / "health"


@dataclass(frozen=True, kw_only=True)
class ArgoCdArgs:
    """An Argo CD without single sign-on, notifications and ApplicationSets.

    Attributes:
        cluster: where it runs.
        node_port: of its web pages and API, in 30000 to 32767.
        https_node_port: the chart has one for HTTPS as well; None lets Kubernetes choose, who may take somebody's.
        chart: where the chart is.
        poll_interval: seconds between two looks at Git.
        images: what has to be done before its images are in the cluster.
        timeout: seconds until all of it has to be ready.
        accounts: who may sign in instead of the administrator, with the bcrypt hashes of their passwords, secrets.
        policy: what they may do, in the language of Argo CD's RBAC.
    """

    cluster: Cluster
    node_port: int
    https_node_port: int | None
    chart: Chart
    poll_interval: int
    images: list[pulumi.Resource]
    timeout: int
    accounts: Mapping[str, pulumi.Output[str]] = field(default_factory=dict)
    policy: str = ""


class ArgoCd(pulumi.ComponentResource):
    """Argo CD by its Helm chart.

    Type token ``iot:argocd:ArgoCd``. Makes a Namespace, a Secret with Redis's password, a Helm Release, and three
    random secrets: of the administrator, of webhooks and of Redis.

    Attributes:
        namespace: where it is.
        release: what everything that Argo CD has to understand depends on.
        webhook_secret: what webhooks from Gitea are signed with, as a secret.
        admin_password: of the user ``admin``, as a secret.
    """

    def __init__(self, name: str, args: ArgoCdArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__(
            "iot:argocd:ArgoCd",
            name,
            {"nodePort": args.node_port, "chart": args.chart.name, "version": args.chart.version},
            opts,
        )
        own = pulumi.ResourceOptions(parent=self)
        self.webhook_secret = RandomSecret(f"{name}-webhook", own).value
        admin, redis_password = RandomSecret(f"{name}-admin", own), RandomSecret(f"{name}-redis", own)
        self.admin_password = admin.value
        secret = {
            "gogsSecret": self.webhook_secret,
            "argocdServerAdminPassword": admin.bcrypt,
            "argocdServerAdminPasswordMtime": SINCE,
        }
        if args.accounts:
            hashes = {f"accounts.{who}.password": digest for who, digest in args.accounts.items()}
            secret["extra"] = {**hashes, **{f"accounts.{who}.passwordMtime": SINCE for who in args.accounts}}
        self.namespace = namespace = pods.namespace(f"{name}-namespace", names.ARGOCD, args.cluster, self)
        # The chart's own way to make it is a Job that everything else would wait for.
        redis = kubernetes.core.v1.Secret(
            f"{name}-redis-password",
            metadata=kubernetes.meta.v1.ObjectMetaArgs(name="argocd-redis", namespace=names.ARGOCD),
            string_data={"auth": redis_password.value},
            opts=args.cluster.inside(self, depends_on=[namespace]),
        )
        configs = chart_configs(args.poll_interval, tuple(args.accounts), args.policy) | {"secret": secret}
        self.release = release(
            f"{name}-release",
            names.ARGOCD,
            args.chart,
            chart_values(args.node_port, args.https_node_port, args.poll_interval) | {"configs": configs},
            timeout=args.timeout,
            opts=args.cluster.inside(self, depends_on=[namespace, redis, *args.images]),
        )
        self.register_outputs({"namespace": namespace.metadata.name})


def chart_configs(poll_interval: int, accounts: tuple[str, ...] = (), policy: str = "") -> dict[str, Any]:
    """Return the chart's ``configs``, without secrets.

    Args:
        poll_interval: seconds between two looks at Git.
        accounts: who may sign in instead of the administrator.
        policy: what they may do.
    """
    return {
        "cm": {
            "admin.enabled": str(not accounts).lower(),
            **{f"accounts.{each}": "login" for each in accounts},
            "users.anonymous.enabled": "false",
            "timeout.reconciliation": f"{poll_interval}s",
            "timeout.reconciliation.jitter": "0s",
            # Who may sync may not choose what: a commit that an Application does not follow takes `override`.
            "application.sync.requireOverridePrivilegeForRevisionSync": "true",
            # In a cluster that it may not read all of, Argo CD leaves out the kinds that are refused to it.
            "resource.respectRBAC": "normal",
            **health_checks(),
        },
        # Who is signed in and has no role gets nothing.
        "rbac": {"policy.default": ""} | ({"policy.csv": policy} if policy else {}),
        # TLS would be a self-signed certificate; the port listens on loopback.
        # What is not well is named in the Application, too, which `make up` and `make status` read.
        "params": {"server.insecure": "true", "controller.resource.health.persist": "true"},
    }


def health_checks() -> dict[str, str]:
    """Return the checks of health that Argo CD does not have, as its settings name them.

    https://argo-cd.readthedocs.io/en/stable/operator-manual/health/#custom-health-checks
    """
    files = sorted(HEALTH.glob("*.lua"))
    return {f"resource.customizations.health.{each.stem}": each.read_text(encoding="utf-8") for each in files}


def chart_values(node_port: int, https_node_port: int | None, poll_interval: int) -> dict[str, Any]:
    """Return the chart's values (https://github.com/argoproj/argo-helm/tree/main/charts/argo-cd), without secrets.

    Args:
        node_port: of the server, in 30000 to 32767.
        https_node_port: another one of it, or None.
        poll_interval: seconds between two looks at Git.
    """
    # The chart waits 10 s before it looks for the first time, when most are long ready.
    soon = {"initialDelaySeconds": 1, "periodSeconds": 2, "failureThreshold": 30}
    return {
        "configs": chart_configs(poll_interval),
        # What no rule of the chart names is not reached: Redis by anything else, the repo server by other namespaces.
        "global": {"networkPolicy": {"create": True, "defaultDenyIngress": True}},
        # Nothing is left behind: with "keep", the kinds would outlive the release.
        "crds": {"install": True, "keep": False},
        "dex": {"enabled": False},
        "notifications": {"enabled": False},
        "applicationSet": {"replicas": 0, "resources": _resources("10m", "32Mi", "128Mi")},
        "redisSecretInit": {"enabled": False},
        "redis": {"resources": _resources("20m", "32Mi", "128Mi")},
        "controller": {"resources": _resources("100m", "192Mi", "768Mi"), "readinessProbe": soon},
        "repoServer": {
            "resources": _resources("50m", "96Mi", "512Mi"),
            "readinessProbe": soon,
            "copyutil": {"resources": _resources("20m", "32Mi", "256Mi")},
        },
        "server": {
            "resources": _resources("50m", "96Mi", "512Mi"),
            "readinessProbe": soon,
            "service": {"type": "NodePort", "nodePortHttp": node_port, "nodePortHttps": https_node_port},
        },
    }


def _resources(cpu: str, memory: str, limit: str) -> dict[str, dict[str, str]]:
    return {"requests": {"cpu": cpu, "memory": memory}, "limits": {"cpu": "2", "memory": limit}}
