"""The app's image: what is noticed, built and removed."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pulumi
import pytest

from components.core.errors import LabError
from components.core.run import CommandError, module_hash
from components.docker import container as containers
from components.docker import engine as docker_engine
from components.docker import image
from components.docker.engine import UnreachableError
from components.docker.presence import PresenceProvider
from devtools import graph

if TYPE_CHECKING:
    from tests.unit.programs import Engine

pytestmark = pytest.mark.unit

ROOT = Path(__file__).resolve().parents[2]
APP = "iot-lab/flask-app:v1"
provider = PresenceProvider()


def state(**made_at: str) -> dict[str, Any]:
    """Return what is known of an image that was made here, or at another engine."""
    return {"reference": APP, "generation": "1", "made_at": docker_engine.whereabouts() | made_at}


# --- whether the image is there --------------------------------------------------------------------------------------


def test_a_mirror_of_packages_reaches_the_build(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("PIP_INDEX_URL", raising=False)
    assert image.package_index() == {}
    monkeypatch.setenv("PIP_INDEX_URL", "https://mirror.example/simple")
    assert image.package_index() == {"PIP_INDEX_URL": "https://mirror.example/simple"}
    built = [node.inputs["build"]["args"] for node in graph.build("p3", ROOT).nodes if node.type.endswith(":Image")]
    assert {each["PIP_INDEX_URL"] for each in built} == {"https://mirror.example/simple"}


@pytest.mark.parametrize("part", ["p2", "p3"])
def test_a_login_at_a_mirror_is_refused_before_anything_is_made(part: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PIP_INDEX_URL", "https://me:never-shown@mirror.example/simple")
    made: list[str] = []
    monkeypatch.setattr(pulumi.CustomResource, "__init__", lambda _, kind, *__, **___: made.append(kind))
    with pytest.raises(LabError, match="PIP_INDEX_URL has a login in it"):
        graph.build(part, ROOT)
    assert made == []


def test_a_login_at_a_mirror_does_not_get_into_the_images_history(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PIP_INDEX_URL", "https://me:never-shown@mirror.example/simple")
    with pytest.raises(LabError, match="PIP_INDEX_URL has a login in it") as refused:
        image.package_index()
    assert "never-shown" not in str(refused.value)


def test_an_image_that_is_there_changes_nothing(engine: Engine) -> None:
    engine.is_so("images", APP)

    assert provider.diff(APP, state(), {"reference": APP}).changes is False


def test_an_image_that_is_gone_is_built_again(engine: Engine) -> None:
    assert provider.diff(APP, state(), {"reference": APP}).changes is True
    outs = provider.update(APP, state(), {"reference": APP}).outs
    assert outs is not None
    assert outs["generation"] != "1"
    assert outs["reference"] == APP


def test_nothing_is_planned_where_docker_can_not_be_asked(engine: Engine) -> None:
    made = state()
    engine.is_so("unreachable")

    assert provider.diff(APP, made, {"reference": APP}).changes is False


def test_nothing_is_planned_at_the_engine_of_another_machine(engine: Engine) -> None:
    assert provider.diff(APP, state(engine="another", endpoint="another"), {"reference": APP}).changes is False


def test_another_name_is_another_image(engine: Engine) -> None:
    result = provider.diff(APP, state(), {"reference": "iot-lab/flask-app:v2"})

    assert (result.changes, result.replaces) == (True, ["reference"])


def test_every_new_image_is_of_another_generation(engine: Engine) -> None:
    made = [provider.create({"reference": APP}) for _ in range(2)]

    assert [each.id for each in made] == [APP, APP]
    generations = [each.outs["generation"] for each in made if each.outs]
    assert len(set(generations)) == 2


def test_a_destroyed_image_is_removed_and_can_be_destroyed_again(engine: Engine) -> None:
    engine.is_so("images", f"{APP} other:1")
    provider.delete(APP, state())
    provider.delete(APP, state())

    assert (engine.state / "images").read_text(encoding="utf-8").split() == ["other:1"]
    assert len(engine.called("docker image rm")) == 1


def test_an_image_of_the_same_name_at_another_engine_is_left_alone(engine: Engine) -> None:
    engine.is_so("images", APP)
    provider.delete(APP, state(engine="another", endpoint="another"))

    assert not engine.called("docker image rm")


def test_an_image_that_another_clone_runs_stays_and_the_last_one_removes_it(engine: Engine) -> None:
    engine.is_so("images", APP)
    made = provider.create({"reference": APP}).outs
    assert made is not None
    theirs = {"Id": "git", "Name": "/git", "State": {"Status": "running"}, "HostConfig": {}}
    for clone, removed in (("/elsewhere", 0), (containers.PROJECT, 1)):
        engine.containers = [{**theirs, "Config": {"Labels": {"iot.project": clone}}}]
        provider.delete(APP, made)
        assert len(engine.called("docker image rm")) == removed


def test_the_engine_is_asked_about_itself_once(engine: Engine) -> None:
    docker_engine.whereabouts()
    assert (docker_engine.platform(), docker_engine.cgroup_version()) == ("linux/amd64", "2")
    docker_engine.containers("a=b")

    assert [call.split()[1] for call in engine.calls] == ["info", "context", "ps"]


# --- the engine ------------------------------------------------------------------------------------------------------


def test_a_preview_knows_nothing_of_an_engine_that_does_not_answer(
    engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    engine.is_so("unreachable")
    monkeypatch.setattr(image, "is_dry_run", lambda: True)

    assert image.engine() is None


def test_a_real_run_stops_when_no_engine_answers(engine: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    engine.is_so("unreachable")
    monkeypatch.setattr(image, "is_dry_run", lambda: False)

    with pytest.raises(UnreachableError, match="Docker does not answer"):
        image.engine()


def test_an_image_is_pulled_only_when_it_lacks(engine: Engine) -> None:
    engine.is_so("images", APP)
    engine.is_so("pullable", "redis:8")
    docker_engine.ensure_image(APP)
    docker_engine.ensure_image("redis:8")
    docker_engine.ensure_image("redis:8")

    assert engine.called("docker pull") == ["docker pull redis:8"]


def test_an_image_that_can_not_be_pulled_is_an_error_with_two_ways_around(engine: Engine) -> None:
    with pytest.raises(LabError, match=r"^The image redis:8 is not here and can't be pulled.*network.*docker load"):
        docker_engine.ensure_image("redis:8")


def test_a_question_that_fails_is_not_taken_for_a_missing_image(
    engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fails(command: list[str], **_: float) -> str:
        if command[1] == "info":
            return '{"ID": "one"}'
        raise CommandError("`docker image inspect` did not end within 20 s")

    monkeypatch.setattr(docker_engine, "run", fails)
    with pytest.raises(CommandError, match="did not end"):
        docker_engine.has_image(APP)


def test_an_older_docker_that_fails_silently_can_not_be_asked(engine: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(docker_engine, "run", lambda *_, **__: "")

    with pytest.raises(UnreachableError, match="says nothing of an engine"):
        docker_engine.endpoint()


def test_containers_are_described_with_their_published_ports(engine: Engine) -> None:
    engine.containers = [
        {
            "Id": "1",
            "Name": "/node",
            "State": {"Status": "exited"},
            "Config": {"Labels": {"a": "b"}},
            "HostConfig": {"PortBindings": {"80/tcp": [{"HostPort": "8888"}, {"HostPort": ""}], "81/tcp": None}},
        },
        {"Id": "2", "Name": "/other", "State": {}, "Config": {"Labels": {}}, "HostConfig": {}},
    ]

    assert docker_engine.containers("a=b") == [
        docker_engine.Container(name="node", state="exited", labels={"a": "b"}, ports=(8888,))
    ]
    assert docker_engine.containers("a=c") == []


def test_a_container_that_goes_while_it_is_asked_for_is_left_out(engine: Engine) -> None:
    there = {"Id": "1", "Name": "/node", "State": {"Status": "running"}, "Config": {"Labels": {"a": "b"}}}
    engine.containers = [there | {"HostConfig": {}}]
    engine.is_so("leaving", "2")
    assert [each.name for each in docker_engine.containers("a=b")] == ["node"]
    engine.containers = []
    assert docker_engine.containers("a=b") == []


# --- scripts ---------------------------------------------------------------------------------------------------------


def test_a_scripts_digest_changes_with_the_script_and_not_with_the_working_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    name, path = "components.k3d.import_images", "components/k3d/import_images.py"
    monkeypatch.chdir(tmp_path)

    assert module_hash(name) == hashlib.sha256((ROOT / path).read_bytes()).hexdigest()[:16]
    assert module_hash(name) != module_hash("components.k3d.node_images")
