"""A cluster that is not ours is told from others by its own identity, not by where its kubeconfig is."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import yaml

from components.core import kube
from components.core.cluster import ExistingClusterArgs, server_of
from components.core.errors import LabError
from lab.host import local
from lab.live import stack

if TYPE_CHECKING:
    from collections.abc import Callable

    from devtools import graph
    from tests.unit.programs import Programs

KUBECTL = """
if '--kubeconfig=' not in line or args[-4:] != ['get', 'namespace', 'kube-system', '--output=jsonpath={.metadata.uid}']:
    sys.exit('not expected: ' + line)
if (here / 'away').exists():
    sys.exit('The connection to the server 127.0.0.1:6443 was refused')
print('uid-of-' + next(each for each in args if each.startswith('--context=')).partition('=')[2], end='')
"""
PATH = Path("/home/my own/.kube/config")


@pytest.fixture
def kubectl(programs: Programs) -> Programs:
    programs.add("kubectl", KUBECTL)
    return programs


def test_it_is_the_uid_of_kube_system(kubectl: Programs) -> None:
    assert kube.identity_of(PATH, "mine") == "uid-of-mine"


def test_an_up_stops_at_a_cluster_that_does_not_answer(kubectl: Programs, tmp_path: Path) -> None:
    (tmp_path / "away").touch()
    with pytest.raises(LabError, match=r"config, context mine") as stopped:
        kube.identity_of(PATH, "mine")

    assert "was refused" in stopped.value.why
    assert "`kubectl '--kubeconfig=/home/my own/.kube/config' --context=mine get namespace" in stopped.value.fix
    assert str(stopped.value).count("Fix: ") == 1


def test_without_kubectl_the_error_says_what_brings_it(programs: Programs) -> None:
    with pytest.raises(LabError, match=r"kubectl is not on PATH.*make setup"):
        kube.identity_of(PATH, "mine")


@pytest.fixture
def existing(tmp_path: Path, build: Callable[..., graph.Graph]) -> Callable[[], dict[str, Any]]:
    """Return a function that gives what the Kubernetes provider of an existing cluster is asked for with."""
    path = tmp_path / "kubeconfig"
    path.write_text(yaml.safe_dump({"contexts": [{"name": "mine"}], "current-context": "mine"}), encoding="utf-8")

    def asked() -> dict[str, Any]:
        made = build("p3", kubeconfig=str(path), gitUrl="https://github.com/me/iot", appImage="registry.example/app:v1")
        (provider,) = made.of_type("pulumi:providers:kubernetes")
        return {"path": str(path), **provider.inputs, **provider.options}

    return asked


def test_the_provider_is_told_who_the_cluster_is(
    existing: Callable[[], dict[str, Any]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(kube, "identity_of", lambda path, context: f"{path.name} {context}")
    asked = existing()

    assert asked["clusterIdentifier"] == "kubeconfig mine"
    assert "ignoreChanges" not in asked


def test_a_preview_that_can_not_ask_changes_nothing(existing: Callable[[], dict[str, Any]]) -> None:
    asked = existing()

    assert asked["clusterIdentifier"] == f"{asked['path']}#mine"
    assert asked["ignoreChanges"] == ["clusterIdentifier"]


def test_a_stack_that_told_it_by_its_path_keeps_what_is_in_it(
    kubectl: Programs, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(local, "STACKS", tmp_path)
    provider = {"type": "pulumi:providers:kubernetes", "urn": "urn:provider", "inputs": {}, "outputs": {}}
    for side in ("inputs", "outputs"):
        provider[side] = {"clusterIdentifier": f"{PATH}#mine", "context": "mine"}
    deployment: dict[str, Any] = {"resources": [provider, {"type": "other", "urn": "urn:other"}]}
    state = {"checkpoint": {"latest": deployment}}
    (tmp_path / "p3.json").write_text(json.dumps(state), encoding="utf-8")
    monkeypatch.setattr(stack, "rewrite", lambda _, change: change(deployment))
    stack.recognise("p3")

    for side in ("inputs", "outputs"):
        assert provider[side] == {"clusterIdentifier": "uid-of-mine", "context": "mine"}
    (tmp_path / "p3.json").write_text(json.dumps(state), encoding="utf-8")
    kubectl.add("kubectl", "sys.exit('not to be asked')")
    stack.recognise("p3")


SERVER = "https://API.example:443"


def kubeconfig(tmp_path: Path, server: str) -> ExistingClusterArgs:
    path = tmp_path / "kubeconfig"
    clusters = f"[{{name: a, cluster: {{server: '{server}'}}}}, {{name: unused, cluster: {{server: ''}}}}]"
    path.write_text(
        f"clusters: {clusters}\ncontexts: [{{name: c, context: {{cluster: a}}}}]\ncurrent-context: c\n",
        encoding="utf-8",
    )
    return ExistingClusterArgs(kubeconfig=path, context=None)


def test_the_server_is_what_stands_there(tmp_path: Path) -> None:
    assert server_of(kubeconfig(tmp_path, SERVER)) == SERVER


@pytest.mark.parametrize("server", ["", "b:1", "https://", "https://[", "https://localhost:6443"])
def test_a_server_that_argo_cd_can_not_ask_is_told(tmp_path: Path, server: str) -> None:
    with pytest.raises(LabError, match="kubeconfig"):
        server_of(kubeconfig(tmp_path, server))
