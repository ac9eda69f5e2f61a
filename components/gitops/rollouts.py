"""Versions that prove themselves before they take over: Argo Rollouts in the clusters whose environments want it.

https://argoproj.github.io/rollouts/
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import pulumi
import pulumi_kubernetes as kubernetes

from components.core import names, pods, versions
from components.gitops.release import release

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from components.core.cluster import Cluster
    from components.gitops.chart import Chart

USER: Final = 999  # of the image
METRICS: Final = 8090  # port of the controller
GROUP: Final = "argoproj.io"
# What the controller looks at in the whole cluster; it can't be told to look at some namespaces.
SEEN: Final = {
    GROUP: ["analysisruns", "analysistemplates", "clusteranalysistemplates", "experiments", "rollouts"],
    "": ["services"],
    "apps": ["replicasets"],
    "batch": ["jobs"],
    "networking.k8s.io": ["ingresses"],
}
READ: Final = ["get", "list", "watch"]


@dataclass(frozen=True, kw_only=True)
class RolloutsArgs:
    """What makes the versions of some namespaces prove themselves.

    Attributes:
        cluster: where they are.
        namespaces: they, by the resources that make them.
        delivery: how it gets there.
        prometheus: URL of what analyses ask, as the cluster reaches it; empty for none.
    """

    cluster: Cluster
    namespaces: Mapping[str, pulumi.Resource]
    delivery: Delivery
    prometheus: str


class Rollouts(pulumi.ComponentResource):
    """The controller of Argo Rollouts, which changes some namespaces alone and reads no Secret.

    Type token ``iot:gitops:Rollouts``. Makes a Namespace, NetworkPolicies, a ClusterRole to look, a Role in each
    namespace to act, their bindings, and a Helm Release named ``{name}-release``.

    Attributes:
        namespace: of the controller.
        ready: what has to be there before a Rollout is.
    """

    def __init__(self, name: str, args: RolloutsArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("iot:gitops:Rollouts", name, {"namespaces": sorted(args.namespaces)}, opts)
        cluster, delivery = args.cluster, args.delivery
        namespace = self.namespace = pods.namespace(f"{name}-namespace", names.ROLLOUTS, cluster, self)
        inside = cluster.inside(self, depends_on=[namespace])
        controller = {"app.kubernetes.io/name": names.ROLLOUTS}
        policies = pods.reachable(name, namespace, controller, METRICS, inside)
        rights = [*self._looks(name, cluster), *self._own(name, cluster, namespace)]
        for key, its in args.namespaces.items():
            rights += self._acts(name, key, cluster, its)
        made = release(
            f"{name}-release",
            names.ROLLOUTS,
            delivery.chart,
            chart_values(args.prometheus),
            timeout=delivery.timeout,
            opts=cluster.inside(
                self, depends_on=[namespace, *policies, *rights, *delivery.images(name, cluster, self)]
            ),
        )
        self.ready: list[pulumi.Resource] = [made]
        self.register_outputs({"namespace": names.ROLLOUTS})

    def _looks(self, name: str, cluster: Cluster) -> list[pulumi.Resource]:
        rules = [_rule(group, kinds, READ) for group, kinds in SEEN.items()]
        metadata = kubernetes.meta.v1.ObjectMetaArgs(name=names.ROLLOUTS)
        inside = cluster.inside(self)
        role = kubernetes.rbac.v1.ClusterRole(f"{name}-looks", metadata=metadata, rules=rules, opts=inside)
        binding = kubernetes.rbac.v1.ClusterRoleBinding(
            f"{name}-looks",
            metadata=metadata,
            role_ref=_role("ClusterRole"),
            subjects=[_controller()],
            opts=cluster.inside(self, depends_on=[role]),
        )
        return [role, binding]

    def _own(self, name: str, cluster: Cluster, namespace: pulumi.Resource) -> list[pulumi.Resource]:
        """Let it note that it is the one that works, and read its settings, by their names alone."""
        rules = [
            _rule("coordination.k8s.io", ["leases"], ["create"]),
            _rule("coordination.k8s.io", ["leases"], ["get", "update"], ["argo-rollouts-controller-lock"]),
            _rule("", ["configmaps"], READ, ["argo-rollouts-config", "argo-rollouts-notification-configmap"]),
            _rule("", ["secrets"], READ, ["argo-rollouts-notification-secret"]),
        ]
        return self._granted(f"{name}-own", names.ROLLOUTS, rules, cluster, namespace)

    def _acts(self, name: str, namespace: str, cluster: Cluster, there: pulumi.Resource) -> list[pulumi.Resource]:
        rules = [
            _rule(GROUP, ["rollouts", "rollouts/status", "rollouts/finalizers"], ["update", "patch"]),
            _rule(GROUP, ["analysisruns", "analysisruns/finalizers"], ["create", "update", "patch", "delete"]),
            _rule("apps", ["replicasets"], ["create", "update", "patch", "delete"]),
            _rule("", ["services"], ["patch"]),
            _rule("", ["pods"], [*READ, "update"]),
            _rule("", ["pods/eviction"], ["create"]),
            _rule("", ["events"], ["create", "update", "patch"]),
        ]
        return self._granted(f"{name}-{namespace}", namespace, rules, cluster, there)

    def _granted(
        self,
        name: str,
        namespace: str,
        rules: list[kubernetes.rbac.v1.PolicyRuleArgs],
        cluster: Cluster,
        there: pulumi.Resource,
    ) -> list[pulumi.Resource]:
        metadata = kubernetes.meta.v1.ObjectMetaArgs(name=names.ROLLOUTS_CONTROLLER, namespace=namespace)
        role = kubernetes.rbac.v1.Role(
            f"{name}-role", metadata=metadata, rules=rules, opts=cluster.inside(self, depends_on=[there])
        )
        binding = kubernetes.rbac.v1.RoleBinding(
            f"{name}-binding",
            metadata=metadata,
            role_ref=_role("Role", names.ROLLOUTS_CONTROLLER),
            subjects=[_controller()],
            opts=cluster.inside(self, depends_on=[role]),
        )
        return [role, binding]


@dataclass(frozen=True, kw_only=True)
class Delivery:
    """How a stack has versions prove themselves.

    Attributes:
        chart: where the Helm chart comes from.
        images: makes what has to be there before the controller's image can run, as part of a component.
        timeout: seconds until a controller has to be ready.
        prometheus: URL of what analyses ask, by cluster as that one reaches it; empty for none.
    """

    chart: Chart
    images: Callable[[str, Cluster, pulumi.Resource], list[pulumi.Resource]]
    timeout: int
    prometheus: Mapping[str, str]

    def into(
        self, cluster: Cluster, namespaces: Mapping[str, pulumi.Resource], parent: pulumi.Resource, name: str = ""
    ) -> Rollouts:
        """Have Rollouts work in some namespaces of a cluster.

        Args:
            cluster: the cluster.
            namespaces: by the resources that make them.
            parent: the component that it belongs to.
            name: of the cluster; empty for Argo CD's own.
        """
        asked = self.prometheus.get(name, "")
        args = RolloutsArgs(cluster=cluster, namespaces=namespaces, delivery=self, prometheus=asked)
        return Rollouts(f"rollouts-{name}".rstrip("-"), args, pulumi.ResourceOptions(parent=parent))


def chart_values(prometheus: str) -> dict[str, Any]:
    """Return the chart's values (https://github.com/argoproj/argo-helm/tree/main/charts/argo-rollouts).

    Args:
        prometheus: URL of what analyses ask that name no address; empty for none.
    """
    image, _, tag = versions.ROLLOUTS_IMAGE.partition(":")
    registry, _, repository = image.partition("/")
    asked = [{"name": "ARGO_ROLLOUTS_PROMETHEUS_ADDRESS", "value": prometheus}] if prometheus else []
    return {
        "fullnameOverride": names.ROLLOUTS,
        # With the kinds, what is of them would go, and with it the pods of an environment that nobody has synced yet to
        # what it is to be from now on.
        "keepCRDs": True,
        "createClusterAggregateRoles": False,
        "controller": {
            "replicas": 1,
            "image": {"registry": registry, "repository": repository, "tag": tag},
            # Its own lets the controller read every Secret, and change what it likes in every namespace.
            "createClusterRole": False,
            "extraEnv": asked,
            "resources": {
                "requests": {"cpu": "10m", "memory": "48Mi"},
                "limits": {"cpu": "1", "memory": "192Mi"},
            },
            "readinessProbe": {"initialDelaySeconds": 1, "periodSeconds": 2, "failureThreshold": 30},
        },
        "podSecurityContext": {"runAsNonRoot": True, "runAsUser": USER, "seccompProfile": {"type": "RuntimeDefault"}},
    }


def _rule(
    group: str, resources: list[str], verbs: list[str], only: list[str] | None = None
) -> kubernetes.rbac.v1.PolicyRuleArgs:
    return kubernetes.rbac.v1.PolicyRuleArgs(api_groups=[group], resources=resources, verbs=verbs, resource_names=only)


def _role(kind: str, name: str = names.ROLLOUTS) -> kubernetes.rbac.v1.RoleRefArgs:
    return kubernetes.rbac.v1.RoleRefArgs(api_group="rbac.authorization.k8s.io", kind=kind, name=name)


def _controller() -> kubernetes.rbac.v1.SubjectArgs:
    return kubernetes.rbac.v1.SubjectArgs(kind="ServiceAccount", name=names.ROLLOUTS, namespace=names.ROLLOUTS)
