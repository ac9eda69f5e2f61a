"""A site on loopback that stands in for the official ones, and a PATH with little on it."""

from __future__ import annotations

import re
import shutil
import threading
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@dataclass
class Site:
    """A web site: its files by path, whether it serves parts of them, and what it was asked for.

    Attributes:
        files: content by path, which begins with a slash.
        ranges: whether a part of a file can be had.
        asked: the path and the Range header ("" without one) of each request.
        url: its address.
    """

    files: dict[str, bytes] = field(default_factory=dict)
    ranges: bool = True
    asked: list[tuple[str, str]] = field(default_factory=list)
    url: str = ""


@contextmanager
def served() -> Iterator[Site]:
    """Serve a site, without files at first."""
    content = Site()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            wanted = self.headers.get("Range", "")
            content.asked.append((self.path, wanted))
            body = content.files.get(self.path)
            if body is None:
                self.send_error(404)
                return
            part = re.fullmatch(r"bytes=(\d+)-", wanted) if content.ranges else None
            start = int(part[1]) if part else 0
            self.send_response(206 if part else 200)
            if part:
                self.send_header("Content-Range", f"bytes {start}-{len(body) - 1}/{len(body)}")
            self.send_header("Content-Length", str(len(body) - start))
            self.end_headers()
            self.wfile.write(body[start:])

        def log_message(self, *_: object) -> None:
            """Keep quiet."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        content.url = f"http://127.0.0.1:{server.server_port}"
        yield content
        server.shutdown()
        thread.join()


def link_commands(folder: Path, *names: str) -> None:
    """Make a folder with links to these commands of this machine, to be all that PATH has."""
    folder.mkdir()
    for name in names:
        found = shutil.which(name)
        assert found, f"{name} is needed for this test"
        (folder / name).symlink_to(found)


def write_command(folder: Path, name: str, text: str) -> Path:
    """Write a script that stands in for a command: a whole one, or what it says."""
    folder.mkdir(parents=True, exist_ok=True)
    command = folder / name
    command.unlink(missing_ok=True)
    command.write_text(text if text.startswith("#!") else f"#!/bin/sh\necho '{text}'\n", encoding="utf-8")
    command.chmod(0o755)
    return command
