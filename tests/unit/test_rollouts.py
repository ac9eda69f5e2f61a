"""Versions that prove themselves: what is made for it, what the way of a version says of it, and what is refused."""

from __future__ import annotations

from contextlib import nullcontext
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import yaml

from components.core import kube
from components.core.errors import LabError
from components.gitops import environments as made_of
from devtools import graph
from lab.commands import approve
from lab.host import paths
from lab.live import answers, application, environments, git, releases, rollout
from policy import rules
from tests.unit import fakes

pytestmark = pytest.mark.unit

READ = {"get", "list", "watch"}


@pytest.fixture(scope="module")
def made() -> graph.Graph:
    return graph.build("platform", paths.ROOT)


def roles(made: graph.Graph, of: str) -> list[dict[str, Any]]:
    return [each.inputs for each in made.nodes if each.inputs.get("kind") == of and "argo-rollouts" in str(each.inputs)]


# --- what is made ----------------------------------------------------------------------------------------------------


def test_the_controller_looks_everywhere_and_acts_in_the_environments_that_want_it_alone(made: graph.Graph) -> None:
    for each in roles(made, "ClusterRole"):
        assert {verb for rule in each["rules"] for verb in rule["verbs"]} == READ
        assert "secrets" not in {what for rule in each["rules"] for what in rule["resources"]}
    assert len(roles(made, "ClusterRole")) == 2
    acts = {
        each["metadata"]["namespace"]: {what for rule in each["rules"] for what in rule["resources"]}
        for each in roles(made, "Role")
    }
    # dev, too: what an environment was before has to be taken back as well.
    assert set(acts) == {"dev", "staging", "prod", "argo-rollouts"}
    assert "replicasets" in acts["prod"]
    assert not {"secrets", "deployments"} & (acts["prod"] | acts["staging"])


def test_the_charts_own_rights_are_not_made(made: graph.Graph) -> None:
    releases_ = [each for each in made.nodes if each.inputs.get("name") == "argo-rollouts" and "values" in each.inputs]
    assert len(releases_) == 2
    for each in releases_:
        values = each.inputs["values"]
        assert values["controller"]["createClusterRole"] is False
        assert values["createClusterAggregateRoles"] is False
        # Without the kinds, what was synced by hand would be gone when an environment gives them up.
        assert values["keepCRDs"] is True


def test_analyses_ask_the_one_prometheus_from_each_cluster_as_it_reaches_it(made: graph.Graph) -> None:
    asked = {
        each.name: each.inputs["values"]["controller"]["extraEnv"]
        for each in made.nodes
        if each.inputs.get("name") == "argo-rollouts" and "values" in each.inputs
    }
    assert {name: env[0]["value"] for name, env in asked.items()} == {
        "rollouts-release": "http://prometheus.monitoring.svc:9090",
        "rollouts-prod-release": "http://k3d-iot-platform-server-0:30090",
    }


def test_without_an_environment_that_wants_it_nothing_of_it_is_made() -> None:
    plain = graph.build("platform", paths.ROOT, {"environments": {"dev": {"port": 30001}}})
    assert not [each for each in plain.nodes if "argo-rollouts" in str(each.inputs)]
    branch = plain.named("gitea-server").inputs["repositories"]["gitops"]["branches"]["env/dev"]
    assert not [path for path in branch if path.startswith("delivery")]


def test_an_application_has_the_way_that_its_environment_is_set_to(made: graph.Graph) -> None:
    apps = made.named("gitea-server").inputs["repositories"]["gitops"]["branches"]["main"]
    found = {name: yaml.safe_load(apps[f"apps/{name}.yaml"])["spec"] for name in ("dev", "staging", "prod")}
    assert "components" not in found["dev"]["source"]["kustomize"]
    assert found["staging"]["source"]["kustomize"]["components"] == ["../../delivery/blue-green"]
    assert found["prod"]["source"]["kustomize"]["components"] == ["../../delivery/canary"]
    # The Deployment goes when the Rollout that takes its place answers.
    assert found["prod"]["syncPolicy"]["syncOptions"] == ["PruneLast=true"]


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"environments": {"dev": {"port": 30001, "delivery": "rolling"}}}, "one of deployment, canary, blueGreen"),
        ({"monitoring": False}, "true, because the canary of prod is judged by what Prometheus sees"),
    ],
)
def test_what_can_not_be_is_refused_before_anything_is_made(settings: dict[str, Any], words: str) -> None:
    with pytest.raises(LabError) as error:
        graph.build("platform", paths.ROOT, settings)
    assert words in str(error.value)


def test_who_may_sync_may_resume_and_abort_and_nobody_skips_an_analysis() -> None:
    lines = made_of.policy(tuple(environments.of(fakes.outputs("platform"))))  # type: ignore[arg-type] # same fields
    assert "p, role:releaser, applications, action/argoproj.io/Rollout/resume, prod/prod, allow" in lines
    assert "promote-full" not in lines


@pytest.mark.parametrize(
    ("kind", "metadata", "rule", "words"),
    [
        ("ClusterRole", {"name": "argo-rollouts"}, {"resources": ["pods"], "verbs": ["update"]}, "it may update"),
        ("ClusterRole", {"name": "argo-rollouts"}, {"resources": ["secrets"], "verbs": ["get"]}, "rights to secrets"),
        ("ClusterRole", {"name": "other"}, {"resources": ["pods"], "verbs": ["get"]}, "leave it out"),
        (
            "Role",
            {"name": "argo-rollouts-controller", "namespace": "kube-system"},
            {"resources": ["pods"], "verbs": ["get"]},
            "leave it out",
        ),
        (
            "Role",
            {"name": "argo-rollouts-controller", "namespace": "argo-rollouts"},
            {"resources": ["secrets"], "verbs": ["get"]},
            "rights to secrets",
        ),
    ],
)
def test_more_rights_than_that_break_a_rule(
    kind: str, metadata: dict[str, str], rule: dict[str, Any], words: str
) -> None:
    resource = rules.Resource(
        type=f"kubernetes:rbac.authorization.k8s.io/v1:{kind}",
        name="x",
        inputs={"kind": kind, "metadata": metadata, "rules": [rule]},
    )
    found = list(rules.no_rights(resource, rules.Context(node_ports=frozenset(), environments=("prod",))))
    assert words in str(found)


# --- how far one is --------------------------------------------------------------------------------------------------

IMAGE = "localhost:5001/flask-app"
STEPS = [{"setWeight": 25}, {"analysis": {}}, {"setWeight": 50}, {"analysis": {}}]


def one(status: dict[str, Any], strategy: str = "canary", *, seen: bool = True) -> dict[str, Any]:
    """Return a Rollout of v2 as the cluster has it."""
    return {
        "metadata": {"generation": 3},
        "spec": {
            "strategy": {strategy: {"steps": STEPS} if strategy == "canary" else {}},
            "template": {"spec": {"containers": [{"image": "sidecar:1"}, {"image": f"{IMAGE}:v2"}]}},
        },
        "status": {"observedGeneration": "3" if seen else "2", **status},
    }


def run(*metrics: dict[str, Any]) -> dict[str, Any]:
    return {"status": {"metricResults": list(metrics)}}


GOOD = {"name": "latency", "phase": "Running", "measurements": [{"phase": "Successful", "value": "[0.02]"}]}
FAILED = {"name": "error-share", "phase": "Failed", "measurements": [{"phase": "Failed", "value": "[0.31]"}]}
DOWN = {
    "name": "error-share",
    "phase": "Running",
    "measurements": [{"phase": "Error", "message": "connection refused"}],
}
BLIND = {"name": "latency", "phase": "Inconclusive", "measurements": [{"phase": "Inconclusive", "value": "[]"}]}
RUNS = {"currentStepAnalysisRunStatus": {"name": "a-run", "status": "Running"}}


def test_a_canary_says_its_weight_and_step() -> None:
    progress = rollout.of(
        one({"phase": "Progressing", "currentStepIndex": 1, "canary": RUNS}), IMAGE, lambda _: run(GOOD)
    )
    assert rollout.shown(progress) == "canary at 25 %, step 2 of 4"
    assert progress.tag == "v2"
    assert rollout.stopped(prod(), progress) is None


def test_a_canary_that_has_failed_says_what_was_measured_and_the_way_back() -> None:
    status = {"phase": "Degraded", "abort": True, "currentStepIndex": 0, "canary": RUNS}
    progress = rollout.of(one(status), IMAGE, lambda _: run(GOOD, FAILED))
    error = rollout.stopped(prod(), progress)
    assert str(error) == (
        "v2 was given up in prod, and the version before goes on serving. error-share: Failed, it measured [0.31]. "
        "Fix: make rollback ENV=prod, which brings Git back to it."
    )


def test_a_canary_that_nobody_asks_pauses_and_says_so() -> None:
    paused = {"pauseConditions": [{"reason": "InconclusiveAnalysisRun"}]}
    status = {"phase": "Paused", "currentStepIndex": 1, "canary": RUNS, **paused}
    error = rollout.stopped(prod(), rollout.of(one(status), IMAGE, lambda _: run(BLIND)))
    assert error is not None
    assert error.what == "v2 waits in prod (canary at 25 %, step 2 of 4): nothing was found out about it"
    assert "make approve ENV=prod looks once more" in error.fix


def test_while_prometheus_does_not_answer_a_canary_waits_and_says_so() -> None:
    status = {"phase": "Progressing", "currentStepIndex": 1, "canary": RUNS}
    progress = rollout.of(one(status), IMAGE, lambda _: run(DOWN))
    assert rollout.shown(progress) == "canary at 25 %, step 2 of 4, error-share: connection refused"
    assert rollout.stopped(prod(), progress) is None


def test_what_a_rollout_says_of_the_version_before_counts_for_nothing() -> None:
    progress = rollout.of(one({"phase": "Degraded", "abort": True}, seen=False), IMAGE, lambda _: run(FAILED))
    assert rollout.stopped(prod(), progress) is None
    assert progress.found == "not looked at yet"


@pytest.mark.parametrize("spec", [{}, {"workloadRef": {"name": "flask-app"}}, {"strategy": {}, "template": {}}])
def test_a_rollout_of_any_shape_is_looked_at(spec: dict[str, Any]) -> None:
    it = {"metadata": {"generation": 1}, "spec": spec, "status": {"observedGeneration": "1"}}
    assert rollout.of(it, IMAGE, lambda _: run()).tag == ""


def test_what_is_no_rollout_yet_is_nothing_that_waits(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(kube, "get", lambda *_, **__: {"items": []})
    progress = rollout.look(Path(), "prod", IMAGE)
    assert (progress.found, rollout.stopped(prod(), progress)) == ("it is no Rollout yet", None)


@pytest.mark.parametrize(
    ("status", "tag", "head", "action"),
    [
        ({"pauseConditions": [{"reason": "InconclusiveAnalysisRun"}]}, "v2", "c1", "resume"),
        ({"abort": True}, "v2", "c1", "retry"),
        ({}, "v2", "c1", ""),
        # Git says another one by now, or has gone on since: what was taken back is not tried again.
        ({"pauseConditions": [{"reason": "InconclusiveAnalysisRun"}]}, "v1", "c1", ""),
        ({"abort": True}, "v2", "c2", ""),
    ],
)
def test_approve_looks_once_more_at_what_git_has_by_now_alone(
    monkeypatch: pytest.MonkeyPatch, status: dict[str, Any], tag: str, head: str, action: str
) -> None:
    found = rollout.of(one({"phase": "Paused", **status}), IMAGE, lambda _: run())
    monkeypatch.setattr(rollout, "look", lambda *_: found)
    status_ = {"operationState": {"syncResult": {"revision": "c1"}}}
    monkeypatch.setattr(application, "status", lambda *_: status_)
    monkeypatch.setattr(git, "cloned", lambda *_: nullcontext(SimpleNamespace(head=head)))
    monkeypatch.setattr(approve, "_version", lambda *_: tag)
    outputs = fakes.outputs("platform")
    synced = approve._synced(outputs, prod())  # noqa: SLF001 - what it decides, and by what
    assert (approve._once_more(outputs, prod()) if synced else "") == action  # noqa: SLF001 - as above


def test_one_that_is_done_says_nothing() -> None:
    assert rollout.shown(rollout.of(one({"phase": "Healthy", "currentStepIndex": 4}), IMAGE, lambda _: run())) == ""


@pytest.mark.parametrize(
    ("selectors", "words"),
    [
        ({"previewSelector": "b", "activeSelector": "a"}, "beside"),
        ({"previewSelector": "b", "activeSelector": "b"}, "over"),
    ],
)
def test_blue_green_says_where_it_is(selectors: dict[str, str], words: str) -> None:
    status = {"phase": "Progressing", "blueGreen": selectors}
    assert words in rollout.of(one(status, "blueGreen"), IMAGE, lambda _: run()).found


def test_what_gets_no_further_ends_the_wait(monkeypatch: pytest.MonkeyPatch) -> None:
    status = {"phase": "Degraded", "abort": True, "currentStepIndex": 0, "canary": RUNS}
    monkeypatch.setattr(rollout, "look", lambda *_: rollout.of(one(status), IMAGE, lambda _: run(FAILED)))
    monkeypatch.setattr(releases, "LOOK", 0.0)
    monkeypatch.setattr(answers, "version", lambda _: "v1")
    target = releases.at(fakes.outputs("platform"), prod())
    with pytest.raises(LabError, match=r"^v2 was given up in prod"):
        releases.live(target, "v2", 5.0)


def test_what_was_given_up_is_over_when_its_pods_are_gone_and_nobody_is_answered_by_one(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    status = {"phase": "Degraded", "abort": True, "currentStepIndex": 0, "canary": RUNS}
    left, said = iter([2, 1, 0]), iter(["v1", "v2", "v1", "v1", "v2"])
    seen: list[str] = []

    def look(*_: object) -> rollout.Progress:
        seen.append("pods")
        return rollout.of(one({**status, "updatedReplicas": next(left, 0)}), IMAGE, lambda _: run(FAILED))

    def version(_: object) -> str:
        seen.append(next(said, "v1"))
        return seen[-1]

    monkeypatch.setattr(rollout, "look", look)
    monkeypatch.setattr(answers, "version", version)
    monkeypatch.setattr(releases, "LOOK", 0.0)
    monkeypatch.setattr(releases, "EVERY", 0.0)
    monkeypatch.setattr(releases, "STEADY", 0.05)
    target = releases.at(fakes.outputs("platform"), prod())
    with pytest.raises(LabError, match=r"^v2 was given up in prod"):
        releases.live(target, "v2", 5.0)
    assert seen.count("pods") > 3
    assert "v2" not in seen[-3:]
    assert seen.count("v2") == 2


def prod() -> environments.Environment:
    return environments.find(fakes.outputs("platform"), "prod")
