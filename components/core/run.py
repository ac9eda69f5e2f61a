"""Running another program: bounded in time, its output kept for the error message."""

from __future__ import annotations

import hashlib
import os
import re
import shutil
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING, Final

from components.core.errors import LabError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence


# The escape sequences with which programs colour what they print: ECMA-48, "control sequence".
COLOUR: Final = re.compile(r"\x1b\[[0-9;]*m")


class CommandError(LabError):
    """A program said no, or did not answer in time."""


def run(command: Sequence[str], *, timeout: float, env: Mapping[str, str] | None = None) -> str:
    """Run a program and return what it printed.

    Args:
        command: the program and its arguments; nothing goes through a shell.
        timeout: seconds until it is ended.
        env: further environment variables.

    Returns:
        Its standard output, without the white space around it.

    Raises:
        CommandError: it is not there, failed or took too long; the message has the end of what it printed.
    """
    shown = " ".join(command[:4])
    if not shutil.which(command[0]):
        raise CommandError(
            f"{command[0]} is not on PATH",
            why=f"it was needed for `{shown}`",
            fix="`make setup`, then `. ./activate`",
        )
    try:
        done = subprocess.run(  # noqa: S603 - a list of arguments, no shell
            command,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=timeout,
            check=False,
            env={**os.environ, **(env or {})},
        )
    except subprocess.TimeoutExpired as error:
        raise CommandError(f"`{shown}` did not end within {timeout:.0f} s") from error
    if done.returncode:
        last = COLOUR.sub("", done.stderr.strip() or done.stdout.strip()).splitlines()[-5:]
        raise CommandError(f"`{shown}` failed with exit code {done.returncode}", why="it said: " + " | ".join(last))
    return done.stdout.strip()


def script_hash(path: str) -> str:
    """Return a digest of a script, so that a Command runs again when the script is another one.

    Args:
        path: relative to the project, which is the program's working folder.
    """
    return hashlib.sha256((Path(__file__).parents[2] / path).read_bytes()).hexdigest()[:16]
