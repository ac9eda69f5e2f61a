"""What unit tests share: graphs, which take a second or two each, and programs that stand in for real ones."""

from __future__ import annotations

import json
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from components.core import host, project
from components.docker import engine as docker_engine
from devtools import graph
from tests.unit.programs import Engine, Programs

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="session", autouse=True)
def stack_files() -> Iterator[None]:
    """Read the stacks' files as they come, from stacks/: a user's own settings must not fail a test."""
    file = project.stack_file
    with pytest.MonkeyPatch.context() as patch:
        own = ROOT / "tests" / "unit" / "stacks"
        patch.setattr(project, "stack_file", lambda stack, root: file(stack, own if root == ROOT else root))
        yield


@pytest.fixture(scope="session")
def build() -> Callable[..., graph.Graph]:
    """Return ``build(stack, **settings)``, which takes every graph once in a session."""

    @cache
    def taken(stack: str, settings: str) -> graph.Graph:
        return graph.build(stack, ROOT, json.loads(settings))

    return lambda stack, **settings: taken(stack, json.dumps(settings, sort_keys=True))


@pytest.fixture(autouse=True)
def _another_process() -> Iterator[None]:
    """Let no test hear what another one was answered, nor the graphs of a session that are taken before it."""
    yield
    for asked in (host.whereabouts, docker_engine.info, docker_engine.endpoint):
        asked.cache_clear()


@pytest.fixture
def programs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Programs:
    """Return a PATH without any program; the test adds those that it needs."""
    made = Programs(tmp_path)
    monkeypatch.setenv("PATH", str(made.folder))
    return made


@pytest.fixture
def engine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Engine:
    """Return an engine without anything in it, with k3d and kubectl, as all of PATH."""
    made = Engine(tmp_path)
    monkeypatch.setenv("PATH", str(made.folder))
    monkeypatch.setattr("components.core.run.subprocess.run", made.run)
    return made
