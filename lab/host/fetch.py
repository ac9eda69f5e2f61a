"""Downloads: with progress, resumed where the last attempt ended, and checked against a checksum before use."""

from __future__ import annotations

import hashlib
import os
import shutil
import sys
from typing import TYPE_CHECKING, Final

from components.core.errors import LabError
from components.core.run import show
from lab.host.console import say
from lab.host.environment import MIRROR
from lab.host.paths import OFFLINE, OFFLINE_DEFAULT

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

# curl gives up when it can't connect for 20 s or gets less than 1 KiB/s for a minute; it tries four times in all.
CURL: Final = (
    *("curl", "--fail", "--location", "--continue-at", "-", "--retry", "3"),
    *("--connect-timeout", "20", "--speed-limit", "1024", "--speed-time", "60"),
)
# curl: "the server does not do range requests", and "the range was refused". https://curl.se/libcurl/c/libcurl-errors.html
NO_RANGE: Final = (33, 36)


def mirrored(url: str) -> str:
    """Return where an official address is fetched from: there, or from the mirror that IOT_MIRROR names."""
    mirror = os.environ.get(MIRROR, "").rstrip("/")
    return f"{mirror}/{url.removeprefix('https://')}" if mirror else url


def sha256(path: Path) -> str:
    """Return the SHA-256 of a file, in hexadecimal."""
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while chunk := file.read(1 << 20):
            digest.update(chunk)
    return digest.hexdigest()


def download(what: str, url: str, checksum: str, target: Path, *, instead: Sequence[str]) -> None:
    """Fetch a file, unless it is there.

    Args:
        what: what it is, for messages.
        url: its official address.
        checksum: its SHA-256, in hexadecimal; empty where it is not known.
        target: where it goes. Only a file with that checksum is ever put there; a part of it waits beside it.
        instead: what the user can do without this download, for the error.

    Raises:
        LabError: it can't be reached, or is not the expected file.
    """
    if target.exists() and sha256(target) == checksum:
        return
    target.parent.mkdir(parents=True, exist_ok=True)
    part = target.with_name(f"{target.name}.part")
    source = mirrored(url)
    if not checksum:
        part.unlink(missing_ok=True)  # nothing tells whether it is whole
    if not (part.exists() and sha256(part) == checksum):
        say(f"fetching {what} from {source}" + (f", from byte {part.stat().st_size} on" if part.exists() else ""))
        _curl(what, source, part, instead)
    found = sha256(part)
    if checksum and found != checksum:
        part.unlink()
        raise LabError(
            f"{what} from {source} is not the expected file: its SHA-256 is {found}",
            why=f"{checksum} was expected. It has been removed",
            fix="run the same again; if it stays, the server or something on the way to it hands out another file",
        )
    part.replace(target)


def _curl(what: str, source: str, part: Path, instead: Sequence[str]) -> None:
    if shutil.which("curl") is None:
        raise LabError(f"{what} can't be fetched: curl is missing", fix="install curl (Debian: apt-get install curl)")
    progress = ["--progress-bar"] if sys.stderr.isatty() else ["--silent", "--show-error"]
    command = [*CURL, *progress, "--output", str(part), source]
    code = show(command)
    if code in NO_RANGE:
        part.unlink(missing_ok=True)
        code = show(command)
    if code:
        raise unreachable([f"{what} from {source}"], f"curl ended with code {code}, see above", instead)


def unreachable(what: Sequence[str], why: str, instead: Sequence[str]) -> LabError:
    """Return the error for something that could not be fetched, with the ways around it.

    Args:
        what: what could not be fetched, with the address of each.
        why: what went wrong.
        instead: what the user can do without it.
    """
    ways = [
        *instead,
        f"set {MIRROR} to a mirror of the official sites: https://HOST/PATH is then fetched from ${MIRROR}/HOST/PATH",
        f"without a network, a folder {OFFLINE_DEFAULT} (or {OFFLINE}) with bin/ and charts/ is used as it is",
        "run the same again: what has arrived is kept, and the rest is fetched",
    ]
    lines = "".join(f"\n  - {way}" for way in ways)
    return LabError(
        f"could not fetch {', '.join(what)}",
        why=f"{why}. `make test` and `make plan` work without it",
        fix=f"one of these:{lines}",
    )
