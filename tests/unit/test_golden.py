"""The stacks' graphs are as recorded, so that a rename which would replace live resources is seen in review."""

from __future__ import annotations

import difflib
from typing import TYPE_CHECKING

import pytest

from components.core.names import STACKS
from components.docker import engine as docker_engine
from devtools import golden, graph
from lab.host import paths

if TYPE_CHECKING:
    from collections.abc import Callable


@pytest.mark.parametrize("stack", STACKS)
def test_the_graph_is_as_recorded(build: Callable[..., graph.Graph], stack: str) -> None:
    was, now = golden.path(stack).read_text(encoding="utf-8"), golden.text(build(stack))
    changes = "\n".join(difflib.unified_diff(was.splitlines(), now.splitlines(), "recorded", "now", lineterm=""))
    assert was == now, (
        f"The graph of {stack} has changed. An `up` deletes the live resource of a URN that is gone, unless a new one "
        f"has it among its aliases. If that is meant: `make docs`, and commit tests/golden.\n{changes}"
    )


@pytest.mark.parametrize("stack", STACKS)
def test_the_record_has_no_values(stack: str) -> None:
    text = golden.path(stack).read_text(encoding="utf-8")
    assert graph.STAND_IN not in text
    assert str(paths.ROOT) not in text


def test_two_runs_give_the_same_record() -> None:
    first, second = (golden.text(graph.build("p3", paths.ROOT)) for _ in range(2))
    assert first == second


@pytest.mark.parametrize("stack", STACKS)
def test_every_component_says_what_it_was_asked_for_and_no_secret(
    build: Callable[..., graph.Graph], stack: str
) -> None:
    components = [node for node in build(stack).nodes if not node.custom]

    assert [node.name for node in components if not node.inputs] == []
    assert "secret" not in str([node.inputs for node in components])


def test_what_this_process_knows_of_a_real_engine_is_no_part_of_a_graph(monkeypatch: pytest.MonkeyPatch) -> None:
    with monkeypatch.context() as asked:
        asked.setattr(docker_engine, "run", lambda *_, **__: '{"ID": "an engine"}')
        docker_engine.info.cache_clear()
        docker_engine.info()
    assert golden.text(graph.build("p3", paths.ROOT)) == golden.path("p3").read_text(encoding="utf-8")
