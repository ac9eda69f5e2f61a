"""SSH from this host to a machine, with the system's own client: one command, bounded, the host's key checked."""

from __future__ import annotations

import os
import subprocess
import tempfile
from contextlib import contextmanager
from dataclasses import dataclass, fields
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from components.core.errors import LabError
from components.core.run import run

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

CONNECT: Final = 10  # seconds
KEY_TYPE: Final = "ecdsa-sha2-nistp256"


@dataclass(frozen=True, kw_only=True)
class Login:
    """How to get into a machine.

    Attributes:
        address: IPv4 address or host name.
        user: who logs in.
        private_key: in OpenSSH's or PEM form; a secret.
        host_key: the machine's own public key, as ``TYPE BASE64``.
    """

    address: str
    user: str
    private_key: str
    host_key: str


def login(props: Mapping[str, Any]) -> Login:
    """Return the way into the machine of a dynamic resource, which has ``VagrantMachine.login`` among its inputs."""
    return Login(**{field.name: props[field.name] for field in fields(Login)})


@contextmanager
def client(login: Login) -> Iterator[list[str]]:
    """Give the command line of an SSH client that is ready to log in; what follows it is run there.

    The key lies in a folder that only its owner can read, for as long as the context lasts.
    """
    with tempfile.TemporaryDirectory(prefix="iot-") as folder:
        key, known = Path(folder) / "key", Path(folder) / "known_hosts"
        for path, content in ((key, login.private_key), (known, f"{login.address} {login.host_key}")):
            with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w", encoding="utf-8") as file:
                file.write(content.rstrip("\n") + "\n")
        yield [*options(key, known), "-o", "StrictHostKeyChecking=yes", f"{login.user}@{login.address}"]


def options(key: Path, known_hosts: Path) -> list[str]:
    """Return an SSH client's command line that uses these files and nothing of the user's."""
    settings = {
        "IdentityFile": f'"{key}"',
        "UserKnownHostsFile": f'"{known_hosts}"',
        "GlobalKnownHostsFile": "/dev/null",
        "IdentitiesOnly": "yes",
        "HostKeyAlgorithms": KEY_TYPE,
        "BatchMode": "yes",
        "ConnectTimeout": str(CONNECT),
        "ServerAliveInterval": "15",
        "LogLevel": "ERROR",
    }
    return ["ssh", "-F", "/dev/null", *(word for key, value in settings.items() for word in ("-o", f"{key}={value}"))]


def command(login: Login, line: str, *, timeout: float, given: str = "") -> str:
    """Run a shell line on the machine and return what it printed.

    Args:
        login: the machine.
        line: for the machine's shell.
        timeout: seconds until it is given up.
        given: what it reads.

    Raises:
        CommandError: it can't be reached, or the line failed or took too long.
    """
    with client(login) as ssh:
        return run([*ssh, line], timeout=timeout, given=given)


def stream(source: list[str], login: Login, line: str, *, timeout: float) -> None:
    """Send what a program here prints into a shell line on the machine.

    Args:
        source: the program here and its arguments.
        login: the machine.
        line: for the machine's shell; it reads the data.
        timeout: seconds until both are ended.

    Raises:
        LabError: one of them failed, or they took too long.
    """
    with client(login) as ssh, tempfile.TemporaryFile() as complaints:
        sender = subprocess.Popen(source, stdout=subprocess.PIPE, stderr=complaints)  # noqa: S603 - arguments, no shell
        try:
            receiver = subprocess.run(  # noqa: S603 - arguments, no shell
                [*ssh, line], stdin=sender.stdout, stdout=complaints, stderr=complaints, timeout=timeout, check=False
            )
            if sender.stdout:
                sender.stdout.close()
            sent = sender.wait(timeout=CONNECT)
        except subprocess.TimeoutExpired as error:
            raise LabError(f"`{' '.join(source[:3])}` to {login.address} did not end within {timeout:.0f} s") from error
        finally:
            sender.kill()
            sender.wait()
        if sent or receiver.returncode:
            complaints.seek(0)
            last = complaints.read().decode(errors="replace").strip().splitlines()[-5:]
            raise LabError(
                f"`{' '.join(source[:3])}` to {login.address} failed with exit codes {sent} and {receiver.returncode}",
                why="it said: " + " | ".join(last),
            )
