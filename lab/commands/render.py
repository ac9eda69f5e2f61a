"""Write a stack's Kubernetes objects as plain YAML to rendered/STACK. It needs no tool and no network."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import TYPE_CHECKING

from components.core.errors import LabError
from devtools import graph, render
from lab.host import paths
from lab.host.console import say
from lab.live import stack

if TYPE_CHECKING:
    import argparse


def arguments(parser: argparse.ArgumentParser) -> None:
    """Add the command's arguments."""
    stack.argument(parser)
    parser.add_argument("--to", type=Path, help="another folder, which is emptied first (default: rendered/STACK)")


def run(args: argparse.Namespace) -> int:
    """Write the files and print their paths."""
    texts = render.files(graph.build(args.stack, paths.ROOT))
    if not texts:
        say(f"{args.stack} creates no Kubernetes objects; `make plan STACK={args.stack}` shows what it does")
        return 0
    folder = args.to or paths.ROOT / "rendered" / args.stack
    write(texts, folder)
    for path in sorted(texts):
        print(folder / path)
    return 0


def write(texts: dict[str, str], folder: Path) -> None:
    """Write files to a folder, in which nothing else is left.

    Args:
        texts: the files' texts by their paths.
        folder: it is emptied if an earlier run has filled it.

    Raises:
        LabError: there is something else in it.
    """
    if folder.exists() and any(folder.iterdir()):
        if not _is_ours(folder / "README.md"):
            raise LabError(
                f"{folder} is not empty", why="nothing here has written what is in it", fix="name another folder"
            )
        shutil.rmtree(folder)
    for path, text in texts.items():
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).write_text(text, encoding="utf-8")


def _is_ours(readme: Path) -> bool:
    return readme.is_file() and readme.read_text(encoding="utf-8").startswith(render.TITLE)
