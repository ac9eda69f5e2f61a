"""What tells this host from others: its name changes with the network that a laptop is in, this does not."""

from __future__ import annotations

import hashlib
import platform
import re
import secrets
from functools import cache
from pathlib import Path
from typing import Final

from components.core.run import CommandError, run

MACHINE_ID: Final = Path("/etc/machine-id")
# For a host without an identity of its own: one that goes with the project's state.
OWN_ID: Final = Path(__file__).resolve().parents[2] / ".lab" / "host-id"
ANSWER: Final = 20.0  # seconds


@cache
def whereabouts() -> dict[str, str]:
    """Return the host's identity (``host``), and its name for messages (``name``)."""
    # Hashed, as machine-id(5) asks for: the identity itself is not to leave the host, and states do.
    identity = hashlib.sha256(f"iot {_identity()}".encode()).hexdigest()[:16]
    return {"host": identity, "name": platform.node()}


def is_here(then: dict[str, str]) -> bool:
    """Say whether this is the host that said ``then`` of itself."""
    return then["host"] == whereabouts()["host"]


def _identity() -> str:
    """Return what the system calls the host: systemd's machine ID, or the hardware's on macOS."""
    found = MACHINE_ID.read_text(encoding="utf-8").strip() if MACHINE_ID.is_file() else ""
    if len(found) == 32:  # noqa: PLR2004 - machine-id(5); before the first boot it is empty or "uninitialized"
        return found
    try:
        said = run(["ioreg", "-rd1", "-c", "IOPlatformExpertDevice"], timeout=ANSWER)
    except CommandError:
        said = ""
    if uuid := re.search(r'"IOPlatformUUID" = "([^"]+)"', said):
        return uuid[1]
    if not OWN_ID.exists():
        OWN_ID.parent.mkdir(parents=True, exist_ok=True)
        OWN_ID.write_text(secrets.token_hex(16), encoding="utf-8")
    return OWN_ID.read_text(encoding="utf-8")
