"""Compile the requirements*.in into hash-locked requirements*.txt; what is locked already stays unless it has to move.

To move everything: make lock ARGS=--upgrade
"""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Final

from components.core.run import show
from lab.host import paths
from lab.live import stack

if TYPE_CHECKING:
    import argparse

# The Python that each lock is made for: the one in the app's image; the older of the two that run the app's pipeline,
# which GitHub's machines have; the oldest one that the lab supports. The app comes first, because the others have its
# versions.
LOCKS: Final = {
    "app/requirements": ["--python-version", "3.13"],
    "app/requirements-ci": ["--python-version", "3.12", "--universal"],
    "requirements": ["--python-version", "3.10", "--universal"],
    "requirements-dev": ["--python-version", "3.10", "--universal"],
}


def arguments(parser: argparse.ArgumentParser) -> None:
    """Add the command's arguments."""
    stack.further_arguments(parser)


def run(args: argparse.Namespace) -> int:
    """Compile all locks."""
    for name, options in LOCKS.items():
        if code := show([*command(name), *options, *args.arguments], cwd=paths.ROOT):
            return code
    return 0


def command(name: str) -> list[str]:
    """Return the command that compiles a lock. No address of an index gets into the file."""
    compile_ = [sys.executable, "-m", "uv", "pip", "compile", "--quiet", "--system-certs", "--generate-hashes"]
    files = [f"{name}.in", "--output-file", f"{name}.txt"]
    return [*compile_, "--no-emit-index-url", "--custom-compile-command", "make lock", *files]
