"""The stacks' graphs are as recorded, so that a rename which would replace live resources is seen in review."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from components.core.settings import PARTS
from devtools import golden, graph
from lab.host import paths

if TYPE_CHECKING:
    from collections.abc import Callable

CLUSTER = "urn:pulumi:p3::iot::iot:k3d:K3dCluster$pulumi-python:dynamic/k3d:Nodes::nodes"
DEPLOYMENT = "urn:pulumi:p3::iot::iot:git:GitServer$kubernetes:apps/v1:Deployment::gitea-server"
BEFORE: golden.Snapshot = {CLUSTER: {}, DEPLOYMENT: {"object": "Deployment gitea gitea", "deletedWith": CLUSTER}}


@pytest.mark.parametrize("stack", PARTS)
def test_the_graph_is_as_recorded(build: Callable[..., graph.Graph], stack: str) -> None:
    found = golden.changes(golden.recorded(stack), golden.snapshot(build(stack)))
    message = "\n".join(
        [
            f"The graph of {stack} is not the recorded one. What an `up` of a live stack would do about it:",
            *(f"  - {line}" for line in found),
            f"If that is meant: {golden.ACCEPT}, and commit tests/golden/",
        ]
    )
    assert not found, message


@pytest.mark.parametrize("stack", PARTS)
def test_the_record_has_no_values(stack: str) -> None:
    text = golden.path(stack).read_text(encoding="utf-8")
    assert graph.STAND_IN not in text
    assert str(paths.ROOT) not in text


def test_two_runs_give_the_same_record() -> None:
    first, second = (golden.snapshot(graph.build("p3", paths.ROOT)) for _ in range(2))
    assert first == second


def renamed(**replaced: str) -> golden.Snapshot:
    """Return the graph with a part of the Deployment's URN replaced."""
    urn = DEPLOYMENT
    for old, new in replaced.items():
        urn = urn.replace(old.replace("_", "-"), new)
    return {CLUSTER: {}, urn: BEFORE[DEPLOYMENT]}


def test_a_renamed_resource_asks_for_an_alias() -> None:
    (line,) = golden.changes(BEFORE, renamed(gitea_server="gitea-web"))
    assert "deletes the live one" in line
    assert "aliases=[pulumi.Alias(name='gitea-server')]" in line


def test_a_resource_under_another_component_asks_for_its_old_urn() -> None:
    (line,) = golden.changes(BEFORE, renamed(GitServer="Gitea"))
    assert f"aliases=[{DEPLOYMENT!r}]" in line


def test_an_alias_is_accepted() -> None:
    after = renamed(gitea_server="gitea-web")
    urn = next(urn for urn in after if urn != CLUSTER)
    (line,) = golden.changes(BEFORE, {**after, urn: {**after[urn], "aliases": ["gitea-server"]}})
    assert "keeps the live one" in line


def test_the_loss_of_a_cluster_names_how_much_is_in_it() -> None:
    after = {DEPLOYMENT: {"object": "Deployment gitea gitea"}}
    lines = golden.changes(BEFORE, after)
    assert "Nodes nodes is gone: an `up` deletes the live one, and all 1 resources in it," in lines


@pytest.mark.parametrize(
    ("changed", "effect"),
    [
        ({"object": "Deployment gitea git"}, "replaces the live one"),
        ({"dependsOn": [CLUSTER]}, "nothing live is replaced"),
        ({"deletedWith": ""}, "nothing live is replaced"),
        ({"protect": True}, "nothing live is replaced now"),
    ],
)
def test_a_changed_option_says_what_it_does(changed: dict[str, object], effect: str) -> None:
    (line,) = golden.changes(BEFORE, {CLUSTER: {}, DEPLOYMENT: {**BEFORE[DEPLOYMENT], **changed}})
    assert effect in line


def test_new_resources_are_created() -> None:
    (line,) = golden.changes({CLUSTER: {}}, BEFORE)
    assert line == "Deployment gitea-server is new: an `up` creates it"
