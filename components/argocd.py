"""Argo CD, the project that bounds what it may do, and the Application that keeps the app equal to Git."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import pulumi
import pulumi_command as command
import pulumi_kubernetes as kubernetes

from components.image import SCRIPTS, script_hash
from components.random_secret import RandomSecret

if TYPE_CHECKING:
    from components.charts import Chart
    from components.cluster import Cluster
    from components.git_server import GitRepository

NAMESPACE: Final = "argocd"
RELEASE: Final = "argocd"
IN_CLUSTER: Final = "https://kubernetes.default.svc"
WEBHOOK_URL: Final = f"http://argocd-server.{NAMESPACE}.svc.cluster.local/api/webhook"


@dataclass(frozen=True, kw_only=True)
class ArgoCdArgs:
    """An Argo CD without single sign-on, notifications and ApplicationSets.

    Attributes:
        cluster: where it runs.
        node_port: of its web pages and API, in 30000 to 32767.
        chart: where the chart is.
        poll_interval: seconds between two looks at Git.
        images: what has to be done before its images are in the cluster.
        timeout: seconds until all of it has to be ready.
    """

    cluster: Cluster
    node_port: int
    chart: Chart
    poll_interval: int
    images: list[pulumi.Resource]
    timeout: int


class ArgoCd(pulumi.ComponentResource):
    """Argo CD by its Helm chart.

    Type token ``iot:argocd:ArgoCd``. Makes a Namespace, a Secret with Redis's password, a Helm Release, and three
    random secrets: of the administrator, of webhooks and of Redis.

    Attributes:
        release: what everything that Argo CD has to understand depends on.
        webhook_secret: what webhooks from Gitea are signed with, as a secret.
        admin_password: of the user ``admin``, as a secret.
    """

    def __init__(self, name: str, args: ArgoCdArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("iot:argocd:ArgoCd", name, {}, opts)
        own = pulumi.ResourceOptions(parent=self)
        self.webhook_secret = RandomSecret(f"{name}-webhook", own).value
        admin, redis_password = RandomSecret(f"{name}-admin", own), RandomSecret(f"{name}-redis", own)
        self.admin_password = admin.value
        secret = {
            "gogsSecret": self.webhook_secret,
            "argocdServerAdminPassword": admin.bcrypt,
            # Sessions from before this time are invalid; without it, every upgrade would end all of them.
            "argocdServerAdminPasswordMtime": "2026-01-01T00:00:00Z",
        }
        namespace = kubernetes.core.v1.Namespace(
            f"{name}-namespace",
            metadata=kubernetes.meta.v1.ObjectMetaArgs(
                name=NAMESPACE, labels={"pod-security.kubernetes.io/enforce": "restricted"}
            ),
            opts=args.cluster.inside(self),
        )
        # The chart's own way to make it is a Job that everything else would wait for.
        redis = kubernetes.core.v1.Secret(
            f"{name}-redis-password",
            metadata=kubernetes.meta.v1.ObjectMetaArgs(name="argocd-redis", namespace=NAMESPACE),
            string_data={"auth": redis_password.value},
            opts=args.cluster.inside(self, depends_on=[namespace]),
        )
        self.release = kubernetes.helm.v3.Release(
            f"{name}-release",
            name=RELEASE,
            namespace=NAMESPACE,
            chart=args.chart.name,
            version=args.chart.version,
            repository_opts=(
                kubernetes.helm.v3.RepositoryOptsArgs(repo=args.chart.repository) if args.chart.repository else None
            ),
            values=chart_values(args.node_port, args.poll_interval)
            | {"configs": chart_configs(args.poll_interval) | {"secret": secret}},
            atomic=True,
            timeout=args.timeout,
            opts=args.cluster.inside(self, depends_on=[namespace, redis, *args.images]),
        )
        self.register_outputs({})


def chart_configs(poll_interval: int) -> dict[str, Any]:
    """Return the chart's ``configs``, without secrets.

    Args:
        poll_interval: seconds between two looks at Git.
    """
    return {
        "cm": {
            "admin.enabled": "true",
            "users.anonymous.enabled": "false",
            "timeout.reconciliation": f"{poll_interval}s",
            "timeout.reconciliation.jitter": "0s",
        },
        # Who is signed in and has no role gets nothing.
        "rbac": {"policy.default": ""},
        # TLS would be a self-signed certificate; the port listens on loopback.
        "params": {"server.insecure": "true"},
    }


def chart_values(node_port: int, poll_interval: int) -> dict[str, Any]:
    """Return the chart's values (https://github.com/argoproj/argo-helm/tree/main/charts/argo-cd), without secrets.

    Args:
        node_port: of the server, in 30000 to 32767.
        poll_interval: seconds between two looks at Git.
    """
    # The chart waits 10 s before it looks for the first time, when most are long ready.
    soon = {"initialDelaySeconds": 1, "periodSeconds": 2, "failureThreshold": 30}
    return {
        "configs": chart_configs(poll_interval),
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
            "service": {"type": "NodePort", "nodePortHttp": node_port, "nodePortHttps": None},
        },
    }


def _resources(cpu: str, memory: str, limit: str) -> dict[str, dict[str, str]]:
    return {"requests": {"cpu": cpu, "memory": memory}, "limits": {"cpu": "2", "memory": limit}}


@dataclass(frozen=True, kw_only=True)
class GitOpsProjectArgs:
    """What one project may do.

    Attributes:
        cluster: where Argo CD runs.
        repository: URL of the only repository that it may follow.
        namespace: the only one that it may change.
        argocd: the release that knows the kind.
    """

    cluster: Cluster
    repository: str
    namespace: str
    argocd: pulumi.Resource


class GitOpsProject(pulumi.ComponentResource):
    """An AppProject that allows one repository, one namespace, and Deployments and Services in it.

    Type token ``iot:argocd:GitOpsProject``. Makes an AppProject named after the component.

    Attributes:
        project: the AppProject.
    """

    def __init__(self, name: str, args: GitOpsProjectArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("iot:argocd:GitOpsProject", name, {}, opts)
        self.project = kubernetes.apiextensions.CustomResource(
            f"{name}-project",
            api_version="argoproj.io/v1alpha1",
            kind="AppProject",
            metadata=kubernetes.meta.v1.ObjectMetaArgs(name=name, namespace=NAMESPACE),
            spec={
                "description": "One repository, one namespace, and the kinds that the app needs",
                "sourceRepos": [args.repository],
                "destinations": [{"server": IN_CLUSTER, "namespace": args.namespace}],
                "clusterResourceWhitelist": [{"group": "", "kind": "Namespace", "name": args.namespace}],
                "namespaceResourceWhitelist": [
                    {"group": "apps", "kind": "Deployment"},
                    {"group": "", "kind": "Service"},
                ],
            },
            opts=args.cluster.inside(self, depends_on=[args.argocd]),
        )
        self.register_outputs({})


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
        depends_on: what has to be there first.
        timeout: seconds until it has to be Synced and Healthy.
    """

    cluster: Cluster
    repository: GitRepository
    revision: str
    path: str
    project: str
    namespace: str
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
        super().__init__("iot:argocd:GitOpsApp", name, {}, opts)
        self._name, self._args = name, args
        credentials = self._credentials()
        spec = self._spec()
        application = kubernetes.apiextensions.CustomResource(
            f"{name}-application",
            api_version="argoproj.io/v1alpha1",
            kind="Application",
            metadata=kubernetes.meta.v1.ObjectMetaArgs(
                name=name,
                namespace=NAMESPACE,
                # What the Application made goes with it, in a cluster that stays.
                finalizers=["resources-finalizer.argocd.argoproj.io"],
            ),
            spec=spec,
            opts=args.cluster.inside(self, depends_on=[*credentials, *args.depends_on]),
        )
        script = f"{SCRIPTS}/wait_application.py"
        self.healthy = command.local.Command(
            f"{name}-healthy",
            create=f"python3 {script}",
            delete=":",
            environment={
                "KUBECONFIG_TEXT": args.cluster.kubeconfig,
                "APPLICATION": name,
                "NAMESPACE": NAMESPACE,
                "APP_NAMESPACE": args.namespace,
                "TIMEOUT": str(args.timeout),
            },
            triggers=[args.cluster.identity, application.id, json.dumps(spec, sort_keys=True), script_hash(script)],
            opts=pulumi.ResourceOptions(
                parent=self,
                depends_on=[application],
                deleted_with=args.cluster.lifetime,
                delete_before_replace=True,
                # Another kubeconfig of the same cluster is no reason to wait again.
                ignore_changes=["environment"],
            ),
        )
        self.register_outputs({})

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
                    namespace=NAMESPACE,
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
                # A repository may have the Namespace among its manifests, or leave it to Argo CD.
                "syncOptions": ["CreateNamespace=true"],
                "retry": {"limit": 10, "backoff": {"duration": "2s", "factor": 2, "maxDuration": "1m"}},
            },
        }
