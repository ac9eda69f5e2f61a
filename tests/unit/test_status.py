"""`make status` shows a stack at a glance, and fails when something is not as it should be."""

from __future__ import annotations

import argparse
import base64
import json
import os
import re
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Any

import bcrypt
import pytest

from components.core import names, versions
from components.core.errors import LabError
from lab.commands import status
from lab.host import console
from lab.host import tools as host_tools
from lab.live import drift, git, memory, stack
from tests.unit import fakes, repositories

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

ROOT = Path(__file__).parents[2]
DEPLOYMENT = "manifests/p3/deployment.yaml"
SECRET = "kubeconfig-with-a-key"
APPLICATION = f"{names.APPLICATION} {names.APP}"


def node(name: str, ready: str = "True") -> dict[str, Any]:
    return {
        "metadata": {"name": name},
        "status": {
            "conditions": [{"type": "Ready", "status": ready}],
            "nodeInfo": {"kubeletVersion": versions.K3S},
        },
    }


def workload(name: str, pods: int = 1, release: str = "argocd") -> dict[str, Any]:
    its = {"name": name, "namespace": "argocd", "annotations": {"meta.helm.sh/release-name": release}}
    return {"metadata": its, "spec": {"replicas": pods}, "status": {"readyReplicas": pods} if pods else {}}


class Lab:
    """A stack that is up, until a test breaks something of it."""

    def __init__(self, tools: Path, repository: Path, url: str) -> None:
        self.live = "v1"
        self.fetched: list[str] = []
        self.objects: dict[str, Any] = {
            "nodes": {"items": [node("server-0")]},
            drift.WORKLOADS: {
                "items": [workload(each) for each in ("argocd-server", "argocd-repo-server")]
                + [workload(drift.OFF, 0), workload("image-updater", 0, "theirs")]
            },
            f"secrets {drift.SECRET}": {"data": {}},
            APPLICATION: {
                "status": {
                    "sync": {"status": "Synced", "revision": "1234567890"},
                    "health": {"status": "Healthy"},
                }
            },
        }
        # What the program exports; only what the test itself serves is elsewhere.
        self.outputs = fakes.outputs("p3", gitUrl="https://github.com/me/iot") | {"appUrl": url, "kubeconfig": SECRET}
        self.outputs["git"]["url"] = f"file://{repository}"
        self.hash("admin.password", self.outputs["argocdPassword"])
        self.repository = repository
        self._tools = tools

    def hash(self, key: str, password: str) -> None:
        digest = bcrypt.hashpw(password.encode(), bcrypt.gensalt(4))
        self.objects[f"secrets {drift.SECRET}"]["data"][key] = base64.b64encode(digest).decode()

    def run(self, *args: str) -> int:
        fakes.kubectl(self._tools, self.objects)
        parser = argparse.ArgumentParser()
        status.arguments(parser)
        return status.run(parser.parse_args(list(args)))


@pytest.fixture
def lab(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Lab]:
    tools = tmp_path / "tools"
    tools.mkdir()
    monkeypatch.setenv("PATH", f"{tools}{os.pathsep}{os.environ['PATH']}")
    monkeypatch.setenv("HOME", str(tmp_path))
    text = (ROOT / DEPLOYMENT).read_text(encoding="utf-8")
    repository = repositories.bare(tmp_path / "git" / "iot.git", {DEPLOYMENT: text})
    with ExitStack() as served:
        made: list[Lab] = []
        url = served.enter_context(fakes.app(lambda _: fakes.version(made[0].live)))
        made.append(Lab(tools, repository, url))
        monkeypatch.setattr(stack, "outputs", lambda *_, **__: made[0].outputs)
        monkeypatch.setattr(host_tools, "ensure", made[0].fetched.extend)
        yield made[0]


def test_a_stack_that_is_as_it_should_be(lab: Lab, capsys: pytest.CaptureFixture[str]) -> None:
    assert lab.run() == 0
    said = capsys.readouterr().out
    assert "1 of 1 nodes Ready" in said
    assert "Synced and Healthy at commit 1234567" in said
    assert re.search(r"ok +git +v1 at commit [0-9a-f]{7} of main", said)
    assert re.search(r"ok +app +v1 answers", said)
    assert "http://localhost:8080/" in said
    assert "NOT OK" not in said
    assert lab.fetched == ["kubectl"]


def test_there_are_no_colours_but_on_a_terminal(lab: Lab, capsys: pytest.CaptureFixture[str]) -> None:
    lab.run()
    assert "\033" not in capsys.readouterr().out
    line = status.Line(name="app", ok=False, found="nothing")
    assert status.shown(line, colour=True).startswith(console.RED)


def test_secrets_are_not_shown(lab: Lab, capsys: pytest.CaptureFixture[str]) -> None:
    lab.outputs |= {"gitPassword": "never-shown", "argocdPassword": "never-shown"}
    lab.run()
    lab.run("--json")
    said = "".join(capsys.readouterr())
    assert "never-shown" not in said
    assert SECRET not in said


def break_node(lab: Lab) -> None:
    lab.objects["nodes"]["items"].append(node("server-1", "Unknown"))


def break_expected_node(lab: Lab) -> None:
    lab.outputs["nodes"] = [{"name": "server-0"}, {"name": "worker"}]


def break_disk(lab: Lab) -> None:
    its = lab.objects["nodes"]["items"][0]["status"]["conditions"]
    its += [{"type": "DiskPressure", "status": "True"}, {"type": "PIDPressure", "status": "False"}]


def break_cluster(lab: Lab) -> None:
    lab.objects.clear()


def break_clock(lab: Lab) -> None:
    lab.objects = dict.fromkeys(
        lab.objects, f"E1129 12:14:28.26 memcache.go:265] a line of its log\n{fakes.OTHER_TIME}"
    )


def break_application(lab: Lab) -> None:
    lab.objects[APPLICATION]["status"]["health"]["status"] = "Degraded"


def break_argocd(lab: Lab) -> None:
    lab.objects[drift.WORKLOADS]["items"][1] = workload("argocd-repo-server", 0)


def break_password(lab: Lab) -> None:
    lab.hash("admin.password", "another")


def break_secret(lab: Lab) -> None:
    break_application(lab)
    said = {"status": "Degraded", "message": "no key could decrypt secret (a); seal it anew"}
    well = {"kind": "Deployment", "name": "flask-app", "health": {"status": "Healthy"}}
    its = [well, {"kind": "SealedSecret", "name": "db", "health": said}, {"kind": "Service", "name": "flask-app"}]
    lab.objects[APPLICATION]["status"]["resources"] = its


def break_image(lab: Lab) -> None:
    lab.objects[APPLICATION]["status"]["health"]["status"] = "Progressing"
    waits = {"waiting": {"reason": "ImagePullBackOff", "message": "no such tag"}}
    container = {"name": "flask-app", "ready": False, "state": waits}
    pod = {"metadata": {"name": "flask-app-1"}, "status": {"containerStatuses": [container]}}
    goes = {"metadata": {"name": "flask-app-0", "deletionTimestamp": "2026-01-01T00:00:00Z"}, "status": {}}
    lab.objects["pods"] = {"items": [pod, goes]}


def break_app(lab: Lab) -> None:
    lab.outputs["appUrl"] = "http://127.0.0.1:1/"


def break_version(lab: Lab) -> None:
    lab.live = "v2"


def break_git(lab: Lab) -> None:
    lab.outputs["git"]["url"] = "http://127.0.0.1:1/iot.git"


@pytest.mark.parametrize(
    ("breaks", "says"),
    [
        (break_node, r"NOT OK +cluster +1 of 2 nodes Ready.*; not server-1 -> make up"),
        (break_expected_node, r"NOT OK +cluster +1 of 2 nodes Ready.*; not worker"),
        (break_disk, r"NOT OK +cluster +1 of 1 nodes Ready.*; server-0 takes no pods: DiskPressure -> make room"),
        (break_cluster, r"NOT OK +cluster +the cluster does not answer \(.*refused.*\) -> make up"),
        (
            break_clock,
            r"NOT OK +cluster +the cluster's certificate is not valid at this machine's time \(.*\) -> set the clock",
        ),
        (break_application, r"NOT OK +application +Synced and Degraded at commit 1234567 -> "),
        (break_password, r"NOT OK +argocd +2 of 2 parts run; admin.password is not that of make password -> make up"),
        (break_argocd, r"NOT OK +argocd +1 of 2 parts run; not argocd-repo-server -> make up"),
        (
            break_secret,
            r"commit 1234567; SealedSecret db: Degraded no key could decrypt secret \(a\); seal it anew -> ",
        ),
        (
            break_image,
            r"at commit 1234567; pod flask-app-1: flask-app is waiting ImagePullBackOff no such tag -> wait",
        ),
        (break_app, r"NOT OK +app +.* does not answer"),
        (break_version, r"NOT OK +app +v2 answers, Git has v1 -> "),
        (break_git, r"NOT OK +git +.* can't be reached"),
    ],
)
def test_what_is_broken_is_named_and_the_rest_is_shown(
    lab: Lab, capsys: pytest.CaptureFixture[str], breaks: Callable[[Lab], None], says: str
) -> None:
    breaks(lab)
    assert lab.run() == 1
    said = capsys.readouterr().out
    assert re.search(says, said)
    assert len(re.findall(r"^(?:ok|NOT OK) ", said, re.MULTILINE)) == 5


@pytest.mark.parametrize("broken", [True, False])
def test_that_memory_is_short_is_said_when_something_is_wrong(
    lab: Lab, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, *, broken: bool
) -> None:
    monkeypatch.setattr(memory, "killed", lambda _: {"k3d-iot-cluster-server-0": 7})
    if broken:
        break_argocd(lab)
    assert lab.run() == int(broken)
    words = "the kernel has killed 7 processes of k3d-iot-cluster-server-0 for want of it -> give Docker more"
    assert (words in capsys.readouterr().out) is broken


def test_nobody_is_sent_to_where_they_are(lab: Lab, capsys: pytest.CaptureFixture[str]) -> None:
    for breaks in (break_app, break_git):
        breaks(lab)
    lab.run()
    assert "-> make status" not in capsys.readouterr().out


def test_while_there_is_no_cluster_the_only_advice_is_about_it(lab: Lab, capsys: pytest.CaptureFixture[str]) -> None:
    for breaks in (break_cluster, break_app, break_git):
        breaks(lab)
    lab.run()
    assert [line.split()[2] for line in capsys.readouterr().out.splitlines() if "->" in line] == ["cluster"]


def test_a_stack_that_is_not_up_is_one_line(
    lab: Lab, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object, **__: object) -> None:
        raise LabError("the stack p3 is not up", fix="make up STACK=p3")

    monkeypatch.setattr(stack, "outputs", fail)
    assert lab.run() == 1
    assert re.fullmatch(r"NOT OK +stack p3 +the stack p3 is not up -> make up STACK=p3\n", capsys.readouterr().out)


def test_json_has_the_same(lab: Lab, capsys: pytest.CaptureFixture[str]) -> None:
    lab.live = "v2"
    assert lab.run("--json") == 1
    said = json.loads(capsys.readouterr().out)
    assert (said["stack"], said["ok"]) == ("p3", False)
    assert {each["name"]: each["ok"] for each in said["checks"]} == {
        "cluster": True,
        "argocd": True,
        "application": True,
        "git": True,
        "app": False,
    }
    assert said["urls"]["Argo CD"] == "http://localhost:8080/"


def rule(host: str, app: str) -> dict[str, Any]:
    backend = {"service": {"name": app}}
    return ({"host": host} if host else {}) | {"http": {"paths": [{"backend": backend}]}}


def test_a_sync_that_was_refused_is_told_although_what_runs_is_healthy(
    lab: Lab, capsys: pytest.CaptureFixture[str]
) -> None:
    refused = "one or more synchronization tasks are not valid: resource :Namespace is not permitted in project iot"
    lab.objects[APPLICATION]["status"]["operationState"] = {"phase": "Failed", "message": refused}
    assert lab.run() == 1
    assert f"last sync Failed: {refused}" in capsys.readouterr().out


def test_a_sync_that_was_refused_and_taken_back_is_history(lab: Lab) -> None:
    lab.objects[APPLICATION]["status"]["operationState"] = {"phase": "Failed", "syncResult": {"revision": "before"}}
    assert lab.run() == 0


def test_a_namespace_in_git_is_told_with_what_to_do(lab: Lab, capsys: pytest.CaptureFixture[str]) -> None:
    found = lab.objects[APPLICATION]["status"]
    refused = "one or more synchronization tasks are not valid: resource :Namespace is not permitted in project iot"
    found["sync"]["status"] = "OutOfSync"
    found["operationState"] = {"phase": "Running", "message": refused}
    assert lab.run() == 1
    said = capsys.readouterr().out
    assert refused in said
    assert "-> take it out of Git" in said


def test_a_private_repository_is_read_with_the_stacks_own_credentials(
    lab: Lab, capsys: pytest.CaptureFixture[str]
) -> None:
    secret = {"secure": "a-token"}
    own = fakes.outputs("p3", gitUrl="https://github.com/me/iot", gitUsername="me", gitPassword=secret)
    token = own["gitReader"]["password"]
    assert "a-token" in token
    lab.outputs["gitReader"] = own["gitReader"]
    with repositories.served(lab.repository, {"me": token}) as url:
        lab.outputs["git"]["url"] = url
        assert lab.run() == 0
    assert "a-token" not in "".join(capsys.readouterr())


def test_the_embedded_repository_is_read_as_argo_cd_reads_it() -> None:
    outputs = fakes.outputs("p3")
    source = git.readable(outputs)
    assert (source.username, source.password) == ("argocd", outputs["gitReader"]["password"])
    assert git.remote(outputs).username == "iot"


@pytest.mark.parametrize(("second", "code"), [("app2", 0), ("app3", 1)])
def test_the_hosts_of_a_stack_with_routes_are_asked(
    lab: Lab, capsys: pytest.CaptureFixture[str], second: str, code: int
) -> None:
    def says(host: str) -> tuple[int, str]:
        app = {"app1.com": "app1", "app2.com": second}.get(host, "app3")
        return 200, json.dumps({"status": "ok", "message": "v1", "app": app})

    rules = [rule("app1.com", "app1"), rule("app2.com", "app2"), rule("", "app3")]
    lab.objects["ingresses"] = {"items": [{"spec": {"rules": rules}}]}
    with fakes.app(says) as url:
        address = url.removeprefix("http://").rstrip("/")
        # What the program exports; only the machine's address is where the test answers.
        lab.outputs = fakes.outputs("p2") | {"kubeconfig": SECRET, "nodes": [{"name": "server-0", "address": address}]}
        assert lab.run() == code
    said = capsys.readouterr().out
    if code:
        assert "app2.com -> 200 app3, app2 was expected" in said
    else:
        assert "app1.com -> app1; app2.com -> app2; any other host -> app3" in said


def watched(lab: Lab, *alerts: tuple[str, str]) -> None:
    """Have the stack watched, with some alerts that fire, by name and severity."""
    service = "/api/v1/namespaces/monitoring/services/"
    lab.outputs["monitoring"] = {
        "prometheus": {"namespace": "monitoring", "service": "prometheus", "port": 9090.0},
        "alertmanager": {"namespace": "monitoring", "service": "alertmanager", "port": 9093.0},
    }
    fires = [
        {
            "labels": {"alertname": name, "severity": severity, "environment": "dev"},
            "state": "firing",
            "activeAt": "2026-11-28T19:00:00Z",
        }
        for name, severity in alerts
    ]
    rules = [{"name": "AppDegraded", "health": "ok", "type": "alerting"}]
    lab.objects[f"{service}prometheus:9090/proxy/api/v1/alerts"] = {"data": {"alerts": fires}}
    lab.objects[f"{service}prometheus:9090/proxy/api/v1/rules"] = {"data": {"groups": [{"rules": rules}]}}
    lab.objects[f"{service}alertmanager:9093/proxy/api/v2/alerts"] = []


@pytest.mark.parametrize(
    ("alerts", "says"),
    [
        ([], r"^ok +alerts +nothing fires, 1 rules are watched$"),
        ([("TargetDown", "warning")], r"^ok +alerts +firing: TargetDown \(dev\): make alerts$"),
        (
            [("TargetDown", "warning"), ("AppDegraded", "critical")],
            r"^NOT OK +alerts +firing: AppDegraded \(dev\), TargetDown \(dev\) -> make alerts$",
        ),
    ],
)
def test_what_fires_is_in_it_where_the_stack_is_watched(
    lab: Lab, capsys: pytest.CaptureFixture[str], alerts: list[tuple[str, str]], says: str
) -> None:
    watched(lab, *alerts)
    assert lab.run() == (1 if says.startswith("^NOT") else 0)
    assert re.search(says, capsys.readouterr().out, re.MULTILINE)


def test_that_prometheus_does_not_answer_is_a_line_of_it(lab: Lab, capsys: pytest.CaptureFixture[str]) -> None:
    watched(lab)
    lab.objects = {key: value for key, value in lab.objects.items() if "prometheus:" not in key}
    assert lab.run() == 1
    assert re.search(r"NOT OK +alerts +Prometheus does not answer \(", capsys.readouterr().out)
