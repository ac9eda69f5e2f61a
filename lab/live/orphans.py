"""What a Pulumi that was killed has left at work: its plugins, which nobody asks any more, and what they run."""

from __future__ import annotations

import os
import re
import signal
from contextlib import suppress
from typing import Final

from components.core.run import CommandError, run
from lab.host import paths
from lab.host.environment import ROOT

ANSWER: Final = 10  # seconds
ENGINE: Final = re.compile(r"(.*/)?pulumi( |$)")  # its folder may have a space in its name
# Each is told where its engine listens.
PLUGIN: Final = re.compile(r"(pulumi-(resource|language)-\S+|pulumi\.dynamic) 127\.0\.0\.1:\d")


def end() -> int:
    """End the plugins of this project that have no engine any more, with what they run, and return how many there were.

    They would go on with what they had begun, beside the run that begins it anew.
    """
    try:
        # With "e", the environment follows the command, of this user's own processes: `man ps`, on Linux and macOS.
        listed = run(["ps", "axeww", "-o", "pid=,ppid=,command="], timeout=ANSWER)
    except CommandError:
        return 0
    processes: dict[int, tuple[int, str]] = {}
    for line in listed.splitlines():
        pid, parent, *command = line.split(maxsplit=2)
        processes[int(pid)] = int(parent), "".join(command)
    mark = f" {ROOT}={paths.ROOT} "
    plugins = [each for each, (_, said) in processes.items() if PLUGIN.search(said) and mark in f"{said} "]
    found = {each for each in plugins if not any(ENGINE.match(processes[one][1]) for one in _above(each, processes))}
    further = [each for each in processes if each not in found and found & set(_above(each, processes))]
    for each in [*found, *further]:
        with suppress(ProcessLookupError, PermissionError):
            os.kill(each, signal.SIGKILL)
    return len(found)


def _above(pid: int, processes: dict[int, tuple[int, str]]) -> list[int]:
    """Return what has started a process, and what that was started by."""
    found: list[int] = []
    while (pid := processes.get(pid, (0, ""))[0]) in processes and pid not in found:
        found.append(pid)
    return found
