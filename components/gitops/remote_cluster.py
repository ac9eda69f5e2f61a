"""A cluster that Argo CD deploys to besides its own, with the rights that its environments need and no others."""

from __future__ import annotations

import base64
import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import pulumi
import pulumi_command as command
import pulumi_kubernetes as kubernetes

from components.core import names, pods
from components.core.run import module
from components.gitops.allowed import KINDS, PROGRESSIVE

if TYPE_CHECKING:
    from collections.abc import Mapping

    from components.core.cluster import Cluster

LEAVE: Final = "components.gitops.leave_namespace"
# What Argo CD looks at to say whether an app is healthy, and shows; it changes what Git may bring alone.
WATCHED: Final = (
    *(("apps", "replicasets"), ("", "pods"), ("", "endpoints"), ("discovery.k8s.io", "endpointslices")),
    ("argoproj.io", "analysisruns"),
)


@dataclass(frozen=True, kw_only=True)
class RemoteClusterArgs:
    """A cluster that Argo CD is told of.

    Attributes:
        cluster: that cluster.
        server: where Argo CD reaches it.
        namespaces: what it may change there, by the resources that make them.
        argocd: where Argo CD is.
        release: of Argo CD.
        kinds: what it may change in them, by API group.
    """

    cluster: Cluster
    server: str
    namespaces: dict[str, list[pulumi.Resource]]
    argocd: Cluster
    release: pulumi.Resource
    kinds: tuple[tuple[str, str], ...] = KINDS


class RemoteCluster(pulumi.ComponentResource):
    """A service account in a cluster that may change some namespaces, and the Secret by which Argo CD uses it.

    Type token ``iot:argocd:RemoteCluster``. Makes a Namespace with a ServiceAccount and its token, a Role and a
    RoleBinding in each of the namespaces, and a Secret beside Argo CD. In a cluster that is not ours, a
    ``command.local.Command`` for each namespace takes away what Argo CD has made there when it goes.

    Attributes:
        ready: what has to be there before anything is deployed to it.
    """

    def __init__(self, name: str, args: RemoteClusterArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__(
            "iot:argocd:RemoteCluster", name, {"server": args.server, "namespaces": sorted(args.namespaces)}, opts
        )
        namespace = pods.namespace(f"{name}-argocd", names.ARGOCD, args.cluster, self)
        token = pods.account(name, names.ARGOCD_ACCOUNT, namespace, args.cluster, self)
        rights = [each for of in args.namespaces for each in self._rights(name, of, args)]
        if args.cluster.lifetime is None:
            rights += [self._left(name, of, args) for of in args.namespaces]
        secret = kubernetes.core.v1.Secret(
            f"{name}-cluster",
            metadata=kubernetes.meta.v1.ObjectMetaArgs(
                name=f"cluster-{name}",
                namespace=names.ARGOCD,
                labels={"argocd.argoproj.io/secret-type": "cluster"},
            ),
            # https://argo-cd.readthedocs.io/en/stable/operator-manual/declarative-setup/#clusters
            string_data={
                "name": name,
                "server": args.server,
                "namespaces": ",".join(sorted(args.namespaces)),
                "clusterResources": "false",
                "config": token.data.apply(_config),
            },
            opts=args.argocd.inside(self, depends_on=[args.release, *rights]),
        )
        self.ready: list[pulumi.Resource] = [secret]
        self.register_outputs({"server": args.server})

    def _rights(self, name: str, namespace: str, args: RemoteClusterArgs) -> list[pulumi.Resource]:
        metadata = kubernetes.meta.v1.ObjectMetaArgs(name=names.ARGOCD_ACCOUNT, namespace=namespace)
        role = kubernetes.rbac.v1.Role(
            f"{name}-{namespace}-role",
            metadata=metadata,
            rules=[
                *(
                    kubernetes.rbac.v1.PolicyRuleArgs(
                        api_groups=[group],
                        resources=[f"{kind.lower()}s"],
                        verbs=["get", "list", "watch", "create", "update", "patch", "delete"],
                    )
                    for group, kind in args.kinds
                ),
                # What somebody has done about one that pauses.
                kubernetes.rbac.v1.PolicyRuleArgs(
                    api_groups=["argoproj.io"], resources=["rollouts/status"], verbs=["patch"]
                ),
                *(
                    kubernetes.rbac.v1.PolicyRuleArgs(
                        api_groups=[group], resources=[resource], verbs=["get", "list", "watch"]
                    )
                    for group, resource in WATCHED
                ),
            ],
            opts=args.cluster.inside(self, depends_on=args.namespaces[namespace]),
        )
        binding = kubernetes.rbac.v1.RoleBinding(
            f"{name}-{namespace}-binding",
            metadata=metadata,
            role_ref=kubernetes.rbac.v1.RoleRefArgs(
                api_group="rbac.authorization.k8s.io", kind="Role", name=names.ARGOCD_ACCOUNT
            ),
            subjects=[
                kubernetes.rbac.v1.SubjectArgs(kind="ServiceAccount", name=names.ARGOCD_ACCOUNT, namespace=names.ARGOCD)
            ],
            opts=args.cluster.inside(self, depends_on=[role]),
        )
        return [role, binding]

    def _left(self, name: str, namespace: str, args: RemoteClusterArgs) -> pulumi.Resource:
        """Have what Argo CD has made in a namespace go when Argo CD can't reach it any more, and not before."""
        return command.local.Command(
            f"{name}-{namespace}-left",
            create=":",
            delete=module(LEAVE),
            environment={
                "KUBECONFIG_TEXT": args.cluster.kubeconfig,
                "NAMESPACE": namespace,
                # Of the rest its cluster may know nothing, and has nothing.
                "KINDS": " ".join(kind for group, kind in args.kinds if (group, kind) not in PROGRESSIVE),
                "APPLICATION": namespace,  # an environment's Application, namespace and project have one name
            },
            triggers=[args.cluster.identity],
            opts=pulumi.ResourceOptions(parent=self, depends_on=args.namespaces[namespace]),
        )


def _config(data: Mapping[str, str]) -> str:
    """Return what Argo CD has to know of a cluster beside its address, with what a service account's Secret has."""
    token = base64.b64decode(data["token"]).decode()
    return json.dumps({"bearerToken": token, "tlsClientConfig": {"caData": data["ca.crt"]}})
