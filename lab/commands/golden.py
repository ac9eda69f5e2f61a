"""Show what changed in the stacks' graphs since they were recorded, and what that does to live resources."""

from __future__ import annotations

from typing import TYPE_CHECKING

from components.core.settings import PARTS
from devtools import golden, graph
from lab.host import paths

if TYPE_CHECKING:
    import argparse


def arguments(parser: argparse.ArgumentParser) -> None:
    """Add the command's arguments."""
    parser.add_argument("--accept", action="store_true", help="record the graphs as they are now")


def run(args: argparse.Namespace) -> int:
    """Print the changes; 1 when there are any that were not accepted."""
    changed = False
    for stack in PARTS:
        now = golden.snapshot(graph.build(stack, paths.ROOT))
        for line in golden.changes(golden.recorded(stack), now):
            changed = True
            print(f"{stack}: {line}")
        if args.accept:
            golden.record(stack, now)
    if not changed:
        print("nothing changed")
    return 1 if changed and not args.accept else 0
