"""What Alertmanager tells of alerts, in the place of people: a webhook on this host that pods can reach."""

from __future__ import annotations

import ipaddress
import json
import subprocess
import threading
from contextlib import contextmanager
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Any

from tests.lab.lab import eventually

if TYPE_CHECKING:
    from collections.abc import Iterator


class Receiver(ThreadingHTTPServer):
    """Takes down what Alertmanager tells.

    Attributes:
        url: where it is told.
        answer: what it answers; what it does not answer with success, it was not told.
        told: all alerts so far, as Alertmanager has them.
    """

    def __init__(self, address: str) -> None:
        super().__init__((address, 0), _Told)
        self.url = f"http://{address}:{self.server_address[1]}/alerts"
        self.answer = HTTPStatus.OK
        self.told: list[dict[str, Any]] = []

    def waits(self, alert: str, status: str, seconds: float, **labels: str) -> None:
        """Wait until it is told of an alert with some labels, firing or resolved."""
        what = f"{alert} {labels or ''}, {status}, is told"
        eventually(what, lambda: self.has(alert, status, **labels), self._names, seconds)

    def has(self, alert: str, status: str, **labels: str) -> bool:
        """Tell whether it was told of an alert with some labels, firing or resolved."""
        wanted = {"alertname": alert, **labels}.items()
        return any(wanted <= each["labels"].items() and each["status"] == status for each in self.told)

    def _names(self) -> str:
        return str([(each["labels"]["alertname"], each["status"]) for each in self.told])


class _Told(BaseHTTPRequestHandler):
    server: Receiver

    def do_POST(self) -> None:
        said = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        if self.server.answer == HTTPStatus.OK:
            self.server.told += said["alerts"]
        self.send_response(self.server.answer)
        self.end_headers()

    def log_message(self, *_: object) -> None:
        """Say nothing."""


@contextmanager
def listening() -> Iterator[Receiver]:
    """Listen where pods can reach it: at this host's end of Docker's own network."""
    shown = ["docker", "network", "inspect", "bridge", "--format={{json (index .IPAM.Config 0)}}"]
    config = json.loads(subprocess.run(shown, capture_output=True, text=True, check=True).stdout)
    # An engine that has just made that network says its subnet alone, of which this end has the first address.
    address = config.get("Gateway") or str(ipaddress.ip_network(config["Subnet"])[1])
    server = Receiver(address)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield server
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
