"""The Kubernetes objects of a stack: those that the program would create, and those that Git holds for Argo CD."""

from __future__ import annotations

import copy
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import yaml

from components import manifests
from components.parts import p3
from lab import order

if TYPE_CHECKING:
    from pathlib import Path

    from lab.graph import Graph, Node

RELEASE: Final = "kubernetes:helm.sh/v3:Release"


@dataclass(frozen=True, kw_only=True)
class Object:
    """A Kubernetes object and where it comes from.

    Attributes:
        source: the resource's name in the program, or the file.
        line: where it begins in the file; 0 without one.
        content: the object as in YAML; a secret value is ``{"secret": value}``.
    """

    source: str
    line: int
    content: dict[str, Any]

    @property
    def name(self) -> str:
        """Its kind, namespace and name, such as Deployment dev/flask-app."""
        metadata = self.content.get("metadata") or {}
        full = "/".join(str(each) for each in (metadata.get("namespace"), metadata.get("name")) if each)
        return f"{self.content.get('kind', 'object')} {full}".strip()

    def __str__(self) -> str:
        """Return where it comes from and what it is."""
        place = f"{self.source}:{self.line}" if self.line else self.source
        return f"{place}: {self.name}"


def of_program(graph: Graph) -> list[Object]:
    """Return the objects that a stack's program would create, in the order of their steps."""
    return [
        Object(source=f"{graph.stack}: {node.name}", line=0, content=copy.deepcopy(node.inputs))
        for node in in_order(graph)
        if node.type.startswith("kubernetes:") and node.type != RELEASE and not node.read
    ]


def releases(graph: Graph) -> list[Node]:
    """Return a stack's Helm Releases."""
    return [node for node in in_order(graph) if node.type == RELEASE]


def in_order(graph: Graph) -> list[Node]:
    """Return a graph's resources in the order of their steps; within one, by type and name."""
    found = order.of(graph)
    return sorted(found.nodes.values(), key=lambda node: (found.steps[node.urn], node.type, node.name))


def of_folder(folder: Path, shown: str = p3.MANIFESTS) -> list[Object]:
    """Return the objects in a folder of manifests.

    Args:
        folder: the folder.
        shown: how it is called in messages.

    Raises:
        LabError: a manifest is malformed; names the file and the line.
    """
    found = []
    for name, text in manifests.read(folder).items():
        for node in manifests.documents(text, f"{shown}/{name}"):
            content = yaml.safe_load(yaml.serialize(node))
            found.append(Object(source=f"{shown}/{name}", line=node.start_mark.line + 1, content=content))
    return found
