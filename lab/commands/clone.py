"""Clone the repository that Argo CD follows, so that `git push` works there without a password in any file."""

from __future__ import annotations

import shlex
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Final

from components.core.errors import LabError
from lab.host import paths
from lab.live import git, stack

if TYPE_CHECKING:
    import argparse

DEFAULT: Final = paths.LAB / "repository"


def arguments(parser: argparse.ArgumentParser) -> None:
    """Add the command's arguments."""
    stack.argument(parser)
    parser.add_argument("folder", nargs="?", type=Path, default=DEFAULT, help="a new folder (default: .lab/repository)")


def run(args: argparse.Namespace) -> int:
    """Clone, and let Git ask this lab for the password whenever it needs it."""
    source = git.remote(stack.outputs(args.stack, show_secrets=True))
    folder: Path = args.folder.absolute()
    if folder.exists() and any(folder.iterdir()):
        raise LabError(f"{folder} is there already", fix=f"git -C {folder} pull, or name another folder: DIR=FOLDER")
    branch = [] if source.revision == "HEAD" else ["--branch", source.revision]
    git.run(source, ["clone", "--quiet", *branch, "--", source.url, str(folder)])
    if source.password:
        helper = f"!cd {shlex.quote(str(paths.ROOT))} && {shlex.quote(sys.executable)} -m lab credential {args.stack}"
        for value in ("", helper):  # the empty one: the user's other helpers are not to keep this password
            git.run(source, ["config", "--add", "credential.helper", value], cwd=folder)
    print(folder)
    return 0
