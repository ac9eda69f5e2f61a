"""Running another program: bounded in time, its output kept for the error message."""

from __future__ import annotations

import hashlib
import os
import re
import shutil
import subprocess
from contextlib import nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Final

from components.core.errors import LabError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence


# The escape sequences with which programs colour what they print: ECMA-48, "control sequence".
COLOUR: Final = re.compile(r"\x1b\[[0-9;]*m")
# What runs a module of the project in its folder: Pulumi.yaml names that virtual environment, too.
MODULE: Final = (".venv/bin/python", "-m")


class CommandError(LabError):
    """A program said no, or did not answer in time.

    Attributes:
        printed: its standard output, which may have what is nobody else's to read.
        said: what it said of its failure, without colours; None when it is not there, or did not end.
    """

    said: str | None = None
    printed: str = ""


class MissingProgramError(CommandError):
    """A program is not on PATH."""


def run(  # noqa: PLR0913 - what a program can be given
    command: Sequence[str],
    *,
    timeout: float,
    env: Mapping[str, str] | None = None,
    cwd: Path | None = None,
    into: Path | None = None,
    given: str | Path = "",
    errors: bool = False,
) -> str:
    """Run a program and return what it printed.

    Args:
        command: the program and its arguments; nothing goes through a shell.
        timeout: seconds until it is ended.
        env: further environment variables.
        cwd: the folder that it runs in; None means this process's.
        into: a file for its standard output, when that is too much to be held.
        given: what it reads: a text, such as what no argument may show, or a file.
        errors: whether its standard error belongs to what is returned.

    Returns:
        Its standard output, without the white space around it.

    Raises:
        CommandError: it is not there, failed or took too long; the message has the end of what it printed.
    """
    if not shutil.which(command[0]):
        raise _missing(command)
    try:
        with (
            into.open("wb") if into else nullcontext(subprocess.PIPE) as stdout,
            given.open("rb") if isinstance(given, Path) else nullcontext() as stdin,
        ):
            done = subprocess.run(  # noqa: S603 - a list of arguments, no shell
                command,
                cwd=cwd,
                **({"stdin": stdin} if stdin else {"input": given}),
                stdout=stdout,
                stderr=subprocess.STDOUT if errors else subprocess.PIPE,
                text=True,
                timeout=timeout,
                check=False,
                env={**os.environ, **(env or {})},
            )
    except subprocess.TimeoutExpired as error:
        raise _too_slow(command, timeout) from error
    if done.returncode:
        printed, told = (COLOUR.sub("", text or "").strip() for text in (done.stdout, done.stderr))
        said = told or printed
        last = " | ".join(said.splitlines()[-5:])
        failed = CommandError(f"`{_shown(command)}` failed with exit code {done.returncode}", why=f"it said: {last}")
        failed.said, failed.printed = said, printed
        raise failed
    return (done.stdout or "").strip()


def show(
    command: Sequence[str],
    *,
    env: Mapping[str, str] | None = None,
    cwd: Path | None = None,
    timeout: float | None = None,
) -> int:
    """Run a program for people to watch, or to talk to, and return its exit code.

    Args:
        command: the program and its arguments; nothing goes through a shell.
        env: further environment variables.
        cwd: the folder that it runs in; None means this process's.
        timeout: seconds until it is ended; None leaves that to whoever watches.

    Raises:
        CommandError: it is not there, or did not end in time.
    """
    try:
        return subprocess.run(  # noqa: S603 - a list of arguments, no shell
            command, cwd=cwd, env={**os.environ, **(env or {})}, timeout=timeout, check=False
        ).returncode
    except FileNotFoundError as error:
        if cwd and not cwd.is_dir():
            raise CommandError(f"There is no folder {cwd}", why=f"`{_shown(command)}` was to run there") from error
        raise _missing(command) from error
    except subprocess.TimeoutExpired as error:
        raise _too_slow(command, error.timeout) from error


def _shown(command: Sequence[str]) -> str:
    return " ".join(command[:4])


def _missing(command: Sequence[str]) -> MissingProgramError:
    return MissingProgramError(
        f"{command[0]} is not on PATH",
        why=f"it was needed for `{_shown(command)}`",
        fix="`make setup`, then `. ./activate`",
    )


def _too_slow(command: Sequence[str], timeout: float) -> CommandError:
    return CommandError(f"`{_shown(command)}` did not end within {timeout:.0f} s")


def module(name: str, *arguments: str) -> str:
    """Return the shell line by which a Command, which runs in the project's folder, runs a module of the project.

    Args:
        name: such as components.k3d.import_images.
        arguments: for the module.
    """
    return " ".join([*MODULE, name, *arguments])


def module_hash(*names: str) -> str:
    """Return a digest of modules' texts, so that a Command runs again when one of them is another.

    Args:
        names: such as components.k3d.import_images; what it imports counts only when it is named, too.
    """
    digest = hashlib.sha256()
    for name in names:
        digest.update((Path(__file__).parents[2] / f"{name.replace('.', '/')}.py").read_bytes())
    return digest.hexdigest()[:16]
