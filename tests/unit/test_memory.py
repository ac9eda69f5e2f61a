"""Whether the kernel has killed something in a node, on an engine that is only files."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from lab.live import memory

if TYPE_CHECKING:
    from tests.unit.programs import Engine, Programs

pytestmark = pytest.mark.unit

V2 = "low 0\nhigh 0\nmax 12\noom 3\noom_kill 3\noom_group_kill 0\n"
V1 = "oom_kill_disable 0\nunder_oom 0\noom_kill 3\n"
NODE = {
    "Name": "/k3d-iot-cluster-server-0",
    "State": {"Status": "running"},
    "Config": {"Labels": {"iot.stack": "p3", "k3d.role": "server"}},
    "HostConfig": {},
}
GIT = {**NODE, "Name": "/iot-cluster-git", "Config": {"Labels": {"iot.stack": "p3"}}}


def docker(programs: Programs, counted: str, *containers: object) -> None:
    """Have a docker whose containers count something."""
    programs.add(
        "docker",
        f"found = json.loads({json.dumps(json.dumps(containers))})\n"
        "if args[0] == 'ps':\n    print(' '.join(each['Name'][1:] for each in found))\n"
        "if args[0] == 'inspect':\n    print(json.dumps(found))\n"
        f"if args[0] == 'exec':\n    print({counted!r})\n",
    )


@pytest.mark.parametrize("counted", [V1, V2])
def test_what_was_killed_is_counted_in_nodes_alone(programs: Programs, counted: str) -> None:
    docker(programs, counted, NODE, GIT)
    assert memory.killed("p3") == {"k3d-iot-cluster-server-0": 3}
    assert len(programs.called("docker exec")) == 1


@pytest.mark.parametrize("counted", ["oom_kill 0\n", "", "nothing that anybody knows\n"])
def test_where_nothing_was_there_is_nothing_to_say(programs: Programs, counted: str) -> None:
    docker(programs, counted, NODE)
    assert memory.killed("p3") == {}


def test_nothing_is_said_of_a_node_that_is_off(programs: Programs) -> None:
    docker(programs, V2, {**NODE, "State": {"Status": "exited"}})
    assert memory.killed("p3") == {}


def test_without_docker_nothing_is_said(engine: Engine) -> None:
    engine.is_so("unreachable")
    assert memory.killed("p3") == {}
