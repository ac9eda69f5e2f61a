"""Seeded mistakes: each is found offline, by the rule that is there for it, with where it stands and how to fix it."""

from __future__ import annotations

import copy
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final

import pytest

from components.core import versions
from components.gitops import chart as charts
from components.parts import p3
from devtools.checks import files
from lab.commands import validate
from lab.host import paths

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from devtools import graph

DEPLOYMENT: Final = "deployment.yaml"
ENV: Final = "          resources:\n            requests:"
POD: Final = "      enableServiceLinks: false"
RBAC: Final = """apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRoleBinding
metadata: {name: all}
roleRef: {apiGroup: rbac.authorization.k8s.io, kind: ClusterRole, name: cluster-admin}
"""
CONFIG: Final = "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: more, namespace: dev}\n"

# What is replaced in a manifest, by what, and what is told. The line is that of the replacement's last line.
MANIFESTS: Final = [
    ("path: /healthz\n              port: http", "path: /healthz\n              port: web", "named-ports", "['http']"),
    (
        "cpu: 20m\n              memory: 48Mi",
        "cpu: 20m\n              memory: 48MB",
        "quantities",
        "like 500m or 128Mi",
    ),
    ("cpu: 500m\n              memory: 128Mi", "cpu: 500m\n              memory: 128MB", "quantities", "128Mi"),
    ("cpu: 20m", "cpu: '2'", "quantities", "request less"),
    ("memory: 48Mi", "memory: 1Gi", "quantities", "request less"),
    (ENV, f"          envFrom:\n            - secretRef: {{name: none}}\n{ENV}", "no Secret none", "of its namespace"),
    (
        ENV,
        f"          env:\n            - {{name: A, valueFrom: {{secretKeyRef: {{name: none, key: a}}}}}}\n{ENV}",
        "no Secret none",
        "of its namespace",
    ),
    (POD, "      volumes:\n        - {name: a, secret: {secretName: none}}", "no Secret none", "of its namespace"),
    (
        POD,
        "      volumes:\n        - {name: a, projected: {sources: [{secret: {name: none}}]}}",
        "no Secret none",
        "of its namespace",
    ),
    (POD, "      imagePullSecrets: [{name: none}]", "no Secret none", "of its namespace"),
    (POD, "      serviceAccountName: none", "no ServiceAccount none", "of its namespace"),
    (
        ENV,
        f"          env:\n            - {{name: DATABASE, value: 'postgres://user:pw@db/app'}}\n{ENV}",
        "no-plain-secret",
        "take it from a Secret",
    ),
    (
        ENV,
        f"          env:\n            - {{name: APP_PASSWORD, value: made up}}\n{ENV}",
        "no-plain-environment",
        "valueFrom",
    ),
    (
        ENV,
        f"          env:\n            - {{name: GITEA__webhook__ALLOWED_HOST_LIST, value: '*'}}\n{ENV}",
        "no-open-allow-list",
        "name those that it needs",
    ),
    ("nodePort: 30001", "nodePort: 30003", "declared-ports", "take it from the settings"),
    ("nodePort: 30001", "nodePort: 30002", "declared-ports", "take it from the settings"),
    ("image: iot-lab/flask-app:v1", "image: docker.io/nginx:1.29", "pinned-images", "an image from elsewhere; use one"),
    ("image: iot-lab/flask-app:v1", "image: evil.example/iot-lab/flask-app:v1", "pinned-images", "from elsewhere"),
    ("image: iot-lab/flask-app:v1", "image: docker.gitea.com/gitea:1.0.0", "pinned-images", "from elsewhere"),
    (
        "image: iot-lab/flask-app:v1",
        "image: iot-lab/flask-app:v9",
        "nothing builds iot-lab/flask-app:v9",
        "the tags v1",
    ),
    ("image: iot-lab/flask-app:v1", "image: iot-lab/flask-app", "pinned-images", "add a tag"),
    ("drop: [ALL]", "drop: []", "unprivileged", "capabilities.drop to [ALL]"),
    ("runAsNonRoot: true", "runAsNonRoot: false", "unprivileged", "runAsNonRoot to true"),
    ("allowPrivilegeEscalation: false", "privileged: true", "unprivileged", "leave securityContext.privileged out"),
    ("readOnlyRootFilesystem: true", "readOnlyRootFilesystem: false", "unprivileged", "readOnlyRootFilesystem to true"),
    ("type: RuntimeDefault", "type: Unconfined", "unprivileged", "seccompProfile.type to RuntimeDefault"),
    (POD, "      hostNetwork: true", "no-host-network", "leave it out"),
    (POD, "      volumes:\n        - {name: a, hostPath: {path: /}}", "no-host-path", "use an emptyDir"),
    ("automountServiceAccountToken: false", "automountServiceAccountToken: true", "no-account-token", "to false"),
    ("type: NodePort", "type: LoadBalancer", "declared-ports", "use type NodePort"),
    ("namespace: dev", "namespace: kube-system", "allowed-namespace", "use one of argocd"),
    ("replicas: 1", "replicaz: 1", "did you mean replicas?", ""),
    ("containerPort: 8080", "containerPort: eighty", "containerPort", "correct it"),
    ("targetPort: http", "targetPort: web", "no port web", "use one of"),
    ("# The app. ", f"{CONFIG}---\n# The app. ", "refuses a ConfigMap", "components/gitops/application.py"),
    ("namespace: dev", "namespace: gitea", "refuses the namespace gitea", "use dev"),
    ("# The app. ", f"{RBAC}---\n# The app. ", "no-rights", "leave it out"),
]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Return a checkout of the repository that Argo CD follows."""
    for path in (paths.ROOT / p3.MANIFESTS).glob("*.yaml"):
        (tmp_path / path.name).write_text(path.read_text(encoding="utf-8"), encoding="utf-8")
    return tmp_path


@pytest.mark.parametrize(("old", "new", "rule", "fix"), MANIFESTS)
def test_a_mistake_in_a_manifest_is_found_in_its_line(folder: Path, old: str, new: str, rule: str, fix: str) -> None:
    path = folder / DEPLOYMENT
    text = path.read_text(encoding="utf-8")
    assert old in text
    path.write_text(text.replace(old, new, 1), encoding="utf-8")
    told = [str(each) for each in validate.of_manifests(folder, "here") if rule in str(each) and fix in str(each)]
    first = text[: text.index(old)].count("\n") + 1
    lines = range(first - 1, first + new.count("\n") + 2)
    assert any(each.startswith(tuple(f"here/{DEPLOYMENT}:{line}: " for line in lines)) for each in told), told


ROUTE: Final = "spec.rules.0.http.paths.0.backend.service"
HOSTS: Final = "environment.GITEA__security__ALLOWED_HOST_LIST"
CONTAINER: Final = "spec.template.spec.containers.0"
PROJECT: Final = "spec.sourceRepos.0", "spec.destinations.0.namespace", "spec.destinations.0.server"
RESOURCES: Final = [
    ("p2", "hosts-ingress", f"{ROUTE}.port", {"name": "none"}, "has no port none", "use one of"),
    ("p2", "hosts-ingress", f"{ROUTE}.port", {"number": 81}, "has no port 81", "use one of"),
    ("p2", "hosts-ingress", f"{ROUTE}.name", "none", "no Service none", "name one of its namespace"),
    ("p3", "gitea-owner", "bytes", 4, "long-secret", "take 16 or more"),
    *[("p3", "iot-project", path, "*", "narrow-project", "name what the app needs") for path in PROJECT],
    (
        "p3",
        "iot-project",
        "spec.clusterResourceWhitelist",
        [{"group": "*", "kind": "*"}],
        "narrow-project",
        "name what",
    ),
    ("p3", "iot-project", "spec.namespaceResourceWhitelist.0.group", "*", "narrow-project", "name what the app needs"),
    ("p3", "flask-app-application", "spec.project", "default", "own-project", "use iot"),
    ("p3", "flask-app-application", "spec.project", "other", "own-project", "use iot"),
    ("p3", "flask-app-application", "spec.destination.server", "https://other", "own-project", "set its server"),
    ("p3", "flask-app-application", "spec.destination.namespace", "kube-system", "own-project", "use one of"),
    ("p2", "app1-deployment", f"{CONTAINER}.readinessProbe.httpGet.port", "web", "named-ports", "http"),
    ("p2", "app1-deployment", f"{CONTAINER}.resources.limits.memory", "128MB", "quantities", "128Mi"),
    ("p2", "app1-deployment", f"{CONTAINER}.image", "nginx:1.29", "pinned-images", "elsewhere"),
    ("p3", "gitea-server", HOSTS, "*.svc.cluster.local,*", "no-open-allow-list", "name those"),
    ("p3", "gitea-server", "image", "docker.gitea.com/gitea:1.0.0", "pinned-images", "which was not tried"),
    ("p3", "gitea-server", "environment.DB_PASSWORD", "made up", "no-plain-secret", "make it a secret"),
    (
        "p3",
        "argocd-release",
        "values.server.service.nodePortHttp",
        30001,
        "declared-ports",
        "take it from the settings",
    ),
    ("p3", "gitea-server", "environment.DB", "postgres://user:pw@db/app", "no-plain-secret", "take it from a Secret"),
    ("p3", "argocd-release", "version", "", "pinned-chart", "components/core/versions.py"),
    ("p3", "argocd-images-load", "delete", "", "undone", "give it a delete"),
    ("p2", "app1-deployment", "spec.template.spec.containers.0.readinessProbe", {}, "probed", "let Kubernetes ask"),
]


@pytest.mark.parametrize(("stack", "name", "path", "value", "rule", "fix"), RESOURCES)
def test_a_mistake_in_the_program_is_found_in_its_resource(  # noqa: PLR0913, PLR0917 - a column each
    build: Callable[..., graph.Graph], stack: str, name: str, path: str, value: object, rule: str, fix: str
) -> None:
    made = build(stack)
    node = made.named(name)
    inputs = copy.deepcopy(node.inputs)
    place: Any = inputs
    *keys, last = (int(key) if key.isdigit() else key for key in path.split("."))
    for key in keys:
        place = place[key]
    place[last] = value
    nodes = tuple(replace(each, inputs=inputs) if each is node else each for each in made.nodes)
    told = [str(each) for each in validate.of_stack(replace(made, nodes=nodes))]
    assert any(each.startswith(f"{stack} {name}: ") and rule in each and fix in each for each in told), told


def test_two_services_with_one_node_port_are_found(folder: Path) -> None:
    path = folder / "again.yaml"
    text = (folder / DEPLOYMENT).read_text(encoding="utf-8").partition("---\n")[2]
    path.write_text(text.replace("name: flask-app\n", "name: other\n", 1), encoding="utf-8")
    (told,) = [str(each) for each in validate.of_manifests(folder, "here") if "node port 30001 too" in str(each)]
    assert told.startswith("here/deployment.yaml:")
    assert "take another one" in told


FILES: Final = [
    (files.DOCKERFILE, "USER 10001:10001", "USER 0", "runs as root"),
    (files.DOCKERFILE, "USER 10001:10001", "USER root", "runs as root"),
    (files.DOCKERFILE, "USER 10001:10001\n", "", "runs as root"),
    (files.SCRIPT, 'matches "$part" "$2" ||', "false &&", "without comparing"),
    (files.VERSIONS, versions.ARGOCD_CHART.sha256, versions.ARGOCD_CHART.sha256[1:], "is no SHA-256"),
]


@pytest.mark.parametrize(("file", "old", "new", "told"), FILES)
def test_a_mistake_in_a_file_is_found_in_its_line(tmp_path: Path, file: str, old: str, new: str, told: str) -> None:
    for name in (files.DOCKERFILE, files.SCRIPT, files.VERSIONS):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        text = (paths.ROOT / name).read_text(encoding="utf-8")
        assert name != file or old in text
        (tmp_path / name).write_text(text.replace(old, new) if name == file else text, encoding="utf-8")
    (found,) = files.findings(tmp_path)
    assert found.where.startswith(f"{file}:")
    assert told in found.what
    assert "; " in found.what


def test_a_chart_with_another_hash_is_found(tmp_path: Path) -> None:
    for name in (files.DOCKERFILE, files.SCRIPT, files.VERSIONS):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text((paths.ROOT / name).read_text(encoding="utf-8"), encoding="utf-8")
    chart = tmp_path / charts.KEPT / versions.ARGOCD_CHART.archive
    chart.parent.mkdir(parents=True)
    chart.write_bytes(b"another one")
    (found,) = files.findings(tmp_path)
    assert found.where.startswith(f"{files.VERSIONS}:")
    assert "the sha256 of argo-cd" in found.what


def test_nothing_is_wrong_with_the_files() -> None:
    assert list(files.findings(paths.ROOT)) == []
