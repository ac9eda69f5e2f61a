"""What every namespace and every pod of ours has in common: who may run there, as what, and who may reach it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import pulumi_kubernetes as kubernetes

from components.core import versions

if TYPE_CHECKING:
    from collections.abc import Mapping

    import pulumi

    from components.core.cluster import Cluster

# The restricted Pod Security Standard: https://kubernetes.io/docs/concepts/security/pod-security-standards/
RESTRICTED_CONTAINER: Final = kubernetes.core.v1.SecurityContextArgs(
    allow_privilege_escalation=False,
    read_only_root_filesystem=True,
    capabilities=kubernetes.core.v1.CapabilitiesArgs(drop=["ALL"]),
)


def restricted_pod(user: int) -> kubernetes.core.v1.PodSecurityContextArgs:
    """Return the security context of a pod that meets the restricted Pod Security Standard.

    Args:
        user: ID of the image's user and group.
    """
    return kubernetes.core.v1.PodSecurityContextArgs(
        run_as_non_root=True,
        run_as_user=user,
        run_as_group=user,
        seccomp_profile=kubernetes.core.v1.SeccompProfileArgs(type="RuntimeDefault"),
    )


def restricted() -> dict[str, str]:
    """Return the labels of a namespace that enforces the restricted Pod Security Standard of the pinned Kubernetes."""
    minor = versions.K3S.rpartition(".")[0]
    prefix = "pod-security.kubernetes.io"
    modes = ("enforce", "warn", "audit")
    return {f"{prefix}/{mode}": "restricted" for mode in modes} | {f"{prefix}/{mode}-version": minor for mode in modes}


def namespace(
    name: str, of: str, cluster: Cluster, parent: pulumi.Resource, *, after: pulumi.Resource | None = None
) -> kubernetes.core.v1.Namespace:
    """Make a namespace that enforces the restricted Pod Security Standard.

    Args:
        name: of the resource.
        of: its name in the cluster.
        cluster: where it is.
        parent: the component that it belongs to.
        after: what has to be there before it.
    """
    return kubernetes.core.v1.Namespace(
        name,
        metadata=kubernetes.meta.v1.ObjectMetaArgs(
            name=of,
            labels=restricted(),
            # It may have been Argo CD's, by a manifest in Git; what is in it must not go with that manifest.
            annotations={"argocd.argoproj.io/sync-options": "Prune=false,Delete=false"},
        ),
        # In a cluster that is not ours it may have been there before, with what others have in it.
        opts=cluster.inside(parent, retain_on_delete=cluster.lifetime is None, depends_on=[after] if after else None),
    )


def account(
    name: str, of: str, namespace: kubernetes.core.v1.Namespace, cluster: Cluster, parent: pulumi.Resource
) -> kubernetes.core.v1.Secret:
    """Make a service account for somebody outside of its cluster, and return its token, which ends with it.

    Args:
        name: what the resources' names begin with.
        of: its name in the cluster.
        namespace: where it is.
        cluster: which one.
        parent: the component that it belongs to.
    """
    where = namespace.metadata.name
    made = kubernetes.core.v1.ServiceAccount(
        f"{name}-account",
        metadata=kubernetes.meta.v1.ObjectMetaArgs(name=of, namespace=where),
        automount_service_account_token=False,
        opts=cluster.inside(parent, depends_on=[namespace]),
    )
    return kubernetes.core.v1.Secret(
        f"{name}-token",
        metadata=kubernetes.meta.v1.ObjectMetaArgs(
            name=f"{of}-token", namespace=where, annotations={"kubernetes.io/service-account.name": of}
        ),
        type="kubernetes.io/service-account-token",
        opts=cluster.inside(parent, depends_on=[made], additional_secret_outputs=["data"]),
    )


def reachable(
    name: str, of: kubernetes.core.v1.Namespace, pods: Mapping[str, str], port: int, opts: pulumi.ResourceOptions
) -> list[pulumi.Resource]:
    """Let nothing into a namespace but what asks for one port of some of its pods.

    Args:
        name: what the resources' names begin with.
        of: the namespace.
        pods: labels of the pods that can be reached, from anywhere: a node port's callers are outside.
        port: of their containers.
        opts: of the NetworkPolicies.
    """
    allowed = kubernetes.networking.v1.NetworkPolicySpecArgs(
        pod_selector=kubernetes.meta.v1.LabelSelectorArgs(match_labels=pods),
        policy_types=["Ingress"],
        ingress=[
            kubernetes.networking.v1.NetworkPolicyIngressRuleArgs(
                ports=[kubernetes.networking.v1.NetworkPolicyPortArgs(port=port, protocol="TCP")]
            )
        ],
    )
    return [closed(name, of, opts), _policy(name, "allow", of, allowed, opts)]


def closed(
    name: str, of: kubernetes.core.v1.Namespace, opts: pulumi.ResourceOptions
) -> kubernetes.networking.v1.NetworkPolicy:
    """Let nothing into a namespace.

    Args:
        name: what the resource's name begins with.
        of: the namespace.
        opts: of the NetworkPolicy.
    """
    nothing = kubernetes.networking.v1.NetworkPolicySpecArgs(
        pod_selector=kubernetes.meta.v1.LabelSelectorArgs(), policy_types=["Ingress"]
    )
    return _policy(name, "deny", of, nothing, opts)


def among(
    name: str, of: kubernetes.core.v1.Namespace, callers: Mapping[str, str], opts: pulumi.ResourceOptions
) -> kubernetes.networking.v1.NetworkPolicy:
    """Let some pods of a namespace reach all of it.

    Args:
        name: what the resource's name begins with.
        of: the namespace.
        callers: labels of the pods that may call.
        opts: of the NetworkPolicy.
    """
    peer = kubernetes.networking.v1.NetworkPolicyPeerArgs(
        pod_selector=kubernetes.meta.v1.LabelSelectorArgs(match_labels=callers)
    )
    allowed = kubernetes.networking.v1.NetworkPolicySpecArgs(
        pod_selector=kubernetes.meta.v1.LabelSelectorArgs(),
        policy_types=["Ingress"],
        ingress=[kubernetes.networking.v1.NetworkPolicyIngressRuleArgs(from_=[peer])],
    )
    return _policy(name, "among", of, allowed, opts)


def _policy(
    name: str,
    rule: str,
    of: kubernetes.core.v1.Namespace,
    spec: kubernetes.networking.v1.NetworkPolicySpecArgs,
    opts: pulumi.ResourceOptions,
) -> kubernetes.networking.v1.NetworkPolicy:
    metadata = kubernetes.meta.v1.ObjectMetaArgs(name=f"ingress-{rule}", namespace=of.metadata.name)
    return kubernetes.networking.v1.NetworkPolicy(f"{name}-{rule}", metadata=metadata, spec=spec, opts=opts)
