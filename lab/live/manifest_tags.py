"""The tag of the app's image in the manifests that Argo CD follows."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, Final

from components.core.errors import LabError
from components.core.names import IMAGE
from components.gitops import manifests
from lab.live import git

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

# https://github.com/opencontainers/distribution-spec/blob/main/spec.md#pulling-manifests
SHORT: Final = 7  # characters of a commit's ID
TAG: Final = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,127}")


def in_git(outputs: Mapping[str, Any]) -> tuple[str, str]:
    """Return the tag that Git wants, or the digest, and in which commit it says so, in words.

    Args:
        outputs: the stack's.
    """
    source = git.readable(outputs)
    with git.cloned(source) as clone:
        found = one_of(tags(read(clone.root / source.path), outputs["image"]))
        return found, f"commit {clone.head[:SHORT]} of {source.revision}"


def read(folder: Path) -> dict[Path, str]:
    """Return the manifests of a folder as they are, line endings included, by their paths.

    Raises:
        LabError: there are none, or one is not UTF-8.
    """
    paths = [path for path in sorted(folder.glob("*.y*ml")) if path.is_file() and not path.is_symlink()]
    if not paths:
        raise LabError(
            f"there are no manifests in {folder.name}/ of the repository",
            why="Argo CD follows that folder",
            fix="put them there, or name another folder: pulumi config set iot:gitPath FOLDER --stack p3",
        )
    return {path: _text(path) for path in paths}


def _text(path: Path) -> str:
    try:
        return path.read_bytes().decode()
    except UnicodeDecodeError as error:
        raise LabError(f"{path.name} is not UTF-8", why=str(error), fix="correct it in the repository") from error


def tags(texts: dict[Path, str], repository: str) -> dict[Path, list[str]]:
    """Return the tags with which containers run an image, by the manifests' paths; "" stands for none.

    A digest stands for itself where there is no tag.

    Args:
        texts: the manifests.
        repository: the image without its tag.

    Raises:
        LabError: no container runs that image, or a manifest is malformed.
    """
    found: dict[Path, list[str]] = {}
    others = []
    for path, text in texts.items():
        for reference in manifests.images(text, path.name):
            match = IMAGE.fullmatch(reference)
            if match and match["repository"] == repository:
                found.setdefault(path, []).append(match["tag"] or match["digest"] or "")
            else:
                others.append(reference)
    if not found:
        raise LabError(
            f"no container in {', '.join(path.name for path in texts)} runs the image {repository}",
            why=f"they run {', '.join(others) or 'none'}",
            fix="run that image, or name the one that runs: pulumi config set iot:appImage IMAGE:TAG --stack p3",
        )
    return found


def one_of(found: dict[Path, list[str]]) -> str:
    """Return the tag, or all of them when containers run different ones."""
    return ", ".join(sorted({tag or "no tag" for each in found.values() for tag in each}))
