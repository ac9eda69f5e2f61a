"""Secrets in Git: a controller in each cluster that reads what was sealed for its namespaces, with keys of the stack's.

https://github.com/bitnami-labs/sealed-secrets
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import pulumi
import pulumi_kubernetes as kubernetes

from components.core import names, pods, versions
from components.gitops.release import release
from components.gitops.sealing_key import SealingKey

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from components.core.cluster import Cluster
    from components.gitops.chart import Chart

KEY_LABEL: Final = "sealedsecrets.bitnami.com/sealed-secrets-key"
USER: Final = 1001  # of the image


class SealingKeys(pulumi.ComponentResource):
    """The keys of a stack, the last of which is the one to seal with.

    Type token ``iot:gitops:SealingKeys``. Makes a key named ``{name}-NUMBER`` for each.

    Attributes:
        keys: all of them.
    """

    def __init__(
        self, name: str, of: str, count: int, *, restore: bool, opts: pulumi.ResourceOptions | None = None
    ) -> None:
        """Make them.

        Args:
            name: of the component.
            of: what the files begin with that they are kept in.
            count: how many.
            restore: whether those that were kept are taken.
            opts: of the component.
        """
        super().__init__("iot:gitops:SealingKeys", name, {"count": count}, opts)
        self.keys: list[SealingKey] = []
        for number in range(1, count + 1):
            # One after the other: the controller takes the youngest for the one to seal with.
            after = pulumi.ResourceOptions(parent=self, depends_on=self.keys[-1:])
            self.keys.append(SealingKey(f"{name}-{number}", f"{of}-{number}", after, restore=restore))
        self.register_outputs({"certificate": self.keys[-1].certificate})


@dataclass(frozen=True, kw_only=True)
class SealedSecretsArgs:
    """What reads sealed secrets in a cluster.

    Attributes:
        cluster: the cluster.
        namespaces: where it reads them, by the resources that make them.
        sealing: what it reads them with, and where it comes from.
    """

    cluster: Cluster
    namespaces: Mapping[str, pulumi.Resource]
    sealing: Sealing


class SealedSecrets(pulumi.ComponentResource):
    """The controller of Sealed Secrets, with rights in some namespaces alone.

    Type token ``iot:gitops:SealedSecrets``. Makes a Namespace that nothing reaches, a Secret for each key, and a Helm
    Release named ``{name}-release``.

    Attributes:
        ready: what has to be there before a sealed secret is.
    """

    def __init__(self, name: str, args: SealedSecretsArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("iot:gitops:SealedSecrets", name, {"namespaces": sorted(args.namespaces)}, opts)
        sealing = args.sealing
        namespace = pods.namespace(f"{name}-namespace", names.SEALED_SECRETS, args.cluster, self)
        inside = args.cluster.inside(self, depends_on=[namespace])
        closed = pods.closed(f"{name}-ingress", namespace, inside)
        keys = [
            kubernetes.core.v1.Secret(
                f"{name}-key-{number}",
                metadata=kubernetes.meta.v1.ObjectMetaArgs(
                    name=f"sealing-key-{number}", namespace=names.SEALED_SECRETS, labels={KEY_LABEL: "active"}
                ),
                type="kubernetes.io/tls",
                string_data={"tls.crt": key.certificate, "tls.key": key.private_key},
                opts=inside,
            )
            for number, key in enumerate(sealing.keys, start=1)
        ]
        images = sealing.images(name, args.cluster, self)
        # The controller reads its keys when it starts.
        known = pulumi.Output.all(*[key.certificate for key in sealing.keys]).apply(_digest)
        self.ready: list[pulumi.Resource] = [
            release(
                f"{name}-release",
                names.SEALED_SECRETS,
                sealing.chart,
                chart_values(sorted(args.namespaces)) | {"podAnnotations": {"iot/sealing-keys": known}},
                timeout=sealing.timeout,
                opts=args.cluster.inside(
                    self, depends_on=[namespace, closed, *keys, *args.namespaces.values(), *images]
                ),
            )
        ]
        self.register_outputs({"namespace": names.SEALED_SECRETS})


@dataclass(frozen=True, kw_only=True)
class Sealing:
    """How a stack has secrets in Git.

    Attributes:
        keys: what they are read with.
        chart: where the Helm chart comes from.
        images: makes what has to be there before the controller's image can run, as part of a component.
        timeout: seconds until a controller has to be ready.
    """

    keys: list[SealingKey]
    chart: Chart
    images: Callable[[str, Cluster, pulumi.Resource], list[pulumi.Resource]]
    timeout: int

    def into(
        self, cluster: Cluster, namespaces: Mapping[str, pulumi.Resource], parent: pulumi.Resource, name: str = ""
    ) -> list[pulumi.Resource]:
        """Have sealed secrets read in some namespaces of a cluster, and return what has to be there before they are.

        Args:
            cluster: the cluster.
            namespaces: by the resources that make them.
            parent: the component that it belongs to.
            name: of the cluster; empty for Argo CD's own.
        """
        args = SealedSecretsArgs(cluster=cluster, namespaces=namespaces, sealing=self)
        return SealedSecrets(f"sealed-{name}".rstrip("-"), args, pulumi.ResourceOptions(parent=parent)).ready


def chart_values(namespaces: list[str]) -> dict[str, Any]:
    """Return the chart's values, but for what tells one set of keys from another.

    Args:
        namespaces: where it reads sealed secrets.
    """
    image, _, tag = versions.SEALED_SECRETS_IMAGE.partition(":")
    seccomp = {"seccompProfile": {"type": "RuntimeDefault"}}
    return {
        "image": {"registry": "docker.io", "repository": image, "tag": tag},
        # The keys are Pulumi's: one that the controller made would go with the cluster.
        "keyrenewperiod": "0",
        # It looks into its own namespace in any case.
        "additionalNamespaces": [names.SEALED_SECRETS, *namespaces],
        "rbac": {"clusterRole": False, "namespacedRoles": True, "serviceProxier": {"create": False}},
        "podSecurityContext": {"enabled": True, "fsGroup": 65534, "runAsNonRoot": True, **seccomp},
        "containerSecurityContext": {
            "enabled": True,
            "allowPrivilegeEscalation": False,
            "readOnlyRootFilesystem": True,
            "runAsNonRoot": True,
            "runAsUser": USER,
            "capabilities": {"drop": ["ALL"]},
        },
        "resources": {
            "requests": {"cpu": "10m", "memory": "24Mi"},
            "limits": {"cpu": "1", "memory": "96Mi"},
        },
        "readinessProbe": {"enabled": True, "periodSeconds": 2},
    }


def _digest(certificates: list[str]) -> str:
    return hashlib.sha256("".join(certificates).encode()).hexdigest()[:16]
