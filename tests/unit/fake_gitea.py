"""A Gitea that keeps what it is told in memory, and its repositories in a folder, which Git itself serves."""

from __future__ import annotations

import base64
import json
import os
import re
import subprocess
import threading
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote, urlsplit

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

TOKEN = "begun"  # what the script beside it has printed


def _env() -> dict[str, str]:
    """Return an environment without what Git itself reads: it is that of another machine."""
    return {key: value for key, value in os.environ.items() if not key.startswith("GIT_")}


class FakeGitea:
    """What it has.

    Attributes:
        folder: of its repositories, below their owners.
        port: where it answers, on this host.
        passwords: by user; the administrator is there from the beginning, with a password that nobody knows.
        tokens: names of the administrator's tokens.
        members: rights by repository and user.
        rules: protections by repository and branch.
        tags: protections by repository.
        hooks: by repository.
        requests: every one that changed something: method, path and body.
        deaf: how many looks at its health it leaves unanswered.
    """

    def __init__(self, folder: Path) -> None:
        self.folder, self.port, self.deaf = folder, 0, 0
        self.passwords: dict[str, str] = {"iot": "random"}
        self.tokens = ["setup-1", "theirs"]
        self.members: dict[str, dict[str, str]] = {}
        self.rules: dict[str, dict[str, dict[str, Any]]] = {}
        self.tags: dict[str, list[dict[str, Any]]] = {}
        self.hooks: dict[str, list[dict[str, Any]]] = {}
        self.requests: list[tuple[str, str, dict[str, Any]]] = []

    def git(self, repository: str, *arguments: str) -> str:
        """Run Git in a repository, such as iot/iot."""
        command = ["git", "-C", str(self.folder / f"{repository}.git"), *arguments]
        return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()

    def answer(self, method: str, path: str, body: dict[str, Any]) -> tuple[int, Any]:
        """Return the status and what is answered by the API."""
        if method != "GET":
            self.requests.append((method, path, body))
        for pattern, handler in (
            (r"/user", lambda: (200, {})),
            (r"/users/iot/tokens", lambda: (200, [{"name": each} for each in self.tokens])),
            (r"/users/iot/tokens/([\w-]+)", self._drop_token),
            (r"/users/([\w-]+)", lambda name: (200 if name in self.passwords else 404, {})),
            (r"/admin/users", lambda: self._user(body["username"], body)),
            (r"/admin/users/([\w-]+)", lambda name: self._user(name, body)),
            (r"/user/repos", lambda: self._repository(body["name"])),
            (r"/repos/iot/([\w-]+)", lambda name: (200 if name in self.members else 404, {})),
            (r"/repos/iot/([\w-]+)/collaborators/([\w-]+)", lambda name, user: self._member(name, user, body)),
            (
                r"/repos/iot/([\w-]+)/branch_protections(?:/(.+))?",
                lambda name, rule: self._protect(method, name, rule or "", body),
            ),
            (r"/repos/iot/([\w-]+)/tag_protections", lambda name: self._tags(method, name, body)),
            (r"/repos/iot/([\w-]+)/hooks(?:/(\d+))?", lambda name, number: self._hook(method, name, number, body)),
        ):
            match = re.fullmatch(pattern, path)
            if match:
                found: tuple[int, Any] = handler(*(each and unquote(each) for each in match.groups()))
                return found
        return 404, {"message": f"not expected: {method} {path}"}

    def _drop_token(self, name: str) -> tuple[int, Any]:
        self.tokens.remove(name)
        return 204, None

    def _user(self, name: str, body: dict[str, Any]) -> tuple[int, Any]:
        self.passwords[name] = body["password"]
        return 201, {}

    def _repository(self, name: str) -> tuple[int, Any]:
        self.members[name] = {}
        path = self.folder / "iot" / f"{name}.git"
        for command in (["init", "--quiet", "--bare", "--initial-branch=main"], ["-C", str(path), "config"]):
            more = [str(path)] if command[0] == "init" else ["http.receivepack", "true"]
            subprocess.run(["git", *command, *more], check=True, env=_env())
        return 201, {}

    def _member(self, name: str, user: str, body: dict[str, Any]) -> tuple[int, Any]:
        if user not in self.passwords:
            return 422, {"message": f"user {user} does not exist"}
        self.members[name][user] = body["permission"]
        return 204, None

    def _protect(self, method: str, name: str, rule: str, body: dict[str, Any]) -> tuple[int, Any]:
        rules = self.rules.setdefault(name, {})
        if method == "GET":
            return 200, list(rules.values())
        if method == "POST" and body["rule_name"] in rules:
            return 403, {"message": "there is such a rule"}
        if method == "PATCH" and rule not in rules:
            return 404, {"message": "there is no such rule"}
        branch = rule or body["rule_name"]
        rules[branch] = rules.get(branch, {}) | body
        return 200, rules[branch]

    def _tags(self, method: str, name: str, body: dict[str, Any]) -> tuple[int, Any]:
        tags = self.tags.setdefault(name, [])
        if method == "GET":
            return 200, tags
        tags.append(body)
        return 201, body

    def _hook(self, method: str, name: str, number: str | None, body: dict[str, Any]) -> tuple[int, Any]:
        hooks = self.hooks.setdefault(name, [])
        if method == "GET":
            return 200, hooks
        if method == "DELETE":
            hooks[:] = [each for each in hooks if each["id"] != int(number or 0)]
            return 204, None
        hooks.append({"id": len(self.requests) + 100, **body})
        return 201, {}


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    fake: FakeGitea

    def log_message(self, *_: object) -> None:
        pass

    def _user(self) -> str:
        """Return who asks; empty for nobody."""
        kind, _, rest = self.headers.get("Authorization", "").partition(" ")
        if kind == "token":
            return "iot" if rest == TOKEN else ""
        user, _, password = base64.b64decode(rest).decode().partition(":") if rest else ("", "", "")
        return user if user and self.fake.passwords.get(user) == password else ""

    def _send(self, status: int, body: bytes, headers: dict[str, str] | None = None) -> None:
        self.send_response(status)
        for key, value in {"Content-Length": str(len(body)), **(headers or {})}.items():
            self.send_header(key, value)
        self.end_headers()
        self.wfile.write(body)

    def _any(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        parts = urlsplit(self.path)
        if parts.path == "/api/healthz":
            self.fake.deaf -= 1
            self._send(503 if self.fake.deaf >= 0 else 200, b"")
        elif not self._user():
            self._send(401, b"{}", {"WWW-Authenticate": 'Basic realm="Gitea"'})
        elif parts.path.startswith("/api/v1/"):
            path = parts.path.removeprefix("/api/v1")
            status, said = self.fake.answer(self.command, path, json.loads(body or b"{}"))
            self._send(status, b"" if status == 204 else json.dumps(said).encode())
        else:
            self._git(parts.path, parts.query, body)

    def _git(self, path: str, query: str, body: bytes) -> None:
        env = _env() | {
            "GIT_PROJECT_ROOT": str(self.fake.folder),
            "GIT_HTTP_EXPORT_ALL": "1",
            "REMOTE_USER": self._user(),
            "REQUEST_METHOD": self.command,
            "PATH_INFO": path,
            "QUERY_STRING": query,
            "CONTENT_TYPE": self.headers.get("Content-Type", ""),
            "HTTP_CONTENT_ENCODING": self.headers.get("Content-Encoding", ""),
            "CONTENT_LENGTH": str(len(body)),
        }
        done = subprocess.run(["git", "http-backend"], input=body, env=env, capture_output=True, check=False)
        head, _, content = done.stdout.partition(b"\r\n\r\n")
        headers = dict(line.split(": ", 1) for line in head.decode().split("\r\n") if ": " in line)
        self._send(int(headers.pop("Status", "200").split()[0]), content, headers)

    def __getattr__(self, name: str) -> Callable[[], None]:
        """Answer every method alike."""
        if name.startswith("do_"):
            return self._any
        raise AttributeError(name)


@contextmanager
def served(fake: FakeGitea) -> Iterator[FakeGitea]:
    """Let it answer on a port of this host."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), type("Bound", (_Handler,), {"fake": fake}))
    fake.port = server.server_port
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
    thread.start()
    try:
        yield fake
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
