"""`make up` looks at what clusters have that answer, and starts what Helm does not."""

from __future__ import annotations

import base64
import json
from typing import TYPE_CHECKING, Any

import bcrypt
import pytest

from components.core import kube
from components.core.errors import LabError
from devtools import graph
from lab.host import local, paths, tools
from lab.live import drift, locks, stack
from tests.unit import fakes

if TYPE_CHECKING:
    from pathlib import Path


def workload(name: str, namespace: str, replicas: int, release: str = "argocd") -> dict[str, Any]:
    metadata = {"name": name, "namespace": namespace, "annotations": {"meta.helm.sh/release-name": release}}
    return {"kind": "StatefulSet", "metadata": metadata, "spec": {"replicas": replicas}}


class Clusters:
    """What the clusters have, and what was typed into them."""

    def __init__(self) -> None:
        self.items: list[dict[str, Any]] = []
        self.asked = 0
        self.answers = True
        self.typed: list[str] = []
        self.given: list[str] = []
        self.noted = True
        self.own = True
        self.said = ""
        self.more: dict[str, Any] = {}
        self.secret: dict[str, str] = {}

    def set(self, key: str, password: str) -> None:
        self.secret[key] = base64.b64encode(bcrypt.hashpw(password.encode(), bcrypt.gensalt(4))).decode()

    def exported(self, name: str) -> dict[str, Any]:
        """Return what the state has: of each cluster its provider, and a namespace in it with Helm's release."""
        outputs = fakes.outputs(name)
        found: list[dict[str, Any]] = [{"urn": "stack", "type": local.STACK, "outputs": outputs}]
        if self.own:
            found.append({"urn": "nodes", "type": drift.NODES})
        texts = [outputs["kubeconfig"], *outputs.get("clusters", {}).values()] if name != "p1" else []
        for number, text in enumerate(texts):
            inputs: dict[str, Any] = {"kubeconfig": text if not number else "another"}
            found.append({"urn": "urn::provider", "id": str(number), "type": local.PROVIDER, "inputs": inputs})
            within = {"provider": f"urn::provider::{number}"}
            inputs = {"metadata": {"name": "argocd"}}
            found.append({**within, "urn": f"namespace-{number}", "type": drift.NAMESPACE, "inputs": inputs})
            if self.noted:
                inputs = {"name": "argocd"}
                found.append({**within, "urn": f"release-{number}", "type": locks.RELEASE, "inputs": inputs})
        return {"resources": found, **self.more}

    def raw(self, _: Path, path: str) -> str:
        assert path == "/version"
        if not self.answers:
            raise LabError("the cluster does not answer")
        self.asked += 1
        return "{}"

    def get(self, _: object, kind: str, **__: object) -> dict[str, Any]:
        if kind == "secrets":
            if not self.secret:
                raise LabError("the cluster has no such Secret")
            return {"data": self.secret}
        return {"items": self.items}

    def run(self, command: list[str], *, given: str = "", **_: object) -> str:
        self.given.append(given)
        self.typed.append(" ".join(each for each in command[1:] if not each.startswith(("--kubeconfig", "--cache"))))
        return self.said


@pytest.fixture
def clusters(monkeypatch: pytest.MonkeyPatch) -> Clusters:
    made = Clusters()
    made.set("admin.password", fakes.outputs("p3")["argocdPassword"])
    for name, password in fakes.outputs("platform")["accounts"].items():
        made.set(f"accounts.{name}.password", password)
    monkeypatch.setattr(kube, "get", made.get)
    monkeypatch.setattr(kube, "raw", made.raw)
    monkeypatch.setattr(drift, "run", made.run)
    monkeypatch.setattr(tools, "ensure", lambda _: None)
    monkeypatch.setattr(local, "states", lambda: dict.fromkeys(("p1", "p2", "p3", "platform"), 9))
    monkeypatch.setattr(stack, "exported", made.exported)
    return made


@pytest.mark.parametrize(("name", "how_many"), [("p2", 1), ("p3", 1), ("platform", 2)])
def test_what_every_cluster_has_that_answers_is_looked_at(clusters: Clusters, name: str, how_many: int) -> None:
    assert drift.flags(name) == ["--refresh"]
    assert clusters.asked == how_many


def test_what_does_not_answer_is_not_taken_for_gone(clusters: Clusters) -> None:
    clusters.answers = False
    assert drift.flags("p3") == []


def test_in_p1_there_is_nothing_to_look_at(clusters: Clusters) -> None:
    assert drift.flags("p1") == []
    assert clusters.asked == 0


@pytest.mark.parametrize("states", [{}, {"p3": 0}])
def test_a_first_up_asks_nobody(clusters: Clusters, monkeypatch: pytest.MonkeyPatch, states: dict[str, int]) -> None:
    monkeypatch.setattr(local, "states", lambda: states)
    monkeypatch.setattr(stack, "exported", lambda *_: pytest.fail("nothing is up"))
    assert drift.flags("p3") == []
    assert clusters.asked == 0


def test_what_helm_has_installed_and_somebody_has_scaled_to_nothing_is_started(
    clusters: Clusters, capsys: pytest.CaptureFixture[str]
) -> None:
    clusters.items = [
        workload("argocd-application-controller", "argocd", 0),
        workload("argocd-server", "argocd", 1),
        workload(drift.OFF, "argocd", 0),
        workload("theirs", "default", 0),
        # In an existing cluster, others may have what is named like ours.
        workload("prometheus", "monitoring", 0, "prometheus"),
        workload("image-updater", "argocd", 0, "image-updater"),
    ]
    assert drift.flags("p3") == ["--refresh"]
    assert clusters.typed == ["--namespace=argocd scale statefulset/argocd-application-controller --replicas=1"]
    assert "argocd-application-controller in argocd was scaled to 0" in capsys.readouterr().err


def test_what_argo_cds_values_leave_off_is_the_one_that_is_not_started() -> None:
    values = graph.build("p3", paths.ROOT).named("argocd-release").inputs["values"]
    off = [name for name, each in values.items() if isinstance(each, dict) and each.get("replicas") == 0]
    assert off == ["applicationSet"]
    assert drift.OFF.startswith("argocd-applicationset")


@pytest.mark.parametrize(("name", "key"), [("p3", "admin.password"), ("platform", "accounts.releaser.password")])
@pytest.mark.parametrize("now", ["another", None])
def test_a_password_that_was_changed_is_the_stacks_again(
    clusters: Clusters, name: str, key: str, now: str | None
) -> None:
    if now:
        clusters.set(key, now)
    else:
        clusters.secret[key] = base64.b64encode(b"no hash").decode()
    outputs = fakes.outputs(name)
    wanted = outputs["argocdPassword"] if name == "p3" else outputs["accounts"]["releaser"]
    assert drift.flags(name) == ["--refresh"]
    (typed,) = clusters.typed
    assert typed == "--namespace=argocd patch secret argocd-secret --patch-file=/dev/stdin"
    data = json.loads(clusters.given[0])["stringData"]
    assert bcrypt.checkpw(wanted.encode(), data.pop(key).encode())
    assert list(data) == [f"{key}Mtime"]


def test_half_a_release_that_nobody_knows_is_forgotten_so_that_it_can_begin_anew(clusters: Clusters) -> None:
    clusters.noted = False
    assert drift.flags("p3") == ["--refresh"]
    assert clusters.typed == [
        "--namespace=argocd delete secrets --selector=owner=helm,name=argocd,status notin (deployed,superseded)"
    ]


@pytest.mark.parametrize(
    ("noted", "own", "said", "again"),
    [
        (False, True, 'secret "sh.helm.release.v1.argocd.v1" deleted', True),
        (False, True, "", False),  # another reason than that
        (True, True, "never asked", False),
        (False, False, "never asked", False),
    ],
)
def test_an_up_that_failed_is_tried_again_when_half_a_release_was_in_its_way(
    clusters: Clusters, noted: bool, own: bool, said: str, again: bool
) -> None:
    clusters.noted, clusters.own, clusters.said = noted, own, said
    assert drift.mended("p3") == again
    clusters.answers = False
    assert not drift.mended("p3")


def test_in_a_cluster_that_was_there_before_it_may_be_somebody_elses(clusters: Clusters) -> None:
    clusters.noted, clusters.own = False, False
    clusters.items = [workload("argocd-server", "argocd", 0)]
    clusters.set("admin.password", "theirs")
    assert drift.flags("p3") == ["--refresh"]
    assert clusters.typed == []


def test_beside_a_run_that_is_at_work_nothing_is_touched(clusters: Clusters) -> None:
    clusters.noted = False
    clusters.more = {"pending_operations": [{"type": "creating"}]}
    assert drift.flags("p3") == []
    assert clusters.typed == []


def test_what_was_removed_altogether_is_the_ups_to_make(clusters: Clusters) -> None:
    clusters.secret = {}
    assert drift.flags("p3") == ["--refresh"]
    assert clusters.typed == []


def test_no_file_of_a_kubeconfig_is_left(clusters: Clusters, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    drift.flags("platform")
    assert clusters.asked
    assert list(tmp_path.iterdir()) == []


def test_a_secret_of_the_state_is_read_as_what_it_is(monkeypatch: pytest.MonkeyPatch) -> None:
    secret = {stack.SECRET: "1b47061264138c4ac30d75fd1eb44270", "plaintext": json.dumps("apiVersion: v1")}
    resource = {"urn": "urn:a", "id": "b", "inputs": {"kubeconfig": secret, "args": [secret], "plaintext": "x"}}
    text = json.dumps({"deployment": {"resources": [resource]}})
    monkeypatch.setattr(stack, "pulumi", lambda *_: text)
    inputs = stack.by_reference(stack.exported("p3"))["urn:a::b"]["inputs"]
    assert inputs == {"kubeconfig": "apiVersion: v1", "args": ["apiVersion: v1"], "plaintext": "x"}
