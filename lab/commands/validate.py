"""Check every object that the stacks would create, and the manifests, without a cluster and without a network.

With --dir, a checkout of the repository that Argo CD follows is checked instead, or any folder of manifests.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from components.core import names, project
from components.core.errors import LabError
from components.core.settings import PROJECT, STACKS
from components.parts import p3
from devtools import graph, objects
from devtools.checks import Finding, files, invariants, references, schemas
from lab.host import paths

if TYPE_CHECKING:
    import argparse
    from collections.abc import Iterator


def arguments(parser: argparse.ArgumentParser) -> None:
    """Add the command's arguments."""
    parser.add_argument("--dir", type=Path, help="check the manifests in this folder, and in those below it")


def run(args: argparse.Namespace) -> int:
    """Print what is wrong; 1 when anything is."""
    found = set(of_checkout(args.dir) if args.dir else of_project())
    for finding in sorted(found):
        print(finding)
    if not found:
        print("nothing wrong")
    return 1 if found else 0


def of_project() -> Iterator[Finding]:
    """Yield what is wrong with the project."""
    yield from of_manifests(paths.ROOT / p3.MANIFESTS)
    for stack in STACKS:
        yield from of_stack(graph.build(stack, paths.ROOT))
    yield from files.findings(paths.ROOT)


def of_checkout(folder: Path) -> Iterator[Finding]:
    """Yield what is wrong with the manifests of a checkout.

    Args:
        folder: the checkout, of which only iot:gitPath counts when it is there. Otherwise every folder with YAML files
            is taken for one that can be followed.

    Raises:
        LabError: there are none, or one is malformed.
    """
    followed = folder / project.stack_config("p3", paths.ROOT)[f"{PROJECT}:gitPath"]
    top = followed if followed.is_dir() else folder
    inside = {path.parent for path in top.rglob("*.y*ml") if not _hidden(path.relative_to(top))}
    if not inside:
        raise LabError(f"there is no manifest in {folder}", why="it has no YAML file", fix="name another folder")
    for each in sorted(inside):
        yield from of_manifests(each, str(each))


def _hidden(path: Path) -> bool:
    # Such as .git and .github, which Argo CD is not pointed at.
    return any(part.startswith(".") for part in path.parts)


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
    yield from references.findings(its, [names.APP_NAMESPACE])
    sealed = project.stack_config("p3", paths.ROOT)[f"{PROJECT}:sealedSecrets"] == "true"
    yield from references.project(its, names.APP_NAMESPACE, sealed=sealed)
    yield from invariants.of_manifests(its)
    yield from references.tags(folder, shown)
