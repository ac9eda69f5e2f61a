"""In which order a stack's resources are made: what each waits for, and what is made at the same time."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from devtools.graph import Graph, Node

# Types whose last word alone would not say what they are.
LABELS: Final = {
    "command:local:Command": "Command",
    "command:remote:Command": "SSH command",
    "command:remote:CopyToRemote": "SSH copy",
    "docker:index/image:Image": "Image",
    "kubernetes:helm.sh/v3:Release": "Helm Release",
    "pulumi-python:dynamic/k3d:Nodes": "k3d nodes",
    "pulumi-python:dynamic/k3s:Image": "Image on the machine",
    "pulumi-python:dynamic/k3s:Presence": "look at K3s",
    "pulumi-python:dynamic/machine:Vm": "Vagrant machine",
    "pulumi-python:dynamic/random:Secret": "Random secret",
    "pulumi-python:dynamic/web:Answers": "Answers",
    "pulumi-python:dynamic/image:Presence": "Presence",
    "pulumi:providers:docker": "Provider",
    "pulumi:providers:kubernetes": "Provider",
}


def label(node: Node) -> str:
    """Return what a resource is, in a few words."""
    what = LABELS.get(node.type) or node.type.rpartition(":")[2]
    return f"{what} (read)" if node.read else what


@dataclass(frozen=True)
class Order:
    """How the resources of a graph wait for each other. Components are left out: they are only their children.

    Attributes:
        nodes: the resources by URN.
        waits: the URNs that each waits for. What one of those waits for as well is not repeated.
        everything: all URNs that have to be there before each.
        steps: the step in which each can be made, from 1.
    """

    nodes: dict[str, Node]
    waits: dict[str, tuple[str, ...]]
    everything: dict[str, set[str]]
    steps: dict[str, int]


def of(graph: Graph) -> Order:
    """Return the order of a graph."""
    nodes = {node.urn: node for node in graph.nodes if node.custom}
    known = {node.urn: node for node in graph.nodes}
    direct = {urn: _direct(node, known) & set(nodes) - {urn} for urn, node in nodes.items()}
    everything: dict[str, set[str]] = {}
    steps: dict[str, int] = {}

    def visit(urn: str) -> None:
        if urn in everything:
            return
        for other in direct[urn]:
            visit(other)
        everything[urn] = direct[urn].union(*(everything[other] for other in direct[urn]))
        steps[urn] = 1 + max((steps[other] for other in direct[urn]), default=0)

    for urn in nodes:
        visit(urn)
    waits = {
        urn: tuple(sorted(each.difference(*(everything[other] for other in each)))) for urn, each in direct.items()
    }
    return Order(nodes=nodes, waits=waits, everything=everything, steps=steps)


def _direct(node: Node, known: Mapping[str, Node]) -> set[str]:
    """Return the URNs that Pulumi knows before it makes a resource; those of its component are among them."""
    own = {*node.depends_on, node.provider.rpartition("::")[0], node.deleted_with, node.parent}
    parent = known.get(node.parent)
    return own | _direct(parent, known) if parent else own


@dataclass(frozen=True)
class Branch:
    """A resource or a component, and what belongs to it, in the order in which it is made."""

    node: Node
    branches: tuple[Branch, ...]

    def first(self, order: Order) -> int:
        """Return the step in which the first of it is made."""
        steps = [each.first(order) for each in self.branches]
        return min([order.steps[self.node.urn]] if self.node.custom else steps or [0])


def tree(graph: Graph, order: Order) -> tuple[Branch, ...]:
    """Return a graph's resources and components by whom they belong to."""
    known = {node.urn for node in graph.nodes}

    def under(parent: str) -> tuple[Branch, ...]:
        mine = [node for node in graph.nodes if (node.parent if node.parent in known else "") == parent]
        branches = [Branch(node, under(node.urn)) for node in mine]
        return tuple(sorted(branches, key=lambda each: (each.first(order), each.node.name, each.node.type)))

    return under("")


def text(made: Graph) -> str:
    """Return the tree of a stack's resources, and above it how many there are."""
    found = of(made)
    components = len(made.nodes) - len(found.nodes)
    head = (
        f"{made.stack}: {len(found.nodes)} resources in {components} components, in {max(found.steps.values())} steps."
        "\nEach has the number of its step; what has the same number is made at the same time."
    )
    rows = list(_rows(tree(made, found), found, ""))
    width = max(len(left) for left, _ in rows)
    lines = [f"{left:{width}}  {right}".rstrip() for left, right in rows]
    return "\n".join([head, "", made.stack, *lines])


def _rows(branches: tuple[Branch, ...], found: Order, indent: str) -> Iterator[tuple[str, str]]:
    for branch in branches:
        last = branch is branches[-1]
        node = branch.node
        number = f"{found.steps[node.urn]:>2} " if node.custom else ""
        left = f"{indent}{'└─' if last else '├─'} {number}{label(node)} {node.name}"
        waits = [found.nodes[urn].name for urn in found.waits.get(node.urn, ())]
        yield left, f"waits for {', '.join(sorted(waits))}" if waits else ""
        yield from _rows(branch.branches, found, indent + ("   " if last else "│  "))
