"""Print a stack's resources as a tree, with what each waits for. It needs no tool and no network."""

from __future__ import annotations

from typing import TYPE_CHECKING

from devtools import graph, order
from lab.host import paths
from lab.live import stack

if TYPE_CHECKING:
    import argparse
    from collections.abc import Iterator


def arguments(parser: argparse.ArgumentParser) -> None:
    """Add the command's arguments."""
    stack.argument(parser)


def run(args: argparse.Namespace) -> int:
    """Print the tree."""
    print(text(graph.build(args.stack, paths.ROOT)))
    return 0


def text(made: graph.Graph) -> str:
    """Return the tree of a stack's resources, and above it how many there are."""
    found = order.of(made)
    components = len(made.nodes) - len(found.nodes)
    head = (
        f"{made.stack}: {len(found.nodes)} resources in {components} components, in {max(found.steps.values())} steps."
        "\nEach has the number of its step; what has the same number is made at the same time."
    )
    rows = list(_rows(order.tree(made, found), found, ""))
    width = max(len(left) for left, _ in rows)
    lines = [f"{left:{width}}  {right}".rstrip() for left, right in rows]
    return "\n".join([head, "", made.stack, *lines])


def _rows(branches: tuple[order.Branch, ...], found: order.Order, indent: str) -> Iterator[tuple[str, str]]:
    for branch in branches:
        last = branch is branches[-1]
        node = branch.node
        number = f"{found.steps[node.urn]:>2} " if node.custom else ""
        left = f"{indent}{'└─' if last else '├─'} {number}{order.label(node)} {node.name}"
        waits = [found.nodes[urn].name for urn in found.waits.get(node.urn, ())]
        yield left, f"waits for {', '.join(sorted(waits))}" if waits else ""
        yield from _rows(branch.branches, found, indent + ("   " if last else "│  "))
