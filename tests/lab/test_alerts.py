"""Alerts for real: each is provoked, somebody is told of it, and is told when it is over.

Those of versions that are no good are provoked in test_progressive.py. What most of these wait for are their own five
or ten minutes, so that all are provoked at once, and `make faults` alone runs them.
"""

from __future__ import annotations

import json
import re
from http import HTTPStatus
from typing import TYPE_CHECKING, Any, Final

import pytest
import yaml

from components.core import versions
from components.gitops.allowed import DEVELOPER
from components.monitoring import alerting
from components.monitoring.values import RETENTION_SIZE
from lab.commands.test import OFFLINE
from lab.live import git
from tests.lab import platform, test_progressive
from tests.lab.lab import answer, docker_things, eventually, failed, left, missing, settled
from tests.lab.load import Load

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.lab.lab import Lab
    from tests.lab.receiver import Receiver

CLUSTER: Final = "iot-alerts-test"
REGISTRY: Final = f"{CLUSTER}-registry"
PORTS: Final = {"dev": 31401, "qa": 31411}
SETTINGS: Final[dict[str, Any]] = {
    "clusterName": CLUSTER,
    "apiPort": 17580,
    "argocdPorts": [19280],
    "gitPorts": [19203],
    "registryPort": 19201,
    "ci": False,
    "clusters": {},
    "environments": {
        "dev": {"port": PORTS["dev"]},
        "qa": {"port": PORTS["qa"], "after": "dev", "delivery": "canary"},
    },
}
# What is broken in Prometheus itself, which is started anew for it, comes first and goes last.
OF_PROMETHEUS: Final = ("SealingKeyOld", "VolumeFilling")
OTHERS: Final[dict[str, dict[str, str]]] = {
    "NotificationsFailing": {"integration": "webhook"},
    "AppSyncFailed": {"environment": "dev"},
    "PodRestarts": {"environment": "dev"},
    "TargetDown": {"job": "registry"},
    "AppOutOfSync": {"environment": "dev"},
    "RolloutWaiting": {"environment": "qa"},
}
FIRES: Final = 600.0  # seconds: the longest is to last for 5 minutes, and begins when a canary pauses
RESOLVES: Final = 1200.0  # what has failed in the last 10 minutes, and then what the next group tells
LITTLE: Final = "100KB"
OLD: Final = 91 * 86400  # seconds; a key is to be changed after 90 days
RESTARTS: Final = 3

MISSING: Final = missing(
    *test_progressive.NEEDED,
    versions.SEALED_SECRETS_IMAGE,
    charts=(versions.ROLLOUTS_CHART, versions.PROMETHEUS_CHART, versions.SEALED_SECRETS_CHART),
)
pytestmark = [
    pytest.mark.lab,
    pytest.mark.k3d,
    pytest.mark.long,
    pytest.mark.timeout(3600),
    pytest.mark.skipif(bool(MISSING), reason=f"{OFFLINE}: {', '.join(MISSING)}"),
]


def there() -> dict[str, set[str]]:
    """Return what Docker has of these tests."""
    return docker_things(CLUSTER, f"localhost:{SETTINGS['registryPort']}/")


@pytest.fixture(scope="module")
def before() -> dict[str, set[str]]:
    """Return what Docker has before anything is brought up."""
    return there()


@pytest.fixture(scope="module")
def lab(tmp_path_factory: pytest.TempPathFactory, receiver: Receiver, before: dict[str, set[str]]) -> Iterator[Lab]:
    """Bring the stack up, and down again whatever has happened."""
    with platform.lab(tmp_path_factory.mktemp("alerts"), SETTINGS, there, webhook=receiver.url) as made:
        made.shell("make up")
        yield made


@pytest.fixture(scope="module")
def broken(lab: Lab, receiver: Receiver, tmp_path_factory: pytest.TempPathFactory) -> git.Clone:
    """Break all at once, and give the clone by which dev is mended."""
    receiver.answer = HTTPStatus.SERVICE_UNAVAILABLE
    prometheus(lab, RETENTION_SIZE, LITTLE, -OLD)
    lab.shell("make release VERSION=v2")
    # A canary that nobody asks can't be judged; what waits for it would ask.
    assert "does not say v2" in failed(lab.shell("make promote TO=qa ARGS='--timeout 3'", check=False))
    lab.run("docker", "stop", REGISTRY)
    clone = pushed(lab, tmp_path_factory.mktemp("clone"))
    page = f"http://localhost:{PORTS['dev']}/"
    for number in range(1, RESTARTS + 1):
        lab.kubectl("-n", "dev", "exec", "deployment/flask-app", "--", "sh", "-c", "kill 1")
        eventually("it is started anew", lambda: restarts(lab) >= number, lambda: str(restarts(lab)))  # noqa: B023 - it is asked at once
        eventually("it answers", lambda: answer(page)[0] == HTTPStatus.OK, lambda: answer(page)[1])
    return clone


def prometheus(lab: Lab, kept: str, other: str, seconds: int) -> None:
    """Have Prometheus keep to another size, and take the sealing key to be made at another time."""
    where = ("-n", "monitoring")
    rules = lab.get("configmap", "monitoring", "prometheus")["data"]["sealing.rules.yml"]
    moved = re.sub(r"vector\((\d+)\)", lambda found: f"vector({int(found[1]) + seconds})", rules)
    assert moved != rules
    lab.kubectl(
        *where, "patch", "configmap", "prometheus", "--patch", json.dumps({"data": {"sealing.rules.yml": moved}})
    )
    deployment = lab.get("deployment", "monitoring", "prometheus")
    (container,) = deployment["spec"]["template"]["spec"]["containers"]
    args = [each.replace(f"retention.size={kept}", f"retention.size={other}") for each in container["args"]]
    assert args != container["args"]
    template = {"spec": {"containers": [{"name": container["name"], "args": args}]}}
    lab.kubectl(*where, "patch", "deployment", "prometheus", "--patch", json.dumps({"spec": {"template": template}}))
    lab.kubectl(*where, "rollout", "status", "deployment/prometheus", "--timeout=120s")


def pushed(lab: Lab, folder: Path) -> git.Clone:
    """Push what no API server takes to dev, and return the clone that has it."""
    outputs, path = lab.outputs(), "overlays/dev/kustomization.yaml"
    with git.cloned(git.remote(outputs)) as clone:
        text = (clone.root / path).read_text(encoding="utf-8")
    fewer = yaml.safe_dump(yaml.safe_load(text) | {"replicas": [{"name": "flask-app", "count": -1}]})
    return platform.change(outputs, DEVELOPER, "env/dev", {path: fewer}, folder)


def restarts(lab: Lab) -> int:
    """Return how often the app's container in dev was started anew."""
    (pod,) = json.loads(lab.kubectl("-n", "dev", "get", "pods", "-o", "json"))["items"]
    return int(pod["status"]["containerStatuses"][0]["restartCount"])


# --- the tests, in their order ---------------------------------------------------------------------------------------


def test_there_is_no_alert_that_nobody_has_seen() -> None:
    rules = [rule for file in alerting.files("").values() for group in file["groups"] for rule in group["rules"]]
    assert {each["alert"] for each in rules} == {*OF_PROMETHEUS, *OTHERS, *test_progressive.TOLD}


@pytest.mark.usefixtures("broken")
def test_a_receiver_that_does_not_answer_is_shown_and_told_when_it_does(lab: Lab, receiver: Receiver) -> None:
    def shown() -> str:
        return lab.command("alerts", check=False).stdout

    fires = re.compile(r"^firing +critical +NotificationsFailing", re.MULTILINE)
    try:
        eventually("it is shown", lambda: bool(fires.search(shown())), shown, FIRES)
        assert not receiver.told
    finally:
        receiver.answer = HTTPStatus.OK
    receiver.waits("NotificationsFailing", "firing", FIRES)


@pytest.mark.usefixtures("broken")
@pytest.mark.parametrize("alert", [*OF_PROMETHEUS, *OTHERS])
def test_somebody_is_told_of_it(receiver: Receiver, alert: str) -> None:
    receiver.waits(alert, "firing", FIRES, **OTHERS.get(alert, {}))


def test_what_was_broken_is_mended(lab: Lab, broken: git.Clone) -> None:
    lab.run("docker", "start", REGISTRY)
    broken.revert(["overlays/dev"])
    broken.push()
    settled(lab, "dev")
    with Load("localhost", "localhost", pause=0.1, port=PORTS["qa"]):
        assert "has qa looked at once more" in lab.shell("make approve ENV=qa").stdout


@pytest.mark.parametrize("alert", OTHERS)
def test_somebody_is_told_that_it_is_over(receiver: Receiver, alert: str) -> None:
    receiver.waits(alert, "resolved", RESOLVES, **OTHERS[alert])


def test_what_is_wrong_with_prometheus_itself_is_over_when_that_is_mended(lab: Lab, receiver: Receiver) -> None:
    for alert in OF_PROMETHEUS:
        assert not receiver.has(alert, "resolved"), receiver.told
    prometheus(lab, LITTLE, RETENTION_SIZE, OLD)
    for alert in OF_PROMETHEUS:
        receiver.waits(alert, "resolved", RESOLVES)
    assert "nothing fires" in lab.shell("make alerts").stdout


def test_destroy_leaves_nothing(lab: Lab, before: dict[str, set[str]]) -> None:
    lab.shell("make destroy")
    after = there()
    after["volumes"] -= {*platform.kept(SETTINGS), REGISTRY}
    assert left(before, after).keys() <= {"images"}
