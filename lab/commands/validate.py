"""Check every object that the stacks would create, and the manifests, without a cluster and without a network."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from components.core.settings import PARTS
from components.parts import p3
from devtools import graph, objects, render
from devtools.checks import Finding, best_practice, invariants, references, schemas
from lab.commands.render import write
from lab.host import paths

if TYPE_CHECKING:
    import argparse
    from collections.abc import Iterator


def arguments(parser: argparse.ArgumentParser) -> None:
    """Add the command's arguments."""
    parser.add_argument("--quick", action="store_true", help="leave Checkov out")


def run(args: argparse.Namespace) -> int:
    """Print what is wrong; 1 when anything is."""
    found = [*of_manifests(paths.ROOT / p3.MANIFESTS)]
    for stack in PARTS:
        found += of_stack(graph.build(stack, paths.ROOT))
    if not args.quick:
        found += of_checkov()
    for finding in sorted(set(found)):
        print(finding)
    if not found:
        print("nothing wrong")
    return 1 if found else 0


def of_stack(made: graph.Graph) -> Iterator[Finding]:
    """Yield what is wrong with what a stack would create."""
    its = objects.of_program(made)
    yield from schemas.findings(its)
    yield from references.findings(its)
    yield from invariants.of_graph(made)


def of_manifests(folder: Path, shown: str = p3.MANIFESTS) -> Iterator[Finding]:
    """Yield what is wrong with a folder of manifests.

    Args:
        folder: the folder.
        shown: how it is called in messages.

    Raises:
        LabError: one is malformed; names the file and the line.
    """
    its = objects.of_folder(folder, shown)
    yield from schemas.findings(its)
    yield from references.findings(its, [p3.NAMESPACE])
    yield from invariants.of_manifests(its)
    yield from references.tags(folder, shown)


def of_checkov() -> list[Finding]:
    """Return what Checkov finds in what the stacks would create, and in the manifests."""
    with tempfile.TemporaryDirectory() as folder:
        write_all(Path(folder))
        return best_practice.findings(Path(folder))


def write_all(folder: Path) -> None:
    """Write what the stacks would create, and the manifests, to folders of a folder."""
    for stack in PARTS:
        texts = render.files(graph.build(stack, paths.ROOT))
        # Values of a chart are no objects.
        write({path: text for path, text in texts.items() if "/" in path}, folder / stack)
    manifests = (paths.ROOT / p3.MANIFESTS).glob("*.y*ml")
    write({path.name: path.read_text(encoding="utf-8") for path in manifests}, folder / p3.MANIFESTS)
