"""The Kubernetes objects of a stack: those that the program would create, and those that Git holds for Argo CD."""

from __future__ import annotations

import copy
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import yaml

from components.core.errors import LabError
from components.gitops import manifests
from components.parts import p3
from devtools import order

if TYPE_CHECKING:
    from pathlib import Path

    from devtools.graph import Graph, Node

RELEASE: Final = "kubernetes:helm.sh/v3:Release"


@dataclass(frozen=True, kw_only=True)
class Object:
    """A Kubernetes object and where it comes from.

    Attributes:
        source: the resource's name in the program, or the file.
        content: the object as in YAML; a secret value is ``{"secret": value}``.
        node: where it stands in the file; None without one.
        cluster: the provider of the cluster that it is in; empty for what Git holds.
    """

    source: str
    content: dict[str, Any]
    node: yaml.Node | None = None
    cluster: str = ""

    @property
    def metadata(self) -> dict[str, Any]:
        """Its metadata; empty when it is none."""
        found = self.content.get("metadata")
        return found if isinstance(found, dict) else {}

    @property
    def name(self) -> str:
        """Its kind, namespace and name, such as Deployment dev/flask-app."""
        metadata = self.metadata
        full = "/".join(str(each) for each in (metadata.get("namespace"), metadata.get("name")) if each)
        return f"{self.content.get('kind', 'object')} {full}".strip()

    def at(self, keys: tuple[str | int, ...]) -> str:
        """Return where a field of it stands: the file and the line, or the resource in the program.

        Args:
            keys: what leads to the field, or to where it is missing.
        """
        return f"{self.source}:{_line(self.node, keys)}" if self.node else self.source

    def plain(self) -> dict[str, Any]:
        """Return the object as Kubernetes gets it: secrets are not marked, as they are not in a file."""
        found: dict[str, Any] = self.content if self.node else _plain(self.content)
        return found


def _line(node: yaml.Node, keys: tuple[str | int, ...]) -> int:
    """Return the line of the last of the keys that is there, from 1."""
    line = node.start_mark.line + 1
    for key in keys:
        if isinstance(node, yaml.MappingNode):
            pairs = {name.value: (name, value) for name, value in node.value}
            if key not in pairs:
                return line
            name, node = pairs[key]
            line = name.start_mark.line + 1
        elif isinstance(node, yaml.SequenceNode) and isinstance(key, int):
            node = node.value[key]
            line = node.start_mark.line + 1
    return line


def _plain(value: Any) -> Any:  # noqa: ANN401 - any JSON
    if isinstance(value, dict):
        return (
            _plain(value["secret"]) if set(value) == {"secret"} else {key: _plain(each) for key, each in value.items()}
        )
    return [_plain(each) for each in value] if isinstance(value, list) else value


def made_by(graph: Graph) -> list[Node]:
    """Return a stack's resources that are objects of their own, in the order of their steps."""
    objects = [node for node in in_order(graph) if node.type.startswith("kubernetes:") and not node.read]
    return [node for node in objects if node.type != RELEASE]


def of_program(graph: Graph) -> list[Object]:
    """Return the objects that a stack's program would create, in the order of their steps."""
    return [
        Object(source=f"{graph.stack} {node.name}", content=copy.deepcopy(node.inputs), cluster=node.provider)
        for node in made_by(graph)
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
    paths = sorted(folder.glob("*.y*ml"))
    return [each for path in paths for each in of_text(path.read_text(encoding="utf-8"), f"{shown}/{path.name}")]


def of_text(text: str, source: str) -> list[Object]:
    """Return the objects in a manifest.

    Args:
        text: the manifest.
        source: how it is called in messages.

    Raises:
        LabError: it is malformed; names the line.
    """
    found = []
    for node, content in manifests.contents(text, source):
        if not isinstance(content, dict):
            line = node.start_mark.line + 1
            raise LabError(f"{source}:{line} is no object", why="it has no kind", fix="correct that line")
        found.append(Object(source=source, content=given(content), node=node))
    return found


def given(content: Any) -> Any:  # noqa: ANN401 - any JSON
    """Return an object without the fields that are empty, which Kubernetes takes for ones that are not there."""
    if isinstance(content, dict):
        return {key: given(each) for key, each in content.items() if each is not None}
    return [given(each) for each in content] if isinstance(content, list) else content
