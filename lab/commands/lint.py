"""Run the linters: ruff, mypy --strict, shellcheck, yamllint."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Final

from components.core.run import CommandError, show
from lab.host import paths

if TYPE_CHECKING:
    import argparse
    from collections.abc import Iterator

TIME: Final = 600  # seconds for one linter, with an empty cache on a slow machine
# What is not the project's own. A folder of someone's editor can't be known; it is linted and can be removed.
NOT_OURS: Final = {
    ".git",
    ".hypothesis",
    ".lab",
    ".venv",
    ".mypy_cache",
    ".pytest_cache",
    ".ruff_cache",
    "__pycache__",
    "rendered",
}
YAML: Final = {".yaml", ".yml"}


def arguments(parser: argparse.ArgumentParser) -> None:
    """There are none."""


def run(args: argparse.Namespace) -> int:  # noqa: ARG001 - every command has them
    """Run all linters, also when one has found something."""
    return 1 if failing() else 0


def failing() -> list[str]:
    """Run all linters, which print what they find, and return the names of those that found something."""
    return [name for name, command in linters().items() if not _passes(name, command)]


def linters() -> dict[str, list[str]]:
    """Return each linter's command by its name."""
    files = list(_files())
    scripts = [str(path) for path in files if _is_shell(path)]
    # Helm and Kustomize want their files; what only looks like YAML would be named *.yaml.tmpl.
    documents = [str(path) for path in files if path.suffix in YAML]
    python = [sys.executable, "-m"]
    return {
        "ruff check": [*python, "ruff", "check", "--quiet", "."],
        "ruff format": [*python, "ruff", "format", "--check", "--quiet", "."],
        "mypy": [*python, "mypy", "--no-error-summary"],
        "shellcheck": [str(Path(sys.executable).with_name("shellcheck")), *scripts],
        "yamllint": [*python, "yamllint", "--strict", *documents],
    }


def _passes(name: str, command: list[str]) -> bool:
    try:
        code = show(command, cwd=paths.ROOT, timeout=TIME)
    except CommandError as error:
        print(f"{name}: {error}", file=sys.stderr)
        return False
    print(f"{name}: {'clean' if code == 0 else 'see above'}", flush=True)
    return code == 0


def _files() -> Iterator[Path]:
    """Walk the project's own files, whether Git knows them already or not, as paths relative to the project."""
    for folder, folders, names in os.walk(paths.ROOT):
        folders[:] = sorted(each for each in folders if each not in NOT_OURS)
        yield from (Path(folder, name).relative_to(paths.ROOT) for name in sorted(names))


def _is_shell(path: Path) -> bool:
    """Tell whether a file is a shell script: by its name, or by its first line."""
    if path.suffix in {".sh", ".bash"}:
        return True
    if path.suffix:
        return False
    with (paths.ROOT / path).open("rb") as file:
        first = file.readline(100)
    return first.startswith((b"#!/bin/sh", b"#!/usr/bin/env bash", b"#!/bin/bash", b"# shellcheck shell="))
