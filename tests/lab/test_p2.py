"""P2 for real: one machine, three apps behind one Ingress, from nothing to nothing.

The tests run in their order on one lab; each leaves it as `up` does.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Final

import pytest

from components.web import answers
from tests.lab import machines, reader
from tests.lab.faults import fault
from tests.lab.lab import Lab, answer, eventually
from tests.lab.load import Load

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = [pytest.mark.lab, pytest.mark.vagrant]

SERVER: Final = machines.SERVER["p2"]

PRIVILEGED = """{"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "intruder", "namespace": "web"}, "spec":
 {"containers": [{"name": "c", "image": "x:1", "securityContext": {"privileged": true}}]}}"""


@pytest.fixture(scope="module")
def before() -> dict[str, set[str]]:
    """Return what Docker has before anything is brought up."""
    return machines.there("p2")


@pytest.fixture(scope="module")
def lab(tmp_path_factory: pytest.TempPathFactory, before: dict[str, set[str]]) -> Iterator[Lab]:
    """Bring p2 up, and down again whatever has happened."""
    made = Lab(tmp_path_factory.mktemp("p2"), "p2", machines.settings("p2"))
    try:
        made.pulumi("up", "--skip-preview")
        yield made
    finally:
        machines.remove(made)


def failures(lab: Lab) -> list[str]:
    """Return the points of the defence that don't hold."""
    done = lab.command("check", "--stack", "p2", "--json", check=False)
    found = json.loads(done.stdout)
    assert (done.returncode == 0) == found["ok"]
    return [each["name"] for each in found["points"] if not each["ok"]]


@pytest.mark.parametrize(
    ("host", "app"),
    [
        ("app1.com", "app1"),
        ("app2.com", "app2"),
        ("app3.com", "app3"),
        ("any-other.org", "app3"),
        (SERVER, "app3"),
    ],
)
def test_every_host_is_answered_by_its_app(lab: Lab, host: str, app: str) -> None:
    found = answers.ask(SERVER, host)
    assert (found["status"], found["message"], found["app"]) == ("ok", "v1", app)


def test_three_pods_take_turns_behind_app2(lab: Lab) -> None:
    assert len({answers.ask(SERVER, "app2.com")["pod"] for _ in range(40)}) == 3


def test_a_browser_gets_a_page_that_names_app_and_pod(lab: Lab) -> None:
    status, page = answer(f"http://{SERVER}/", Host="app1.com", Accept="text/html")
    assert status == 200
    assert "<title>app1 v1</title>" in page
    assert answers.ask(SERVER, "app1.com")["pod"] in page


def test_every_point_of_the_defence_holds(lab: Lab) -> None:
    assert failures(lab) == []


def test_the_status_asks_every_route(lab: Lab) -> None:
    said = lab.command("status").stdout
    assert "app1.com -> app1; app2.com -> app2; app3.com -> app3; any other host -> app3" in said


def test_what_the_page_says_of_a_lab_that_is_up_can_be_typed(lab: Lab) -> None:
    shown = {
        "all of this, a line per point": reader.has("points hold"),
        "again and again: another pod each time": reader.has('"app":"app2"'),
        "app3": reader.has('"app":"app3"'),
    }
    reader.read(lab, "docs/p2.md", shown, {"192.168.56.110": SERVER})


def test_the_namespace_refuses_a_privileged_pod(lab: Lab) -> None:
    path = lab.folder / "pod.json"
    path.write_text(PRIVILEGED, encoding="utf-8")
    kubeconfig = lab.folder / ".lab" / "kubeconfig"
    lab.kubectl("get", "namespace", "web")
    refused = lab.run("kubectl", f"--kubeconfig={kubeconfig}", "apply", "-f", str(path), check=False)
    assert refused.returncode
    assert 'violates PodSecurity "restricted' in refused.stderr


def test_a_second_up_changes_nothing(lab: Lab) -> None:
    said = lab.pulumi("up", "--skip-preview")
    assert "unchanged" in said
    assert not any(word in said for word in (" created", " updated", " replaced", " deleted")), said


@fault("world", "p2: a rule of the Ingress", when="is deleted by hand", saw="", out="pulumi up")
def test_the_check_fails_when_something_is_broken(lab: Lab) -> None:
    lab.kubectl("-n", "web", "scale", "deployment/app2", "--replicas=1")
    eventually("one pod", lambda: len(failures(lab)) == 2, lambda: str(failures(lab)))
    assert any("app2: 3 of 3 pods" in name for name in failures(lab))
    lab.kubectl("-n", "web", "scale", "deployment/app2", "--replicas=3")
    eventually("all is well", lambda: not failures(lab), lambda: str(failures(lab)))
    lab.kubectl(
        "-n", "web", "patch", "ingress", "hosts", "--type=json", "-p", '[{"op":"remove","path":"/spec/rules/0"}]'
    )
    eventually(
        "app1 is not answered", lambda: any("app1" in name for name in failures(lab)), lambda: str(failures(lab))
    )
    lab.pulumi("refresh", "--skip-preview")
    lab.pulumi("up", "--skip-preview")
    assert failures(lab) == []


def test_another_version_drops_no_request(lab: Lab) -> None:
    lab.set("appVersion", "v2")
    with Load(SERVER, "app2.com") as load:
        lab.pulumi("up", "--skip-preview")
        eventually("v2 alone", lambda: answers.ask(SERVER, "app2.com")["message"] == "v2", lambda: str(load.answers))
    assert load.problems == []
    assert load.answers["v1"] > 100
    assert load.answers["v2"] > 0


def test_a_fourth_app_is_one_entry(lab: Lab) -> None:
    apps = {f"app{n}": {"host": f"app{n}.com", "replicas": 3 if n == 2 else 1} for n in (1, 2, 3)}
    lab.set("apps", {**apps, "shop": {"host": "shop.example"}})
    lab.pulumi("up", "--skip-preview")
    assert answers.ask(SERVER, "shop.example")["app"] == "shop"
    assert answers.ask(SERVER, "any-other.org")["app"] == "app3"


@pytest.mark.long
@fault("world", "p2: the node", when="is deleted from the cluster", saw="to update", out="pulumi up")
def test_p2s_node_that_was_deleted_is_registered_again(lab: Lab) -> None:
    machines.on(lab, "server", "sudo k3s kubectl delete node tests")
    lab.mend("to update")
    assert failures(lab) == []


@pytest.mark.long
@fault("world", "p2: K3s", when="is uninstalled by hand", saw="to update", out="pulumi up")
def test_k3s_that_was_uninstalled_comes_back_with_everything_in_it(lab: Lab) -> None:
    machines.on(lab, "server", "sudo k3s-uninstall.sh")
    lab.mend("to update")
    assert failures(lab) == []


@fault("world", "p2: the machine", when="is destroyed by hand", saw="", out="pulumi up")
def test_a_lost_machine_comes_back_with_everything_on_it(lab: Lab) -> None:
    machines.vagrant(lab, "testS", "destroy", "--force")
    lab.pulumi("up", "--skip-preview")
    assert failures(lab) == []


def test_destroy_leaves_nothing(lab: Lab, before: dict[str, set[str]]) -> None:
    lab.pulumi("destroy", "--skip-preview")
    assert machines.left("p2", before) == {}
    assert not (lab.folder / ".lab" / "run").exists()
