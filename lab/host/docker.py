"""The host's Docker engine: whether it can be used, what to do when not, and its installation on Debian and Ubuntu."""

from __future__ import annotations

import os
import platform
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from components.core import wait
from components.core.errors import LabError
from components.core.run import CommandError, run, show
from lab.host.console import ask, say

ANSWER_TIME: Final = 30  # seconds for a question to the engine
START_TIME: Final = 60  # seconds until an engine that was just installed must answer
INSTALL: Final = "INSTALL_DOCKER"
OLDEST: Final = "20.10"
NOT_INSTALLED: Final = "Docker is not installed"
SOCKET_GROUP: Final = "sudo usermod -aG docker $USER, then log out and in again"


@dataclass(frozen=True)
class Engine:
    """What is known of the engine.

    Attributes:
        version: its version; "" when it can't be used.
        problem: why it can't be used; "" when it can.
        fix: what to do then.
    """

    version: str = ""
    problem: str = ""
    fix: str = ""


def look() -> Engine:
    """Ask the engine for its version."""
    if shutil.which("docker") is None:
        return Engine(problem=NOT_INSTALLED, fix=how_to_install())
    try:
        version = run(["docker", "version", "--format", "{{.Server.Version}}"], timeout=ANSWER_TIME)
    except CommandError as error:
        if error.said is not None:
            return diagnose(error.said)
        return Engine(problem=f"the Docker engine does not answer within {ANSWER_TIME} s", fix=f"restart it: {start()}")
    if not version:
        return diagnose("")
    if _numbers(version) < _numbers(OLDEST):
        return Engine(problem=f"Docker is {version}", fix=f"install {OLDEST} or later: {how_to_install()}")
    return Engine(version=version)


def diagnose(message: str) -> Engine:
    """Return what is wrong with the engine, from what the Docker command line says about it."""
    said = message.lower()
    if "permission denied" in said:
        return Engine(problem="this user may not use the Docker engine (permission denied)", fix=SOCKET_GROUP)
    if any(words in said for words in ("cannot connect", "daemon running", "no such file", "connection refused")):
        return Engine(problem="the Docker engine is not running", fix=start())
    last = (message.strip().splitlines() or ["it said nothing"])[-1]
    return Engine(problem=f"the Docker engine can't be used: {last}", fix="see what `docker version` says")


def _numbers(version: str) -> tuple[int, ...]:
    return tuple(int(part) for part in version.split(".")[:2] if part.isdigit())


def is_wsl() -> bool:
    """Tell whether this is Windows' Linux."""
    return "microsoft" in platform.release().lower()


def start() -> str:
    """Return how the engine is started here."""
    if platform.system() == "Darwin":
        return "open -a Docker (or start your Colima, OrbStack or Rancher Desktop)"
    if is_wsl():
        return "start Docker Desktop with WSL integration on, or sudo service docker start"
    return "sudo systemctl start docker (without systemd: sudo service docker start)"


def how_to_install() -> str:
    """Return how Docker is installed here."""
    if platform.system() == "Darwin":
        return "install Docker Desktop (https://docs.docker.com/desktop/), or: brew install colima docker; colima start"
    if shutil.which("apt-get"):
        return f"sudo apt-get install docker.io && {SOCKET_GROUP}; as root: make up {INSTALL}=1"
    return "install Docker Engine (https://docs.docker.com/engine/install/)"


def offer() -> None:
    """Install Docker where it is missing and that can be done: as root, with apt, when the user agrees.

    The user agrees on the terminal, or with INSTALL_DOCKER=1. Nothing happens otherwise: the check that follows says
    what to do.

    Raises:
        LabError: it was to be installed and that failed.
    """
    if shutil.which("docker") or not may_install():
        return
    if os.environ.get(INSTALL) != "1" and not ask("Docker is missing. Install docker.io with apt-get now?"):
        return
    say("installing docker.io")
    _apt("update")
    _apt("install", "--yes", "docker.io")
    if shutil.which("docker") is None:
        # Since Debian 13 the command line is a package of its own.
        _apt("install", "--yes", "docker-cli")
    _start()


def may_install() -> bool:
    """Tell whether packages can be installed: by root, on a system with apt."""
    return os.geteuid() == 0 and shutil.which("apt-get") is not None


def _apt(*arguments: str) -> None:
    if show(["apt-get", *arguments], env={"DEBIAN_FRONTEND": "noninteractive"}):
        said = f"apt-get {' '.join(arguments)}"
        raise LabError(f"{said} failed", why="see above", fix=f"run it by hand, then make up {INSTALL}=1")


def _start() -> None:
    """Start the engine and wait until it answers."""
    starters = [["systemctl", "start", "docker"]] if Path("/run/systemd/system").exists() else []
    starters.append(["service", "docker", "start"])
    for command in starters:
        if shutil.which(command[0]) and show(command) == 0:
            break

    def answers() -> None:
        if problem := (engine := look()).problem:
            raise LabError(f"Docker has been installed, but {problem} after {START_TIME} s", fix=engine.fix)

    wait.until(answers, timeout=START_TIME, every=1)
