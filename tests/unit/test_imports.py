"""Every room imports those below it only."""

from __future__ import annotations

import ast
from typing import TYPE_CHECKING

import pytest

from devtools import rooms
from lab.host import paths

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

OURS = {name.split("/", maxsplit=1)[0] for name in rooms.ROOMS}
FILES = sorted(path.relative_to(paths.ROOT) for name in OURS for path in (paths.ROOT / name).rglob("*.py"))


def inside(path: str, folder: str) -> bool:
    return path == folder or path.startswith(f"{folder}/")


def room(path: str) -> str:
    """Return the room that a module is in; "" for what only starts others, such as lab/__main__.py."""
    return max((name for name in rooms.ROOMS if inside(path, name)), key=len, default="")


def imported(text: str) -> Iterator[str]:
    """Yield the modules of ours that a file imports, as paths without a suffix."""
    for node in ast.walk(ast.parse(text)):
        names = []
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and node.module:
            # `from lab.host import paths` imports a module; `from lab.host.paths import ROOT` a name in one.
            names = [f"{node.module}.{alias.name}" for alias in node.names]
        yield from (name.replace(".", "/") for name in names if name.split(".")[0] in OURS)


def wrong(path: str, text: str) -> list[str]:
    own = room(path)
    if not own:
        return []
    return [
        used
        for used in imported(text)
        if not any(inside(used, name) for name in (own, *rooms.ROOMS[own].imports) if name != "lab/commands")
        and not any(inside(path, user) and inside(used, whom) for user, whom in rooms.EXCEPTIONS)
    ]


@pytest.mark.parametrize("path", FILES, ids=str)
def test_a_module_imports_what_its_room_may(path: Path) -> None:
    text = (paths.ROOT / path).read_text(encoding="utf-8")
    assert wrong(path.with_suffix("").as_posix(), text) == [], "see devtools/rooms.py"


@pytest.mark.parametrize(
    ("path", "text"),
    [
        ("components/core/settings", "from components.docker import engine"),
        ("components/gitops/argocd", "from components.k3d.cluster import K3dCluster"),
        ("components/parts/p1", "import lab.host.paths"),
        ("components/web/apps", "from tests import conftest"),
        ("lab/host/needs", "from lab.live import stack"),
        ("lab/commands/up", "from lab.commands import setup"),
        ("devtools/graph", "from lab.live import stack"),
        ("policy/rules", "from devtools import graph"),
    ],
)
def test_what_goes_up_is_found(path: str, text: str) -> None:
    assert wrong(path, text)


def test_rooms_are_there_and_import_rooms_above_them_in_the_table() -> None:
    names = list(rooms.ROOMS)
    for index, name in enumerate(names):
        assert (paths.ROOT / name).is_dir(), name
        for used in rooms.ROOMS[name].imports:
            assert any(inside(other, used) for other in names[:index]), f"{name} imports {used}, which comes later"


def test_every_exception_is_needed() -> None:
    texts = {path.with_suffix("").as_posix(): (paths.ROOT / path).read_text(encoding="utf-8") for path in FILES}
    for user, whom in rooms.EXCEPTIONS:
        assert any(inside(path, user) and any(inside(used, whom) for used in imported(texts[path])) for path in texts)
