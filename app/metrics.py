"""What Prometheus is told at ``/metrics``: how many requests were answered, how, and how fast."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Final

from flask import Flask, Response, g, request
from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, Histogram, Info, ProcessCollector, generate_latest

if TYPE_CHECKING:
    from collections.abc import Collection

PATH: Final = "/metrics"
# A client may send any word as a method, and each would be a series of its own.
_METHODS: Final = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})


def attach(flask_app: Flask, version: str, *, uncounted: Collection[str]) -> None:
    """Count and time the requests that this app answers, and show the counts.

    ``http_request_duration_seconds`` is a histogram with the labels method, status ("200") and version; ``app_info``
    has the version, and ``process_*``, where there is a /proc, what the process uses of memory and processor.

    Args:
        flask_app: the app.
        version: which version it is.
        uncounted: paths whose requests are not counted, besides ``/metrics``.
    """
    # One for each app: that of the package is the process's, and would not take the same name twice.
    registry = CollectorRegistry()
    ProcessCollector(registry=registry)
    Info("app", "Which version answers", registry=registry).info({"version": version})
    duration = Histogram(
        "http_request_duration_seconds",
        "How long requests took, probes and the reading of metrics left out",
        ["method", "status", "version"],
        registry=registry,
    )
    left_out = {PATH, *uncounted}

    @flask_app.before_request
    def start_clock() -> None:
        g.counted_since = time.perf_counter()

    @flask_app.after_request
    def count(response: Response) -> Response:
        if request.path not in left_out:
            method = request.method if request.method in _METHODS else "other"
            seconds = time.perf_counter() - g.counted_since
            duration.labels(method, str(response.status_code), version).observe(seconds)
        return response

    @flask_app.get(PATH)
    def metrics() -> Response:
        return Response(generate_latest(registry), content_type=CONTENT_TYPE_LATEST)
