"""CI's runner: what it is given, and what is left of its jobs when it goes."""

from __future__ import annotations

import shlex
from typing import TYPE_CHECKING, Any

import pytest
import yaml

from components.docker import container as containers
from components.docker import engine
from components.platform import runner_provider
from devtools import graph
from lab.host import paths

if TYPE_CHECKING:
    from collections.abc import Sequence

pytestmark = pytest.mark.unit

JOB = "GITEA-ACTIONS-TASK-4_WORKFLOW-App_JOB-app"


@pytest.fixture(scope="module")
def made() -> dict[str, Any]:
    (found,) = [each.inputs for each in graph.build("platform", paths.ROOT).nodes if each.name == "ci-container"]
    return found


def test_a_job_is_bounded_and_known_by_whose_it_is(made: dict[str, Any]) -> None:
    text = made["script"].partition("<<'EOF'\n")[2].partition("EOF\n")[0]
    config = yaml.safe_load(text)["container"]
    assert config["privileged"] is False
    assert config["valid_volumes"] == []
    options = shlex.split(config["options"])
    assert "--memory=1g" in options
    assert f"--label={runner_provider.RUNNER_LABEL}={made['name']}" in options


def test_what_is_left_of_a_job_goes_with_its_own_volumes_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[Sequence[str]] = []
    job = engine.Container(name=JOB, state="running", labels={}, ports=())
    monkeypatch.setattr(engine, "containers", lambda label: [job] if label == "iot.runner=mine" else [])
    monkeypatch.setattr(engine, "ask", lambda *words: asked.append(words))
    mounts = [
        {"Type": "volume", "Name": JOB},
        {"Type": "volume", "Name": f"{JOB}-env"},
        {"Type": "volume", "Name": runner_provider.CACHE},
        {"Type": "bind", "Source": "/var/run/docker.sock"},
    ]
    monkeypatch.setattr(containers, "inspect", lambda kind, name: {"Name": name, "Mounts": mounts, "Kind": kind})
    runner_provider.remove_jobs("mine")
    assert asked == [
        ("container", "rm", "--force", "--volumes", JOB),
        ("volume", "rm", JOB),
        ("volume", "rm", f"{JOB}-env"),
    ]
    asked.clear()
    runner_provider.remove_jobs("somebody-elses")
    assert asked == []
