"""What counts as a right answer of a route."""

from __future__ import annotations

import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Any

import pytest

from components.core.errors import LabError
from components.web import answers

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = pytest.mark.unit


class _Router(BaseHTTPRequestHandler):
    apps: dict[str, str]

    def do_GET(self) -> None:
        app = self.apps.get(self.headers["Host"], self.apps[""])
        self.send_response(404 if app == "nobody" else 200)
        self.end_headers()
        self.wfile.write(b"hello" if app == "plain" else json.dumps({"app": app}).encode())

    def log_message(self, *_: Any) -> None:  # noqa: ANN401 - the library's
        """Say nothing."""


@pytest.fixture
def apps(monkeypatch: pytest.MonkeyPatch) -> Iterator[dict[str, str]]:
    """Return the app by host of a router on this host."""
    routes = {"": "app3", "app1.com": "app1", "app2.com": "app2"}
    handler = type("Handler", (_Router,), {"apps": routes})
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        monkeypatch.setattr(answers, "SERVICE_PORT", server.server_address[1])
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield routes
        server.shutdown()
        thread.join()


def props(**more: Any) -> dict[str, Any]:  # noqa: ANN401 - any JSON
    return {
        "address": "127.0.0.1",
        "routes": {"app1.com": "app1", "app2.com": "app2"},
        "default": "app3",
        "names_itself": True,
        "triggers": [],
        "timeout": 0,
        **more,
    }


def test_right_routes_are_right(apps: dict[str, str]) -> None:
    assert answers.wrong_routes(props()) == []


def test_a_route_to_another_app_is_named(apps: dict[str, str]) -> None:
    apps["app2.com"] = "app1"
    assert answers.wrong_routes(props()) == ["app2.com should be answered by app2, but app1 did"]


def test_the_default_is_asked_by_another_host_and_by_the_address(apps: dict[str, str]) -> None:
    apps[""] = "app1"
    assert len(answers.wrong_routes(props())) == 2


def test_an_error_and_a_silence_are_named(apps: dict[str, str], monkeypatch: pytest.MonkeyPatch) -> None:
    apps["app1.com"] = "nobody"
    assert answers.wrong_routes(props()) == ["app1.com should be answered by app1: status 404"]
    monkeypatch.setattr(answers, "SERVICE_PORT", 9)
    assert len(answers.wrong_routes(props())) == 4


def test_an_app_that_does_not_name_itself_only_has_to_answer(apps: dict[str, str]) -> None:
    apps["app1.com"] = "plain"
    assert answers.wrong_routes(props())
    assert answers.wrong_routes(props(names_itself=False)) == []


def test_waiting_ends_with_what_is_wrong(apps: dict[str, str]) -> None:
    apps["app1.com"] = "nobody"
    with pytest.raises(LabError, match=r"1 routes .* app1\.com should be answered by app1"):
        answers.AnswersProvider().create(props())


def test_routes_are_tried_again_when_what_they_depend_on_changes(apps: dict[str, str]) -> None:
    provider = answers.AnswersProvider()
    assert not provider.diff("", props(), props(timeout=9)).changes
    assert provider.diff("", props(), props(triggers=["v2"])).changes
