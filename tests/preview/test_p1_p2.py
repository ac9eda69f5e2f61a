"""The real Pulumi CLI previews p1 and p2 where there is neither Vagrant nor Docker, and nothing has been brought up."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

import pytest

from devtools import graph
from tests.preview.project import ROOT

if TYPE_CHECKING:
    from tests.preview.project import Project

pytestmark = pytest.mark.preview


@pytest.mark.parametrize("stack", ["p1", "p2"])
def test_a_stack_is_previewed_from_nothing_as_its_graph_says_without_vagrant(project: Project, stack: str) -> None:
    project.create(stack)
    plan = project.plan(stack)

    expected = graph.build(stack, ROOT).nodes
    made = Counter(step["newState"]["type"] for step in plan["steps"] if step["op"] == "create")
    assert made == Counter(["pulumi:pulumi:Stack", *(node.type for node in expected)])
    assert set(plan["changeSummary"]) == {"create"}


def test_a_preview_shows_machines_and_addresses(project: Project) -> None:
    project.create("p1")
    said = project.pulumi("preview", "--diff", "--stack", "p1")
    assert said.code == 0, said.all
    for shown in ("192.168.56.110", "192.168.56.111", "rel-filaS", "rel-filaSW"):
        assert shown in said.all, shown


@pytest.mark.parametrize(
    ("key", "value", "expected"),
    [
        ("vagrantProvider", "vmware", "one of virtualbox, libvirt, docker"),
        ("serverAddress", "192.168.56.254", "room for 1 agents"),
        ("agentMemory", "256", "from 512"),
        ("k3sArgs[0]", "disable=traefik", "--name=value"),
        ("k3sAirgapDir", "no-such-folder", "there is none at"),
    ],
)
def test_a_wrong_setting_is_refused_by_its_name(project: Project, key: str, value: str, expected: str) -> None:
    project.create("p1")
    project.set("p1", key, value)
    said = project.preview("p1")
    assert said.code
    assert f"iot:{key.partition('[')[0]}" in said.all
    assert expected in said.all
    assert "Traceback" not in said.all
