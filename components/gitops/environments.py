"""Environments: a namespace, a project and an Application for each, on branches that say who may change them."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import pulumi
import pulumi_kubernetes as kubernetes
import yaml

from components.core import names
from components.core.names import EMBEDDED_BRANCH
from components.gitops.allowed import ACCOUNTS, CI, CONTROLLER, DEVELOPER, HEADS, QUOTA, RELEASER, kinds
from components.gitops.application import (
    IN_CLUSTER,
    GitOpsApp,
    GitOpsAppArgs,
    GitOpsProject,
    GitOpsProjectArgs,
    application_spec,
    healthy,
)
from components.gitops.git_server import READER, Repository, Rule
from components.gitops.gitea import ALL, OWNER
from components.gitops.remote_cluster import RemoteCluster, RemoteClusterArgs

if TYPE_CHECKING:
    from collections.abc import Mapping

    from components.core.cluster import Cluster
    from components.core.settings import EnvironmentSettings
    from components.gitops.git_server import GitRepository
    from components.gitops.rollouts import Delivery
    from components.gitops.sealed_secrets import Sealing

ROOT: Final = "environments"  # the Application that makes the others, and its AppProject
APPS: Final = "apps"  # the folder with them
DELIVERY: Final = "delivery"  # the folder with the ways in which a version proves itself
ROLLOUT: Final = "argoproj.io/Rollout"
# What may be done about one that pauses. To skip what a version has to prove is not among it.
ACTIONS: Final = ("resume", "retry", "abort")
_TEXT: Final = "tag:yaml.org,2002:str"


def branch(environment: EnvironmentSettings) -> str:
    """Return the branch that an environment follows: what needs an approval is on the protected one."""
    return EMBEDDED_BRANCH if environment.approvals else f"env/{environment.name}"


def reference(environment: EnvironmentSettings) -> str:
    """Return the branch as nothing but a branch is called, such as a tag of its name."""
    return f"{HEADS}{branch(environment)}"


def overlay(environment: EnvironmentSettings) -> str:
    """Return the folder that an environment follows."""
    return f"overlays/{environment.name}"


def delivery(environment: EnvironmentSettings) -> str:
    """Return the folder with the way in which a version proves itself in an environment."""
    return f"{DELIVERY}/{re.sub('[A-Z]', lambda found: f'-{found[0].lower()}', environment.delivery)}"


def repository(  # noqa: PLR0913 - what it begins with
    environments: tuple[EnvironmentSettings, ...],
    base: Mapping[str, str],
    image: str,
    url: str,
    *,
    servers: Mapping[str, str],
    deliveries: Mapping[str, Mapping[str, str]],
    ci: bool = False,
) -> Repository:
    """Return the GitOps repository as it begins.

    Every branch has the base and the overlays of the environments that follow it, so that a change of either goes from
    one environment to the next, and not to all of them at once. The protected branch has the Applications, too.

    Args:
        environments: in the order in which a version goes through them.
        base: the manifests that all have in common, by file name.
        image: the app's, without a tag.
        url: of the repository, as Argo CD reaches it.
        servers: where Argo CD reaches the clusters that they are in, by name; but for its own.
        deliveries: the ways in which a version proves itself: manifests by file name.
        ci: whether CI pushes to the branch of the first one, and to no other.
    """
    common = {f"base/{name}": text for name, text in base.items()}
    common["base/kustomization.yaml"] = _dump(
        "What all environments have in common.",
        {
            "apiVersion": "kustomize.config.k8s.io/v1beta1",
            "kind": "Kustomization",
            "resources": [*base],
        },
    )
    branches = {EMBEDDED_BRANCH: dict(common)}
    for each in environments:
        its = branches.setdefault(branch(each), dict(common))
        its[f"{overlay(each)}/kustomization.yaml"] = _overlay(each, image)
        if each.progressive:
            its |= {f"{delivery(each)}/{name}": text for name, text in deliveries[each.delivery].items()}
        branches[EMBEDDED_BRANCH][f"{APPS}/{each.name}.yaml"] = _application(each, url, servers)
    return Repository(
        branches=branches,
        message="Run version v1 of the app",
        members={READER: "read", DEVELOPER: "write", RELEASER: "write"} | ({CI: "write"} if ci else {}),
        rules=_rules(environments, (branch(environments[0]),) if ci else ()),
        kept=APPS,
    )


def _rules(environments: tuple[EnvironmentSettings, ...], of_ci: tuple[str, ...]) -> tuple[Rule, ...]:
    def pushers(name: str) -> tuple[str, ...]:
        return (DEVELOPER, OWNER, *((CI,) if name in of_ci else ()))

    approvals = max((each.approvals for each in environments), default=0)
    return (
        # What Pulumi keeps there, it pushes as the owner, whose password nobody is shown.
        Rule(branch=EMBEDDED_BRANCH, pushers=(OWNER,), approvals=approvals, approvers=(RELEASER,)),
        *(Rule(branch=branch(each), pushers=pushers(branch(each))) for each in environments if not each.approvals),
        # Branches of people, for pull requests. Who approves makes no commit, so that nobody approves their own.
        Rule(branch=ALL, pushers=(DEVELOPER, OWNER), force=True),
    )


def _overlay(environment: EnvironmentSettings, image: str) -> str:
    return _dump(
        f"What {environment.name} has of its own. newTag is the version that runs.",
        {
            "apiVersion": "kustomize.config.k8s.io/v1beta1",
            "kind": "Kustomization",
            "namespace": environment.name,
            "resources": ["../../base"],
            "images": [{"name": image, "newTag": _Text("v1")}],
        },
    )


def _application(environment: EnvironmentSettings, url: str, servers: Mapping[str, str]) -> str:
    # Its port is a setting, and the cluster publishes it: it is not for the overlay to say.
    port = [{"op": "replace", "path": "/spec/ports/0/nodePort", "value": environment.port}]
    spec = application_spec(
        repository=url,
        revision=reference(environment),
        path=overlay(environment),
        project=environment.name,
        namespace=environment.name,
        automated=environment.sync == "auto",
        server=servers.get(environment.cluster, IN_CLUSTER),
        patches=({"target": {"kind": "Service", "name": names.APP}, "patch": yaml.safe_dump(port)},),
        components=(f"../../{delivery(environment)}",) if environment.progressive else (),
    )
    # What it was before, such as a Rollout, goes when what it is from now on answers.
    spec["syncPolicy"]["syncOptions"] = ["PruneLast=true"]
    metadata = {
        "name": environment.name,
        "namespace": names.ARGOCD,
        "finalizers": ["resources-finalizer.argocd.argoproj.io"],
    }
    return _dump(
        f"The environment {environment.name}. `make up` writes this from iot:environments.",
        {"apiVersion": "argoproj.io/v1alpha1", "kind": "Application", "metadata": metadata, "spec": spec},
    )


def _dump(title: str, content: dict[str, Any]) -> str:
    return f"# {title}\n" + yaml.dump(content, sort_keys=False, Dumper=_Dumper)


class _Text(str):
    """A text that stays one, whatever is put in its place."""

    __slots__ = ()


class _Dumper(yaml.SafeDumper):
    """Writes text of several lines as such."""


_Dumper.add_representer(_Text, lambda dumper, text: dumper.represent_scalar(_TEXT, text, style='"'))
_Dumper.add_representer(
    str,
    lambda dumper, text: dumper.represent_scalar(_TEXT, text, style="|" if "\n" in text else None),
)


def policy(environments: tuple[EnvironmentSettings, ...]) -> str:
    """Return what the accounts of Argo CD may do (https://argo-cd.readthedocs.io/en/stable/operator-manual/rbac/)."""
    lines = [f"p, role:viewer, {kind}, get, *, allow" for kind in ("clusters", "projects", "repositories")]
    lines += [f"p, role:viewer, {kind}, get, */*, allow" for kind in ("applications", "logs")]
    for each in environments:
        who, what = RELEASER if each.approvals else DEVELOPER, f"{each.name}/{each.name}"
        lines.append(f"p, role:{who}, applications, sync, {what}, allow")
        if each.progressive:
            lines += [f"p, role:{who}, applications, action/{ROLLOUT}/{one}, {what}, allow" for one in ACTIONS]
    lines += [f"g, role:{who}, role:viewer" for who in (DEVELOPER, RELEASER)]
    lines += [f"g, {who}, role:{who}" for who in ACCOUNTS]
    return "\n".join(lines) + "\n"


@dataclass(frozen=True, kw_only=True)
class FurtherCluster:
    """A cluster that environments are in, and Argo CD is not.

    Attributes:
        cluster: the way to it.
        server: where Argo CD reaches it.
        images: what has to be there before the app can run in it.
    """

    cluster: Cluster
    server: str
    images: list[pulumi.Resource]


@dataclass(frozen=True, kw_only=True)
class EnvironmentsArgs:
    """What environments there are.

    Attributes:
        cluster: where Argo CD is, and those of them that name no other.
        clusters: the others, by name.
        environments: in the order in which a version goes through them.
        repository: the GitOps repository.
        app: in each of them, which is all that is reached from outside.
        port: of the app's containers.
        argocd: the release that knows the kinds.
        depends_on: what has to be there before the app can run.
        timeout: seconds until one of them has to be as it should be.
        sealing: how Git has secrets for them; None for none.
        delivery: how versions prove themselves where they have to; None where they have to nowhere.
    """

    cluster: Cluster
    clusters: Mapping[str, FurtherCluster]
    environments: tuple[EnvironmentSettings, ...]
    repository: GitRepository
    app: str
    port: int
    argocd: pulumi.Resource
    depends_on: list[pulumi.Resource]
    timeout: int
    sealing: Sealing | None = None
    delivery: Delivery | None = None


class Environments(pulumi.ComponentResource):
    """Environments that Git describes and can't widen the rights of.

    Git has the Applications, made by one root Application. Namespaces, quotas and AppProjects are Pulumi's, and an
    admission policy refuses an Application of Git's that is not in the project of its own name.

    Type token ``iot:argocd:Environments``. Makes a ``GitOpsProject`` and a ResourceQuota for each environment, the
    root's AppProject and ``GitOpsApp``, a ValidatingAdmissionPolicy with its binding, and a ``command.local.Command``
    for each environment that waits for it.

    Attributes:
        namespaces: of the environments, by name.
        rollouts: the namespaces of Argo Rollouts, by the name of their cluster; empty for Argo CD's own.
    """

    def __init__(self, name: str, args: EnvironmentsArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__(
            "iot:argocd:Environments",
            name,
            {each.name: branch(each) for each in args.environments} | {"repository": args.repository.url},
            opts,
        )
        inside = args.cluster.inside(self)
        ready: list[pulumi.Resource] = [*self._only_their_own_project(args.environments, inside)]
        projects = {each.name: self._project(each, args) for each in args.environments}
        self.namespaces = {each: project.namespace for each, project in projects.items()}
        made = {each.name: self._environment(each, args, projects[each.name]) for each in args.environments}
        for each in args.environments:
            ready += made[each.name]
        self.rollouts: dict[str, pulumi.Resource] = {}
        clusters = {"": args.cluster, **{key: each.cluster for key, each in args.clusters.items()}}
        for key, cluster in clusters.items():
            there = [each for each in args.environments if each.cluster == key]
            if args.sealing:
                ready += args.sealing.into(cluster, _namespaces(projects, there), self, key)
            # In all of them, as long as one is left: what gives it up has to be taken back by it.
            proving = _namespaces(projects, there)
            if args.delivery and proving and cluster.lifetime:
                rollouts = args.delivery.into(cluster, proving, self, key)
                self.rollouts[key] = rollouts.namespace
                ready += rollouts.ready
        for key, further in args.clusters.items():
            inside_it = {each.name: made[each.name] for each in args.environments if each.cluster == key}
            remote = RemoteCluster(
                f"cluster-{key}",
                RemoteClusterArgs(
                    cluster=further.cluster,
                    server=further.server,
                    namespaces=inside_it,
                    argocd=args.cluster,
                    release=args.argocd,
                    kinds=kinds(sealed=bool(args.sealing), progressive=True),
                ),
                pulumi.ResourceOptions(parent=self),
            )
            ready += [*remote.ready, *further.images]
        root = kubernetes.apiextensions.CustomResource(
            f"{name}-root",
            api_version="argoproj.io/v1alpha1",
            kind="AppProject",
            metadata=kubernetes.meta.v1.ObjectMetaArgs(name=ROOT, namespace=names.ARGOCD),
            spec={
                "description": "The Applications of the environments, and nothing else",
                "sourceRepos": [args.repository.url],
                "destinations": [{"server": IN_CLUSTER, "namespace": names.ARGOCD}],
                "clusterResourceWhitelist": [],
                "namespaceResourceWhitelist": [{"group": "argoproj.io", "kind": "Application"}],
            },
            opts=args.cluster.inside(self, depends_on=[args.argocd]),
        )
        app = GitOpsApp(
            ROOT,
            GitOpsAppArgs(
                cluster=args.cluster,
                repository=args.repository,
                revision=f"{HEADS}{EMBEDDED_BRANCH}",
                path=APPS,
                project=ROOT,
                namespace=names.ARGOCD,
                image="",
                shared=True,
                depends_on=[*ready, root, *args.repository.ready, *args.depends_on],
                timeout=args.timeout,
            ),
            pulumi.ResourceOptions(parent=self),
        )
        for each in args.environments:
            healthy(
                each.name,
                args.cluster,
                application=each.name,
                namespace=each.name,
                timeout=args.timeout,
                triggers=[
                    *(app.healthy.id, branch(each), each.sync, str(each.port)),
                    *([each.delivery] if each.progressive else []),
                ],
                by_hand=each.sync == "manual",
                git=args.repository.container,
                target=args.clusters[each.cluster].cluster if each.cluster else None,
                opts=pulumi.ResourceOptions(parent=self, depends_on=[app.healthy]),
            )
        self.register_outputs({"root": app.healthy.id})

    def _project(self, environment: EnvironmentSettings, args: EnvironmentsArgs) -> GitOpsProject:
        further = args.clusters.get(environment.cluster)
        return GitOpsProject(
            environment.name,
            GitOpsProjectArgs(
                cluster=args.cluster,
                repository=args.repository.url,
                namespace=environment.name,
                app=args.app,
                port=args.port,
                argocd=args.argocd,
                target=further.cluster if further else args.cluster,
                server=further.server if further else IN_CLUSTER,
                # Also where it is a Deployment: Argo CD would otherwise leave a Rollout alone that it was before.
                kinds=kinds(sealed=bool(args.sealing), progressive=True),
            ),
            pulumi.ResourceOptions(parent=self),
        )

    def _environment(
        self, environment: EnvironmentSettings, args: EnvironmentsArgs, project: GitOpsProject
    ) -> list[pulumi.Resource]:
        further = args.clusters.get(environment.cluster)
        target = further.cluster if further else args.cluster
        quota = kubernetes.core.v1.ResourceQuota(
            f"{environment.name}-quota",
            metadata=kubernetes.meta.v1.ObjectMetaArgs(name="quota", namespace=environment.name),
            spec=kubernetes.core.v1.ResourceQuotaSpecArgs(hard=QUOTA),
            opts=target.inside(self, depends_on=project.ready),
        )
        return [*project.ready, quota]

    @staticmethod
    def _only_their_own_project(
        environments: tuple[EnvironmentSettings, ...], opts: pulumi.ResourceOptions
    ) -> list[pulumi.Resource]:
        """Refuse what Argo CD makes from Git of the kind Application, unless it is an environment in its own project.

        Who may push could otherwise name the project of an environment that they may not change, or Argo CD's own
        "default", which allows everything, or change what brings the Applications
        (https://kubernetes.io/docs/reference/access-authn-authz/validating-admission-policy/).
        """
        # Argo CD writes its status into the same object, the root's too.
        as_before = "oldObject != null && object.spec == oldObject.spec"
        known = [each.name for each in environments]
        api = kubernetes.admissionregistration.v1
        metadata = kubernetes.meta.v1.ObjectMetaArgs(name="iot-applications")
        made = api.ValidatingAdmissionPolicy(
            APPS,
            metadata=metadata,
            spec=api.ValidatingAdmissionPolicySpecArgs(
                failure_policy="Fail",
                match_constraints=api.MatchResourcesArgs(
                    resource_rules=[
                        api.NamedRuleWithOperationsArgs(
                            api_groups=["argoproj.io"],
                            api_versions=["*"],
                            operations=["CREATE", "UPDATE"],
                            resources=["applications"],
                        )
                    ]
                ),
                match_conditions=[
                    api.MatchConditionArgs(name="from-git", expression=f"request.userInfo.username == '{CONTROLLER}'")
                ],
                validations=[
                    api.ValidationArgs(
                        expression=f"({as_before}) || object.spec.project == object.metadata.name",
                        message_expression="'the Application ' + object.metadata.name + ' names the project ' + "
                        "object.spec.project + ', and may be in the one of its own name alone'",
                    ),
                    api.ValidationArgs(
                        expression=f"({as_before}) || object.metadata.name in {known}",
                        message_expression="'the Application ' + object.metadata.name + ' is none of the environments: "
                        f"{', '.join(known)}'",
                    ),
                ],
            ),
            opts=opts,
        )
        binding = api.ValidatingAdmissionPolicyBinding(
            APPS,
            metadata=metadata,
            spec=api.ValidatingAdmissionPolicyBindingSpecArgs(
                policy_name="iot-applications", validation_actions=["Deny"]
            ),
            opts=opts,
        )
        return [made, binding]


def _namespaces(
    projects: Mapping[str, GitOpsProject], environments: list[EnvironmentSettings]
) -> dict[str, pulumi.Resource]:
    return {each.name: projects[each.name].namespace for each in environments}
