"""Every mistake that the rules are there for is caught, and told with how to fix it."""

from __future__ import annotations

import copy
from typing import TYPE_CHECKING, Any, Final

import pytest

from components.core.names import STACKS
from devtools import graph
from devtools.checks import invariants
from lab.host import paths
from policy import rules

if TYPE_CHECKING:
    from collections.abc import Callable

CONTEXT: Final = rules.Context(node_ports=frozenset({30001, 30002, 30003}))
CONTAINER: Final[dict[str, Any]] = {
    "name": "app",
    "image": "iot-lab/flask-app:v1",
    "ports": [{"name": "http", "containerPort": 8080}],
    "resources": {"requests": {"cpu": "20m", "memory": "48Mi"}, "limits": {"cpu": "1", "memory": "128Mi"}},
    "readinessProbe": {"httpGet": {"path": "/healthz", "port": "http"}},
    "securityContext": {
        "allowPrivilegeEscalation": False,
        "readOnlyRootFilesystem": True,
        "capabilities": {"drop": ["ALL"]},
    },
}
POD: Final[dict[str, Any]] = {
    "automountServiceAccountToken": False,
    "securityContext": {"runAsNonRoot": True, "runAsUser": 10001, "seccompProfile": {"type": "RuntimeDefault"}},
    "containers": [CONTAINER],
    "volumes": [{"name": "tmp", "emptyDir": {}}],
}
DEPLOYMENT: Final[dict[str, Any]] = {
    "metadata": {"name": "app", "namespace": "dev"},
    "spec": {"template": {"spec": POD}},
}
SERVICE: Final[dict[str, Any]] = {
    "metadata": {"name": "app", "namespace": "dev"},
    "spec": {"type": "NodePort", "ports": [{"port": 80, "nodePort": 30001}]},
}
NAMESPACE: Final[dict[str, Any]] = {"metadata": {"name": "dev", "labels": dict(rules.RESTRICTED)}}
PROJECT: Final[dict[str, Any]] = {
    "metadata": {"name": "iot", "namespace": "argocd"},
    "spec": {"sourceRepos": ["https://example.org/me/iot"], "destinations": [{"namespace": "dev"}]},
}
APPLICATION: Final[dict[str, Any]] = {
    "metadata": {"name": "app", "namespace": "argocd"},
    "spec": {"project": "iot", "destination": {"namespace": "dev", "server": "https://kubernetes.default.svc"}},
}
SECRET: Final[dict[str, Any]] = {
    "metadata": {"name": "app", "namespace": "dev"},
    "stringData": {"secret": {"password": "made up"}},
}
RELEASE: Final[dict[str, Any]] = {
    "name": "argocd",
    "namespace": "argocd",
    "chart": "argo-cd",
    "version": "10.1.1",
    "atomic": True,
    "timeout": 600,
    "values": {"server": {"service": {"nodePortHttp": 30002, "nodePortHttps": None}}},
}
COMMAND: Final[dict[str, Any]] = {"create": "true", "delete": ":", "environment": {"TIMEOUT": "600"}}
IMAGE: Final[dict[str, Any]] = {"imageName": "iot-lab/flask-app:v1"}

KINDS: Final = {
    "Deployment": ("kubernetes:apps/v1:Deployment", DEPLOYMENT),
    "Service": ("kubernetes:core/v1:Service", SERVICE),
    "Namespace": ("kubernetes:core/v1:Namespace", NAMESPACE),
    "AppProject": ("kubernetes:argoproj.io/v1alpha1:AppProject", PROJECT),
    "Application": ("kubernetes:argoproj.io/v1alpha1:Application", APPLICATION),
    "RoleBinding": (
        "kubernetes:rbac.authorization.k8s.io/v1:RoleBinding",
        {"metadata": {"name": "app", "namespace": "dev"}},
    ),
    "Role": (
        "kubernetes:rbac.authorization.k8s.io/v1:Role",
        {
            "metadata": {"name": "prometheus", "namespace": "dev"},
            "rules": [{"apiGroups": [""], "resources": ["pods"], "verbs": ["get", "list", "watch"]}],
        },
    ),
    "Random": ("pulumi-python:dynamic/random:Secret", {"bytes": 24}),
    "Secret": ("kubernetes:core/v1:Secret", SECRET),
    "Release": ("kubernetes:helm.sh/v3:Release", RELEASE),
    "Command": ("command:local:Command", COMMAND),
    "Image": ("docker:index/image:Image", IMAGE),
}
CONTAINER_AT: Final = "spec.template.spec.containers.0"
POD_AT: Final = "spec.template.spec"


def resource(kind: str, changes: dict[str, Any] | None = None, **options: Any) -> rules.Resource:  # noqa: ANN401 - of any type
    """Return a good resource with some of its inputs changed; None removes one.

    Args:
        kind: one of ``KINDS``.
        changes: new values by their paths, with dots between the keys.
        options: further attributes.
    """
    type_, inputs = KINDS[kind]
    inputs = copy.deepcopy(inputs)
    for path, value in (changes or {}).items():
        *keys, last = path.split(".")
        place: Any = inputs
        for key in keys:
            place = place[int(key)] if isinstance(place, list) else place.setdefault(key, {})
        if value is None:
            del place[last]
        else:
            place[last] = value
    known = {"provider": "cluster-provider", "deleted_with": "urn:cluster", "secrets_marked": True, **options}
    return rules.Resource(type=type_, name=kind.lower(), inputs=inputs, **known)


def told(one: rules.Resource, context: rules.Context = CONTEXT) -> list[str]:
    return [problem for _, problem in rules.problems(one, context)]


@pytest.mark.parametrize("kind", [kind for kind in KINDS if kind != "RoleBinding"])
def test_what_is_right_is_let_through(kind: str) -> None:
    assert told(resource(kind)) == []


MISTAKES: Final = [
    ("explicit-provider", resource("Deployment", provider=""), "cluster.inside(self)"),
    ("explicit-provider", resource("Service", provider="default_4_32_0"), "cluster.inside(self)"),
    ("deleted-with", resource("Secret", deleted_with=""), "cluster.inside(self)"),
    ("deleted-with", resource("Release", deleted_with=""), "cluster.inside(self)"),
    ("own-name", resource("Deployment", {"metadata.name": None}), "set metadata.name"),
    ("allowed-namespace", resource("Deployment", {"metadata.namespace": None}), "use one of argocd, dev"),
    ("allowed-namespace", resource("Service", {"metadata.namespace": "kube-system"}), "use one of argocd, dev"),
    ("allowed-namespace", resource("Namespace", {"metadata.name": "prod"}), "add it to policy/rules.py"),
    ("allowed-namespace", resource("Release", {"namespace": "default"}), "use one of argocd, dev"),
    ("restricted-namespace", resource("Namespace", {"metadata.labels": None}), "add the label"),
    ("requests-and-limits", resource("Deployment", {f"{CONTAINER_AT}.resources.requests": None}), "requests.cpu"),
    ("requests-and-limits", resource("Deployment", {f"{CONTAINER_AT}.resources.limits.memory": None}), "limits.memory"),
    ("no-host-path", resource("Deployment", {f"{POD_AT}.volumes.0.hostPath": {"path": "/"}}), "use an emptyDir"),
    ("no-host-network", resource("Deployment", {f"{POD_AT}.hostNetwork": True}), "leave it out"),
    ("no-host-network", resource("Deployment", {f"{POD_AT}.hostPID": True}), "leave it out"),
    ("no-host-network", resource("Deployment", {f"{CONTAINER_AT}.ports.0.hostPort": 80}), "use a Service"),
    ("declared-ports", resource("Service", {"spec.ports.0.nodePort": 31000}), "take it from the settings"),
    ("declared-ports", resource("Service", {"spec.ports.0.nodePort": None}), "a random one"),
    ("declared-ports", resource("Service", {"spec.type": "LoadBalancer"}), "use type NodePort"),
    ("declared-ports", resource("Service", {"spec.externalIPs": ["10.0.0.1"]}), "use type NodePort"),
    ("declared-ports", resource("Release", {"values.server.service.nodePortHttp": 31234}), "take it from the settings"),
    ("pinned-images", resource("Deployment", {f"{CONTAINER_AT}.image": "nginx"}), "add a tag"),
    ("pinned-images", resource("Deployment", {f"{CONTAINER_AT}.image": "host:5000/nginx"}), "add a tag"),
    ("pinned-images", resource("Deployment", {f"{CONTAINER_AT}.image": "nginx:latest"}), "not latest"),
    ("pinned-images", resource("Image", {"imageName": "iot-lab/flask-app:latest"}), "not latest"),
    ("pinned-chart", resource("Release", {"version": None}), "components/core/versions.py"),
    ("pinned-chart", resource("Release", {"atomic": False}), "set atomic=True"),
    ("pinned-chart", resource("Release", {"timeout": None}), "take it from the settings"),
    ("unprivileged", resource("Deployment", {f"{CONTAINER_AT}.securityContext.privileged": True}), "leave"),
    (
        "unprivileged",
        resource("Deployment", {f"{CONTAINER_AT}.securityContext.allowPrivilegeEscalation": None}),
        "allowPrivilegeEscalation to false",
    ),
    (
        "unprivileged",
        resource("Deployment", {f"{CONTAINER_AT}.securityContext.readOnlyRootFilesystem": False}),
        "readOnlyRootFilesystem to true",
    ),
    (
        "unprivileged",
        resource("Deployment", {f"{CONTAINER_AT}.securityContext.capabilities.drop": ["NET_RAW"]}),
        "drop to [ALL]",
    ),
    (
        "unprivileged",
        resource("Deployment", {f"{CONTAINER_AT}.securityContext.capabilities.add": ["SYS_ADMIN"]}),
        "remove them",
    ),
    (
        "unprivileged",
        resource("Deployment", {f"{POD_AT}.securityContext.runAsNonRoot": None}),
        "runAsNonRoot to true",
    ),
    ("unprivileged", resource("Deployment", {f"{POD_AT}.securityContext.runAsUser": 0}), "the image's user"),
    ("unprivileged", resource("Deployment", {f"{POD_AT}.securityContext.seccompProfile": None}), "RuntimeDefault"),
    (
        "unprivileged",
        resource("Deployment", {f"{POD_AT}.volumes": [{"name": "share", "nfs": {"server": "nas", "path": "/"}}]}),
        "use one of configMap",
    ),
    (
        "no-account-token",
        resource("Deployment", {f"{POD_AT}.automountServiceAccountToken": None}),
        "automountServiceAccountToken to false",
    ),
    ("probed", resource("Deployment", {f"{CONTAINER_AT}.readinessProbe": None}), "let Kubernetes ask"),
    (
        "no-plain-environment",
        resource("Deployment", {f"{CONTAINER_AT}.env": [{"name": "DB_PASSWORD", "value": "made up"}]}),
        "valueFrom",
    ),
    ("no-plain-secret", resource("Secret", {"stringData": {"password": "made up"}}), "pulumi.Output.secret"),
    ("no-plain-secret", resource("Command", {"environment.GIT_TOKEN": "made up"}), "pulumi.Output.secret"),
    (
        "no-plain-secret",
        resource("Command", {"environment.INPUT": "-----BEGIN OPENSSH PRIVATE KEY-----"}),
        "pulumi.Output.secret",
    ),
    (
        "no-plain-secret",
        resource("Command", {"environment.DATABASE": "postgres://user:pw@db/app"}),
        "pulumi.Output.secret",
    ),
    (
        "pinned-images",
        resource("Deployment", {f"{CONTAINER_AT}.image": "evil.example/flask-app:v1"}),
        "set iot:appImage",
    ),
    ("named-ports", resource("Deployment", {f"{CONTAINER_AT}.readinessProbe.httpGet.port": "web"}), "use one of"),
    ("quantities", resource("Deployment", {f"{CONTAINER_AT}.resources.limits.memory": "128MB"}), "128Mi"),
    ("quantities", resource("Deployment", {f"{CONTAINER_AT}.resources.requests.cpu": "1500m"}), "request less"),
    ("no-rights", resource("RoleBinding"), "leave it out"),
    (
        "no-rights",
        resource("RoleBinding", {"metadata.name": "prometheus", "roleRef": {"kind": "ClusterRole", "name": "admin"}}),
        "name its own Role",
    ),
    ("no-rights", resource("Role", {"rules.0.resources": ["pods", "secrets"]}), "leave the rest out"),
    ("no-rights", resource("Role", {"rules.0.verbs": ["get", "delete"]}), "leave the rest out"),
    ("narrow-project", resource("AppProject", {"spec.sourceRepos": ["*"]}), "name what the app needs"),
    ("own-project", resource("Application", {"spec.project": "default"}), "use iot"),
    ("own-project", resource("Application", {"spec.destination.server": "https://other"}), "set its server"),
    (
        "no-open-allow-list",
        resource("Deployment", {f"{CONTAINER_AT}.env": [{"name": "GITEA__webhook__ALLOWED_HOST_LIST", "value": "*"}]}),
        "name those",
    ),
    ("long-secret", resource("Random", {"bytes": 4.0}), "take 16 or more"),
    ("undone", resource("Command", {"delete": None}), "give it a delete"),
    ("undone", resource("Command", {"create": None}), "give it a create"),
]


@pytest.mark.parametrize(("rule", "mistake", "fix"), MISTAKES)
def test_a_mistake_is_caught_and_told_how_to_fix(rule: str, mistake: rules.Resource, fix: str) -> None:
    found = told(mistake)
    assert found
    assert all(problem.startswith(f"{rule}: ") for problem in found)
    assert any(fix in problem for problem in found)
    assert all("; " in problem for problem in found), "what is wrong, then how to fix it"


def test_every_rule_has_a_mistake_that_it_catches() -> None:
    assert {rule.name for rule in rules.RULES} == {rule for rule, _, _ in MISTAKES}


def test_pods_of_every_kind_are_looked_at() -> None:
    bad = {"containers": [{"name": "app", "image": "nginx"}]}
    specs = {
        "Pod": bad,
        "CronJob": {"jobTemplate": {"spec": {"template": {"spec": bad}}}},
        **{kind: {"template": {"spec": bad}} for kind in rules.POD_TEMPLATES},
    }
    for kind, spec in specs.items():
        one = rules.Resource(type=f"kubernetes:v1:{kind}", name=kind, inputs={"spec": spec})
        assert list(rules.pinned_images(one, CONTEXT)), kind


def test_a_value_that_is_not_known_yet_is_not_judged() -> None:
    assert not list(rules.pinned_images(resource("Deployment", {f"{CONTAINER_AT}.image": rules.UNKNOWN}), CONTEXT))
    assert rules.UNKNOWN == graph.UNKNOWN


def test_in_a_cluster_that_stays_nothing_has_to_go_with_it() -> None:
    context = rules.Context(node_ports=CONTEXT.node_ports, own_cluster=False)
    assert told(resource("Deployment", deleted_with=""), context) == []


@pytest.mark.parametrize("stack", STACKS)
def test_the_stack_keeps_the_rules(build: Callable[..., graph.Graph], stack: str) -> None:
    assert list(invariants.of_graph(build(stack))) == []


def test_the_stack_keeps_the_rules_with_another_cluster(tmp_path: object) -> None:
    kubeconfig = f"{tmp_path}/kubeconfig"
    with open(kubeconfig, "w", encoding="utf-8") as file:  # noqa: PTH123 - a path as text is what the setting takes
        file.write('{"contexts": [{"name": "mine"}], "current-context": "mine"}')
    settings = {"kubeconfig": kubeconfig, "appImage": "registry.example/app:v1", "gitUrl": "https://example.org/me/iot"}
    made = graph.build("p3", paths.ROOT, settings)
    assert made.of_type("kubernetes:apps/v1:Deployment") == []
    assert list(invariants.of_graph(made)) == []


def test_a_resource_without_the_clusters_options_is_found_in_the_graph(build: Callable[..., graph.Graph]) -> None:
    made = build("p3")
    nodes = [
        graph.Node(**{**vars(node), "deleted_with": "", "provider": ""})
        if node.name == "argocd-redis-password"
        else node
        for node in made.nodes
    ]
    found = [str(each) for each in invariants.of_graph(graph.Graph("p3", tuple(nodes), {}))]
    assert [each.split(": ")[:2] for each in found] == [
        ["p3 argocd-redis-password", "explicit-provider"],
        ["p3 argocd-redis-password", "deleted-with"],
    ]
