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

if TYPE_CHECKING:
    from components.core.cluster import Cluster
    from components.gitops.git_server import GitRepository

IN_CLUSTER: Final = "https://kubernetes.default.svc"
KINDS: Final = (("apps", "Deployment"), ("", "Service"))  # what Git may bring, by API group
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
    """

    cluster: Cluster
    repository: str
    namespace: str
    app: str
    port: int
    argocd: pulumi.Resource


class GitOpsProject(pulumi.ComponentResource):
    """A namespace, and an AppProject that allows one repository, and Deployments and Services in that namespace.

    The namespace is not Git's: whoever may push could take its Pod Security labels off.

    Type token ``iot:argocd:GitOpsProject``. Makes a Namespace, NetworkPolicies in it, and an AppProject named after the
    component.

    Attributes:
        ready: what has to be there before anything is applied.
    """

    def __init__(self, name: str, args: GitOpsProjectArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__(
            "iot:argocd:GitOpsProject", name, {"repository": args.repository, "namespace": args.namespace}, opts
        )
        namespace = pods.namespace(f"{name}-namespace", args.namespace, args.cluster, self)
        only = {"app.kubernetes.io/name": args.app}
        policies = pods.reachable(f"{name}-ingress", namespace, only, args.port, args.cluster.inside(self))
        project = kubernetes.apiextensions.CustomResource(
            f"{name}-project",
            api_version="argoproj.io/v1alpha1",
            kind="AppProject",
            metadata=kubernetes.meta.v1.ObjectMetaArgs(name=name, namespace=names.ARGOCD),
            spec={
                "description": "One repository, one namespace, and the kinds that the app needs",
                "sourceRepos": [args.repository],
                "destinations": [{"server": IN_CLUSTER, "namespace": args.namespace}],
                "clusterResourceWhitelist": [],
                "namespaceResourceWhitelist": [{"group": group, "kind": kind} for group, kind in KINDS],
            },
            opts=args.cluster.inside(self, depends_on=[args.argocd]),
        )
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
        spec = self._spec()
        application = kubernetes.apiextensions.CustomResource(
            f"{name}-application",
            api_version="argoproj.io/v1alpha1",
            kind="Application",
            metadata=kubernetes.meta.v1.ObjectMetaArgs(
                name=name,
                namespace=names.ARGOCD,
                annotations={names.IMAGE_ANNOTATION: args.image},
                # What the Application made goes with it, in a cluster that stays.
                finalizers=["resources-finalizer.argocd.argoproj.io"],
            ),
            spec=spec,
            opts=args.cluster.inside(self, depends_on=[*credentials, *args.depends_on]),
        )
        self.healthy = command.local.Command(
            f"{name}-healthy",
            create=module(WAIT),
            delete=":",
            environment={
                "KUBECONFIG_TEXT": args.cluster.kubeconfig,
                "APPLICATION": name,
                "NAMESPACE": names.ARGOCD,
                "APP_NAMESPACE": args.namespace,
                "TIMEOUT": str(args.timeout),
            },
            triggers=[
                args.cluster.identity,
                application.id,
                json.dumps([spec, args.image], sort_keys=True),
                module_hash(WAIT, "components.gitops.application_status"),
            ],
            opts=pulumi.ResourceOptions(
                parent=self,
                depends_on=[application],
                deleted_with=args.cluster.lifetime,
                delete_before_replace=True,
                # Another kubeconfig of the same cluster is no reason to wait again.
                ignore_changes=["environment"],
            ),
        )
        self.register_outputs({"application": application.id})

    def _credentials(self) -> list[pulumi.Resource]:
        """Return the Secret by which Argo CD knows the repository's credentials, when there are any."""
        repository = self._args.repository
        data: dict[str, pulumi.Input[str]] = {"type": "git", "url": repository.url, "project": self._args.project}
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

    def _spec(self) -> dict[str, Any]:
        return {
            "project": self._args.project,
            "source": {
                "repoURL": self._args.repository.url,
                "targetRevision": self._args.revision,
                "path": self._args.path,
            },
            "destination": {"server": IN_CLUSTER, "namespace": self._args.namespace},
            "syncPolicy": {
                "automated": {"prune": True, "selfHeal": True},
                "retry": {
                    "limit": 10,
                    "backoff": {"duration": "2s", "factor": 2, "maxDuration": "1m"},
                    # Otherwise what puts a refused commit right would wait until that one is given up.
                    "refresh": True,
                },
            },
        }
