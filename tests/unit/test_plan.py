"""The plan says what a stack is made of, and what waits for what."""

from __future__ import annotations

import re
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from components.core.names import STACKS
from devtools import graph, order
from lab.host import paths

if TYPE_CHECKING:
    from collections.abc import Callable


@pytest.fixture
def p3(build: Callable[..., graph.Graph]) -> graph.Graph:
    return build("p3")


def line_of(text: str, name: str) -> str:
    (line,) = [line for line in text.splitlines() if re.search(rf" {name}(\s|$)", line.partition("waits for")[0])]
    return line


@pytest.mark.parametrize("stack", STACKS)
def test_every_resource_has_one_line(build: Callable[..., graph.Graph], stack: str) -> None:
    made = build(stack)
    lines = order.text(made).splitlines()
    assert len(lines) == 4 + len(made.nodes)
    assert lines[0].startswith(f"{stack}: {len([node for node in made.nodes if node.custom])} resources")


def test_what_waits_is_in_a_later_step_than_what_it_waits_for(p3: graph.Graph) -> None:
    found = order.of(p3)
    for urn, waits in found.waits.items():
        assert all(found.steps[other] < found.steps[urn] for other in waits)


def test_a_wait_that_another_wait_implies_is_left_out(p3: graph.Graph) -> None:
    line = line_of(order.text(p3), "argocd-redis-password")
    assert line.endswith("waits for argocd-namespace, argocd-redis")
    assert "provider" not in line


def test_gitea_and_argo_cd_are_made_at_the_same_time(p3: graph.Graph) -> None:
    found = order.of(p3)
    release, server = p3.named("argocd-release").urn, p3.named("gitea-server").urn
    assert server not in found.everything[release]
    assert release not in found.everything[server]


def test_images_are_built_while_the_cluster_is_made(p3: graph.Graph) -> None:
    found = order.of(p3)
    assert p3.named("iot-cluster-nodes").urn not in found.everything[p3.named("flask-app-v1").urn]


def test_machines_under_virtualbox_are_made_one_after_the_other() -> None:
    made = graph.build("p1", paths.ROOT, {"vagrantProvider": "virtualbox"})
    assert "waits for server-machine-vm" in line_of(order.text(made), "agent1-machine-vm")


def node(name: str, *, parent: str = "", custom: bool = True, after: tuple[str, ...] = ()) -> graph.Node:
    return graph.Node(
        urn=f"urn:{name}",
        type="test:index:Thing",
        name=name,
        custom=custom,
        read=False,
        parent=parent,
        provider="",
        deleted_with="",
        depends_on=after,
        inputs={},
    )


def test_what_a_component_waits_for_all_in_it_waits_for() -> None:
    nodes = (
        node("first"),
        node("second", custom=False, after=("urn:first",)),
        node("second-part", parent="urn:second"),
    )
    found = order.of(graph.Graph("p3", nodes, {}))
    assert found.waits["urn:second-part"] == ("urn:first",)
    assert found.steps == {"urn:first": 1, "urn:second-part": 2}


def test_two_runs_print_the_same(p3: graph.Graph) -> None:
    assert order.text(p3) == order.text(graph.build("p3", paths.ROOT))


def test_the_command_needs_no_tool() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "lab", "plan", "--stack", "p2"],
        cwd=paths.ROOT,
        env={"PATH": "/nowhere"},
        capture_output=True,
        text=True,
        check=True,
    )
    assert "HostRoutes hosts" in done.stdout


def test_an_unknown_stack_is_named(capfd: pytest.CaptureFixture[str]) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "lab", "plan", "--stack", "p9"],
        cwd=paths.ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 1
    assert "Nothing is known of a stack named 'p9'" in done.stderr
    assert "Traceback" not in done.stderr
