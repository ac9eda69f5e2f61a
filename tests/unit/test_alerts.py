"""`make alerts` tells what fires and what is about to, and whether anybody is told: asked through the API server."""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import parse_qs, urlsplit

import pytest

from components.core.errors import LabError
from lab.commands import alerts
from lab.host import tools
from lab.live import prometheus, stack
from lab.live.prometheus import Monitoring

if TYPE_CHECKING:
    from tests.unit.programs import Programs

pytestmark = pytest.mark.unit

# As the engine's JSON has it: every number is a float.
MONITORING: Final = {
    "prometheus": {"namespace": "monitoring", "service": "prometheus", "port": 9090.0},
    "alertmanager": {"namespace": "monitoring", "service": "alertmanager", "port": 9093.0},
}
OUTPUTS: Final = {"kubeconfig": "a-kubeconfig", "monitoring": MONITORING}
PROMETHEUS: Final = "/api/v1/namespaces/monitoring/services/prometheus:9090/proxy/api/v1/"
ALERTMANAGER: Final = "/api/v1/namespaces/monitoring/services/alertmanager:9093/proxy/api/v2/"
# What it answers by what it is asked, and what it says when there is no such answer.
KUBECTL: Final = """
answers = json.loads((here / "answers.json").read_text())
path = args[-1].partition("?")[0]
if "--raw" not in args or path not in answers:
    sys.exit("Error from server (ServiceUnavailable): no endpoints available for service \\"prometheus:9090\\"")
if isinstance(answers[path], str):
    sys.exit(answers[path])
print(json.dumps(answers[path]))
"""
# As kubectl shows a 400 and a 422 of Prometheus'.
BAD: Final = "Error from server (BadRequest): the server rejected our request for an unknown reason"
INVALID: Final = "The request is invalid: : unknown"


def firing(name: str, severity: str = "critical", state: str = "firing", **labels: str) -> dict[str, Any]:
    return {
        "labels": {"alertname": name, "severity": severity, **labels},
        "annotations": {"summary": f"{name} in short", "application": "http://localhost:8080/applications/argocd/dev"},
        "state": state,
        "activeAt": "2026-11-28T19:01:02.123456789Z",
        "value": "1e+00",
    }


def rule(name: str, health: str = "ok", kind: str = "alerting", error: str = "") -> dict[str, Any]:
    return {"name": name, "health": health, "type": kind} | ({"lastError": error} if error else {})


def told(labels: dict[str, str], state: str = "active", silenced: tuple[str, ...] = ()) -> dict[str, Any]:
    return {"labels": labels, "status": {"state": state, "silencedBy": [*silenced], "inhibitedBy": []}}


class Cluster:
    """A cluster whose kubectl answers what a test says."""

    def __init__(self, programs: Programs, folder: Path) -> None:
        self.programs = programs
        self._folder = folder
        self.answers: dict[str, Any] = {}
        self.has([], [rule("AppDegraded"), rule("TargetDown"), rule("a:recorded", kind="recording")], [])
        programs.add("kubectl", KUBECTL)

    def has(self, found: list[dict[str, Any]], rules: list[dict[str, Any]], sent: list[dict[str, Any]]) -> None:
        self.answers[f"{PROMETHEUS}alerts"] = {"status": "success", "data": {"alerts": found}}
        self.answers[f"{PROMETHEUS}rules"] = {"status": "success", "data": {"groups": [{"rules": rules}]}}
        self.answers[f"{ALERTMANAGER}alerts"] = sent
        self.write()

    def write(self) -> None:
        (self._folder / "answers.json").write_text(json.dumps(self.answers), encoding="utf-8")

    @property
    def asked(self) -> list[str]:
        return [call.rpartition(" ")[2] for call in self.programs.called("kubectl")]


@pytest.fixture
def cluster(programs: Programs, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Cluster:
    monkeypatch.setattr(stack, "outputs", lambda *_, **__: OUTPUTS)
    monkeypatch.setattr(tools, "ensure", lambda _: None)
    return Cluster(programs, tmp_path)


def run(*given: str) -> int:
    parser = argparse.ArgumentParser()
    alerts.arguments(parser)
    return alerts.run(parser.parse_args(["--stack=platform", *given]))


def monitoring() -> Monitoring:
    return Monitoring(OUTPUTS, Path("config"))


# --- the command -----------------------------------------------------------------------------------------------------


def test_that_nothing_fires_is_said_with_how_much_is_watched(
    cluster: Cluster, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run() == 0
    assert capsys.readouterr().out == "nothing fires, 2 rules are watched\n"


def test_what_fires_is_shown_with_where_since_when_and_where_to_look(
    cluster: Cluster, capsys: pytest.CaptureFixture[str]
) -> None:
    found = [
        firing("TargetDown", "warning", "pending", cluster="prod"),
        firing("LatencyHigh", "warning", environment="dev", cluster="in-cluster"),
        firing("ErrorRateHigh", environment="dev", cluster="in-cluster"),
    ]
    cluster.has(found, [rule("ErrorRateHigh")], [told(each["labels"]) for each in found[1:]])
    assert run() == 1
    said = capsys.readouterr().out.splitlines()
    assert [line.split()[:3] for line in said if not line.startswith(" ")] == [
        ["state", "severity", "alert"],
        ["firing", "critical", "ErrorRateHigh"],
        ["firing", "warning", "LatencyHigh"],
        ["pending", "warning", "TargetDown"],
    ]
    assert said[1].split(maxsplit=3)[3] == "dev/in-cluster  2026-11-28 19:01:02  ErrorRateHigh in short"
    assert said[2] == "    http://localhost:8080/applications/argocd/dev"


def test_what_is_only_pending_is_no_failure(cluster: Cluster, capsys: pytest.CaptureFixture[str]) -> None:
    cluster.has([firing("AppDegraded", state="pending")], [rule("AppDegraded")], [])
    assert run() == 0
    assert capsys.readouterr().out.splitlines()[-1] == "nothing fires, 1 rules are watched"


@pytest.mark.parametrize(("by", "state"), [(("a-silence",), "silenced"), ((), "inhibited")])
def test_what_somebody_has_silenced_is_shown_as_that(
    cluster: Cluster, capsys: pytest.CaptureFixture[str], by: tuple[str, ...], state: str
) -> None:
    quiet, loud = firing("AppDegraded", environment="dev"), firing("AppDegraded", environment="prod")
    # Alertmanager is sent labels besides those that Prometheus shows.
    sent = [told(quiet["labels"] | {"replica": "0"}, "suppressed", by), told(loud["labels"])]
    cluster.has([quiet], [], sent)
    assert run() == 0
    assert state in capsys.readouterr().out
    cluster.has([quiet, loud], [], sent)
    assert run() == 1
    assert [line.split()[0] for line in capsys.readouterr().out.splitlines() if "AppDegraded" in line] == [
        "firing",
        state,
    ]


def test_a_rule_that_is_broken_is_told(cluster: Cluster, capsys: pytest.CaptureFixture[str]) -> None:
    cluster.has([], [rule("AppDegraded", "err", error="many-to-many matching not allowed"), rule("b", "unknown")], [])
    assert run() == 1
    said = capsys.readouterr().out
    assert "NOT OK  the rule AppDegraded can't be evaluated: many-to-many matching not allowed" in said
    assert "NOT OK  the rule b was not evaluated yet\n" in said


def test_that_nobody_is_told_does_not_hide_what_fires(cluster: Cluster, capsys: pytest.CaptureFixture[str]) -> None:
    cluster.has([firing("AppDegraded")], [], [])
    cluster.answers[f"{ALERTMANAGER}alerts"] = "Error from server (NotFound): the server could not find it"
    cluster.write()
    assert run() == 1
    said = capsys.readouterr().out
    assert "AppDegraded" in said
    assert "nobody is told of what fires: Alertmanager does not answer" in said


def test_json_has_the_same(cluster: Cluster, capsys: pytest.CaptureFixture[str]) -> None:
    cluster.has([firing("ErrorRateHigh", environment="dev")], [rule("ErrorRateHigh")], [])
    assert run("--json") == 1
    said = json.loads(capsys.readouterr().out)
    assert (said["stack"], said["ok"], said["rules"], said["problems"]) == ("platform", False, 1, [])
    (alert,) = said["alerts"]
    assert (alert["name"], alert["environment"], alert["since"]) == ("ErrorRateHigh", "dev", "2026-11-28T19:01:02Z")


def test_a_stack_without_monitoring_is_told_how_to_get_it(cluster: Cluster, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stack, "outputs", lambda *_, **__: {"kubeconfig": ""})
    with pytest.raises(LabError, match=r"^the stack platform has no monitoring\. ") as error:
        run()
    assert "pulumi config set iot:monitoring true --stack platform; make up STACK=platform" in str(error.value)
    assert cluster.asked == []


# --- queries ---------------------------------------------------------------------------------------------------------


def test_a_query_is_encoded_and_its_series_are_returned(cluster: Cluster) -> None:
    result = [{"metric": {"namespace": "dev"}, "value": [1764356462.5, "NaN"]}]
    cluster.answers[f"{PROMETHEUS}query"] = {"status": "success", "data": {"resultType": "vector", "result": result}}
    cluster.write()
    (found,) = monitoring().query('up{job="app"} + 1 & 2')
    assert found.labels == {"namespace": "dev"}
    assert found.points[0][0] == 1764356462.5
    assert str(found.points[0][1]) == "nan"
    (path,) = cluster.asked
    assert parse_qs(urlsplit(path).query) == {"query": ['up{job="app"} + 1 & 2']}
    assert " " not in path


def test_a_query_over_a_time_has_its_limits(cluster: Cluster) -> None:
    result = [{"metric": {}, "values": [[1, "0.5"], [16, "1"]]}]
    cluster.answers[f"{PROMETHEUS}query_range"] = {"status": "success", "data": {"result": result}}
    cluster.write()
    (found,) = monitoring().query_range("up", 1, 61, 15)
    assert found.points == ((1.0, 0.5), (16.0, 1.0))
    (path,) = cluster.asked
    assert parse_qs(urlsplit(path).query) == {"query": ["up"], "start": ["1.000"], "end": ["61.000"], "step": ["15"]}


def test_a_number_is_a_series_without_labels(cluster: Cluster) -> None:
    data = {"resultType": "scalar", "result": [5, "1"]}
    cluster.answers[f"{PROMETHEUS}query"] = {"status": "success", "data": data}
    cluster.write()
    (found,) = monitoring().query("1")
    assert (found.labels, found.points) == ({}, ((5.0, 1.0),))


@pytest.mark.parametrize(
    ("query", "said", "why"),
    [
        ("up{", BAD, "unexpected end of input inside braces"),
        ("up * on(job) group_left() up", INVALID, "The request is invalid: : unknown"),
    ],
)
def test_a_query_that_is_refused_is_named_with_what_is_known_of_it(
    cluster: Cluster, query: str, said: str, why: str
) -> None:
    cluster.answers[f"{PROMETHEUS}query"] = said
    cluster.write()
    with pytest.raises(LabError) as error:
        monitoring().query(query)
    assert error.value.what == f"Prometheus refuses the query {query}"
    assert error.value.why == why


def test_that_prometheus_does_not_answer_is_told_with_where_to_look(cluster: Cluster) -> None:
    with pytest.raises(LabError) as error:
        monitoring().query("up")
    assert str(error.value).startswith("Prometheus does not answer. Error from server (ServiceUnavailable): no endpoi")
    assert "make kubectl ARGS='-n monitoring get pods,events'" in error.value.fix


def test_what_is_no_json_is_told(cluster: Cluster) -> None:
    cluster.programs.add("kubectl", "print('<html>')")
    with pytest.raises(LabError, match=r"Prometheus answers no JSON\. <html>"):
        monitoring().query("up")


@pytest.mark.parametrize("text", ["2026-11-28T19:01:02Z", "2026-11-28T19:01:02.1Z", "2026-11-28T19:01:02.123456789Z"])
def test_times_are_read_as_they_are_written(text: str) -> None:
    assert prometheus.moment(text).isoformat() == "2026-11-28T19:01:02+00:00"
