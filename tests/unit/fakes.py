"""Stand-ins for what the lab's commands ask: an app that says a version, and a kubectl that knows some objects."""

from __future__ import annotations

import copy
import json
import sys
import threading
from contextlib import contextmanager
from functools import cache
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Any

from devtools import graph
from lab.host import paths

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

KUBECTL = """\
#!{python}
import json, pathlib, sys
objects = json.loads(pathlib.Path({objects!r}).read_text())
words = [word for word in sys.argv[1:] if not word.startswith("--")]
# As kubectl, which knows only its own flags before the command.
early = {{word.partition("=")[0] for word in sys.argv[1 : sys.argv.index(words[0])]}}
if early - {{"--kubeconfig", "--cache-dir", "--request-timeout", "--namespace", "--context"}}:
    sys.exit("Error: flags cannot be placed before plugin name: " + " ".join(sorted(early)))
if "--watch" in sys.argv:
    for line in objects["watch"]:
        print(line, flush=True)
    sys.stdin.close()
    import signal
    signal.pause()
what = " ".join(words[1:])
if what not in objects:
    sys.exit("The connection to the server localhost:6550 was refused - did you specify the right host or port?")
if isinstance(objects[what], str):
    sys.exit(objects[what])
print(json.dumps(objects[what]))
"""
# The last line of what kubectl 1.36 says of a certificate that is for another time; lines of its log are before it.
OTHER_TIME = (
    "Unable to connect to the server: tls: failed to verify certificate: x509: certificate has expired or is not yet "
    "valid: current time 2026-11-29T12:14:28Z is before 2026-11-30T12:14:28Z"
)


def outputs(stack: str, **settings: Any) -> dict[str, Any]:  # noqa: ANN401 - any JSON
    """Return what the program exports for a stack, as `pulumi stack output --show-secrets` gives it."""
    return copy.deepcopy(_outputs(stack, json.dumps(settings)))


@cache
def _outputs(stack: str, settings: str) -> dict[str, Any]:
    made = graph.build(stack, paths.ROOT, json.loads(settings))
    return {
        name: value["secret"] if isinstance(value, dict) and set(value) == {"secret"} else value
        for name, value in made.outputs.items()
    }


def kubectl(folder: Path, objects: dict[str, Any]) -> None:
    """Put a kubectl into a folder that knows objects by what it is asked for, such as "nodes".

    A text instead of an object is what it says when it fails.
    """
    data = folder / "objects.json"
    data.write_text(json.dumps(objects), encoding="utf-8")
    program = folder / "kubectl"
    program.write_text(KUBECTL.format(python=sys.executable, objects=str(data)), encoding="utf-8")
    program.chmod(0o755)


@contextmanager
def app(says: Callable[[str], tuple[int, str]]) -> Iterator[str]:
    """Serve an app; give its URL.

    Args:
        says: is given the Host header and returns a status and a body.
    """

    class Handler(BaseHTTPRequestHandler):
        def log_message(self, *_: object) -> None:
            pass

        def do_GET(self) -> None:
            status, body = says(self.headers.get("Host", ""))
            self.send_response(status)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body.encode())

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}/"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def version(name: str) -> tuple[int, str]:
    """Return what the app says as a version."""
    return 200, json.dumps({"status": "ok", "message": name})
