"""Versions that prove themselves, for real: what is good goes through, what is not stops itself, and somebody is told.

The tests run in their order on one lab: dev as a Deployment, qa by blue-green, prod by canary in a cluster of its own.
"""

from __future__ import annotations

import json
import re
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Final

import pytest

from components.core import versions
from components.docker.image import package_index
from lab.commands.test import OFFLINE
from lab.live import argocd
from tests.lab import platform
from tests.lab.lab import answer, docker_things, eventually, failed, left, missing, settled, status
from tests.lab.load import Load

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.lab.lab import Lab
    from tests.lab.receiver import Receiver

CLUSTER: Final = "iot-progressive-test"
PORTS: Final = {"dev": 31301, "qa": 31311, "prod": 31321}
SETTINGS: Final[dict[str, Any]] = {
    "clusterName": CLUSTER,
    "apiPort": 17570,
    "argocdPorts": [19180],
    "gitPorts": [19103],
    "registryPort": 19101,
    "clusters": {"prod": {"apiPort": 17571}},
    "sealedSecrets": False,  # test_platform.py has them
    "environments": {
        "dev": {"port": PORTS["dev"]},
        "qa": {"port": PORTS["qa"], "after": "dev", "delivery": "blueGreen"},
        "prod": {
            "port": PORTS["prod"],
            "after": "dev",
            "sync": "manual",
            "approvals": 1,
            "cluster": "prod",
            "delivery": "canary",
        },
    },
}
IMAGE: Final = f"localhost:{SETTINGS['registryPort']}/flask-app"
FAULTS: Final = {"bad": "FAIL_PERCENT=30", "slow": "DELAY_MS=1500", "good": "FAIL_PERCENT=0"}
NEEDED: Final = (
    *(versions.ROLLOUTS_IMAGE, versions.PROMETHEUS_IMAGE),
    *(versions.ALERTMANAGER_IMAGE, versions.KUBE_STATE_METRICS_IMAGE),
)
# A canary that is good takes four pods and two analyses; one that is not is given up within the first of them.
GIVEN_UP: Final = 90.0  # seconds, as docs/platform.md has it, of which this machine may need some for itself
FIRES: Final = 180.0  # seconds until an alert has reached its receiver: it is asked, evaluated, grouped
TOLD: Final = ("RolloutAborted", "AppDegraded", "ErrorRateHigh", "LatencyHigh")  # test_alerts.py has the others
RESOLVES: Final = 420.0  # and until the receiver knows that it is over, which is told with the next group


MISSING: Final = missing(*NEEDED, charts=(versions.ROLLOUTS_CHART, versions.PROMETHEUS_CHART))
pytestmark = [
    pytest.mark.lab,
    pytest.mark.k3d,
    pytest.mark.skipif(bool(MISSING), reason=f"{OFFLINE}: {', '.join(MISSING)}"),
]


def there() -> dict[str, set[str]]:
    """Return what Docker has of these tests."""
    return docker_things(CLUSTER, IMAGE)


@pytest.fixture(scope="module")
def before() -> dict[str, set[str]]:
    """Return what Docker has before anything is brought up."""
    return there()


@pytest.fixture(scope="module")
def lab(tmp_path_factory: pytest.TempPathFactory, receiver: Receiver, before: dict[str, set[str]]) -> Iterator[Lab]:
    """Bring the stack up, and down again whatever has happened."""
    with platform.lab(tmp_path_factory.mktemp("progressive"), SETTINGS, there, webhook=receiver.url) as made:
        made.shell("make up")
        yield made


@pytest.fixture(scope="module")
def built(lab: Lab) -> None:
    """Have versions with faults, and one without, in the registry."""
    index = [f"--build-arg={key}={value}" for key, value in package_index().items()]
    for version, fault in FAULTS.items():
        told = ["--build-arg", f"VERSION={version}", "--build-arg", fault]
        lab.run("docker", "build", "--quiet", *index, *told, "--tag", f"{IMAGE}:{version}", "app")
        lab.run("docker", "push", "--quiet", f"{IMAGE}:{version}")


def says(environment: str) -> str:
    """Return the version that answers, or what is answered instead."""
    code, body = answer(f"http://localhost:{PORTS[environment]}/")
    return str(json.loads(body)["message"]) if code == 200 else body


def fails(lab: Lab, line: str) -> str:
    """Type a line that has to fail, and return what it says."""
    return failed(lab.shell(line, check=False))


@contextmanager
def asked(environment: str) -> Iterator[Load]:
    """Have an environment asked all the time."""
    with Load("localhost", "localhost", pause=0.1, port=PORTS[environment]) as load:
        yield load


def in_dev(lab: Lab, version: str) -> None:
    """Have dev run a version, which may answer badly."""
    lab.shell(f"make release VERSION={version} ARGS='--timeout 3'", check=False)
    what = ["get", "deployment", "flask-app", "--output=jsonpath={.spec.template.spec.containers[0].image}"]
    eventually("dev runs it", lambda: lab.kubectl("-n", "dev", *what).endswith(f":{version}"), lambda: status(lab))
    settled(lab, "dev")


def line(lab: Lab, name: str) -> str:
    """Return what `make status` says of an environment."""
    return next((each for each in status(lab).splitlines() if re.match(rf"(ok|NOT OK) +{name} ", each)), "")


def to_prod(lab: Lab, version: str) -> None:
    """Bring a version to prod's pull request."""
    in_dev(lab, version)
    assert "waits for 1 approval" in lab.shell("make promote TO=prod").stdout


def given_up(lab: Lab, version: str, words: str) -> None:
    """Approve a version in prod that is no good, while somebody asks, and see that it stops itself."""
    to_prod(lab, version)
    with asked("prod") as load:
        begin = time.monotonic()
        said = fails(lab, "make approve ENV=prod")
        took = time.monotonic() - begin
    assert f"{version} was given up in prod, and the version before goes on serving" in said
    assert re.search(words, said), said
    assert "make rollback ENV=prod" in said
    assert took < GIVEN_UP
    # A quarter of the pods had it at most.
    assert load.answers["v2"] > sum(load.answers.values()) / 2, load.answers
    with asked("prod") as load:
        time.sleep(3)
    assert set(load.answers) == {"v2"}, load.answers
    assert f"{version} was given up in prod" in line(lab, "prod")
    health = lab.get("application", "argocd", "prod")["status"]["health"]["status"]
    assert health == "Degraded"


def told(receiver: Receiver, *alerts: str) -> None:
    """Ask dev, which has the version that is no good as well, until somebody has been told of some alerts."""
    with asked("dev"):
        for each in alerts:
            receiver.waits(each, "firing", FIRES)


# --- the tests, in their order ---------------------------------------------------------------------------------------


def test_every_environment_runs_the_first_version_in_its_own_way(lab: Lab) -> None:
    assert {name: says(name) for name in PORTS} == dict.fromkeys(PORTS, "v1")
    assert "flask-app" in lab.kubectl("-n", "qa", "get", "rollouts")
    assert "flask-app" in lab.shell("make kubectl CLUSTER=prod ARGS='-n prod get rollouts'").stdout
    assert not lab.kubectl("-n", "qa", "get", "deployments", "-o", "name")
    assert "points hold" in lab.shell("make check").stdout
    eventually(
        "all is asked, and nothing fires",
        lambda: "nothing fires" in lab.command("alerts", check=False).stdout,
        lambda: lab.command("alerts", check=False).stdout,
        FIRES,
    )


def test_a_second_up_changes_nothing(lab: Lab) -> None:
    said = lab.pulumi("up", "--skip-preview")
    assert "unchanged" in said
    assert not any(word in said for word in (" created", " updated", " replaced", " deleted")), said


def test_a_good_version_goes_through_the_canary_without_a_failed_request(lab: Lab) -> None:
    to_prod(lab, "v2")
    with asked("prod") as load:
        assert "says v2 after" in lab.shell("make approve ENV=prod").stdout
    assert not load.problems, load.problems
    assert load.answers["v1"] > 0
    assert load.answers["v2"] > 0
    assert says("prod") == "v2"


@pytest.mark.usefixtures("built")
def test_a_bad_version_gives_itself_up_is_told_and_is_over_with_the_rollback(lab: Lab, receiver: Receiver) -> None:
    given_up(lab, "bad", r"error-share: Failed, it measured \[0\.\d+\]")
    told(receiver, "RolloutAborted", "AppDegraded", "ErrorRateHigh")
    done = lab.command("alerts", check=False)
    assert done.returncode == 1
    assert "RolloutAborted" in done.stdout
    lab.shell("make rollback ENV=prod")
    assert "says v2" in lab.shell("make approve ENV=prod").stdout
    assert "Synced and Healthy" in line(lab, "prod")
    receiver.waits("RolloutAborted", "resolved", RESOLVES)


@pytest.mark.usefixtures("built")
def test_a_bad_version_is_given_up_before_anybody_is_sent_to_it_by_blue_green(lab: Lab) -> None:
    in_dev(lab, "bad")
    with asked("qa") as load:
        said = fails(lab, "make promote TO=qa")
    assert "bad was given up in qa" in said
    assert "non 2xx response code: 500" in said
    assert set(load.answers) == {"v1"}, load.answers
    assert "says v1" in lab.shell("make rollback ENV=qa").stdout
    in_dev(lab, "v2")
    with asked("qa") as load:
        assert "says v2" in lab.shell("make promote TO=qa").stdout
    assert not load.problems, load.problems


@pytest.mark.usefixtures("built")
def test_a_slow_version_gives_itself_up_too_and_somebody_is_told(lab: Lab, receiver: Receiver) -> None:
    given_up(lab, "slow", r"latency: Failed, it measured \[")
    told(receiver, "LatencyHigh")
    lab.shell("make rollback ENV=prod")
    lab.shell("make approve ENV=prod")


@pytest.mark.long
@pytest.mark.usefixtures("built")
def test_without_prometheus_a_canary_waits_and_is_not_promoted(lab: Lab) -> None:
    to_prod(lab, "good")
    lab.kubectl("-n", "monitoring", "scale", "deployment/prometheus", "--replicas=0")
    try:
        said = fails(lab, "make approve ENV=prod ARGS='--timeout 45'")
        assert "canary at 25 %" in said
        assert "30090" in line(lab, "prod")  # who does not answer
        assert "Prometheus" in fails(lab, "make alerts")
    finally:
        lab.kubectl("-n", "monitoring", "scale", "deployment/prometheus", "--replicas=1")
        lab.kubectl("-n", "monitoring", "rollout", "status", "deployment/prometheus", "--timeout=120s")


@pytest.mark.long
@pytest.mark.usefixtures("built")
def test_a_canary_that_nobody_asks_pauses_until_somebody_looks_again(lab: Lab) -> None:
    words = "good waits in prod"
    # Nobody has asked it since Prometheus answers again.
    eventually("it pauses", lambda: words in line(lab, "prod"), lambda: line(lab, "prod"), 180)
    assert lab.get("application", "argocd", "prod")["status"]["health"]["status"] == "Suspended"
    with asked("prod"):
        said = lab.shell("make approve ENV=prod").stdout
    assert "releaser has prod looked at once more" in said
    assert says("prod") == "good"


@pytest.mark.parametrize("action", ["promote-full", "skip-current-step"])
def test_nobody_skips_what_a_version_has_to_prove(lab: Lab, action: str) -> None:
    theirs = argocd.signed_in(lab.outputs(), "releaser")
    with pytest.raises(Exception, match=r"answered 403"):
        theirs.act("prod", ("argoproj.io", "v1alpha1", "Rollout"), "flask-app", "prod", action)


@pytest.mark.parametrize(
    ("verb", "what", "namespace", "may"),
    [
        ("create", "replicasets", "prod", "yes"),
        ("create", "replicasets", "kube-system", "no"),
        ("update", "deployments", "prod", "no"),
        ("get", "secrets", "prod", "no"),
    ],
)
def test_argo_rollouts_may_do_what_an_environment_needs_there_alone(
    lab: Lab, verb: str, what: str, namespace: str, may: str
) -> None:
    account = "--as=system:serviceaccount:argo-rollouts:argo-rollouts"
    kubectl = lab.command(
        "kubectl", "--cluster", "prod", "--", "auth", "can-i", verb, what, f"--namespace={namespace}", account,
        check=False,
    )  # fmt: skip
    assert kubectl.stdout.strip() == may


def test_the_last_hour_is_one_page_and_four_numbers(lab: Lab) -> None:
    lab.shell("make dashboard")
    page = (lab.folder / "rendered" / "dashboard-platform.html").read_text(encoding="utf-8")
    assert "http_request" not in page.partition("<body")[0]
    assert all(each in page for each in ("dev", "qa", "prod", "v2"))
    said = lab.shell("make dora").stdout
    assert "prod" in said


@pytest.mark.long
@pytest.mark.parametrize(
    ("delivery", "kind", "other"), [("canary", "rollout", "deployment"), ("", "deployment", "rollout")]
)
def test_an_environment_that_is_there_takes_another_way_and_goes_back(
    lab: Lab, delivery: str, kind: str, other: str
) -> None:
    dev = {"port": PORTS["dev"], **({"delivery": delivery} if delivery else {})}
    version = says("dev")
    lab.set("environments", {**SETTINGS["environments"], "dev": dev})
    with asked("dev") as load:
        lab.shell("make up")
        eventually(
            f"it is a {kind} alone",
            lambda: (
                bool(lab.kubectl("-n", "dev", "get", kind, "-o", "name"))
                and not lab.kubectl("-n", "dev", "get", other, "-o", "name")
            ),
            lambda: line(lab, "dev"),
        )
        settled(lab, "dev")
    assert set(load.answers) == {version}, load.answers


def test_whoever_was_told_of_something_is_told_that_it_is_over(receiver: Receiver) -> None:
    for each in TOLD:
        receiver.waits(each, "resolved", RESOLVES)


def test_destroy_leaves_nothing(lab: Lab, before: dict[str, set[str]]) -> None:
    lab.shell("make destroy")
    after = there()
    after["volumes"] -= {*platform.kept(SETTINGS), f"{CLUSTER}-registry"}
    assert left(before, after).keys() <= {"images"}
