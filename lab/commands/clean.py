"""Remove the virtual environment and .lab (tools, state, passphrase), unless a stack is up."""

from __future__ import annotations

import json
import shutil
from typing import TYPE_CHECKING

from components.core.errors import LabError
from lab.host import local, paths
from lab.host.console import say
from lab.live import stack

if TYPE_CHECKING:
    import argparse


def arguments(parser: argparse.ArgumentParser) -> None:
    """There are none."""


def run(args: argparse.Namespace) -> int:  # noqa: ARG001 - every command has them
    """Remove both folders.

    Raises:
        LabError: a stack has resources, which nothing would know about any more.
    """
    up = [name for name, count in local.states().items() if count]
    if local.has_own_backend():
        # What those stacks' secrets are encrypted with is in .lab, wherever their state is.
        up += [each["name"] for each in json.loads(stack.pulumi("stack", "ls", "--json")) if each.get("resourceCount")]
    if up:
        stacks = " and ".join(f"make destroy STACK={name}" for name in up)
        raise LabError(f"still up: {', '.join(up)}", why="without .lab nothing could remove them", fix=stacks)
    if not local.has_own_backend() and (others := local.made_elsewhere()):
        raise LabError(
            f"{' and '.join(others)} may belong to a state that is not in .lab/state",
            why="its secrets are encrypted with .lab/passphrase",
            fix=f"set PULUMI_BACKEND_URL to where it is, or remove the line `{local.SALT}` when it is gone",
        )
    local.forget_salts()
    for folder in (paths.LAB, paths.VENV):
        if folder.exists():
            shutil.rmtree(folder)
            say(f"removed {folder.relative_to(paths.ROOT)}")
    return 0
