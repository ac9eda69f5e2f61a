"""Change the tag of an image in manifests, and nothing else: comments and layout stay as they are.

`make release` changes tags in the same way, and so does the app's pipeline.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from components.core.errors import LabError
from components.gitops import manifests
from lab.live import manifest_tags

if TYPE_CHECKING:
    import argparse


def arguments(parser: argparse.ArgumentParser) -> None:
    """Add the command's arguments."""
    parser.add_argument("manifests", type=Path, help="a manifest, or a folder of them")
    parser.add_argument("image", help="the image without its tag")
    parser.add_argument("tag", help="the new tag, which is not latest")


def run(args: argparse.Namespace) -> int:
    """Change the tag and print what was changed.

    Raises:
        LabError: the tag is none, a manifest is malformed, or no container runs the image.
    """
    if not manifest_tags.TAG.fullmatch(args.tag) or args.tag == "latest":
        raise LabError(f"{args.tag!r} is no tag for a release", why="a tag that never moves was expected, such as v2")
    texts = read(args.manifests)
    before = manifest_tags.tags(texts, args.image)
    for path in before:
        changed = manifests.set_tag(texts[path], path.name, args.image, args.tag)
        path.write_bytes(changed.encode())
    print(f"{args.image}: {manifest_tags.one_of(before)} -> {args.tag} in {', '.join(path.name for path in before)}")
    return 0


def read(path: Path) -> dict[Path, str]:
    """Return the text of a manifest, or of those in a folder, by path.

    Raises:
        LabError: there is none.
    """
    if path.is_dir():
        return manifest_tags.read(path)
    if not path.is_file():
        raise LabError(f"There is no manifest {path}", fix="name a file or a folder of manifests")
    return {path: path.read_bytes().decode()}
