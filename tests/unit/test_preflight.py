"""What has to be there before anything is created."""

from __future__ import annotations

import socket
from contextlib import closing
from typing import TYPE_CHECKING, Any

import pulumi
import pytest

from components.core.errors import LabError
from components.core.run import CommandError, run
from components.core.settings import ClusterSettings
from components.docker.engine import UnreachableError
from components.k3d import preflight

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.unit.programs import Engine, Programs

pytestmark = pytest.mark.unit

CLUSTER = ClusterSettings(
    clusterName="lab",
    servers=1,
    agentNodes=0,
    k3sImage="rancher/k3s:v1",
    k3sImages=None,
    apiPort=6550,
    registryPort=0,
    bindAddress="127.0.0.1",
    nodeHost="localhost",
    kubeconfig=None,
    allowPlainHttp=False,
    kubeContext=None,
)


@pytest.fixture
def port() -> Iterator[int]:
    """Listen on a port, and return its number."""
    with closing(socket.create_server(("127.0.0.1", 0))) as listener:
        yield listener.getsockname()[1]


@pytest.fixture
def free() -> int:
    """Return the number of a port that nothing listens on."""
    with closing(socket.create_server(("127.0.0.1", 0))) as listener:
        number: int = listener.getsockname()[1]
    return number


@pytest.fixture
def said(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Return what Pulumi is given to show."""
    messages: list[str] = []
    monkeypatch.setattr(pulumi.log, "info", messages.append)
    return messages


def check(*ports: int, preview: bool = False, cluster: ClusterSettings = CLUSTER) -> None:
    preflight.check_k3d(cluster, ports, "p3", {"lab-git": False}, preview=preview)


def container(stack: str, cluster: str, *ports: int, state: str = "running") -> dict[str, object]:
    bindings = {f"{port}/tcp": [{"HostIp": "127.0.0.1", "HostPort": str(port)}] for port in ports}
    return {
        "Id": f"{cluster}-1",
        "Name": f"/k3d-{cluster}-server-0",
        "State": {"Status": state},
        "Config": {"Labels": {"k3d.cluster": cluster, "k3d.role": "server", "iot.stack": stack}},
        "HostConfig": {"PortBindings": bindings},
    }


def test_a_machine_with_all_of_it_is_fine(engine: Engine, free: int, said: list[str]) -> None:
    check(free)

    assert said == []


def test_a_cluster_in_use_stops_the_run_of_a_stack_that_knows_nothing(
    engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Before Git's server beside it has other passwords."""
    engine.containers = [container("p3", CLUSTER.name, 1)]
    engine.is_so("namespaces", "argocd")
    check()
    monkeypatch.setenv("IOT_BEGINS", "true")
    check(preview=True)
    with pytest.raises(LabError, match=rf"^The cluster {CLUSTER.name} is here and in use, and the state"):
        check()
    engine.is_so("namespaces", "")
    check()
    engine.containers = [container("p3", CLUSTER.name, 1, state="exited")]
    check()


@pytest.mark.parametrize("tool", ["docker", "k3d", "kubectl"])
def test_every_missing_tool_is_named_with_what_brings_it(engine: Engine, tool: str) -> None:
    (engine.folder / tool).unlink()

    with pytest.raises(LabError, match=rf"^{tool} not found on PATH.*Fix: `make setup`"):
        check()


def test_several_missing_tools_are_named_together(programs: Programs) -> None:
    with pytest.raises(LabError, match=r"^docker, k3d, kubectl not found on PATH"):
        check()


def test_an_engine_that_does_not_answer_stops_a_real_run(engine: Engine) -> None:
    engine.is_so("unreachable")

    with pytest.raises(UnreachableError, match=r"^Docker does not answer.*Cannot connect.*Fix: start Docker"):
        check()


def test_a_preview_goes_on_where_nothing_could_be_created_and_says_so(programs: Programs, said: list[str]) -> None:
    check(preview=True)

    assert len(said) == 1
    assert said[0].startswith("This machine could not create the cluster: docker, k3d, kubectl not found on PATH")


def test_a_preview_goes_on_while_docker_is_stopped(engine: Engine, said: list[str]) -> None:
    engine.is_so("unreachable")
    check(preview=True)

    assert "Docker does not answer" in said[0]


@pytest.mark.parametrize("preview", [True, False])
def test_a_taken_port_is_named_with_what_finds_who_has_it(engine: Engine, port: int, *, preview: bool) -> None:
    with pytest.raises(LabError, match=rf"^Port {port} of 127\.0\.0\.1 is taken.*lsof -nP -iTCP:{port}"):
        check(port, preview=preview)


def test_all_taken_ports_are_named_and_free_ones_are_not(engine: Engine, port: int, free: int) -> None:
    with closing(socket.create_server(("127.0.0.1", 0))) as other:
        with pytest.raises(LabError, match=r"^2 problems") as caught:
            check(port, free, other.getsockname()[1])
        assert f"Port {free} " not in str(caught.value)


@pytest.mark.parametrize("state", ["running", "exited"])
def test_ports_of_the_stacks_own_cluster_are_not_taken(engine: Engine, port: int, state: str) -> None:
    engine.containers = [container("p3", "lab", port, state=state)]

    check(port)


def test_ports_of_the_cluster_that_is_to_be_renamed_are_not_taken(engine: Engine, port: int) -> None:
    engine.containers = [container("p3", "the-name-before", port)]

    check(port)


FURTHER = CLUSTER.model_copy(update={"name": "lab-prod"})


def of_network(network: str, cluster: str, port: int) -> dict[str, Any]:
    found: dict[str, Any] = container("p3", cluster, port)
    found["Config"]["Labels"]["k3d.cluster.network"] = network
    return found


@pytest.mark.parametrize("holder", [("lab", "lab-prod"), ("lab", "lab-old")])
def test_the_first_cluster_gets_no_port_of_one_that_goes_after_it(
    engine: Engine, free: int, holder: tuple[str, str]
) -> None:
    engine.containers = [of_network(*holder, free)]

    goes = rf"^Port {free} is that of the cluster {holder[1]}, which goes or gets other ports in this run\. "
    with pytest.raises(LabError, match=rf"{goes}lab is made before .*Fix: give what moves"):
        check(free)


def test_a_further_cluster_gets_no_port_of_another_further_one(engine: Engine, free: int) -> None:
    engine.containers = [of_network("lab", "lab-old", free)]

    with pytest.raises(LabError, match=rf"^Port {free} is that of the cluster lab-old"):
        preflight.check_k3d(FURTHER, [free], "p3", {}, preview=True, network="lab")


def test_a_further_cluster_waits_for_the_first_one_to_let_go_of_a_port(engine: Engine, free: int, port: int) -> None:
    engine.containers = [of_network("lab", "lab", port), of_network("lab", "lab-prod", free)]

    assert preflight.check_k3d(FURTHER, [port], "p3", {}, preview=False, network="lab")
    assert not preflight.check_k3d(FURTHER, [free], "p3", {}, preview=False, network="lab")


def test_a_cluster_of_an_older_version_which_has_a_network_of_its_own_keeps_its_ports(
    engine: Engine, free: int, port: int
) -> None:
    engine.containers = [of_network("k3d-lab", "lab", port)]

    check(port)
    assert preflight.check_k3d(FURTHER, [port], "p3", {}, preview=False, network="lab")
    assert not preflight.check_k3d(FURTHER, [free], "p3", {}, preview=False, network="lab")


def test_a_lab_that_is_renamed_keeps_its_ports(engine: Engine, free: int, port: int) -> None:
    engine.containers = [of_network("before", "before", port), of_network("before", "before-prod", free)]

    check(port)
    assert not preflight.check_k3d(FURTHER, [free], "p3", {}, preview=False, network="lab")


def test_ports_of_another_stacks_cluster_are_taken(engine: Engine, port: int) -> None:
    engine.containers = [container("p9", "other", port)]

    with pytest.raises(LabError, match="is taken"):
        check(port)


def test_someone_elses_cluster_of_that_name_stops_before_its_ports_do(engine: Engine, port: int) -> None:
    engine.containers = [container("p9", "lab", port)]

    with pytest.raises(LabError, match=r"^A k3d cluster lab is here already, and it belongs to the stack p9"):
        check(port)


def test_an_address_that_is_not_this_hosts_is_said_once(engine: Engine) -> None:
    with pytest.raises(
        LabError, match=r"^iot:bindAddress is 192\.0\.2\.1\. expected an address of this host"
    ) as caught:
        check(8888, 8080, cluster=CLUSTER.model_copy(update={"bind_address": "192.0.2.1"}))
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("version", "good"),
    [
        ("k3d version v5.9.0\nk3s version v1.36.3-k3s1 (default)", True),
        ("k3d version v5.6.3", True),
        ("k3d version v6.0.0", False),
        ("k3d version v4.4.8", False),
        ("k3d version dev", False),
        ("", False),
    ],
)
def test_another_major_version_of_k3d_is_refused(
    engine: Engine, monkeypatch: pytest.MonkeyPatch, version: str, *, good: bool
) -> None:
    monkeypatch.setattr(
        "components.k3d.preflight.run",
        lambda command, **more: version if command == ["k3d", "version"] else run(command, **more),
    )
    if good:
        check()
    else:
        with pytest.raises(LabError, match=r"^`k3d version` says .*Fix: `make setup`"):
            check()


# --- the programs themselves (components/core/run.py) ---------------------------------------------------------------


def test_what_a_program_prints_is_returned(programs: Programs) -> None:
    programs.add("docker", "print('  ' + repr(args) + sys.stdin.read() + '  ')")

    assert run(["docker", "a b", "c"], timeout=30) == "['a b', 'c']"


def test_a_program_that_fails_is_quoted(programs: Programs) -> None:
    programs.add("docker", "print('x\\n' * 9, file=sys.stderr)\nsys.exit('no space left')")

    with pytest.raises(CommandError, match=r"^`docker pull it` failed with exit code 1\. it said: .*no space left\.$"):
        run(["docker", "pull", "it"], timeout=30)


def test_a_program_that_hangs_is_ended(programs: Programs) -> None:
    programs.add("docker", "time.sleep(60)")

    with pytest.raises(CommandError, match=r"^`docker info` did not end within 1 s"):
        run(["docker", "info"], timeout=1)


def test_a_program_that_is_not_there_is_an_error_with_a_fix(programs: Programs) -> None:
    with pytest.raises(CommandError, match=r"^docker is not on PATH.*Fix: `make setup`"):
        run(["docker", "info"], timeout=30)
