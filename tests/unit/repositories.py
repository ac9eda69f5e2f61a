"""Real Git repositories for tests: bare on disk, or behind HTTP with a password, served by Git's own http-backend."""

from __future__ import annotations

import base64
import os
import subprocess
import threading
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

WHO = ["-c", "user.name=someone", "-c", "user.email=someone@localhost.localdomain"]


def git(folder: Path, *args: str) -> str:
    done = subprocess.run(["git", *WHO, *args], cwd=folder, capture_output=True, text=True, check=True)
    return done.stdout.strip()


def bare(folder: Path, files: Mapping[str, str]) -> Path:
    """Make a bare repository with a branch main that has some files."""
    folder.mkdir(parents=True)
    git(folder, "init", "--quiet", "--bare", "--initial-branch=main", ".")
    # Readers may ask for commits by shallow clones, and HTTP may write.
    git(folder, "config", "http.receivepack", "true")
    commit(folder, files, "Begin")
    return folder


def commit(repository: Path, files: Mapping[str, str], message: str) -> str:
    """Commit files to main as somebody else would, and return the commit's ID."""
    work = repository.parent / f"work-{message.replace(' ', '-')}"
    git(repository.parent, "clone", "--quiet", str(repository), str(work))
    git(work, "checkout", "-q", "-B", "main")
    for name, text in files.items():
        path = work / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(text.encode())
    git(work, "add", ".")
    git(work, "commit", "--quiet", "--message", message)
    git(work, "push", "--quiet", "origin", "main")
    return git(work, "rev-parse", "HEAD")


def show(repository: Path, path: str, revision: str = "main") -> str:
    """Return a file of a repository, byte by byte."""
    done = subprocess.run(["git", "show", f"{revision}:{path}"], cwd=repository, capture_output=True, check=True)
    return done.stdout.decode()


@contextmanager
def served(repository: Path, users: Mapping[str, str], *, writers: tuple[str, ...] = ()) -> Iterator[str]:
    """Serve a repository over HTTP with Basic authentication; give its URL.

    Args:
        repository: a bare one.
        users: passwords by user.
        writers: those users who may push.
    """

    class Handler(BaseHTTPRequestHandler):
        def log_message(self, *_: object) -> None:
            pass

        def do_GET(self) -> None:
            self._serve()

        def do_POST(self) -> None:
            self._serve()

        def _user(self) -> str | None:
            scheme, _, value = (self.headers.get("Authorization") or "").partition(" ")
            user, _, password = base64.b64decode(value).decode().partition(":") if scheme == "Basic" else ("", "", "")
            return user if users.get(user) == password and user else None

        def _serve(self) -> None:
            user = self._user()
            if user is None:
                self.send_response(401)
                self.send_header("WWW-Authenticate", 'Basic realm="test"')
                self.send_header("Content-Length", "0")
                self.end_headers()
                return
            if "git-receive-pack" in self.path and user not in writers:
                self.send_response(403)
                self.send_header("Content-Length", "0")
                self.end_headers()
                return
            self._answer(user)

        def _answer(self, user: str) -> None:
            path, _, query = self.path.partition("?")
            env = os.environ | {
                "GIT_PROJECT_ROOT": str(repository.parent),
                "GIT_HTTP_EXPORT_ALL": "1",
                "REQUEST_METHOD": self.command,
                "PATH_INFO": path,
                "QUERY_STRING": query,
                "CONTENT_TYPE": self.headers.get("Content-Type", ""),
                "HTTP_CONTENT_ENCODING": self.headers.get("Content-Encoding", ""),
                "GIT_PROTOCOL": self.headers.get("Git-Protocol", ""),
                "REMOTE_USER": user,
            }
            body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
            done = subprocess.run(["git", "http-backend"], env=env, input=body, capture_output=True, check=True)
            head, _, content = done.stdout.partition(b"\r\n\r\n")
            headers = dict(line.split(": ", 1) for line in head.decode().split("\r\n"))
            self.send_response(int(headers.pop("Status", "200").split()[0]))
            for key, value in headers.items():
                self.send_header(key, value)
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

    with _listening(Handler) as url:
        yield f"{url}/{repository.name}"


@contextmanager
def stranger(sends_to: str = "") -> Iterator[tuple[str, list[str]]]:
    """Serve no repository; give the URL, and the Authorization header of each request, "" where it has none.

    Args:
        sends_to: where it sends everybody; "" asks for a password instead.
    """
    told: list[str] = []

    class Handler(BaseHTTPRequestHandler):
        def log_message(self, *_: object) -> None:
            pass

        def do_GET(self) -> None:
            told.append(self.headers.get("Authorization") or "")
            self.send_response(302 if sends_to else 401)
            self.send_header("WWW-Authenticate", 'Basic realm="test"')
            self.send_header("Location", sends_to + self.path.removeprefix("/iot.git"))
            self.send_header("Content-Length", "0")
            self.end_headers()

    with _listening(Handler) as url:
        yield f"{url}/iot.git", told


@contextmanager
def _listening(handler: type[BaseHTTPRequestHandler]) -> Iterator[str]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
