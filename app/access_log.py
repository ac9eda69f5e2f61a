"""One line of JSON per answered request, for `kubectl logs` and whatever collects it."""

from __future__ import annotations

import json
import logging
import sys
import time
from datetime import datetime, timezone
from http import HTTPStatus
from typing import TYPE_CHECKING

from flask import Flask, Response, g, request

if TYPE_CHECKING:
    from collections.abc import Collection

PROBE_PATH = "/healthz"
_logger = logging.getLogger(__name__)


def write_to_stdout() -> None:
    """Send the access log to standard output, bare lines; gunicorn's own messages go to standard error.

    To be called once per process, by whoever runs the server: which stream is used is not the app's business.
    """
    handler = logging.StreamHandler(sys.stdout)
    handler.setFormatter(logging.Formatter("%(message)s"))
    _logger.addHandler(handler)
    _logger.setLevel(logging.INFO)
    _logger.propagate = False


def attach(flask_app: Flask, *, quiet: Collection[str] = ()) -> None:
    """Log every request that this app answers, but for the probes that went well, and other quiet ones.

    A line has time (UTC, ISO 8601), method, path (without the query, which may hold what is nobody's business),
    status, duration_ms, host (the Host header) and client (the peer's address: the proxy's, if there is one).

    Args:
        flask_app: the app.
        quiet: paths that are asked for again and again, besides the probes'.
    """
    unheard = {PROBE_PATH, *quiet}

    @flask_app.before_request
    def start_clock() -> None:
        g.started_at = time.perf_counter()

    @flask_app.after_request
    def log(response: Response) -> Response:
        # Two probes every few seconds would bury everything else; a failing one is news.
        if request.path not in unheard or response.status_code >= HTTPStatus.BAD_REQUEST:
            _logger.info("%s", _line(response))
        return response


def _line(response: Response) -> str:
    # json.dumps escapes line ends and control characters, so that no request can forge a line of its own.
    return json.dumps(
        {
            "time": datetime.now(timezone.utc).isoformat(timespec="milliseconds"),
            "method": request.method,
            "path": request.path,
            "status": response.status_code,
            "duration_ms": round((time.perf_counter() - g.started_at) * 1000, 1),
            "host": request.headers.get("Host", ""),
            "client": request.remote_addr,
        }
    )
