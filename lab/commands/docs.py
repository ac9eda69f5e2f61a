"""Write what comes from the program itself: the settings, the pictures of the stacks, and their recorded graphs."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from components.core import project
from components.core.names import PROJECT, STACKS
from devtools import golden, graph, order, picture, rooms
from lab.host import paths

if TYPE_CHECKING:
    import argparse

FOLDER = paths.ROOT / "docs"
TITLES = {
    "p1": "P1: a K3s server and its agents, each on a Vagrant machine",
    "p2": "P2: web apps behind one Ingress, on one machine",
    "p3": "P3: a k3d cluster in which Git drives the app",
    "platform": "Platform: p3 with environments that a version goes through",
}


def arguments(parser: argparse.ArgumentParser) -> None:
    """There are none."""


def run(args: argparse.Namespace) -> int:  # noqa: ARG001 - every command has them
    """Write the files that are not current, and print their paths."""
    for name, text in files().items():
        path = FOLDER / name
        if not path.exists() or path.read_text(encoding="utf-8") != text:
            path.write_text(text, encoding="utf-8")
            print(path.resolve())
    return 0


def files() -> dict[str, str]:
    """Return the text of each generated file by its path from docs/."""
    graphs = {stack: graph.build(stack, paths.ROOT) for stack in STACKS}
    drawn = {f"{stack}.svg": picture.svg(made) for stack, made in graphs.items()}
    records = {f"../tests/golden/{stack}.json": golden.text(made) for stack, made in graphs.items()}
    return {"settings.md": settings(), "architecture.md": architecture(graphs), **drawn, **records}


def settings() -> str:
    """Return the page with all settings, as Pulumi.yaml declares them."""
    lines = [
        "# Settings",
        "",
        "Written by `python -m lab docs` from [Pulumi.yaml](../Pulumi.yaml).",
        "",
        "Set one with `pulumi config set iot:KEY VALUE --stack p3`, an element of a list or of an object with",
        "`pulumi config set --stack p3 --path 'iot:appPorts[0]' 9999`, a secret with `--secret`. What is wrong, or no",
        "setting at all, is named by the next preview, before anything is created.",
        "",
        "| Setting | Type | Default | What it is |",
        "|---|---|---|---|",
    ]
    for key, declared in project.declared(paths.ROOT).items():
        description = " ".join(str(declared["description"]).split()).replace("|", "\\|")
        lines.append(f"| `{PROJECT}:{key}` | {declared['type']} | {_default(declared)} | {description} |")
    return "\n".join([*lines, ""])


def _default(declared: dict[str, Any]) -> str:
    value = declared.get("default", "")
    return f"`{value if isinstance(value, str) else json.dumps(value)}`" if value not in ("", None) else "empty"


def _imports(room: rooms.Room) -> str:
    return ", ".join(f"`{each}`" for each in room.imports) or "nothing of ours"


def architecture(graphs: dict[str, graph.Graph]) -> str:
    """Return the page with the pictures.

    Args:
        graphs: each stack's graph by its name.
    """
    lines = [
        "# The rooms, and what each stack is made of",
        "",
        "Written by `python -m lab docs` from [devtools/rooms.py](../devtools/rooms.py) and from the program.",
        "",
        "Each folder is a room for one subject, and a test holds who may import whom: a room may import those above it",
        "in this table, and never one below.",
        "",
        "| Room | What it has | May import |",
        "|---|---|---|",
        *(f"| `{name}/` | {room.holds} | {_imports(room)} |" for name, room in rooms.ROOMS.items()),
        "",
        "The exceptions, each with its reason:",
        "",
        *(f"- `{user}` imports `{used}`: {why}." for (user, used), why in rooms.EXCEPTIONS.items()),
        "",
        "## The stacks",
        "",
        "The program is run without an engine, and what it asks for is drawn.",
        "A box is a component with its resources; it stands below what it waits for. `make plan STACK=p3`",
        "prints the same as a tree, with your own settings.",
    ]
    for stack, made in graphs.items():
        lines += ["", f"### {TITLES[stack]}", "", f"![The resources of {stack}]({stack}.svg)", ""]
        lines += ["<details><summary>As a tree</summary>", "", "```text", order.text(made), "```", "", "</details>"]
    return "\n".join([*lines, ""])
