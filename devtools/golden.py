"""The recorded graph of each stack: what Pulumi knows resources by.

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

Snapshot = dict[str, dict[str, Any]]


def path(stack: str) -> Path:
    """Return where a stack's graph is recorded."""
    return FOLDER / f"{stack}.json"


def text(graph: Graph) -> str:
    """Return what is recorded of a graph, as text."""
    return json.dumps(snapshot(graph), indent=2, sort_keys=True) + "\n"


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
