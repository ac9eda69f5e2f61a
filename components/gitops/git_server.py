"""Where the desired state lives: an embedded Gitea, or any Git repository."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final
from urllib.parse import urlsplit

import pulumi
import pulumi_kubernetes as kubernetes

from components.core import names, pods, versions
from components.core.random_secret import RandomSecret
from components.core.settings import EMBEDDED_BRANCH

if TYPE_CHECKING:
    from collections.abc import Mapping

    from components.core.cluster import Cluster

OWNER: Final = "iot"  # of the repository; the administrator
READER: Final = "argocd"  # may read it and nothing else
REPOSITORY: Final = "iot"
HTTP: Final = 3000
# The name that the Service has in the cluster. Gitea has to call itself by it in its webhooks: Argo CD compares
# the host in them with the one in the Application.
HOST: Final = f"gitea.{names.GITEA}.svc.cluster.local"
USER_ID: Final = 1000  # of the image
LABELS: Final = {"app.kubernetes.io/name": "gitea", "app.kubernetes.io/component": "server"}  # of its pod


@dataclass(frozen=True, kw_only=True)
class GitRepository:
    """A repository that Argo CD follows, and how to read and write it.

    Attributes:
        url: as Argo CD sees it.
        push_url: as this host sees it.
        username: who may read it; empty for a public one.
        password: of that user, as a secret, or None.
        ssh_key: a private key instead, as a secret, or None.
        push_username: who may write; empty when Git's own credentials are used.
        push_password: of that user, as a secret, or None.
        ready: what has to exist before it can be read.
    """

    url: str
    push_url: str
    username: str
    password: pulumi.Output[str] | None
    ssh_key: pulumi.Output[str] | None
    push_username: str
    push_password: pulumi.Output[str] | None
    ready: list[pulumi.Resource]


@dataclass(frozen=True, kw_only=True)
class GitServerArgs:
    """An embedded Gitea with one private repository.

    Attributes:
        cluster: where it runs.
        node_port: in 30000 to 32767.
        push_url: the repository's URL on this host.
        files: the content of the first commit, by path in the repository.
        webhook_url: what is told of every push, in the cluster.
        webhook_secret: what the webhook is signed with, as a secret.
        images: what has to be done before its image is in the cluster.
        timeout: seconds until it has to be ready.
    """

    cluster: Cluster
    node_port: int
    push_url: str
    files: Mapping[str, str]
    webhook_url: str
    webhook_secret: pulumi.Output[str]
    images: list[pulumi.Resource]
    timeout: int


class GitServer(pulumi.ComponentResource):
    """A Gitea in the cluster, filled once and then left to its users.

    Type token ``iot:git:GitServer``. Makes a Namespace, a Secret, a ConfigMap, a PersistentVolumeClaim, a Deployment
    and a NodePort Service, all named after the component, two random passwords and a random key.

    Attributes:
        repository: the repository and its users.
    """

    def __init__(self, name: str, args: GitServerArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("iot:git:GitServer", name, {"nodePort": args.node_port, "pushUrl": args.push_url}, opts)
        self._name, self._args = name, args
        own = pulumi.ResourceOptions(parent=self)
        owner, reader = RandomSecret(f"{name}-owner", own), RandomSecret(f"{name}-reader", own)
        namespace = pods.namespace(f"{name}-namespace", names.GITEA, args.cluster, self)
        inside = args.cluster.inside(self, depends_on=[namespace])
        policies = pods.reachable(f"{name}-ingress", namespace, LABELS, HTTP, inside)
        self._secret = kubernetes.core.v1.Secret(
            f"{name}-users",
            metadata=self._metadata("gitea-users"),
            string_data={
                "OWNER_PASSWORD": owner.value,
                "READER_PASSWORD": reader.value,
                "WEBHOOK_SECRET": args.webhook_secret,
            },
            opts=inside,
        )
        key = kubernetes.core.v1.Secret(
            f"{name}-key",
            metadata=self._metadata("gitea-key"),
            string_data={"SECRET_KEY": RandomSecret(f"{name}-secret-key", own, size=48).value},
            opts=inside,
        )
        self._setup = kubernetes.core.v1.ConfigMap(
            f"{name}-setup", metadata=self._metadata("gitea-setup"), data=_setup_files(args.files), opts=inside
        )
        claim = self._claim(inside)
        service = self._service(inside)
        deployment = self._deployment([namespace, self._secret, key, self._setup, claim, *policies, *args.images])
        self.repository = GitRepository(
            url=f"http://{HOST}:{HTTP}/{OWNER}/{REPOSITORY}.git",
            push_url=args.push_url,
            username=READER,
            password=reader.value,
            ssh_key=None,
            push_username=OWNER,
            push_password=owner.value,
            ready=[deployment, service],
        )
        self.register_outputs({"url": self.repository.url, "pushUrl": args.push_url})

    def _metadata(self, name: str) -> kubernetes.meta.v1.ObjectMetaArgs:
        return kubernetes.meta.v1.ObjectMetaArgs(
            name=name, namespace=names.GITEA, labels={"app.kubernetes.io/name": "gitea"}
        )

    def _claim(self, opts: pulumi.ResourceOptions) -> kubernetes.core.v1.PersistentVolumeClaim:
        return kubernetes.core.v1.PersistentVolumeClaim(
            f"{self._name}-data",
            metadata=kubernetes.meta.v1.ObjectMetaArgs(
                name="gitea-data",
                namespace=names.GITEA,
                # K3s's storage class binds a volume when the first pod wants it, which is later than now.
                annotations={"pulumi.com/skipAwait": "true"},
            ),
            spec=kubernetes.core.v1.PersistentVolumeClaimSpecArgs(
                access_modes=["ReadWriteOnce"],
                resources=kubernetes.core.v1.VolumeResourceRequirementsArgs(requests={"storage": "1Gi"}),
            ),
            opts=opts,
        )

    def _service(self, opts: pulumi.ResourceOptions) -> kubernetes.core.v1.Service:
        return kubernetes.core.v1.Service(
            f"{self._name}-service",
            metadata=kubernetes.meta.v1.ObjectMetaArgs(
                # It has endpoints once the Deployment is there, which is created at the same time.
                name="gitea",
                namespace=names.GITEA,
                annotations={"pulumi.com/skipAwait": "true"},
            ),
            spec=kubernetes.core.v1.ServiceSpecArgs(
                type="NodePort",
                selector=LABELS,
                ports=[
                    kubernetes.core.v1.ServicePortArgs(
                        name="http", port=HTTP, target_port="http", node_port=self._args.node_port
                    )
                ],
            ),
            opts=opts,
        )

    def _deployment(self, depends_on: list[pulumi.Resource]) -> kubernetes.apps.v1.Deployment:
        return kubernetes.apps.v1.Deployment(
            f"{self._name}-server",
            metadata=self._metadata("gitea"),
            spec=kubernetes.apps.v1.DeploymentSpecArgs(
                replicas=1,
                # Two of them must never write the same volume.
                strategy=kubernetes.apps.v1.DeploymentStrategyArgs(type="Recreate"),
                selector=kubernetes.meta.v1.LabelSelectorArgs(match_labels=LABELS),
                template=kubernetes.core.v1.PodTemplateSpecArgs(
                    metadata=kubernetes.meta.v1.ObjectMetaArgs(labels=LABELS), spec=self._pod()
                ),
            ),
            opts=self._args.cluster.inside(
                self,
                depends_on=depends_on,
                custom_timeouts=pulumi.CustomTimeouts(create=f"{self._args.timeout}s", update=f"{self._args.timeout}s"),
            ),
        )

    def _pod(self) -> kubernetes.core.v1.PodSpecArgs:
        mounts = [
            kubernetes.core.v1.VolumeMountArgs(name="data", mount_path="/var/lib/gitea", sub_path="data"),
            kubernetes.core.v1.VolumeMountArgs(name="data", mount_path="/etc/gitea", sub_path="config"),
            kubernetes.core.v1.VolumeMountArgs(name="tmp", mount_path="/tmp"),  # noqa: S108 - in the pod, an emptyDir
        ]
        setup = kubernetes.core.v1.ContainerArgs(
            name="setup",
            image=versions.GITEA_IMAGE,
            args=["sh", "/setup/gitea-setup.sh"],
            env=[*self._settings(), kubernetes.core.v1.EnvVarArgs(name="WEBHOOK_URL", value=self._args.webhook_url)],
            env_from=[self._passwords()],
            resources=_resources(),
            security_context=pods.RESTRICTED_CONTAINER,
            volume_mounts=[*mounts, _setup_mount()],
        )
        server = kubernetes.core.v1.ContainerArgs(
            name="gitea",
            image=versions.GITEA_IMAGE,
            env=self._settings(),
            ports=[kubernetes.core.v1.ContainerPortArgs(name="http", container_port=HTTP)],
            resources=_resources(),
            security_context=pods.RESTRICTED_CONTAINER,
            startup_probe=_probe(period=1, failures=120),
            readiness_probe=_probe(period=5, failures=3),
            liveness_probe=_probe(period=10, failures=6),
            volume_mounts=mounts,
        )
        return kubernetes.core.v1.PodSpecArgs(
            automount_service_account_token=False,
            enable_service_links=False,
            security_context=pods.restricted_pod(USER_ID, owns_volumes=True),
            init_containers=[setup],
            containers=[server],
            volumes=[
                kubernetes.core.v1.VolumeArgs(
                    name="data",
                    persistent_volume_claim=kubernetes.core.v1.PersistentVolumeClaimVolumeSourceArgs(
                        claim_name="gitea-data"
                    ),
                ),
                _empty_dir("tmp"),
                _setup_volume(),
            ],
        )

    def _settings(self) -> list[kubernetes.core.v1.EnvVarArgs]:
        return _settings(urlsplit(self._args.webhook_url).hostname or "")

    def _passwords(self) -> kubernetes.core.v1.EnvFromSourceArgs:
        return kubernetes.core.v1.EnvFromSourceArgs(
            secret_ref=kubernetes.core.v1.SecretEnvSourceArgs(name="gitea-users")
        )


def _settings(webhook_host: str) -> list[kubernetes.core.v1.EnvVarArgs]:
    """Return Gitea's settings (https://docs.gitea.com/administration/config-cheat-sheet) as environment variables.

    Args:
        webhook_host: the only host that webhooks may reach.
    """
    values = {
        "GITEA__server__ROOT_URL": f"http://{HOST}:{HTTP}/",
        "GITEA__server__DISABLE_SSH": "true",
        "GITEA__server__START_SSH_SERVER": "false",
        "GITEA__server__OFFLINE_MODE": "true",
        "GITEA__database__DB_TYPE": "sqlite3",
        "GITEA__security__INSTALL_LOCK": "true",
        # Webhooks reach Argo CD, and nothing else in the cluster.
        "GITEA__webhook__ALLOWED_HOST_LIST": webhook_host,
        "GITEA__service__DISABLE_REGISTRATION": "true",
        "GITEA__service__REQUIRE_SIGNIN_VIEW": "true",
        "GITEA__openid__ENABLE_OPENID_SIGNIN": "false",
        "GITEA__repository__DEFAULT_BRANCH": EMBEDDED_BRANCH,
        "GITEA__actions__ENABLED": "false",
        "GITEA__packages__ENABLED": "false",
        "GITEA__cron__ENABLED": "false",
        "GITEA__log__LEVEL": "Warn",
    }
    secret_key = kubernetes.core.v1.EnvVarSourceArgs(
        secret_key_ref=kubernetes.core.v1.SecretKeySelectorArgs(name="gitea-key", key="SECRET_KEY")
    )
    return [
        *(kubernetes.core.v1.EnvVarArgs(name=key, value=value) for key, value in values.items()),
        # What Gitea encrypts in its database, such as the users' second factors; without one, a key that all know.
        kubernetes.core.v1.EnvVarArgs(name="GITEA__security__SECRET_KEY", value_from=secret_key),
    ]


def _setup_files(files: Mapping[str, str]) -> dict[str, str]:
    """Return the ConfigMap's data: the script, and the repository's files, whose names can't have a slash."""
    script = (Path(__file__).parent / "gitea-setup.sh").read_text(encoding="utf-8")
    return {"gitea-setup.sh": script} | {f"file.{path.replace('/', '__')}": content for path, content in files.items()}


def _setup_volume() -> kubernetes.core.v1.VolumeArgs:
    return kubernetes.core.v1.VolumeArgs(
        name="setup", config_map=kubernetes.core.v1.ConfigMapVolumeSourceArgs(name="gitea-setup")
    )


def _setup_mount() -> kubernetes.core.v1.VolumeMountArgs:
    return kubernetes.core.v1.VolumeMountArgs(name="setup", mount_path="/setup", read_only=True)


def _empty_dir(name: str) -> kubernetes.core.v1.VolumeArgs:
    return kubernetes.core.v1.VolumeArgs(name=name, empty_dir=kubernetes.core.v1.EmptyDirVolumeSourceArgs())


def _resources() -> kubernetes.core.v1.ResourceRequirementsArgs:
    return kubernetes.core.v1.ResourceRequirementsArgs(
        requests={"cpu": "50m", "memory": "128Mi"}, limits={"cpu": "1", "memory": "512Mi"}
    )


def _probe(period: int, failures: int) -> kubernetes.core.v1.ProbeArgs:
    return kubernetes.core.v1.ProbeArgs(
        http_get=kubernetes.core.v1.HTTPGetActionArgs(path="/api/healthz", port="http"),
        period_seconds=period,
        failure_threshold=failures,
        timeout_seconds=5,
    )
