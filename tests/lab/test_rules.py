"""What Prometheus and Alertmanager themselves say of the rules and of their configurations. It needs no cluster."""

from __future__ import annotations

import os
import subprocess
from typing import TYPE_CHECKING, Any, Final
from unittest import mock

import pytest
import yaml

from components.core import versions
from components.core.settings import MailSettings
from components.monitoring import alerting
from devtools import graph
from lab.commands.test import OFFLINE
from lab.host import paths
from tests.lab.lab import missing

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

pytestmark = [pytest.mark.lab, pytest.mark.k3d]

TESTS: Final = sorted(path.name for path in (paths.ROOT / "tests/unit/rules").glob("*.yaml"))
RULES: Final = sorted(path.name for path in alerting.FOLDER.glob("*.yaml"))
ENVIRONMENTS: Final = {
    "dev": {"port": 30001},
    "prod": {"port": 30021, "after": "dev", "cluster": "prod", "delivery": "canary"},
}


def run(image: str, tool: str, mounts: Mapping[Path, str], *arguments: str) -> str:
    """Run a tool of an image without a network, and return what it says; an error is one of the test."""
    if missing(image):
        pytest.skip(f"{OFFLINE}: {image}")
    volumes = [f"--volume={here}:{at}:ro" for here, at in mounts.items()]
    command = ["docker", "run", "--rm", "--network=none", f"--user={os.getuid()}", f"--entrypoint={tool}", *volumes]
    done = subprocess.run([*command, image, *arguments], capture_output=True, text=True, check=False, timeout=300)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout + done.stderr


@pytest.mark.parametrize("name", TESTS)
def test_every_alert_fires_when_it_has_to_and_not_otherwise(name: str) -> None:
    said = run(versions.PROMETHEUS_IMAGE, "promtool", {paths.ROOT: "/project"}, "test", "rules", _test(name))
    assert "SUCCESS" in said


def test_a_rule_that_says_something_else_fails_its_test(tmp_path: Path) -> None:
    for folder in ("components/monitoring/rules", "tests/unit/rules"):
        (tmp_path / folder).mkdir(parents=True)
        text = (paths.ROOT / folder / "apps.yaml").read_text(encoding="utf-8")
        (tmp_path / folder / "apps.yaml").write_text(text.replace("> 0.05", "> 0.5"), encoding="utf-8")
    with pytest.raises(AssertionError, match="ErrorRateHigh"):
        run(versions.PROMETHEUS_IMAGE, "promtool", {tmp_path: "/project"}, "test", "rules", _test("apps.yaml"))


def test_prometheus_takes_the_rules_and_the_configuration(tmp_path: Path) -> None:
    values = graph.build("platform", paths.ROOT, {"environments": ENVIRONMENTS}).named("monitoring-release")
    given = values.inputs["values"]
    config: dict[str, Any] = {"global": given["server"]["global"], **given["serverFiles"].pop("prometheus.yml")}
    config["alerting"] = {"alertmanagers": given["server"]["alertmanagers"]}
    clusters, files = tmp_path / "clusters", tmp_path / "config"
    clusters.mkdir()
    files.mkdir()
    for name in ("prod.token", "prod.crt"):
        (clusters / name).write_text("here", encoding="utf-8")
    for name, content in {"prometheus.yml": config, **given["serverFiles"]}.items():
        (files / name).write_text(yaml.safe_dump(content), encoding="utf-8")
    mounts = {files: "/etc/config", clusters: "/etc/clusters"}
    said = run(versions.PROMETHEUS_IMAGE, "promtool", mounts, "check", "config", "/etc/config/prometheus.yml")
    assert said.count(" rules found") == len(RULES)


def test_alertmanager_takes_the_configuration_of_every_receiver(tmp_path: Path) -> None:
    mail = MailSettings.model_validate(
        {"to": "ops@a.example", "from": "lab@a.example", "server": "a.example:587", "username": "lab"}
    )
    told = mock.Mock(webhook=True, slack=True, mail=mail, mail_password=True)
    nobody = mock.Mock(webhook=None, slack=None, mail=None, mail_password=None)
    for name, settings in {"told": told, "nobody": nobody}.items():
        (tmp_path / f"{name}.yml").write_text(yaml.safe_dump(alerting.config(settings)), encoding="utf-8")
        said = run(versions.ALERTMANAGER_IMAGE, "amtool", {tmp_path: "/given"}, "check-config", f"/given/{name}.yml")
        assert "1 receivers" in said


def _test(name: str) -> str:
    return f"/project/tests/unit/rules/{name}"
