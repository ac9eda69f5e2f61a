"""What Argo CD may do, and the Application that keeps the app equal to Git."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import pulumi
import pulumi_command as command
import pulumi_kubernetes as kubernetes

from components.core import names, pods
from components.core.run import module, module_hash
from components.gitops.allowed import KINDS

if TYPE_CHECKING:
    from collections.abc import Mapping

    from components.core.cluster import Cluster
    from components.gitops.git_server import GitRepository

IN_CLUSTER: Final = "https://kubernetes.default.svc"
WAIT: Final = "components.gitops.wait_application"


@dataclass(frozen=True, kw_only=True)
class GitOpsProjectArgs:
    """What one project may do.

    Attributes:
        cluster: where Argo CD runs.
        repository: URL of the only repository that it may follow.
        namespace: the only one that it may change.
        app: the app in it, which is all that is reached from outside.
        port: of the app's containers.
        argocd: the release that knows the kind.
        target: the cluster that the namespace is in; None for the one that Argo CD runs in.
        server: where Argo CD reaches that.
        kinds: what Git may bring, by API group.
    """

    cluster: Cluster
    repository: str
    namespace: str
    app: str
    port: int
    argocd: pulumi.Resource
    target: Cluster | None = None
    server: str = IN_CLUSTER
    kinds: tuple[tuple[str, str], ...] = KINDS


class GitOpsProject(pulumi.ComponentResource):
    """A namespace, and an AppProject that allows one repository, and Deployments and Services in that namespace.

    The namespace is not Git's: whoever may push could take its Pod Security labels off.

    Type token ``iot:argocd:GitOpsProject``. Makes a Namespace, NetworkPolicies in it, and an AppProject named after the
    component.

    Attributes:
        namespace: where it goes.
        ready: what has to be there before anything is applied.
    """

    def __init__(self, name: str, args: GitOpsProjectArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__(
            "iot:argocd:GitOpsProject", name, {"repository": args.repository, "namespace": args.namespace}, opts
        )
        target = args.target or args.cluster
        # It may have been in Argo CD's cluster before. Where that is replaced now, the engine has to have deleted it
        # there before it is registered here: its state would have it twice.
        after = args.cluster.provider if target is not args.cluster else None
        namespace = pods.namespace(f"{name}-namespace", args.namespace, target, self, after=after)
        only = {"app.kubernetes.io/name": args.app}
        policies = pods.reachable(f"{name}-ingress", namespace, only, args.port, target.inside(self))
        project = kubernetes.apiextensions.CustomResource(
            f"{name}-project",
            api_version="argoproj.io/v1alpha1",
            kind="AppProject",
            metadata=kubernetes.meta.v1.ObjectMetaArgs(name=name, namespace=names.ARGOCD),
            spec={
                "description": "One repository, one namespace, and the kinds that the app needs",
                "sourceRepos": [args.repository],
                "destinations": [{"server": args.server, "namespace": args.namespace}],
                "clusterResourceWhitelist": [],
                "namespaceResourceWhitelist": [{"group": group, "kind": kind} for group, kind in args.kinds],
            },
            opts=args.cluster.inside(self, depends_on=[args.argocd]),
        )
        self.namespace = namespace
        self.ready: list[pulumi.Resource] = [namespace, *policies, project]
        self.register_outputs({"project": project.id})


@dataclass(frozen=True, kw_only=True)
class GitOpsAppArgs:
    """An app that follows a folder in Git.

    Attributes:
        cluster: where it runs.
        repository: where the folder is.
        revision: branch, tag or commit.
        path: the folder.
        project: name of the AppProject.
        namespace: where the app goes.
        image: what the settings say that it runs, without a tag; Git may say another one.
        depends_on: what has to be there first.
        timeout: seconds until it has to be Synced and Healthy.
        shared: whether other projects may follow the repository, too.
    """

    cluster: Cluster
    repository: GitRepository
    revision: str
    path: str
    project: str
    namespace: str
    image: str
    depends_on: list[pulumi.Resource]
    timeout: int
    shared: bool = False


class GitOpsApp(pulumi.ComponentResource):
    """An Application that is synced automatically, pruned and self-healed, and waited for.

    Type token ``iot:argocd:GitOpsApp``. Makes an Application named after the component, a Secret with the
    repository's credentials when it has any, and a ``command.local.Command`` named ``{name}-healthy`` that waits.

    Attributes:
        healthy: done when the Application is Synced and Healthy.
    """

    def __init__(self, name: str, args: GitOpsAppArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__(
            "iot:argocd:GitOpsApp",
            name,
            {"repository": args.repository.url, "revision": args.revision, "path": args.path},
            opts,
        )
        self._name, self._args = name, args
        credentials = self._credentials()
        spec = application_spec(
            repository=args.repository.url,
            revision=args.revision,
            path=args.path,
            project=args.project,
            namespace=args.namespace,
        )
        application = kubernetes.apiextensions.CustomResource(
            f"{name}-application",
            api_version="argoproj.io/v1alpha1",
            kind="Application",
            metadata=kubernetes.meta.v1.ObjectMetaArgs(
                name=name,
                namespace=names.ARGOCD,
                annotations={names.IMAGE_ANNOTATION: args.image} if args.image else None,
                # What the Application made goes with it, in a cluster that stays.
                finalizers=["resources-finalizer.argocd.argoproj.io"],
            ),
            spec=spec,
            opts=args.cluster.inside(self, depends_on=[*credentials, *args.depends_on]),
        )
        self.healthy = healthy(
            name,
            args.cluster,
            application=name,
            namespace=args.namespace,
            timeout=args.timeout,
            git=args.repository.container,
            triggers=[made(application), json.dumps([spec, args.image], sort_keys=True)],
            opts=pulumi.ResourceOptions(parent=self, depends_on=[application]),
        )
        self.register_outputs({"application": application.id})

    def _credentials(self) -> list[pulumi.Resource]:
        """Return the Secret by which Argo CD knows the repository's credentials, when there are any."""
        repository = self._args.repository
        data: dict[str, pulumi.Input[str]] = {"type": "git", "url": repository.url}
        data |= {} if self._args.shared else {"project": self._args.project}
        if repository.password:
            data |= {"username": repository.username, "password": repository.password}
        elif repository.ssh_key:
            data |= {"sshPrivateKey": repository.ssh_key}
        else:
            return []
        return [
            kubernetes.core.v1.Secret(
                f"{self._name}-repository",
                metadata=kubernetes.meta.v1.ObjectMetaArgs(
                    name=f"{self._name}-repository",
                    namespace=names.ARGOCD,
                    labels={"argocd.argoproj.io/secret-type": "repository"},
                ),
                string_data=data,
                opts=self._args.cluster.inside(self, depends_on=self._args.depends_on),
            )
        ]


def application_spec(  # noqa: PLR0913 - what an Application can be told
    *,
    repository: str,
    revision: str,
    path: str,
    project: str,
    namespace: str,
    automated: bool = True,
    server: str = IN_CLUSTER,
    patches: tuple[Mapping[str, Any], ...] = (),
    components: tuple[str, ...] = (),
) -> dict[str, Any]:
    """Return the spec of an Application that makes a namespace equal to a folder in Git.

    Args:
        repository: URL, as Argo CD reaches it.
        revision: branch, tag or commit.
        path: the folder.
        project: name of the AppProject.
        namespace: where it goes.
        automated: whether Argo CD does it by itself, also after changes by hand; otherwise somebody has to ask for it.
        server: the cluster that it goes to.
        patches: what Kustomize changes in what the folder has, as `patches` of a kustomization has it.
        components: folders with what Kustomize adds to it, relative to it.
    """
    told = {"components": [*components], "patches": [*patches]}
    kustomize = {"kustomize": {key: each for key, each in told.items() if each}} if patches or components else {}
    retry = {
        "limit": 10,
        "backoff": {"duration": "2s", "factor": 2, "maxDuration": "1m"},
        # Otherwise what puts a refused commit right would wait until that one is given up.
        "refresh": True,
    }
    return {
        "project": project,
        "source": {"repoURL": repository, "targetRevision": revision, "path": path, **kustomize},
        "destination": {"server": server, "namespace": namespace},
        "syncPolicy": {"automated": {"prune": True, "selfHeal": True}, "retry": retry} if automated else {},
    }


def made(application: kubernetes.apiextensions.CustomResource) -> pulumi.Output[str]:
    """Return what is another one when an Application was deleted by hand, and is made again under its name."""
    metadata = application.metadata  # type: ignore[attr-defined]  # its stub leaves out what every object has
    return pulumi.Output.all(application.id, metadata).apply(
        lambda found: f"{found[0]} {(found[1] or {}).get('uid', '')}".rstrip()
    )


def healthy(  # noqa: PLR0913 - what is waited for, where, and how long
    name: str,
    cluster: Cluster,
    *,
    application: str,
    namespace: str,
    timeout: int,
    triggers: list[pulumi.Input[str]],
    opts: pulumi.ResourceOptions,
    by_hand: bool = False,
    target: Cluster | None = None,
    git: str,
) -> command.local.Command:
    """Wait until an Application is Synced and Healthy.

    Args:
        name: what the resource's name begins with.
        cluster: where it is.
        application: its name.
        namespace: of its pods.
        timeout: seconds.
        triggers: what it is waited for again when it is another.
        opts: the parent, and what comes before.
        by_hand: whether nobody but people syncs it; one of which its cluster has nothing is synced once.
        target: the cluster with its pods; None for the one that it is in itself.
        git: the container with what it follows, see ``GitRepository``.
    """
    more = pulumi.ResourceOptions(
        deleted_with=cluster.lifetime,
        delete_before_replace=True,
        # Another kubeconfig of the same cluster is no reason to wait again.
        ignore_changes=["environment"],
    )
    return command.local.Command(
        f"{name}-healthy",
        create=module(WAIT),
        delete=":",
        environment={
            "KUBECONFIG_TEXT": cluster.kubeconfig,
            "APPLICATION": application,
            "NAMESPACE": names.ARGOCD,
            "APP_NAMESPACE": namespace,
            "TIMEOUT": str(timeout),
            **({"BY_HAND": "true"} if by_hand else {}),
            **({"APP_KUBECONFIG_TEXT": target.kubeconfig} if target else {}),
            "CONTAINERS": pulumi.Output.all(*(each.nodes for each in (cluster, target) if each)).apply(
                lambda nodes: " ".join([*(name for each in nodes for name in each), git]).strip()
            ),
        },
        triggers=[
            cluster.identity,
            *([target.identity] if target else []),
            *triggers,
            module_hash(WAIT, "components.gitops.application_status"),
        ],
        opts=pulumi.ResourceOptions.merge(opts, more),
    )
