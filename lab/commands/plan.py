"""Print a stack's resources as a tree, with what each waits for. It needs no tool and no network."""

from __future__ import annotations

from typing import TYPE_CHECKING

from devtools import graph, order
from lab.host import paths
from lab.live import stack

if TYPE_CHECKING:
    import argparse


def arguments(parser: argparse.ArgumentParser) -> None:
    """Add the command's arguments."""
    stack.argument(parser)


def run(args: argparse.Namespace) -> int:
    """Print the tree."""
    print(order.text(graph.build(args.stack, paths.ROOT)))
    return 0
