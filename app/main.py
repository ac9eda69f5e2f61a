"""The app itself: who answers, as JSON, or as a page for people with a browser."""

from __future__ import annotations

import os
import socket
import zlib

from flask import Flask, Response, jsonify, make_response, render_template, request
from flask.json.provider import DefaultJSONProvider
from werkzeug.exceptions import HTTPException, NotFound

from app import access_log, faults, metrics
from app.settings import Settings

# The page needs its own inline style and nothing else, from nowhere.
_PAGE_POLICY = "default-src 'none'; style-src 'unsafe-inline'; img-src data:; base-uri 'none'; form-action 'none'"


class _CompactJSON(DefaultJSONProvider):
    """JSON without spaces, keys in the order given: the labs compare the answer byte by byte."""

    compact = True
    sort_keys = False


def create_app(settings: Settings) -> Flask:
    """Build the WSGI app.

    ``GET /`` says who answers: status and version, and, if the app has a name, also app, pod and host
    (the Host header asked for), as a page for clients that prefer ``text/html``. ``GET /healthz`` is for
    Kubernetes' probes, ``GET /metrics`` for Prometheus. Everything else, errors included, is JSON with status and
    message.
    """
    flask_app = Flask(__name__, static_folder=None)
    flask_app.json = _CompactJSON(flask_app)
    access_log.attach(flask_app, quiet=(metrics.PATH,))
    metrics.attach(flask_app, settings.version, uncounted=(access_log.PROBE_PATH,))
    suffer = faults.of(settings)

    @flask_app.get("/")
    def index() -> Response:
        suffer()
        if settings.app_name is None:
            return jsonify(status="ok", message=settings.version)
        return _introduction(settings, settings.app_name)

    @flask_app.get(access_log.PROBE_PATH)
    def healthz() -> Response:
        return jsonify(status="ok")

    @flask_app.after_request
    def describe(response: Response) -> Response:
        # Each answer may come from another pod or version: an old one must never be shown for a new one.
        response.headers["Cache-Control"] = "no-store"
        response.headers["X-Content-Type-Options"] = "nosniff"
        return response

    flask_app.register_error_handler(HTTPException, _error_as_json)
    return flask_app


def create_app_from_environment() -> Flask:
    """Build what this process serves: the settings from its environment, the access log to standard output.

    Raises:
        SettingsError: see Settings.from_environment.
    """
    settings = Settings.from_environment(os.environ, hostname=socket.gethostname())
    access_log.write_to_stdout()
    return create_app(settings)


def _introduction(settings: Settings, app_name: str) -> Response:
    # Not request.host, which drops ":80" and is empty for a name that is odd: show what was really asked for.
    who = {"app": app_name, "pod": settings.pod_name, "host": request.headers.get("Host", "")}
    if _prefers_page():
        # A colour per pod makes it visible at a glance that another one has answered.
        hue = zlib.crc32(settings.pod_name.encode()) % 360
        page = render_template("index.html", version=settings.version, hue=hue, **who)
        response = make_response(page)
        response.headers["Content-Security-Policy"] = _PAGE_POLICY
    else:
        response = jsonify(status="ok", message=settings.version, **who)
    response.vary.add("Accept")
    return response


def _prefers_page() -> bool:
    # JSON comes first, so that it wins where the client has no preference: curl (*/*), no Accept header at all.
    offers = ["application/json", "text/html"]
    return request.accept_mimetypes.best_match(offers, default=offers[0]) == "text/html"


def _error_as_json(error: HTTPException) -> Response:
    message = f"nothing here; try / or {access_log.PROBE_PATH}" if isinstance(error, NotFound) else error.description
    response = jsonify(status="error", message=message)
    response.status_code = error.code or 500
    # What belongs to the error, such as the Allow of a 405; the content type is ours.
    response.headers.extend([(k, v) for k, v in error.get_headers() if k.lower() != "content-type"])
    return response
