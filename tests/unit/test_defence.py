"""The defence's check-list: every point that a grader tries is on it, and each can fail."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

import pytest

from components.core import kube
from components.core.errors import LabError
from components.core.http_client import Answer
from lab.commands import check
from lab.live import defence, defence_platform, environments
from tests.unit import fakes

pytestmark = pytest.mark.unit

SERVER = {"machine": "rel-filaS", "name": "rel-filas", "role": "server", "address": "192.168.56.110"}


def names(stack: str, config: Path) -> str:
    outputs = fakes.outputs(stack)
    points = defence_platform.points(outputs, config) if stack == "platform" else defence.points(stack, outputs, config)
    return "\n".join(point.name for point in points)


def node(name: str, address: str, *, ready: bool = True, control: bool = True) -> dict[str, Any]:
    return {
        "metadata": {"name": name, "labels": {"node-role.kubernetes.io/control-plane": "true"} if control else {}},
        "status": {
            "conditions": [{"type": "Ready", "status": str(ready)}],
            "addresses": [{"type": "InternalIP", "address": address}],
            "nodeInfo": {"kubeletVersion": "v1.36.3+k3s1"},
        },
    }


@pytest.mark.parametrize(
    ("stack", "tried"),
    [
        ("p1", ["rel-filaS: SSH without a password", "rel-filaSW: has the address 192.168.56.111", "1 CPU, 1024 MiB"]),
        ("p1", ["rel-filasw: Ready, at 192.168.56.111, agent", "these and no others", "only root reads"]),
        ("p2", ["app2: 3 of 3 pods", "app2.com: 3 pods take turns", "any other host: app3", "Ingress is Traefik's"]),
        ("p2", ['curl -H "Host: app1.com" http://192.168.56.110/: app1', "curl http://192.168.56.110/: app3"]),
        ("p3", ["docker ps shows the nodes of iot-cluster", "namespace argocd", "namespace dev", "a pod runs in dev"]),
        ("p3", ["curl http://localhost:8888/", "http://localhost:30002/: Argo CD", "http://localhost:8080/: Argo CD"]),
        ("p3", ["Synced and Healthy", "syncs, prunes and heals", "follows manifests/p3"]),
        ("platform", ["every node of the first cluster", "every node of prod is Ready", "no administrator"]),
        ("platform", ["prod: developer may not sync it", "prod: releaser may sync it", "dev: developer may sync it"]),
        (
            "platform",
            ["prod: a change needs 1 approval, and nobody pushes to main", "staging: its namespace has a quota"],
        ),
        (
            "platform",
            ["Argo CD may not get secrets in prod", "docker ps shows iot-platform-runner", "the registry answers"],
        ),
        ("platform", ["prod: curl http://localhost:30021/ says the version that Git has", "into another project"]),
    ],
)
def test_what_a_grader_tries_is_on_the_list(stack: str, tried: list[str], tmp_path: Path) -> None:
    listed = names(stack, tmp_path)
    for each in tried:
        assert each in listed


@pytest.mark.parametrize(
    ("spec", "said"),
    [
        ({"sourceRepos": ["*"]}, "the paths of its repositories is"),
        ({"sourceRepos": ["http://git/iot/gitops.git", "http://git/me/mine.git"]}, "the paths of its repositories is"),
        ({"destinations": [{"server": "here", "namespace": "dev"}, {"namespace": "prod"}]}, "the destinations is"),
        ({"destinations": [{"server": "*", "namespace": "dev"}]}, "the destinations is"),
        ({"clusterResourceWhitelist": [{"group": "*", "kind": "*"}]}, "for a whole cluster"),
        ({"namespaceResourceWhitelist": [{"group": "", "kind": "Secret"}]}, "the kinds is 'Secret'"),
    ],
)
def test_a_project_that_allows_more_fails(spec: dict[str, Any], said: str, monkeypatch: pytest.MonkeyPatch) -> None:
    good = {
        "sourceRepos": ["http://git/iot/gitops.git"],
        "destinations": [{"server": "here", "namespace": "dev"}],
        "destination": {"server": "here", "namespace": "dev"},  # the Application's, which is asked for as well
        "namespaceResourceWhitelist": [
            {"kind": each} for each in ("Rollout", "Service", "SealedSecret", "Deployment", "AnalysisTemplate")
        ],
    }
    monkeypatch.setattr(kube, "get", lambda *_, **__: {"spec": good})
    outputs = fakes.outputs("platform")
    dev = environments.find(outputs, "dev")
    kinds = "AnalysisTemplate, Deployment, Rollout, SealedSecret, Service"
    assert defence_platform._project(outputs, Path(), dev) == kinds  # noqa: SLF001
    monkeypatch.setattr(kube, "get", lambda *_, **__: {"spec": good | spec})
    with pytest.raises(LabError, match=said):
        defence_platform._project(outputs, Path(), dev)  # noqa: SLF001


def test_nodes_that_are_as_they_should_be_hold() -> None:
    found = {"rel-filas": node("rel-filas", "192.168.56.110")}
    assert defence._node(lambda: found, "rel-filas", SERVER) == "v1.36.3+k3s1"  # noqa: SLF001


@pytest.mark.parametrize(
    ("found", "said"),
    [
        ({}, "there is no node"),
        ({"rel-filas": node("rel-filas", "192.168.56.110", ready=False)}, "is not Ready"),
        ({"rel-filas": node("rel-filas", "10.0.2.15")}, "InternalIP"),
        ({"rel-filas": node("rel-filas", "192.168.56.110", control=False)}, "the role"),
    ],
)
def test_a_node_that_is_not_fails_and_says_why(found: dict[str, Any], said: str) -> None:
    with pytest.raises(LabError, match=said):
        defence._node(lambda: found, "rel-filas", SERVER)  # noqa: SLF001


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        (Answer(404, {}, "404"), "the status is 404"),
        (Answer(200, {"app": "app1"}, ""), "who answers is 'app1'"),
    ],
)
def test_a_wrong_route_fails(monkeypatch: pytest.MonkeyPatch, answer: Answer, said: str) -> None:
    monkeypatch.setattr("components.core.http_client.ask", lambda *_, **__: answer)
    with pytest.raises(LabError, match=said):
        defence._route("http://x/", "app2.com", "app2")  # noqa: SLF001


def test_one_pod_is_not_three(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(
        "components.core.http_client.ask", lambda *_, **__: Answer(200, {"app": "app2", "pod": "a"}, "")
    )
    with pytest.raises(LabError, match="3 different pods"):
        defence._pods("http://x/", "app2.com", 3)  # noqa: SLF001


def test_the_exit_code_says_whether_every_point_holds(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def broken() -> str:
        raise LabError("it is down", fix="make up")

    points = [defence.Point("one", lambda: "as it should be"), defence.Point("two", broken)]
    monkeypatch.setattr("lab.live.stack.outputs", lambda *_, **__: {"part": "p1", "kubeconfig": ""})
    monkeypatch.setattr("lab.host.tools.ensure", lambda _: None)
    monkeypatch.setattr(defence, "points", lambda *_: points)
    args = argparse.Namespace(stack="p1", json=False)
    assert check.run(args) == 1
    printed = capsys.readouterr().out
    assert "FAIL  two" in printed
    assert "1 of 2 points hold" in printed
    points.pop()
    assert check.run(args) == 0
