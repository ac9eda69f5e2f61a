"""P3: a k3d cluster, Argo CD, and an app that Git drives."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final
from urllib.parse import urlsplit

import pulumi
from pulumi.runtime import is_dry_run

from components.core import names, versions
from components.core.cluster import Cluster, ExistingCluster, ExistingClusterArgs, server_of
from components.core.names import EMBEDDED_BRANCH, IMAGE
from components.docker import container as containers
from components.docker.image import AppImage, AppImageArgs, package_index
from components.gitops import allowed, environments, git_server, manifests, rescue, sealing_key
from components.gitops import chart as charts
from components.gitops.accounts import Accounts
from components.gitops.application import GitOpsApp, GitOpsAppArgs, GitOpsProject, GitOpsProjectArgs
from components.gitops.argocd import ArgoCd, ArgoCdArgs
from components.gitops.environments import Environments, EnvironmentsArgs, FurtherCluster
from components.gitops.git_server import READER, REPOSITORY, GitRepository, GitServer, GitServerArgs, Repository
from components.gitops.rollouts import Delivery
from components.gitops.sealed_secrets import Sealing, SealingKeys
from components.k3d import preflight, registry
from components.k3d.cluster import K3dCluster, K3dClusterArgs
from components.k3d.node_images import NodeImages, NodeImagesArgs
from components.k3d.provider import NETWORK_LABEL, Found
from components.k3d.registry import Registry, RegistryArgs
from components.monitoring.grafana import Grafana, GrafanaArgs
from components.monitoring.monitoring import Monitoring, MonitoringArgs, WatchedCluster
from components.platform import pipeline
from components.platform.runner import CiRunner, CiRunnerArgs

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from components.core.settings import (
        ClusterSettings,
        EnvironmentSettings,
        FurtherClusterSettings,
        PortSettings,
        Settings,
    )

CLUSTER: Final = "iot-cluster"  # of the resources; a cluster of another name takes the place of the one before
MANIFESTS_ROOT: Final = "manifests"
MANIFESTS: Final = f"{MANIFESTS_ROOT}/p3"
APP_PORT: Final = 8080  # of its containers, as manifests/p3 has it
APP_NODE_PORT: Final = 30001  # as manifests/p3 has it
LAST_NODE_PORT: Final = 32767  # https://kubernetes.io/docs/concepts/services-networking/service/#type-nodeport


def deploy(settings: Settings, root: Path) -> dict[str, Any]:
    """Deploy the part: cluster -> images, Argo CD, Git server -> project -> Application.

    Args:
        settings: the stack's settings.
        root: the project's folder.

    Returns:
        URLs, passwords and the kubeconfig (secrets), and what to do next.

    Raises:
        LabError: a tool, a port, the cluster's name or the chart is not as it has to be.
    """
    if not settings.image.reference:
        package_index()  # what is wrong with it is said before anything is made
    chart = charts.find(versions.ARGOCD_CHART, settings.argocd_chart, root)
    cluster = _cluster(settings)
    images = _Images(settings, cluster)
    further = _further(settings, cluster, images)
    beside = _registry(settings, cluster)
    people = Accounts("accounts", allowed.ACCOUNTS) if settings.environments else None
    argo = ArgoCd(
        "argocd",
        ArgoCdArgs(
            cluster=cluster,
            node_port=settings.argocd_port.node_port,
            https_node_port=_spare_node_port(settings),
            chart=chart,
            poll_interval=settings.poll_interval,
            images=images.bring("argocd", [versions.ARGOCD_IMAGE, versions.REDIS_IMAGE]),
            timeout=settings.timeout,
            accounts=people.hashes if people else {},
            policy=environments.policy(settings.environments) if people else "",
        ),
    )
    passwords = people.passwords if people else {}
    sealing, delivery = _sealing(settings, root, images), _delivery(settings, root, images)
    repository, server = _repository(settings, root, argo, passwords)
    if settings.image.ci and server:
        _ci(settings, root, server, beside)
    ready = [*repository.ready, *images.app(), *beside]
    namespaces: Mapping[str, pulumi.Resource]
    rollouts: Mapping[str, pulumi.Resource] = {}
    if settings.environments:
        made = Environments(
            "environments",
            EnvironmentsArgs(
                cluster=cluster,
                clusters=further,
                environments=settings.environments,
                repository=repository,
                app=names.APP,
                port=APP_PORT,
                argocd=argo.release,
                depends_on=ready,
                timeout=settings.timeout,
                sealing=sealing,
                delivery=delivery,
            ),
        )
        namespaces, rollouts = made.namespaces, made.rollouts
    else:
        namespaces = _one_app(settings, cluster, argo, repository, ready=ready, sealing=sealing)
    grafana: Grafana | None = None
    if settings.observability.wanted:
        grafana = _monitoring(
            *(settings, root, images),
            cluster=cluster,
            argo=argo,
            further=further,
            namespaces=namespaces,
            rollouts=rollouts,
            sealing=sealing,
        )
    found = _outputs(settings, cluster, argo, repository, passwords)
    if sealing:
        found["sealing"] = {"certificate": sealing.keys[-1].certificate}
    if grafana:
        at = {"namespace": names.MONITORING, "service": names.GRAFANA, "port": names.GRAFANA_PORT}
        found["grafana"] = {**at, "username": "admin", "password": grafana.password}
    if further:
        found["clusters"] = {key: each.cluster.kubeconfig for key, each in further.items()}
    return found


def _sealing(settings: Settings, root: Path, images: _Images) -> Sealing | None:
    """Return how Git has secrets, when it has any."""
    wanted = settings.sealing
    if not wanted.wanted:
        return None
    chart = charts.find(versions.SEALED_SECRETS_CHART, wanted.chart, root)
    # With a repository elsewhere, what is sealed in it is there in any case.
    restore = settings.git.restore or bool(settings.git.url)
    keys = SealingKeys("sealing-key", settings.cluster.name, wanted.keys, restore=restore)
    return Sealing(
        keys=keys.keys,
        chart=chart,
        images=lambda name, cluster, parent: images.into(name, cluster, [versions.SEALED_SECRETS_IMAGE], parent=parent),
        timeout=settings.timeout,
    )


def _delivery(settings: Settings, root: Path, images: _Images) -> Delivery | None:
    """Return how versions prove themselves, when they have to anywhere."""
    if not any(each.progressive for each in settings.environments):
        return None
    own = f"http://{names.PROMETHEUS}.{names.MONITORING}.svc:{names.PROMETHEUS_PORT}"
    outside = f"http://k3d-{settings.cluster.name}-server-0:{names.PROMETHEUS_NODE_PORT}"
    clusters = {"": own, **{each.name: outside for each in settings.further_clusters}}
    return Delivery(
        chart=charts.find(versions.ROLLOUTS_CHART, settings.rollouts_chart, root),
        images=lambda name, cluster, parent: images.into(name, cluster, [versions.ROLLOUTS_IMAGE], parent=parent),
        timeout=settings.timeout,
        prometheus=clusters if settings.observability.wanted else {},
    )


def _one_app(  # noqa: PLR0913 - what there is of the stack
    settings: Settings,
    cluster: Cluster,
    argo: ArgoCd,
    repository: GitRepository,
    *,
    ready: list[pulumi.Resource],
    sealing: Sealing | None,
) -> dict[str, pulumi.Resource]:
    """Make the one namespace of a stack without environments, which is returned, and the Application that fills it."""
    project = GitOpsProject(
        "iot",
        GitOpsProjectArgs(
            cluster=cluster,
            repository=repository.url,
            namespace=names.APP_NAMESPACE,
            app=names.APP,
            port=APP_PORT,
            argocd=argo.release,
            kinds=allowed.kinds(sealed=bool(sealing)),
        ),
    )
    reads = sealing.into(cluster, {names.APP_NAMESPACE: project.namespace}, project) if sealing else []
    GitOpsApp(
        names.APP,
        GitOpsAppArgs(
            cluster=cluster,
            repository=repository,
            revision=settings.git.revision,
            path=settings.git.path,
            project="iot",
            namespace=names.APP_NAMESPACE,
            image=settings.image.repository,
            depends_on=[*project.ready, *ready, *reads],
            timeout=settings.timeout,
        ),
    )
    return {names.APP_NAMESPACE: project.namespace}


def _monitoring(  # noqa: PLR0913 - what there is of the stack
    settings: Settings,
    root: Path,
    images: _Images,
    *,
    cluster: Cluster,
    argo: ArgoCd,
    further: Mapping[str, FurtherCluster],
    namespaces: Mapping[str, pulumi.Resource],
    rollouts: Mapping[str, pulumi.Resource],
    sealing: Sealing | None,
) -> Grafana | None:
    """Make what watches the stack, and return what shows it, when anything does."""
    theirs = {each.name: each.cluster for each in settings.environments if each.cluster}
    brought = [versions.PROMETHEUS_IMAGE, versions.ALERTMANAGER_IMAGE, versions.KUBE_STATE_METRICS_IMAGE]
    beside = {} if settings.git.url else {"git": f"{git_server.HOST}:{git_server.HTTP}"}
    if settings.cluster.registry_port and not settings.cluster.kubeconfig:
        beside["registry"] = f"{registry.container_name(settings.cluster.name)}:{registry.METRICS_PORT}"
    made = Monitoring(
        "monitoring",
        MonitoringArgs(
            cluster=cluster,
            chart=charts.find(versions.PROMETHEUS_CHART, settings.observability.chart, root),
            images=lambda name, where, parent: images.into(name, where, [*brought], parent=parent),
            timeout=settings.timeout,
            app=names.APP,
            port=APP_PORT,
            namespaces={name: made for name, made in namespaces.items() if name not in theirs},
            argocd=argo.namespace,
            argocd_url=f"{_url(settings, settings.argocd_port)}/",
            settings=settings.observability,
            clusters={
                key: WatchedCluster(
                    cluster=each.cluster,
                    server=each.server,
                    namespaces={name: namespaces[name] for name, of in theirs.items() if of == key},
                )
                for key, each in further.items()
            },
            rollouts=rollouts,
            beside=beside,
            node_port=settings.prometheus_node_port,
            key_made=sealing.keys[-1].certificate.apply(sealing_key.made_at) if sealing else None,
        ),
    )
    if not settings.observability.grafana:
        return None
    return Grafana(
        "grafana",
        GrafanaArgs(
            cluster=cluster,
            images=lambda name, where, parent: images.into(name, where, [versions.GRAFANA_IMAGE], parent=parent),
            timeout=settings.timeout,
            title=f"Apps of {settings.stack}",
            namespaces=tuple(namespaces),
            depends_on=made.closed,
        ),
    )


def _spare_node_port(settings: Settings) -> int | None:
    """Return a node port that nothing of the stack has: one that Kubernetes chooses may be an environment's.

    In a cluster that was there before, that may be anybody's: there it chooses.
    """
    if settings.cluster.kubeconfig:
        return None
    ours = {port for port, _ in settings.node_ports}
    return next(port for port in range(LAST_NODE_PORT, 0, -1) if port not in ours)


def _cluster(settings: Settings) -> Cluster:
    """Return the cluster, which is made here or not."""
    wanted = settings.cluster
    if wanted.kubeconfig:
        preflight.require_tools([] if is_dry_run() else ["kubectl"])
        existing = ExistingClusterArgs(kubeconfig=wanted.kubeconfig, context=wanted.context)
        return ExistingCluster("cluster", existing).cluster
    not_published = {each.name for each in settings.further_clusters if not each.kubeconfig}
    # Also those of what is in an existing cluster: that it goes there and comes back is no reason for another cluster.
    apps = [each.ports for each in settings.environments if each.cluster not in not_published]
    apps += [] if settings.environments else [settings.app_port]
    ports = (*apps, settings.argocd_port)
    embedded = not settings.git.url
    host_ports = [wanted.api_port, *(port for each in ports for port in each.host_ports)]
    host_ports += settings.git.ports if embedded else ()
    host_ports += [wanted.registry_port] if wanted.registry_port else []
    beside = {_git_container(settings): False} if embedded else {}
    beside |= {_runner_container(settings): False} if settings.image.ci else {}
    beside |= {registry.container_name(wanted.name): True} if wanted.registry_port else {}
    preflight.check_k3d(wanted, host_ports, settings.stack, beside, preview=is_dry_run())
    args = K3dClusterArgs(settings=wanted, ports=ports, stack=settings.stack, timeout=settings.timeout)
    return K3dCluster(CLUSTER, args).cluster


def _further(settings: Settings, first: Cluster, images: _Images) -> dict[str, FurtherCluster]:
    """Return the clusters that environments are in besides Argo CD's own."""
    found = {}
    for each in settings.further_clusters:
        if each.kubeconfig:
            args = ExistingClusterArgs(kubeconfig=each.kubeconfig, context=each.context)
            cluster = ExistingCluster(f"cluster-{each.name}", args).cluster
        else:
            network = settings.cluster.name
            wanted = _further_k3d(settings, each)
            ports = tuple(one.ports for one in settings.environments if one.cluster == each.name)
            host_ports = [wanted.api_port, *(port for one in ports for port in one.host_ports)]
            waits = preflight.check_k3d(wanted, host_ports, settings.stack, {}, preview=is_dry_run(), network=network)
            cluster = K3dCluster(
                f"{CLUSTER}-{each.name}",
                K3dClusterArgs(
                    settings=wanted,
                    ports=ports,
                    stack=settings.stack,
                    timeout=settings.timeout,
                    network=network,
                    after=(first.provider,) if waits else (),
                ),
            ).cluster
        brought = images.bring_to(each.name, cluster)
        found[each.name] = FurtherCluster(cluster=cluster, server=_servers(settings)[each.name], images=brought)
    return found


def _further_k3d(settings: Settings, cluster: FurtherClusterSettings) -> ClusterSettings:
    """Return the settings of a cluster that k3d makes beside Argo CD's own: as that, but for its name and its port."""
    name = f"{settings.cluster.name}-{cluster.name}"
    return settings.cluster.model_copy(update={"name": name, "api_port": cluster.api_port, "servers": 1, "agents": 0})


def _servers(settings: Settings) -> dict[str, str]:
    """Return where Argo CD reaches the clusters besides its own: those of k3d on the network that they share."""
    return {
        each.name: server_of(ExistingClusterArgs(kubeconfig=each.kubeconfig, context=each.context))
        if each.kubeconfig
        else f"https://k3d-{settings.cluster.name}-{each.name}-server-0:6443"
        for each in settings.further_clusters
    }


def _registry(settings: Settings, cluster: Cluster) -> list[pulumi.Resource]:
    """Return what has to be there of the registry beside the cluster; nothing when none is wanted."""
    wanted = settings.cluster
    if not wanted.registry_port or wanted.kubeconfig:
        return []
    args = RegistryArgs(
        cluster=cluster,
        name=wanted.name,
        stack=settings.stack,
        bind_address=wanted.bind_address,
        port=wanted.registry_port,
        metrics=settings.observability.wanted,
    )
    return Registry("registry", args).ready


class _Images:
    """The images that pods run: brought into our own cluster, pulled by one that is not ours."""

    def __init__(self, settings: Settings, cluster: Cluster) -> None:
        self._settings, self._cluster = settings, cluster
        self._built: AppImage | None = None
        self._last: NodeImages | None = None
        if not settings.image.reference:
            self._built = AppImage(
                names.APP,
                AppImageArgs(context="app", repository=settings.image.built, versions=versions.APP_VERSIONS),
            )

    def bring(
        self, name: str, images: list[pulumi.Input[str]], triggers: list[pulumi.Input[str]] | None = None
    ) -> list[pulumi.Resource]:
        """Return what to depend on before pods run these images; those that are asked for first come first."""
        if not self._cluster.lifetime:
            return []
        args = NodeImagesArgs(
            cluster=self._cluster,
            images=images,
            triggers=triggers or [],
            unknown=bool(self._built and self._built.unknown),
            after=self._last,
            timeout=self._settings.timeout,
        )
        self._last = NodeImages(f"{name}-images", args)
        return [self._last.loaded]

    def app(self) -> list[pulumi.Resource]:
        """Return what to depend on before the app runs."""
        return self.bring(names.APP, *self._app())

    def bring_to(self, name: str, cluster: Cluster) -> list[pulumi.Resource]:
        """Return what to depend on before the app runs in another cluster."""
        return self.into(f"{names.APP}-{name}", cluster, *self._app())

    def into(
        self,
        name: str,
        cluster: Cluster,
        images: list[pulumi.Input[str]],
        triggers: list[pulumi.Input[str]] | None = None,
        *,
        parent: pulumi.Resource | None = None,
    ) -> list[pulumi.Resource]:
        """Return what to depend on before pods run these images in a cluster; nothing else there waits for them."""
        if not cluster.lifetime:
            return []
        args = NodeImagesArgs(
            cluster=cluster,
            images=images,
            triggers=triggers or [],
            unknown=bool(self._built and self._built.unknown),
            after=None,
            timeout=self._settings.timeout,
        )
        opts = pulumi.ResourceOptions(parent=parent) if parent else None
        return [NodeImages(f"{name}-images", args, opts).loaded]

    def _app(self) -> tuple[list[pulumi.Input[str]], list[pulumi.Input[str]]]:
        if self._built:
            return [*self._built.references.values()], [*self._built.ids.values()]
        return [str(self._settings.image.reference)], []


def _repository(
    settings: Settings, root: Path, argo: ArgoCd, people: Mapping[str, pulumi.Output[str]]
) -> tuple[GitRepository, GitServer | None]:
    """Return the repository that is set, or the one of an embedded Git server, which does not wait for the cluster."""
    git = settings.git
    if git.url:
        theirs = GitRepository(
            url=git.url,
            push_url=git.url,
            username=git.username,
            password=git.password,
            ssh_key=git.ssh_key,
            push_username="",
            push_password=None,
            ready=[],
        )
        return theirs, None
    wanted, container = settings.cluster, _git_container(settings)
    if not is_dry_run() and not containers.inspect("container", container):
        found = Found(wanted.name)
        # Where Git stands beside the cluster, its network has the cluster's name.
        if found.belongs_to(settings.stack) and found.servers and found.label(NETWORK_LABEL) != wanted.name:
            rescue.from_node(found.servers[0], container)
    server = GitServer(
        "gitea",
        GitServerArgs(
            container=container,
            network=wanted.name,
            stack=settings.stack,
            bind_address=wanted.bind_address,
            ports=git.ports,
            push_url=f"http://{wanted.node_host}:{git.ports[0]}",
            users=(READER, allowed.CI) if settings.image.ci else (READER,),
            people=people,
            actions=settings.image.ci,
            metrics=settings.observability.wanted,
            repositories=_repositories(settings, root),
            restore=git.restore,
            webhook_url=f"http://k3d-{wanted.name}-server-0:{settings.argocd_port.node_port}/api/webhook",
            webhook_secret=argo.webhook_secret,
            timeout=settings.timeout,
        ),
    )
    if settings.environments:
        return server.repository(allowed.GITOPS, writer=allowed.DEVELOPER), server
    return server.repository(REPOSITORY), server


def _repositories(settings: Settings, root: Path) -> dict[str, Repository]:
    """Return what the embedded Git server begins with."""
    base, image, ci = _manifests(settings, root), settings.image.repository, settings.image.ci
    if settings.environments:
        name, first = allowed.GITOPS, settings.environments[0]
        branch, folder = environments.branch(first), environments.overlay(first)
        begun = environments.repository(
            settings.environments,
            base,
            image,
            git_server.url(name),
            servers=_servers(settings),
            deliveries={
                each.delivery: manifests.read(root / MANIFESTS_ROOT / environments.delivery(each))
                for each in settings.environments
                if each.progressive
            },
            ci=ci,
        )
    else:
        name, branch, folder = REPOSITORY, EMBEDDED_BRANCH, settings.git.path.rstrip("/")
        begun = Repository(
            branches={branch: {f"{folder}/{file}": text for file, text in base.items()}},
            message="Run version v1 of the app",
            members={READER: "read"} | ({allowed.CI: "write"} if ci else {}),
        )
    if not ci:
        return {name: begun}
    members = {allowed.DEVELOPER: "write"} if settings.environments else {}
    code = pipeline.repository(
        root, runs=image, gitops=git_server.url(name), branch=branch, path=folder, members=members
    )
    return {name: begun, allowed.CODE: code}


def _ci(settings: Settings, root: Path, server: GitServer, registry_: list[pulumi.Resource]) -> None:
    """Make what runs the app's pipeline."""
    CiRunner(
        "ci",
        CiRunnerArgs(
            container=_runner_container(settings),
            network=settings.cluster.name,
            stack=settings.stack,
            git=server,
            repository=allowed.CODE,
            image=pipeline.image(root, settings.stack),
            depends_on=[*server.ready, *registry_],
        ),
    )


def _runner_container(settings: Settings) -> str:
    """Return the name of the CI runner's container and volume."""
    return f"{settings.cluster.name}-runner"


def _git_container(settings: Settings) -> str:
    """Return the name of the embedded Git server's container and volume."""
    return f"{settings.cluster.name}-git"


def _manifests(settings: Settings, root: Path) -> dict[str, str]:
    """Return manifests/p3 with the image and the node port that the settings name, by file name."""
    files = {}
    for name, text in manifests.read(root / MANIFESTS).items():
        changed = manifests.set_node_port(text, name, APP_NODE_PORT, settings.app_port.node_port)
        for image in manifests.images(text, name):
            match = IMAGE.fullmatch(image)
            repository, tag = (match["repository"], match["tag"]) if match else ("", "")
            if repository == versions.APP_REPOSITORY and settings.image.repository != repository:
                wanted = settings.image.reference or f"{settings.image.built}:{tag}"
                changed = manifests.set_image(changed, name, repository, wanted)
        files[name] = changed
    return files


def _url(settings: Settings, port: PortSettings) -> str:
    """Return where a service answers: a port of this host, or the node port of a cluster that is not ours."""
    number = port.node_port if settings.cluster.kubeconfig else port.host_ports[0]
    return f"http://{settings.cluster.node_host}:{number}"


def _environment_url(settings: Settings, environment: EnvironmentSettings) -> str:
    """Return where an environment answers; in an existing cluster, at the node port of what its API answers on."""
    theirs = {each.name for each in settings.further_clusters if each.kubeconfig}
    if environment.cluster not in theirs:
        return _url(settings, environment.ports)
    return f"http://{urlsplit(_servers(settings)[environment.cluster]).hostname}:{environment.port}"


def _outputs(
    settings: Settings,
    cluster: Cluster,
    argo: ArgoCd,
    repository: GitRepository,
    passwords: Mapping[str, pulumi.Output[str]],
) -> dict[str, Any]:
    found: dict[str, Any] = {
        "part": "p3",
        "application": names.APP,
        "namespace": names.APP_NAMESPACE,
        "appUrl": f"{_url(settings, settings.app_port)}/",
        "argocdUrl": f"{_url(settings, settings.argocd_port)}/",
        "argocdUsername": "admin",
        "argocdPassword": argo.admin_password,
        "git": {
            "url": repository.push_url,
            "revision": settings.git.revision,
            "path": settings.git.path,
            "username": repository.push_username,
            "container": repository.container,
        },
        "gitPassword": repository.push_password or "",
        # With what Argo CD reads it; who asks for it may not be able to.
        "gitReader": {"username": repository.username, "password": repository.password} if repository.password else {},
        "image": settings.image.repository,
        "kubeconfig": cluster.kubeconfig,
        "next": "make status; make release VERSION=v2; make password",
    }
    if settings.observability.wanted:
        found["monitoring"] = {
            name: {"namespace": names.MONITORING, "service": name, "port": port}
            for name, port in (
                (names.PROMETHEUS, names.PROMETHEUS_PORT),
                (names.ALERTMANAGER, names.ALERTMANAGER_PORT),
            )
        }
    if settings.image.ci:
        found["ci"] = {
            "repository": f"http://{settings.cluster.node_host}:{settings.git.ports[0]}/iot/app.git",
            "runner": _runner_container(settings),
        }
    if settings.environments:
        # What p3's commands do, they do in the first one.
        first = settings.environments[0]
        found["application"] = found["namespace"] = first.name
        found["appUrl"] = f"{_environment_url(settings, first)}/"
        found["argocdUsername"], found["argocdPassword"] = allowed.VIEWER, passwords[allowed.VIEWER]
        found["git"] |= {"revision": environments.branch(first), "path": environments.overlay(first)}
        found["accounts"] = dict(passwords)
        found["environments"] = [
            {
                "name": each.name,
                "branch": environments.branch(each),
                "path": environments.overlay(each),
                "after": each.after,
                "sync": each.sync,
                "approvals": each.approvals,
                "cluster": each.cluster,
                "delivery": each.delivery,
                "ways": environments.delivery(each) if each.progressive else "",
                "url": f"{_environment_url(settings, each)}/",
            }
            for each in settings.environments
        ]
    return found
