"""CI's runner: what it is given, and what is left of its jobs when it goes."""

from __future__ import annotations

import shlex
from typing import TYPE_CHECKING, Any

import pytest
import yaml

from components.docker import container as containers
from components.docker import engine
from components.docker.container_provider import ContainerProvider
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


def test_a_runner_that_is_made_anew_does_not_begin_with_the_registration_before(
    made: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    told: list[str] = []

    def begins(_: ContainerProvider, props: dict[str, Any]) -> dict[str, Any]:
        told.append("made")
        return props

    there = {("container", made["name"]), ("volume", made["name"])}
    monkeypatch.setattr(containers, "labels", lambda *what: {"iot.stack": made["stack"]} if what in there else None)
    monkeypatch.setattr(engine, "ask", lambda *words: told.append(" ".join(words)))
    monkeypatch.setattr(runner_provider, "remove_jobs", lambda name: told.append(f"jobs of {name}"))
    monkeypatch.setattr(containers, "ensure_volume", lambda *_, **__: None)
    monkeypatch.setattr(ContainerProvider, "_made", begins)
    monkeypatch.setattr(runner_provider, "register", lambda *_: {"token": "hush"})
    monkeypatch.setattr(containers, "inside", lambda _, script, **__: told.append(script.splitlines()[-1]))
    runner_provider.RunnerProvider()._made(made)  # noqa: SLF001
    name = made["name"]
    assert told == [
        f"container rm --force {name}",
        f"volume rm --force {name}",
        f"jobs of {name}",
        "made",
        "mv /data/.new /data/.runner",
    ]
