"""Check every object that the stacks would create, and the manifests, without a cluster and without a network.

With --dir, a checkout of the repository that Argo CD follows is checked instead, or any folder of manifests. Of the
platform's, what comes out of each overlay is checked, too, which kubectl makes.
"""

from __future__ import annotations

import json
import shutil
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Final

from components.core import names, project
from components.core.errors import LabError
from components.core.names import PROGRESSIVE, PROJECT, STACKS
from components.core.run import CommandError
from components.core.run import run as run_program
from components.gitops.allowed import kinds
from components.parts import p3
from devtools import graph, objects
from devtools.checks import Finding, files, gitops, invariants, progressive, references, schemas
from lab.host import paths, tools

if TYPE_CHECKING:
    import argparse
    from collections.abc import Iterator

PLATFORM: Final = "platform"  # the stack whose Argo CD follows overlays
RENDERED: Final = 60.0  # seconds until an overlay has to be there


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
            is taken for one that can be followed. One with overlays is the platform's.

    Raises:
        LabError: there are none, or one is malformed.
    """
    if gitops.is_one(folder):
        yield from of_gitops(folder)
        return
    followed = folder / project.stack_config("p3", paths.ROOT)[f"{PROJECT}:gitPath"]
    top = followed if followed.is_dir() else folder
    inside = {path.parent for path in top.rglob("*.y*ml") if not _hidden(path.relative_to(top))}
    if not inside:
        raise LabError(f"there is no manifest in {folder}", why="it has no YAML file", fix="name another folder")
    for each in sorted(inside):
        yield from of_manifests(each, str(each))


def of_gitops(root: Path) -> Iterator[Finding]:
    """Yield what is wrong with a clone of the platform's repository `gitops`.

    What comes out of the overlays is looked at when nothing is wrong with the files, which say more of where it is.

    Args:
        root: the clone.

    Raises:
        LabError: kubectl can't be had.
    """
    allowed = _allowed(PLATFORM)
    found = list(gitops.findings(root, str(root), allowed))
    yield from found
    if found:
        return
    tools.ensure(["kubectl"])
    for each in gitops.overlays(root):
        yield from _of_overlay(root, each, allowed)


def _of_overlay(root: Path, overlay: Path, allowed: gitops.Kinds) -> Iterator[Finding]:
    """Yield what is wrong with what comes out of an overlay, alone and with each way in which a version gets in."""
    for delivery in (None, *gitops.deliveries(root)):
        shown = f"{overlay} with {delivery.name}" if delivery else str(overlay)
        try:
            text = render(root, overlay, delivery)
        except CommandError as error:
            yield Finding(str(gitops.kustomization(overlay)), f"Kustomize refuses it: {error.why}; correct it")
            return
        its = objects.of_text(text, shown)
        for each in its:
            # Argo CD puts what has no namespace into that of the environment.
            each.content.setdefault("metadata", {})
            each.metadata.setdefault("namespace", overlay.name)
        found = list(_of_rendered(its, overlay.name, allowed))
        yield from found
        if found:
            return


def _of_rendered(its: list[objects.Object], environment: str, allowed: gitops.Kinds) -> Iterator[Finding]:
    wrong = list(schemas.findings(its))
    yield from wrong
    if wrong:
        return  # the others go by the shape that the schemas give
    yield from references.findings(its, [environment])
    yield from references.project(its, environment, allowed)
    yield from invariants.of_manifests(its, PLATFORM)
    yield from progressive.alone(its)
    yield from progressive.together(its)


def render(root: Path, overlay: Path, delivery: Path | None) -> str:
    """Return what Kustomize makes of an overlay, as Argo CD has it do.

    Args:
        root: the clone.
        overlay: the folder.
        delivery: a component that the Application adds to it.

    Raises:
        CommandError: Kustomize refuses it.
    """
    with tempfile.TemporaryDirectory() as made:
        # Kustomize takes paths that are relative to a kustomization, and the clone is not to change.
        clone, top = Path(made) / "clone", Path(made) / "top"
        shutil.copytree(root, clone, symlinks=True, ignore=shutil.ignore_patterns(".git"))
        top.mkdir()
        content = {"resources": [f"../clone/{overlay.relative_to(root).as_posix()}"]}
        if delivery:
            content["components"] = [f"../clone/{delivery.relative_to(root).as_posix()}"]
        # JSON is YAML.
        (top / "kustomization.yaml").write_text(json.dumps(content), encoding="utf-8")
        try:
            return run_program(["kubectl", "kustomize", str(top)], timeout=RENDERED)
        except CommandError as error:
            # Nobody knows the copy.
            error.why = error.why.replace(f"{clone.resolve()}/", "").replace(f"{clone}/", "")
            raise


def _allowed(stack: str) -> gitops.Kinds:
    """Return the kinds that Git may bring to a stack, by API group."""
    config = project.stack_config(stack, paths.ROOT)
    environments = config[f"{PROJECT}:environments"]
    return kinds(
        sealed=config[f"{PROJECT}:sealedSecrets"] == "true",
        progressive=any(each in environments for each in PROGRESSIVE),
    )


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
    wrong = list(schemas.findings(its))
    yield from wrong
    yield from references.project(its, names.APP_NAMESPACE, _allowed("p3"))
    if wrong:
        return  # the others go by the shape that the schemas give
    yield from references.findings(its, [names.APP_NAMESPACE])
    yield from invariants.of_manifests(its)
    yield from references.tags(folder, shown)
