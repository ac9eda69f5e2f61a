"""The recorded graph of each stack: what Pulumi knows resources by, and what a change of it does to live ones.

Pulumi knows a resource by its URN, which is made of its name, its type and its parents' types. A renamed resource is
another one: the live one is deleted. So each stack's graph is kept in tests/golden/, and a test shows what changed.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, Final

from lab.host import paths

if TYPE_CHECKING:
    from pathlib import Path

    from devtools.graph import Graph, Node

FOLDER: Final = paths.ROOT / "tests" / "golden"
ACCEPT: Final = "python -m lab golden --accept"

Snapshot = dict[str, dict[str, Any]]


def path(stack: str) -> Path:
    """Return where a stack's graph is recorded."""
    return FOLDER / f"{stack}.json"


def recorded(stack: str) -> Snapshot:
    """Return the recorded graph of a stack; empty when there is none."""
    file = path(stack)
    found: Snapshot = json.loads(file.read_text(encoding="utf-8")) if file.exists() else {}
    return found


def record(stack: str, snapshot: Snapshot) -> None:
    """Write a stack's graph down."""
    FOLDER.mkdir(parents=True, exist_ok=True)
    path(stack).write_text(json.dumps(snapshot, indent=2, sort_keys=True) + "\n", encoding="utf-8")


def urns(graph: Graph) -> dict[str, str]:
    """Return the URN that the engine gives to each resource, by the one that it has in the graph."""
    known = {node.urn: node for node in graph.nodes}

    def types(node: Node) -> list[str]:
        parent = known.get(node.parent)
        return [*(types(parent) if parent else []), node.type]

    return {node.urn: f"urn:pulumi:{graph.stack}::iot::{'$'.join(types(node))}::{node.name}" for node in graph.nodes}


def snapshot(graph: Graph) -> Snapshot:
    """Return what is recorded of a graph: what decides which live resource is which, and no values.

    Returns:
        By URN: ``object`` (kind, namespace and name in a cluster), ``provider``, ``deletedWith``, ``dependsOn`` and
        the options, as far as there are any. Other resources are named by their URN.
    """
    real = urns(graph)
    return {
        real[node.urn]: {
            key: value
            for key, value in {
                "object": _object(node),
                "read": node.read,
                "provider": real.get(node.provider.rpartition("::")[0], ""),
                "deletedWith": real.get(node.deleted_with, ""),
                "dependsOn": sorted(real[urn] for urn in node.depends_on),
                **node.options,
            }.items()
            if value
        }
        for node in graph.nodes
    }


def _object(node: Node) -> str:
    if not node.type.startswith("kubernetes:"):
        return ""
    inputs = node.inputs
    metadata = inputs.get("metadata") or inputs  # a Helm Release has its name and namespace at the top
    return " ".join(str(each) for each in (inputs.get("kind"), metadata.get("namespace"), metadata.get("name")) if each)


def changes(old: Snapshot, new: Snapshot) -> list[str]:
    """Return what is different between two graphs of a stack, and what that does to live resources, a line each."""
    gone, added = sorted(set(old) - set(new)), sorted(set(new) - set(old))
    lines = []
    for urn in gone:
        if after := _successor(urn, old[urn], {each: new[each] for each in added}):
            added.remove(after)
            lines.append(_renamed(urn, after, old, new))
        else:
            lines.append(f"{_short(urn)} is gone: an `up` deletes the live one{_with_it(urn, old)}")
    lines += [f"{_short(urn)} is new: an `up` creates it" for urn in added]
    for urn in sorted(set(old) & set(new)):
        lines += [_changed(urn, key, old, new) for key in _keys(old[urn], new[urn])]
    return lines


def _successor(urn: str, was: dict[str, Any], added: Snapshot) -> str | None:
    """Return the new resource that is most like one that is gone, if any is."""

    def likeness(other: str) -> int:
        same_object = bool(was.get("object")) and added[other].get("object") == was["object"]
        return 4 * same_object + 2 * (_type(other) == _type(urn)) + (_name(other) == _name(urn))

    best = max(sorted(added), key=likeness, default=None)
    return best if best and likeness(best) > 1 else None


def _renamed(before: str, after: str, old: Snapshot, new: Snapshot) -> str:
    if {before, _name(before)} & set(new[after].get("aliases", [])):
        return f"{_short(before)} is {_short(after)} now, and its alias keeps the live one"
    alias = [f"name={_name(before)!r}"] if _name(before) != _name(after) else []
    alias += [f"type_={_type(before)!r}"] if _type(before) != _type(after) else []
    if _parents(before) != _parents(after):
        alias = [repr(before)]
    given = alias[0] if alias[0].startswith("'urn:") else f"pulumi.Alias({', '.join(alias)})"
    return (
        f"{_short(before)} is {_short(after)} now: an `up` deletes the live one{_with_it(before, old)} and creates "
        f"another. To keep it, give {_name(after)} the option aliases=[{given}]"
    )


def _changed(urn: str, key: str, old: Snapshot, new: Snapshot) -> str:
    was, now = old[urn].get(key), new[urn].get(key)
    effect = {
        "object": f"an `up` replaces the live one{_with_it(urn, old)}",
        "provider": "an `up` replaces the live one if the provider is of another cluster",
        "deletedWith": "a `destroy` takes another way; nothing live is replaced",
        "dependsOn": "another order; nothing live is replaced",
    }.get(key, "nothing live is replaced now, but a later change may be made in another way")
    return f"{_short(urn)}: {key} was {_shown(was)} and is {_shown(now)}: {effect}"


def _keys(was: dict[str, Any], now: dict[str, Any]) -> list[str]:
    return sorted(key for key in set(was) | set(now) if was.get(key) != now.get(key))


def _with_it(urn: str, graph: Snapshot) -> str:
    inside = [each for each, options in graph.items() if options.get("deletedWith") == urn]
    return f", and all {len(inside)} resources in it," if inside else ""


def _shown(value: object) -> str:
    if isinstance(value, list):
        return ", ".join(_shown(each) for each in value) or "nothing"
    return _short(value) if isinstance(value, str) and value.startswith("urn:") else str(value or "nothing")


def _short(urn: str) -> str:
    return f"{_type(urn).rpartition(':')[2]} {_name(urn)}"


def _name(urn: str) -> str:
    return urn.rpartition("::")[2]


def _type(urn: str) -> str:
    return urn.split("::")[2].rpartition("$")[2]


def _parents(urn: str) -> str:
    return urn.split("::")[2].rpartition("$")[0]
