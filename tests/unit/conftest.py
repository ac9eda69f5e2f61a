"""What unit tests share: graphs, which take a second or two each, and programs that stand in for real ones."""

from __future__ import annotations

import json
import stat
import sys
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from lab import graph

if TYPE_CHECKING:
    from collections.abc import Callable

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="session")
def build() -> Callable[..., graph.Graph]:
    """Return ``build(stack, **settings)``, which takes every graph once in a session."""

    @cache
    def taken(stack: str, settings: str) -> graph.Graph:
        return graph.build(stack, ROOT, json.loads(settings))

    return lambda stack, **settings: taken(stack, json.dumps(settings, sort_keys=True))


class Programs:
    """A folder that is all of PATH, with programs that write down how they are called and do what a test says.

    Attributes:
        folder: where they are.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder / "bin"
        self.folder.mkdir()
        self._log = folder / "calls.jsonl"

    def add(self, name: str, body: str) -> None:
        """Add a program.

        Args:
            name: what it is called.
            body: Python that runs with ``args`` (its arguments, a list) and ``line`` (them as one string).
        """
        path = self.folder / name
        path.write_text(
            f"#!{sys.executable} -IS\n"
            "import json, pathlib, sys, time\n"
            "args = sys.argv[1:]\n"
            "line = ' '.join(args)\n"
            f"with open({str(self._log)!r}, 'a') as log:\n"
            f"    print(json.dumps([{name!r}, *args]), file=log)\n"
            f"here = pathlib.Path({str(self.folder.parent)!r})\n"
            f"{body}\n",
            encoding="utf-8",
        )
        path.chmod(path.stat().st_mode | stat.S_IXUSR)

    @property
    def calls(self) -> list[str]:
        """How they were called, a line each."""
        if not self._log.exists():
            return []
        lines: list[list[Any]] = [json.loads(line) for line in self._log.read_text(encoding="utf-8").splitlines()]
        return [" ".join(line) for line in lines]

    def called(self, beginning: str) -> list[str]:
        """Return the calls that begin with some words."""
        return [call for call in self.calls if call.startswith(beginning)]


@pytest.fixture
def programs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Programs:
    """Return a PATH without any program; the test adds those that it needs."""
    made = Programs(tmp_path)
    monkeypatch.setenv("PATH", str(made.folder))
    return made
