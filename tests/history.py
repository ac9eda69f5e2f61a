"""What the project's own Git repository remembers; without one, or without its past, a test is skipped."""

from __future__ import annotations

import subprocess
from pathlib import Path
from typing import Final

import pytest

from lab.commands.test import HISTORY

ROOT: Final = Path(__file__).resolve().parents[1]


def staged(path: str) -> str:
    """Return a file as it is committed, or as the next commit will have it; not as it may be edited."""
    _require_repository()
    return _git("show", f":{path}").decode()


def unpack(commit: str, folder: Path) -> Path:
    """Write the project as it was at a commit into a new folder, and return that."""
    _require_repository()
    # In a full clone, a commit that is not there is a mistake in the test.
    if _git("rev-parse", "--is-shallow-repository") == b"true\n" and _run("cat-file", "-e", commit).returncode:
        pytest.skip(f"{HISTORY}: this clone is shallow and has no {commit}")
    folder.mkdir()
    subprocess.run(["tar", "-x", "-C", str(folder)], input=_git("archive", commit), check=True, timeout=60)
    return folder


def _require_repository() -> None:
    # An archive may be unpacked inside another repository.
    if Path(_run("rev-parse", "--show-toplevel").stdout.decode().strip()) != ROOT:
        pytest.skip(f"{HISTORY}: {ROOT} is not one")


def _git(*arguments: str) -> bytes:
    done = _run(*arguments)
    assert done.returncode == 0, done.stderr
    return done.stdout


def _run(*arguments: str) -> subprocess.CompletedProcess[bytes]:
    return subprocess.run(["git", *arguments], cwd=ROOT, capture_output=True, check=False, timeout=60)
