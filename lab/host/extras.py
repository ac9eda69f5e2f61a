"""Virtual environments beside .venv, in .lab/extras, for tools whose packages can't live with the program's."""

from __future__ import annotations

import os
import subprocess
import sys
from typing import TYPE_CHECKING, Final

from components.core.errors import LabError
from lab.host import paths
from lab.host.console import say

if TYPE_CHECKING:
    from pathlib import Path

FOLDER: Final = paths.LAB / "extras"
LOCKS: Final = {
    "checkov": paths.ROOT / "devtools" / "checks" / "requirements.txt",
    "policy": paths.ROOT / "policy" / "requirements.txt",
}
INSTALL: Final = 900  # seconds; checkov brings a hundred packages


def environment(name: str) -> Path:
    """Return the folder of an environment, whether it is there or not."""
    return FOLDER / name


def is_current(name: str) -> bool:
    """Tell whether an environment was made here from its lock as it is now."""
    record = environment(name) / "lock.txt"
    return record.is_file() and record.read_text(encoding="utf-8") == _record(name)


def _record(name: str) -> str:
    # The folder and the interpreter belong to it: an environment can't be moved.
    return f"# {environment(name)} {sys.base_prefix}\n{LOCKS[name].read_text(encoding='utf-8')}"


def ensure(name: str) -> Path:
    """Make an environment from its lock unless that was done already; return its folder.

    Raises:
        LabError: its packages can't be installed; says how to get them.
    """
    folder, lock = environment(name), LOCKS[name].relative_to(paths.ROOT)
    if is_current(name):
        return folder
    say(f"installing the packages of {lock} into {folder.relative_to(paths.ROOT)}")
    # The system's certificates, as pip takes them: a company's network may have one of its own.
    uv = [sys.executable, "-m", "uv", "--no-config", "--quiet", "--system-certs"]
    subprocess.run([*uv, "venv", "--clear", "--python", sys.executable, str(folder)], cwd=paths.ROOT, check=True)
    done = subprocess.run(
        [*uv, "pip", "install", "--python", str(folder), "--require-hashes", *_source(), "--requirement", str(lock)],
        cwd=paths.ROOT,
        capture_output=True,
        text=True,
        timeout=INSTALL,
        check=False,
    )
    if done.returncode:
        raise LabError(
            f"uv could not install the packages of {lock}",
            why=done.stderr.strip()[-2000:],
            fix="run the same again; behind a mirror, set PIP_INDEX_URL; without a network, put the wheels into "
            f"{(paths.offline() or paths.OFFLINE_DEFAULT) / 'wheels'}",
        )
    (folder / "lock.txt").write_text(_record(name), encoding="utf-8")
    return folder


def _source() -> list[str]:
    """Return uv's options for where packages come from: the same places that pip is told of."""
    offline = paths.offline()
    if offline and (offline / "wheels").is_dir():
        return ["--no-index", "--find-links", str(offline / "wheels")]
    index = os.environ.get("PIP_INDEX_URL")
    return ["--default-index", index] if index else []
