"""Remove the virtual environment and .lab (tools, state, passphrase), unless a stack is up."""

from __future__ import annotations

import json
import shutil
from typing import TYPE_CHECKING

from components.core.errors import LabError
from components.docker import container as containers
from components.gitops import git_backups, sealing_key
from components.k3d import volumes
from lab.host import local, paths
from lab.host.console import ask, say
from lab.live import stack

if TYPE_CHECKING:
    import argparse
    from pathlib import Path


def arguments(parser: argparse.ArgumentParser) -> None:
    """Add the command's arguments."""
    parser.add_argument("--discard", action="store_true", help="also what users have made, without a question")


def run(args: argparse.Namespace) -> int:
    """Remove both folders.

    Raises:
        LabError: a stack has resources, which nothing would know about any more, or users have made something that
            nobody said is to go.
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
    kept = _volumes(containers.KEPT_LABEL)
    _confirm(
        [*(str(path.relative_to(paths.ROOT)) for path in _made_by_users()), *(f"the volume {name}" for name in kept)],
        discard=args.discard,
    )
    local.forget_salts()
    for name in [*kept, *_volumes(volumes.LABEL)]:
        _drop(name)
    for folder in (paths.LAB, paths.VENV):
        if folder.exists():
            shutil.rmtree(folder)
            say(f"removed {folder.relative_to(paths.ROOT)}")
    return 0


def _confirm(made: list[str], *, discard: bool) -> None:
    """Say what users have made, and ask whether it is to go.

    Raises:
        LabError: it is not.
    """
    for each in made:
        say(f"{each} is yours")
    if made and not discard and not ask("remove that, too?"):
        raise LabError(
            f"nothing is removed: {', '.join(made)}",
            why="what you have pushed or cloned is nowhere else",
            fix='bring it elsewhere, or make clean ARGS="--discard"',
        )


def _volumes(label: str) -> list[str]:
    """Return the volumes that outlive a cluster: with what its nodes have unpacked, or its registry's."""
    try:
        return containers.volumes(label, f"{containers.PROJECT_LABEL}={paths.ROOT}")
    except LabError as error:
        say(f"volumes may be left (`docker volume ls --filter label={label}`): {error.what}")
        return []


def _drop(name: str) -> None:
    try:
        volumes.drop({name})
    except LabError as error:
        say(f"the volume {name} is left: {error}")
    else:
        say(f"removed the volume {name}")


def _made_by_users() -> list[Path]:
    """Return what is in .lab that nothing can make again: what Git had, its sealing keys, the only clone."""
    clone = paths.LAB / "repository"
    backups = paths.LAB / git_backups.FOLDER.name
    keys = sealing_key.kept(backups)
    # Which nothing else reads.
    keys += [paths.PASSPHRASE] if keys else []
    return [*git_backups.kept(backups), *keys, *([clone] if clone.exists() else [])]
