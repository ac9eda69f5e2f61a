"""A Docker engine of the tests' own on a small disk of its own, which may be stopped, and filled.

It takes root and Linux. It is in a network namespace of its own, as a second engine beside the one that is there would
take away its bridge; what is to reach what it runs has to be in there as well.
"""

from __future__ import annotations

import os
import shutil
import subprocess
from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING, Final

from tests.lab.lab import eventually

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

PROGRAMS: Final = ("dockerd", "ip", "nsenter", "mkfs.ext4", "mount")
NAMESPACE: Final = "iot-test"
INSIDE: Final = ("nsenter", f"--net=/run/netns/{NAMESPACE}")  # before a command that is to be in it
SIZE: Final = "10G"  # of its disk, of which it takes from the host's what is written
END: Final = 60  # seconds
MIB: Final = 1 << 20


def can() -> bool:
    """Tell whether this user may have one."""
    return os.geteuid() == 0 and all(map(shutil.which, PROGRAMS))


class Engine:
    """The engine.

    Args:
        folder: for its socket, its log, and, mounted there, its disk.
    """

    def __init__(self, folder: Path) -> None:
        self._folder, self.disk = folder, folder / "disk"
        self.url = f"unix://{folder}/docker.sock"
        self._process: subprocess.Popen[bytes] | None = None

    def docker(self, *arguments: str) -> str:
        """Run a Docker command on it, and return what it printed."""
        return subprocess.run(self._command(*arguments), check=True, capture_output=True, text=True, timeout=60).stdout

    def start(self) -> None:
        """Start it, and wait until it answers."""
        where = [f"--data-root={self.disk}/docker", f"--exec-root={self._folder}/run", f"--host={self.url}"]
        command = [*INSIDE, "dockerd", *where, f"--pidfile={self._folder}/pid"]
        with (self._folder / "log").open("ab") as log:
            self._process = subprocess.Popen(command, stdout=log, stderr=log)
        eventually("the engine answers", self._answers, self._log)

    def stop(self) -> None:
        """Stop it with all that it runs, as a Docker that is quit does."""
        if self._process:
            self._process.terminate()
            self._process.wait(timeout=END)
            self._process = None

    def fill(self) -> Path:
        """Write to its disk until it is full, and return what is to be removed to have room again."""
        filler = self.disk / "filler"
        room = shutil.disk_usage(self.disk).free - MIB
        run("fallocate", f"--length={room}", str(filler))
        return filler

    def load(self, images: list[str]) -> None:
        """Bring it images of the engine that is there already."""
        with subprocess.Popen(["docker", "save", *images], stdout=subprocess.PIPE) as saved:
            subprocess.run(self._command("load", "--quiet"), stdin=saved.stdout, check=True, timeout=600)
        assert saved.returncode == 0, images

    def _command(self, *arguments: str) -> list[str]:
        return ["docker", f"--host={self.url}", *arguments]

    def _answers(self) -> bool:
        return not subprocess.run(self._command("ps"), check=False, capture_output=True, timeout=60).returncode

    def _log(self) -> str:
        return (self._folder / "log").read_text(encoding="utf-8")[-2000:]


@contextmanager
def engine(folder: Path, images: list[str]) -> Iterator[Engine]:
    """Have an engine with some images of the engine that is there already.

    Args:
        folder: an empty one.
        images: with their tags.
    """
    made = Engine(folder)
    made.disk.mkdir()
    file = folder / "disk.img"
    with ExitStack() as stack:
        run("truncate", f"--size={SIZE}", str(file))
        stack.callback(file.unlink)
        run("mkfs.ext4", "-q", "-F", str(file))
        run("mount", "-o", "loop", str(file), str(made.disk))
        stack.callback(run, "umount", "--recursive", str(made.disk))  # Docker mounts a folder of it on itself
        run("ip", "netns", "add", NAMESPACE)
        stack.callback(run, "ip", "netns", "delete", NAMESPACE)
        run(*INSIDE, "ip", "link", "set", "lo", "up")
        stack.callback(made.stop)
        made.start()
        made.load(images)
        yield made


def run(*command: str) -> None:
    """Run a program of the host's."""
    subprocess.run(command, check=True, capture_output=True, timeout=120)
