"""Prometheus, Alertmanager and kube-state-metrics beside Argo CD, for all clusters of a stack."""

from __future__ import annotations

import base64
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

import pulumi
import pulumi_kubernetes as kubernetes

from components.core import names, pods
from components.gitops.release import release
from components.monitoring import alerting, scraping
from components.monitoring.values import chart_values

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from components.core.cluster import Cluster
    from components.core.settings import ObservabilitySettings
    from components.gitops.chart import Chart
    from components.monitoring.scraping import Job

CLUSTERS: Final = "clusters"  # the Secret with the tokens of further clusters
RECEIVERS: Final = "receivers"  # the Secret with those of the receivers
READ: Final = ("get", "list", "watch")


@dataclass(frozen=True, kw_only=True)
class WatchedCluster:
    """A cluster besides Argo CD's own whose apps are watched.

    Attributes:
        cluster: the way to it.
        server: where Prometheus reaches its API.
        namespaces: of its apps, by the resources that make them.
    """

    cluster: Cluster
    server: str
    namespaces: Mapping[str, pulumi.Resource]


@dataclass(frozen=True, kw_only=True)
class MonitoringArgs:
    """What is watched, and who is told.

    Attributes:
        cluster: where Argo CD is.
        chart: where the Helm chart comes from.
        images: makes what has to be there before the images can run, as part of a component.
        timeout: seconds until all of it has to be ready.
        app: what is watched in the namespaces of apps.
        port: of its containers.
        namespaces: of the apps in that cluster, by the resources that make them.
        argocd: the namespace of Argo CD.
        argocd_url: of Argo CD's page, with a slash at the end.
        settings: who is told.
        clusters: the further ones, by name.
        rollouts: the namespaces of Argo Rollouts, by the name of their cluster; empty for Argo CD's own.
        beside: addresses of what is beside the cluster, by job.
        node_port: at which further clusters ask Prometheus; None for none.
        key_made: when the key was made that secrets are sealed with, in seconds since 1970; None when there are none.
    """

    cluster: Cluster
    chart: Chart
    images: Callable[[str, Cluster, pulumi.Resource], list[pulumi.Resource]]
    timeout: int
    app: str
    port: int
    namespaces: Mapping[str, pulumi.Resource]
    argocd: pulumi.Resource
    argocd_url: str
    settings: ObservabilitySettings
    clusters: Mapping[str, WatchedCluster] = field(default_factory=dict)
    rollouts: Mapping[str, pulumi.Resource] = field(default_factory=dict)
    beside: Mapping[str, str] = field(default_factory=dict)
    node_port: int | None = None
    key_made: pulumi.Output[int] | None = None


class Monitoring(pulumi.ComponentResource):
    """One Prometheus for all clusters of a stack, with an Alertmanager and kube-state-metrics.

    Type token ``iot:monitoring:Monitoring``. Makes a Namespace with NetworkPolicies, a Role and a RoleBinding in each
    namespace that it looks into, a Helm Release named ``{name}-release``, and a Secret each for receivers and for
    further clusters when there are any. In each of those: a Namespace that nothing reaches, a ServiceAccount with its
    token, and such Roles.

    Attributes:
        closed: the namespace, and what keeps others out of it.
        ready: what has to be there before it is asked for anything.
    """

    def __init__(self, name: str, args: MonitoringArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__(
            "iot:monitoring:Monitoring",
            name,
            {"namespaces": sorted(args.namespaces), "clusters": sorted(args.clusters)},
            opts,
        )
        self._name, self._args = name, args
        namespace = pods.namespace(f"{name}-namespace", names.MONITORING, args.cluster, self)
        inside = args.cluster.inside(self, depends_on=[namespace])
        only = {"app.kubernetes.io/name": names.PROMETHEUS}
        closed = pods.reachable(f"{name}-ingress", namespace, only, names.PROMETHEUS_PORT, inside)
        closed.append(pods.among(f"{name}-ingress", namespace, only, inside))
        self.closed: list[pulumi.Resource] = [namespace, *closed]
        apps = scraping.app_job(args.app, tuple(args.namespaces), args.port)
        jobs = ((apps,) if args.namespaces else ()) + scraping.argocd_jobs()
        looked_into = {**args.namespaces, names.ARGOCD: args.argocd}
        if "" in args.rollouts:
            jobs += (scraping.rollouts_job(),)
            looked_into[names.ROLLOUTS] = args.rollouts[""]
            closed.append(self._let_in(scraping.rollouts_job(), args.rollouts[""]))
        further = {key: (each.server, self._jobs_of(key, each)) for key, each in args.clusters.items()}
        rights = [one for of in looked_into for one in self._rights("", args.cluster, of, looked_into[of])]
        secrets = alerting.secrets(args.settings)
        known = [*self._clusters(inside), *self._secret(RECEIVERS, secrets, inside)]
        values = chart_values(
            scraping.config(jobs, further, args.beside),
            alerting.rules(args.argocd_url, args.key_made),
            alerting.config(args.settings),
            sorted({*looked_into, names.MONITORING}),
            node_port=args.node_port,
            clusters=CLUSTERS if args.clusters else "",
            secrets=RECEIVERS if secrets else "",
        )
        images = args.images(name, args.cluster, self)
        self.ready: list[pulumi.Resource] = [
            release(
                f"{name}-release",
                names.PROMETHEUS,
                args.chart,
                values,
                timeout=args.timeout,
                opts=args.cluster.inside(self, depends_on=[namespace, *closed, *rights, *known, *images]),
                namespace=names.MONITORING,
            )
        ]
        self.register_outputs({"namespace": names.MONITORING})

    def _jobs_of(self, key: str, watched: WatchedCluster) -> tuple[Job, ...]:
        """Return what is asked in a further cluster."""
        apps = scraping.app_job(self._args.app, tuple(watched.namespaces), self._args.port)
        return (apps, scraping.rollouts_job()) if key in self._args.rollouts else (apps,)

    def _let_in(self, job: Job, namespace: pulumi.Resource) -> kubernetes.networking.v1.NetworkPolicy:
        """Let Prometheus into a namespace that is closed otherwise."""
        api = kubernetes.networking.v1
        prometheus = api.NetworkPolicyPeerArgs(
            namespace_selector=_labelled({"kubernetes.io/metadata.name": names.MONITORING}),
            pod_selector=_labelled({"app.kubernetes.io/name": names.PROMETHEUS}),
        )
        return api.NetworkPolicy(
            f"{self._name}-{job.name.removeprefix('argo-')}",
            metadata=kubernetes.meta.v1.ObjectMetaArgs(name="ingress-prometheus", namespace=job.namespaces[0]),
            spec=api.NetworkPolicySpecArgs(
                pod_selector=_labelled({"app.kubernetes.io/name": job.app}),
                policy_types=["Ingress"],
                ingress=[
                    api.NetworkPolicyIngressRuleArgs(
                        from_=[prometheus], ports=[api.NetworkPolicyPortArgs(port=job.port, protocol="TCP")]
                    )
                ],
            ),
            opts=self._args.cluster.inside(self, depends_on=[namespace]),
        )

    def _clusters(self, inside: pulumi.ResourceOptions) -> list[pulumi.Resource]:
        """Return the Secret by which further clusters are asked, when there are any."""
        files: dict[str, pulumi.Output[str]] = {}
        rights: list[pulumi.Resource] = []
        for key, each in self._args.clusters.items():
            token = self._account(key, each)
            files[f"{key}.token"] = token.data.apply(lambda data: base64.b64decode(data["token"]).decode())
            files[f"{key}.crt"] = token.data.apply(lambda data: base64.b64decode(data["ca.crt"]).decode())
            looked_into = dict(each.namespaces)
            if key in self._args.rollouts:
                looked_into[names.ROLLOUTS] = self._args.rollouts[key]
            rights += [one for of in looked_into for one in self._rights(key, each.cluster, of, looked_into[of])]
        return [*rights, *self._secret(CLUSTERS, files, inside)]

    def _secret(
        self, of: str, files: Mapping[str, pulumi.Output[str]], inside: pulumi.ResourceOptions
    ) -> list[pulumi.Resource]:
        if not files:
            return []
        metadata = kubernetes.meta.v1.ObjectMetaArgs(name=of, namespace=names.MONITORING)
        return [kubernetes.core.v1.Secret(f"{self._name}-{of}", metadata=metadata, string_data=files, opts=inside)]

    def _account(self, key: str, watched: WatchedCluster) -> kubernetes.core.v1.Secret:
        """Return the token of an account in a further cluster."""
        name, cluster = f"{self._name}-{key}", watched.cluster
        namespace = pods.namespace(f"{name}-namespace", names.MONITORING, cluster, self)
        pods.closed(name, namespace, cluster.inside(self, depends_on=[namespace]))
        return pods.account(name, names.PROMETHEUS, namespace, cluster, self)

    def _rights(self, key: str, cluster: Cluster, namespace: str, made: pulumi.Resource) -> list[pulumi.Resource]:
        """Let Prometheus find the pods of a namespace, and ask them through the API of a further cluster."""
        name = "-".join(filter(None, ("seen", key, namespace.removeprefix("argo-"))))
        api = kubernetes.rbac.v1
        metadata = kubernetes.meta.v1.ObjectMetaArgs(name=names.PROMETHEUS, namespace=namespace)
        rules = [api.PolicyRuleArgs(api_groups=[""], resources=["pods"], verbs=[*READ])]
        if key:
            rules.append(api.PolicyRuleArgs(api_groups=[""], resources=["pods/proxy"], verbs=["get"]))
        role = api.Role(f"{name}-role", metadata=metadata, rules=rules, opts=cluster.inside(self, depends_on=[made]))
        binding = api.RoleBinding(
            f"{name}-bound",
            metadata=metadata,
            role_ref=api.RoleRefArgs(api_group="rbac.authorization.k8s.io", kind="Role", name=names.PROMETHEUS),
            subjects=[api.SubjectArgs(kind="ServiceAccount", name=names.PROMETHEUS, namespace=names.MONITORING)],
            opts=cluster.inside(self, depends_on=[role]),
        )
        return [role, binding]


def _labelled(labels: dict[str, str]) -> kubernetes.meta.v1.LabelSelectorArgs:
    return kubernetes.meta.v1.LabelSelectorArgs(match_labels=labels)
