"""The life of a k3d cluster as Pulumi sees it, on a Docker engine that is only files."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from components.core.errors import LabError
from components.docker import container
from components.docker.engine import UnreachableError
from components.k3d import provider as k3d_provider
from components.k3d.provider import K3dClusterProvider

if TYPE_CHECKING:
    from tests.unit.programs import Engine

pytestmark = pytest.mark.unit

K3S, TOOLS = "rancher/k3s:v1", "ghcr.io/k3d-io/k3d-tools:1"
provider = K3dClusterProvider()


def create(**changed: Any) -> tuple[str, dict[str, Any]]:  # noqa: ANN401 - any input
    """Create a cluster, and return its ID and its outputs."""
    result = provider.create(wanted(**changed))
    assert result.outs is not None
    return result.id, result.outs


def wanted(**changed: Any) -> dict[str, Any]:  # noqa: ANN401 - any input
    """Return the inputs as the engine hands them over: every number is a float."""
    config = {
        "metadata": {"name": changed.get("name", "lab")},
        "image": K3S,
        "servers": changed.pop("servers", 1),
        "agents": changed.pop("agents", 0),
        "ports": [{"port": "127.0.0.1:8888:30001"}],
        "options": {"k3s": {"extraArgs": []}},
    }
    nodes = float(config["servers"] + config["agents"])
    inputs = {"name": "lab", "stack": "p3", "nodes": nodes, "config": json.dumps(config), "archive": "", "timeout": 5.0}
    return {**inputs, "images": [K3S, TOOLS], "kubeconfig": None, "node_names": None, **changed}


@pytest.fixture
def docker(engine: Engine, monkeypatch: pytest.MonkeyPatch) -> Engine:
    engine.is_so("images", f"{K3S} {TOOLS}")
    monkeypatch.setattr(k3d_provider, "READY_EVERY", 0.01)
    return engine


@pytest.fixture
def made(docker: Engine) -> dict[str, Any]:
    """Create a cluster, and return its outputs with the resource's ID."""
    cluster_id, outputs = create()
    return {**outputs, "id": cluster_id}


def stop(docker: Engine) -> None:
    docker.containers = [{**each, "State": {"Status": "exited"}} for each in docker.containers]


def label(docker: Engine, **labels: str) -> None:
    for each in (found := docker.containers):
        each["Config"]["Labels"] |= {f"iot.{key}": value for key, value in labels.items()}
    docker.containers = found


# --- create ----------------------------------------------------------------------------------------------------------


def test_a_created_cluster_carries_the_stacks_labels_and_gives_its_kubeconfig(docker: Engine) -> None:
    cluster_id, outputs = create(servers=3, agents=2)

    assert len(docker.containers) == 5
    for each in docker.containers:
        labels = each["Config"]["Labels"]
        assert (labels["iot.stack"], labels["iot.id"]) == ("p3", cluster_id)
        assert labels["iot.config"]
    assert outputs["kubeconfig"] == "kubeconfig of lab\n"
    assert outputs["node_names"] == [
        "k3d-lab-agent-0",
        "k3d-lab-agent-1",
        "k3d-lab-server-0",
        "k3d-lab-server-1",
        "k3d-lab-server-2",
    ]


def test_no_agents_means_that_no_rule_is_about_agents(docker: Engine) -> None:
    provider.create(wanted())

    filters = {each for rule in docker.config["options"]["runtime"]["labels"] for each in rule["nodeFilters"]}
    assert filters == {"server:*"}


def test_images_that_k3d_needs_are_pulled_once_and_only_if_they_lack(docker: Engine) -> None:
    docker.is_so("images", TOOLS)
    docker.is_so("pullable", K3S)
    provider.create(wanted())

    assert docker.called("docker pull") == [f"docker pull {K3S}"]


def test_an_image_that_can_not_be_pulled_stops_before_anything_is_made(docker: Engine) -> None:
    docker.is_so("images", TOOLS)

    with pytest.raises(LabError, match=rf"^The image {K3S} is not here.*no route to host.*Fix: .*docker load"):
        provider.create(wanted())
    assert docker.changes() == []


def test_an_archive_of_images_is_mounted_where_k3s_looks_for_it(docker: Engine, tmp_path: Path) -> None:
    provider.create(wanted(archive=f"{tmp_path}/k3s.tar", agents=1))

    assert docker.config["volumes"][-1] == {
        "volume": f"{tmp_path}/k3s.tar:/var/lib/rancher/k3s/agent/images/k3s.tar:ro",
        "nodeFilters": ["server:*", "agent:*"],
    }


@pytest.mark.parametrize(("version", "passed"), [("1", True), ("2", False)])
def test_the_kubelet_is_told_of_cgroup_v1_where_it_is_used(docker: Engine, version: str, *, passed: bool) -> None:
    docker.is_so("cgroup", version)
    provider.create(wanted())

    arguments = [each["arg"] for each in docker.config["options"]["k3s"]["extraArgs"]]
    assert ("--kubelet-arg=fail-cgroupv1=false" in arguments) is passed


def test_a_failed_creation_removes_its_debris_and_says_why(docker: Engine) -> None:
    docker.is_so("refuses")

    with pytest.raises(LabError, match=r"^The k3d cluster lab did not come up.*removed again.*no space left on device"):
        provider.create(wanted(servers=3))
    assert docker.containers == []


def test_a_cluster_that_does_not_get_ready_in_time_is_removed_again(docker: Engine) -> None:
    docker.is_so("unready")

    with pytest.raises(
        LabError, match=r"removed again.*The API server of lab was not ready within 0 s.*unable to handle"
    ):
        provider.create(wanted(timeout=0.0))
    assert docker.containers == []


def test_a_node_that_never_registers_is_told_with_its_last_words(
    docker: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(k3d_provider, "REGISTERED", 0)
    docker.is_so("unregistered")
    trouble = 'time="2026" level=fatal msg="kubelet exited: inotify_init: too many open files"'
    docker.is_so("log", f"level=info msg=begins\n{trouble}\nlevel=error msg=ends\n")

    with pytest.raises(LabError, match=r"k3d-lab-server-0 did not register.*says: time.*too many open files") as caught:
        provider.create(wanted())
    assert "msg=ends" not in str(caught.value)
    assert str(caught.value).count("Fix: ") == 1
    assert docker.containers == []


def test_an_engine_that_is_gone_is_not_waited_for(docker: Engine) -> None:
    docker.is_so("going")

    with pytest.raises(UnreachableError, match="Docker does not answer"):
        provider.create(wanted(timeout=600.0))


def test_what_nodes_have_kept_outlives_a_host_that_allows_too_little(
    docker: Engine, made: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    provider.delete(made["id"], made)
    before = kept(docker)
    monkeypatch.setattr(k3d_provider, "REGISTERED", 0)
    docker.is_so("unregistered")
    docker.is_so("log", "level=fatal msg='inotify_init: too many open files'\n")

    with pytest.raises(LabError, match="did not register"):
        provider.create(wanted())
    assert before
    assert kept(docker) == before
    assert len(docker.called("k3d cluster create")) == 2  # the first one was good


def test_pods_are_driven_out_of_a_full_disk_late(docker: Engine) -> None:
    provider.create(wanted())

    arguments = [each["arg"] for each in docker.config["options"]["k3s"]["extraArgs"]]
    assert "--kubelet-arg=eviction-hard=imagefs.available<1%,nodefs.available<1%" in arguments
    assert "--kubelet-arg=eviction-pressure-transition-period=30s" in arguments


def test_debris_that_can_not_be_removed_is_said_beside_the_cause(docker: Engine) -> None:
    docker.is_so("refuses")
    docker.is_so("keeps")

    with pytest.raises(LabError, match=r"failed to delete network.*`k3d cluster delete lab`.*no space left"):
        provider.create(wanted())


def test_nothing_can_be_created_where_docker_does_not_answer(docker: Engine) -> None:
    docker.is_so("unreachable")

    with pytest.raises(UnreachableError, match="Cannot connect to the Docker daemon"):
        provider.create(wanted())


# --- what nodes keep -------------------------------------------------------------------------------------------------

FOLDER = "/var/lib/rancher/k3s/agent/containerd"


def kept(docker: Engine) -> list[str]:
    return sorted(docker.things("volume"))


def test_every_node_keeps_its_images_in_a_volume_of_its_own(docker: Engine) -> None:
    provider.create(wanted(servers=1, agents=1))
    mounts = docker.config["volumes"]

    assert len(kept(docker)) == 2
    assert [(each["volume"].split(":")[1], each["nodeFilters"]) for each in mounts] == [
        (FOLDER, ["server:0"]),
        (FOLDER, ["agent:0"]),
    ]
    assert [each["volume"].split(":")[0] for each in mounts] == sorted(kept(docker), reverse=True)
    for labels in docker.things("volume").values():
        assert (labels["iot.stack"], labels["iot.images"]) == ("p3", "lab")


def test_the_next_cluster_of_that_name_and_image_has_them(docker: Engine, made: dict[str, Any]) -> None:
    before = kept(docker)
    provider.delete(made["id"], made)
    assert kept(docker) == before
    provider.create(wanted())

    assert kept(docker) == before
    assert len(docker.called("docker volume create")) == 1
    assert docker.called("k3d cluster create")[-1].endswith("--timeout 5s")


def test_those_of_nodes_that_are_gone_and_of_another_image_are_removed(docker: Engine) -> None:
    cluster_id, outs = create(agents=1)
    of_server = next(name for name in kept(docker) if "server" in name)
    provider.delete(cluster_id, outs)
    provider.create(wanted())
    assert kept(docker) == [of_server]
    docker.containers = []
    docker.is_so("images", f"rancher/k3s:v2 {TOOLS}")
    inputs = wanted()
    provider.create(
        {**inputs, "config": inputs["config"].replace(K3S, "rancher/k3s:v2"), "images": ["rancher/k3s:v2", TOOLS]}
    )

    assert len(kept(docker)) == 1
    assert kept(docker) != [of_server]


def test_what_else_outlives_the_cluster_stays(docker: Engine, made: dict[str, Any]) -> None:
    registry = container.ContainerSpec(
        name="lab-registry",
        stack="p3",
        image=K3S,
        network="lab",
        alias="r",
        ports=[],
        mount="/r",
        script="",
        memory="1m",
        keeps=True,
    )
    container.make(registry)
    provider.delete(made["id"], made)
    provider.create(wanted())
    assert "lab-registry" in kept(docker)
    container.remove(registry)

    assert "lab-registry" in kept(docker)


def test_those_of_another_cluster_stay(docker: Engine, made: dict[str, Any]) -> None:
    create(name="other", config=wanted()["config"].replace('"lab"', '"other"'))

    assert [name.split("-")[0] for name in kept(docker)] == ["lab", "other"]


def test_a_cluster_that_does_not_come_up_with_them_begins_without(
    docker: Engine, made: dict[str, Any], capsys: pytest.CaptureFixture[str]
) -> None:
    provider.delete(made["id"], made)
    docker.is_so("rubbish")
    cluster_id, _ = create()

    assert cluster_id != made["id"]
    assert [call.split()[2] for call in docker.changes()] == ["create", "delete", "create", "delete", "create"]
    assert len(docker.called("docker volume create")) == 2
    assert "lab did not come up with the images that its nodes had kept" in capsys.readouterr().out


def test_they_stay_when_docker_can_not_even_start_a_node(docker: Engine, made: dict[str, Any]) -> None:
    provider.delete(made["id"], made)
    docker.is_so("refuses")

    with pytest.raises(LabError, match="no space left on device"):
        provider.create(wanted())
    assert len(docker.called("docker volume create")) == 1


def test_someone_elses_volume_of_that_name_is_left_alone(docker: Engine, made: dict[str, Any]) -> None:
    (name,) = kept(docker)
    provider.delete(made["id"], made)
    docker.is_so("volumes.json", json.dumps({name: {}}))

    with pytest.raises(LabError, match=f"^A Docker volume {name} is here already, and this project did not make it"):
        provider.create(wanted())
    assert kept(docker) == [name]
    assert len(docker.called("k3d cluster create")) == 1


# --- taking over what is there ---------------------------------------------------------------------------------------


def test_a_healthy_cluster_of_the_stack_is_taken_over(docker: Engine, made: dict[str, Any]) -> None:
    cluster_id, outputs = create()

    assert cluster_id == made["id"]
    assert outputs["kubeconfig"] == made["kubeconfig"]
    assert len(docker.changes()) == 1  # the one before


@pytest.mark.parametrize("change", [{}, {"agents": 1}], ids=["the same", "another"])
def test_a_cluster_in_use_that_the_state_does_not_know_is_neither_taken_over_nor_deleted(
    docker: Engine, made: dict[str, Any], change: dict[str, Any]
) -> None:
    """What was made in it by hand would be lost, or in the way of what is made next."""
    docker.is_so("namespaces", "argocd dev")
    with pytest.raises(
        LabError, match=r"^The cluster lab is here and in use, and the state of the stack does not know it.*argocd, dev"
    ):
        provider.create(wanted(**change))
    assert len(docker.changes()) == 1  # the one before
    assert docker.containers


@pytest.mark.parametrize("change", [{}, {"agents": 1}], ids=["the same", "another"])
def test_a_stopped_cluster_in_use_is_started_to_be_asked_and_a_slow_answer_is_waited_for(
    docker: Engine, made: dict[str, Any], change: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    stop(docker)
    docker.is_so("namespaces", "argocd sealed-secrets")
    docker.is_so("slow", "namespaces")
    monkeypatch.setattr(time, "sleep", lambda _: (docker.state / "slow").unlink(missing_ok=True))
    with pytest.raises(
        LabError, match=r"^The cluster lab is here and in use.*nobody can read any more what was sealed"
    ):
        provider.create(wanted(**change))
    assert docker.containers
    assert "k3d cluster delete lab" not in docker.changes()


def test_a_cluster_that_never_says_whether_it_is_in_use_is_not_deleted(
    docker: Engine, made: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    docker.is_so("slow", "namespaces")
    monkeypatch.setattr(k3d_provider, "ASKED", 0.1)
    with pytest.raises(LabError, match="timed out"):
        provider.create(wanted(agents=1))
    assert docker.containers


def test_a_stopped_cluster_of_the_stack_is_started(docker: Engine, made: dict[str, Any]) -> None:
    stop(docker)

    assert provider.create(wanted()).id == made["id"]
    assert docker.changes()[1:] == ["k3d cluster start lab --timeout 5s"]


def test_a_cluster_of_the_stack_that_does_not_start_is_replaced(docker: Engine, made: dict[str, Any]) -> None:
    stop(docker)
    docker.is_so("stuck")
    result = provider.create(wanted())

    assert result.id != made["id"]
    assert [call.split()[2] for call in docker.changes()] == ["create", "start", "delete", "create"]


def test_half_a_cluster_of_the_stack_is_replaced(docker: Engine) -> None:
    first = provider.create(wanted(servers=3))
    docker.containers = docker.containers[:1]
    result = provider.create(wanted(servers=3))

    assert result.id != first.id
    assert len(docker.containers) == 3


def test_a_cluster_of_the_stack_that_was_made_otherwise_is_replaced(docker: Engine, made: dict[str, Any]) -> None:
    label(docker, config="another")

    assert provider.create(wanted()).id != made["id"]
    assert [call.split()[2] for call in docker.changes()] == ["create", "delete", "create"]


# --- clusters of others ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("owner", "seems"), [("p9", "it belongs to the stack p9"), ("", "this project did not make it")]
)
def test_a_cluster_of_someone_else_is_never_touched(
    docker: Engine, made: dict[str, Any], owner: str, seems: str
) -> None:
    label(docker, stack=owner)
    before = docker.containers

    with pytest.raises(LabError, match=f"A k3d cluster lab is here already, and {seems}") as caught:
        provider.create(wanted())
    provider.delete(made["id"], {**made})
    assert docker.containers == before
    assert len(docker.changes()) == 1
    assert "k3d-lab-server-0" in str(caught.value)
    assert "k3d cluster delete lab" in caught.value.fix
    assert "pulumi config set iot:clusterName" in caught.value.fix


def test_a_cluster_of_which_one_node_is_someone_elses_is_not_ours(docker: Engine) -> None:
    provider.create(wanted(servers=3))
    found = docker.containers
    found[1]["Config"]["Labels"]["iot.stack"] = "p9"
    docker.containers = found

    with pytest.raises(LabError, match="is here already"):
        provider.create(wanted(servers=3))
    assert len(docker.changes()) == 1


# --- diff ------------------------------------------------------------------------------------------------------------


def test_nothing_changes_while_the_cluster_is_as_it_should_be(docker: Engine, made: dict[str, Any]) -> None:
    assert provider.diff(made["id"], made, wanted()).changes is False


def test_nothing_is_planned_where_docker_can_not_be_asked(docker: Engine, made: dict[str, Any]) -> None:
    docker.is_so("unreachable")

    result = provider.diff(made["id"], made, wanted())
    assert result.changes is False
    assert not result.replaces


def test_a_wish_that_changed_is_seen_without_docker(docker: Engine, made: dict[str, Any]) -> None:
    docker.is_so("unreachable")

    result = provider.diff(made["id"], made, wanted(agents=1))
    assert (result.changes, result.replaces) == (True, ["config"])


def test_a_cluster_that_is_gone_is_replaced(docker: Engine, made: dict[str, Any]) -> None:
    docker.containers = []

    result = provider.diff(made["id"], made, wanted())
    assert result.changes is True
    assert result.replaces
    assert result.delete_before_replace is True


def test_a_cluster_that_lost_a_node_is_replaced(docker: Engine) -> None:
    cluster_id, outputs = create(servers=3)
    docker.containers = docker.containers[:2]

    assert provider.diff(cluster_id, outputs, wanted(servers=3)).replaces


def test_another_cluster_in_its_place_is_replaced(docker: Engine, made: dict[str, Any]) -> None:
    label(docker, id="another")

    assert provider.diff(made["id"], made, wanted()).replaces


def test_a_stopped_cluster_is_updated_and_not_replaced(docker: Engine, made: dict[str, Any]) -> None:
    stop(docker)

    result = provider.diff(made["id"], made, wanted())
    assert (result.changes, result.replaces) == (True, [])


@pytest.mark.parametrize("changed", [{"name": "other"}, {"stack": "p9"}, {"agents": 1}])
def test_another_name_stack_or_configuration_is_another_cluster(
    docker: Engine, made: dict[str, Any], changed: dict[str, Any]
) -> None:
    result = provider.diff(made["id"], made, wanted(**changed))

    assert result.replaces
    assert result.delete_before_replace is True


@pytest.mark.parametrize("changed", [{"timeout": 9.0}, {"archive": "/a.tar"}, {"images": ["x:1"]}])
def test_what_only_matters_while_it_is_made_changes_nothing(
    docker: Engine, made: dict[str, Any], changed: dict[str, Any]
) -> None:
    assert provider.diff(made["id"], made, wanted(**changed)).changes is False


# --- update, read, delete --------------------------------------------------------------------------------------------


def test_an_update_starts_the_nodes(docker: Engine, made: dict[str, Any]) -> None:
    stop(docker)
    outs = provider.update(made["id"], made, wanted()).outs

    assert outs is not None
    assert outs["kubeconfig"] == made["kubeconfig"]
    assert provider.diff(made["id"], made, wanted()).changes is False


def test_a_node_that_does_not_come_back_is_told_with_its_last_words(
    docker: Engine, made: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    stop(docker)
    monkeypatch.setattr(k3d_provider, "REGISTERED", 0)
    docker.is_so("unregistered")
    docker.is_so("log", "level=fatal msg='inotify_init: too many open files'\n")

    with pytest.raises(LabError, match=r"k3d-lab-server-0 was not heard of.*says: .*too many open files"):
        provider.update(made["id"], made, wanted())
    assert len(docker.containers) == 1
    assert docker.called("docker logs") == ["docker logs --tail=200 --since=2026-01-02T00:00:00Z k3d-lab-server-0"]


def test_a_cluster_that_is_taken_over_is_not_deleted_for_a_slow_kubelet(docker: Engine, made: dict[str, Any]) -> None:
    """The state has lost it, and its API server answers."""
    stop(docker)
    docker.is_so("unregistered")

    assert create()[0] == made["id"]


def test_a_node_that_runs_all_the_time_is_not_waited_for(docker: Engine, made: dict[str, Any]) -> None:
    docker.is_so("unregistered")

    assert provider.update(made["id"], made, wanted()).outs is not None


def test_a_refresh_keeps_a_cluster_that_is_there_or_that_docker_is_not_asked_about(
    docker: Engine, made: dict[str, Any]
) -> None:
    state = {key: value for key, value in made.items() if key != "id"}

    assert (provider.read(made["id"], state).id, provider.read(made["id"], state).outs) == (made["id"], state)
    docker.is_so("unreachable")
    assert (provider.read(made["id"], state).id, provider.read(made["id"], state).outs) == (made["id"], state)


def test_a_refresh_drops_a_cluster_that_is_gone(docker: Engine, made: dict[str, Any]) -> None:
    docker.containers = []

    assert not provider.read(made["id"], made).id


def test_a_deleted_cluster_is_gone_and_can_be_deleted_again(docker: Engine, made: dict[str, Any]) -> None:
    provider.delete(made["id"], made)
    provider.delete(made["id"], made)

    assert docker.containers == []
    assert docker.changes()[1:] == ["k3d cluster delete lab"]


def test_a_gone_cluster_is_rebuilt_by_one_delete_and_create(docker: Engine, made: dict[str, Any]) -> None:
    docker.containers = []
    provider.delete(made["id"], made)
    cluster_id, outputs = create()

    assert cluster_id != made["id"]
    assert provider.diff(cluster_id, outputs, wanted()).changes is False


# --- on another machine ----------------------------------------------------------------------------------------------


@pytest.fixture
def elsewhere(docker: Engine, made: dict[str, Any]) -> dict[str, Any]:
    """Return the state of a cluster that is on another machine; this one's Docker knows nothing of it."""
    docker.containers = []
    return made | {"made_at": dict.fromkeys(made["made_at"], "another")}


def test_nothing_is_planned_on_another_machine(elsewhere: dict[str, Any]) -> None:
    assert provider.diff(elsewhere["id"], elsewhere, wanted()).changes is False


def test_a_refresh_on_another_machine_keeps_the_cluster(elsewhere: dict[str, Any]) -> None:
    assert provider.read(elsewhere["id"], elsewhere).id == elsewhere["id"]


def test_a_cluster_can_not_be_deleted_from_another_machine_without_a_word(elsewhere: dict[str, Any]) -> None:
    with pytest.raises(
        LabError, match=r"^The cluster lab is at the Docker engine another of another.*Fix: run `make destroy` there"
    ):
        provider.delete(elsewhere["id"], elsewhere)


def test_a_cluster_of_the_same_name_there_is_not_taken_for_it(docker: Engine, made: dict[str, Any]) -> None:
    with pytest.raises(LabError, match="not at this one"):
        provider.delete(made["id"], made | {"made_at": dict.fromkeys(made["made_at"], "another")})
    assert docker.containers


@pytest.mark.parametrize(
    ("changed", "lost"),
    [
        (["name"], True),  # a laptop in another network
        (["engine"], True),  # Docker was reset
        (["host", "endpoint"], True),  # the same engine, by another way
        (["engine", "endpoint"], False),  # another engine on the same host
        (["engine", "host"], False),  # another host
    ],
)
def test_a_place_is_told_by_its_engine_or_by_its_host_and_the_way_to_it(
    docker: Engine, made: dict[str, Any], changed: list[str], *, lost: bool
) -> None:
    docker.containers = []
    made["made_at"] |= dict.fromkeys(changed, "another")

    assert bool(provider.diff(made["id"], made, wanted()).replaces) is lost
    assert (provider.read(made["id"], made).id == "") is lost


def test_k3d_never_sees_the_users_kubeconfig(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    theirs = tmp_path / "config"
    monkeypatch.setenv("KUBECONFIG", str(theirs))
    seen: list[str] = []

    def run(_: list[str], *, env: dict[str, str], **__: object) -> str:
        seen.append(env["KUBECONFIG"])
        assert Path(seen[-1]).read_text(encoding="utf-8").startswith("apiVersion: v1")
        return ""

    monkeypatch.setattr(k3d_provider, "run", run)
    k3d_provider._k3d(["cluster", "delete", "x"], timeout=1)  # noqa: SLF001 - what every call goes through
    assert seen
    assert seen[0] != str(theirs)
