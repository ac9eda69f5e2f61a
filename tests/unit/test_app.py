"""The Flask app: its answers through Flask's test client, and its life under the real gunicorn."""

from __future__ import annotations

import http.client
import importlib.metadata
import json
import logging
import os
import re
import signal
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager
from dataclasses import replace
from pathlib import Path
from typing import IO, TYPE_CHECKING, NamedTuple

import pytest
from flask import abort
from prometheus_client.parser import text_string_to_metric_families

from app.main import create_app
from app.settings import Settings, SettingsError

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from flask.testing import FlaskClient
    from werkzeug.test import TestResponse

pytestmark = pytest.mark.unit

ROOT = Path(__file__).resolve().parents[2]
FIREFOX = "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8"
# No wait in this file is longer (seconds): long enough for a busy machine, and shorter than the 20 s after which
# gunicorn gives up on a graceful stop, so that a stop which is not graceful is seen.
PATIENCE = 15

alone = Settings(version="v1", pod_name="web-7d9f-x2x4z")
named = Settings(version="v2", pod_name="app2-5c6b-k8s9w", app_name="app2")


def get(settings: Settings, path: str = "/", headers: Mapping[str, str] | None = None) -> TestResponse:
    return create_app(settings).test_client().get(path, headers=headers)


# --- the app without a name (p3) -------------------------------------------------------------------------------------


@pytest.mark.parametrize("accept", [None, "*/*", "application/json", "text/html", FIREFOX, "image/png"])
def test_an_app_without_a_name_answers_every_client_with_status_and_version(accept: str | None) -> None:
    response = get(alone, headers={"Accept": accept} if accept else None)

    assert response.status_code == 200
    assert response.data == b'{"status":"ok","message":"v1"}\n'
    assert response.content_type == "application/json"
    assert response.headers["Cache-Control"] == "no-store"


# --- the app with a name (p2) ----------------------------------------------------------------------------------------


def test_a_named_app_says_which_app_pod_and_host_it_was() -> None:
    response = get(named, headers={"Host": "app2.com:80"})

    assert response.data == (
        b'{"status":"ok","message":"v2","app":"app2","pod":"app2-5c6b-k8s9w","host":"app2.com:80"}\n'
    )
    assert response.content_type == "application/json"
    assert response.headers["Cache-Control"] == "no-store"
    assert response.headers["Vary"] == "Accept"


@pytest.mark.parametrize(
    ("accept", "kind"),
    [
        (None, "application/json"),
        ("*/*", "application/json"),
        ("", "application/json"),
        ("application/json", "application/json"),
        ("text/html;q=0.5, application/json", "application/json"),
        ("text/html;q=0, */*", "application/json"),
        ("application/json, text/html", "application/json"),
        ("image/png", "application/json"),
        ("not a media type", "application/json"),
        (FIREFOX, "text/html"),
        ("text/html", "text/html"),
        ("text/*", "text/html"),
        ("text/html, */*", "text/html"),
        ("application/json;q=0.1, */*;q=0.2", "text/html"),
    ],
)
def test_a_named_app_sends_a_page_only_to_those_who_prefer_one(accept: str | None, kind: str) -> None:
    response = get(named, headers=None if accept is None else {"Accept": accept})

    assert response.status_code == 200
    assert response.mimetype == kind
    assert response.headers["Vary"] == "Accept"
    assert response.headers["Cache-Control"] == "no-store"


def test_the_page_shows_who_answered_and_loads_nothing() -> None:
    response = get(named, headers={"Accept": FIREFOX, "Host": "app2.com"})

    for shown in ("app2", "app2-5c6b-k8s9w", "app2.com", "v2"):
        assert f">{shown}</" in response.text
    assert '<html lang="en"' in response.text
    assert "<title>app2 v2</title>" in response.text
    assert re.findall(r'(?:src|href|action)="(?!data:)|url\(|@import|<script', response.text) == []
    assert response.headers["Content-Security-Policy"].startswith("default-src 'none';")


def test_a_host_cannot_smuggle_markup_into_the_page() -> None:
    response = get(named, headers={"Accept": FIREFOX, "Host": "<script>alert(1)</script>"})

    assert "<script" not in response.text
    assert "&lt;script&gt;" in response.text


def test_two_pods_have_different_colours() -> None:
    other = Settings(version="v2", pod_name="app2-5c6b-zzzzz", app_name="app2")

    hues = [re.findall(r"--hue: (\d+)", get(pod, headers={"Accept": FIREFOX}).text) for pod in (named, other)]

    assert len(hues[0]) == len(hues[1]) == 1
    assert hues[0] != hues[1]


# --- both ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("settings", [alone, named])
def test_healthz_answers_the_probes(settings: Settings) -> None:
    response = get(settings, "/healthz", {"Accept": FIREFOX})

    assert (response.status_code, response.data) == (200, b'{"status":"ok"}\n')


@pytest.mark.parametrize("settings", [alone, named])
@pytest.mark.parametrize("path", ["/nothing", "/healthz/", "/static/index.html", "/favicon.ico"])
def test_an_unknown_path_is_a_404_in_json_for_browsers_too(settings: Settings, path: str) -> None:
    response = get(settings, path, {"Accept": FIREFOX})

    assert response.status_code == 404
    assert response.content_type == "application/json"
    assert response.get_json() == {"status": "error", "message": "nothing here; try / or /healthz"}


def test_a_wrong_method_is_told_the_right_ones() -> None:
    response = create_app(alone).test_client().post("/")

    assert response.status_code == 405
    assert response.content_type == "application/json"
    assert response.get_json()["status"] == "error"
    assert set(response.headers["Allow"].split(", ")) == {"GET", "HEAD", "OPTIONS"}


# --- metrics ---------------------------------------------------------------------------------------------------------


def measured(client: FlaskClient, name: str = "http_request_duration_seconds_count") -> dict[tuple[str, ...], float]:
    """Return what /metrics says of a metric: its values by method, status and version."""
    response = client.get("/metrics")
    assert response.status_code == 200
    assert response.content_type.startswith("text/plain; version=")
    return {
        tuple(sample.labels.get(label, "") for label in ("method", "status", "version")): sample.value
        for family in text_string_to_metric_families(response.text)
        for sample in family.samples
        if sample.name == name
    }


def test_requests_are_counted_by_method_status_and_version_but_for_probes_and_metrics() -> None:
    client = create_app(alone).test_client()
    for path in ("/", "/", "/nothing", "/healthz", "/metrics"):
        client.get(path)
    client.post("/")
    client.open("/", method="BREW")

    assert measured(client) == {
        ("GET", "200", "v1"): 2,
        ("GET", "404", "v1"): 1,
        ("POST", "405", "v1"): 1,
        ("other", "405", "v1"): 1,
    }


def test_an_error_of_the_app_is_counted_as_one() -> None:
    flask_app = create_app(alone)

    @flask_app.get("/broken")
    def broken() -> str:
        return str(1 // 0)

    client = flask_app.test_client()

    assert client.get("/broken").get_json()["status"] == "error"
    assert measured(client) == {("GET", "500", "v1"): 1}


def test_each_app_counts_its_own_and_says_its_version() -> None:
    one, other = create_app(alone).test_client(), create_app(named).test_client()
    one.get("/")

    assert measured(one) == {("GET", "200", "v1"): 1}
    assert measured(other) == {}
    assert measured(other, "app_info") == {("", "", "v2"): 1}


def test_a_request_is_timed() -> None:
    client = create_app(replace(alone, delay_ms=120)).test_client()
    began = time.perf_counter()
    client.get("/")
    took = time.perf_counter() - began

    (seconds,) = measured(client, "http_request_duration_seconds_sum").values()
    assert 0.12 <= seconds <= took


def test_the_memory_of_the_process_is_among_them_where_the_system_tells_it() -> None:
    told = b"process_resident_memory_bytes" in create_app(alone).test_client().get("/metrics").data
    assert told is Path("/proc/self/stat").exists()


def test_metrics_are_not_logged(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)

    get(alone, "/metrics")

    assert logged(caplog) == []


# --- faults ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("percent", "expected"),
    [(0, [200] * 10), (20, [200, 200, 200, 200, 500] * 2), (50, [200, 500] * 5), (100, [500] * 10)],
)
def test_the_share_that_is_to_fail_fails_in_every_run_alike(percent: int, expected: list[int]) -> None:
    client = create_app(replace(alone, fail_percent=percent)).test_client()

    assert [client.get("/").status_code for _ in range(10)] == expected


@pytest.mark.parametrize("percent", [1, 7, 33, 99])
def test_of_a_hundred_requests_as_many_fail_as_were_asked_for(percent: int) -> None:
    client = create_app(replace(alone, fail_percent=percent)).test_client()

    assert [client.get("/").status_code for _ in range(100)].count(500) == percent


def test_the_share_is_the_same_with_many_at_a_time() -> None:
    flask_app = create_app(replace(alone, fail_percent=25))

    with ThreadPoolExecutor(8) as pool:
        found = list(pool.map(lambda _: flask_app.test_client().get("/").status_code, range(200)))

    assert found.count(500) == 50


@pytest.mark.parametrize("settings", [alone, named])
def test_a_fault_is_an_error_in_json_and_no_fault_of_the_rest(settings: Settings) -> None:
    client = create_app(replace(settings, fail_percent=100, delay_ms=60_000)).test_client()
    began = time.perf_counter()

    assert client.get("/healthz").status_code == 200
    assert client.get("/nothing").status_code == 404
    assert client.get("/metrics").status_code == 200
    assert time.perf_counter() - began < PATIENCE

    response = create_app(replace(settings, fail_percent=100)).test_client().get("/", headers={"Accept": FIREFOX})
    assert (response.status_code, response.content_type) == (500, "application/json")
    assert response.get_json() == {
        "status": "error",
        "message": "this version fails 100 of 100 requests, as it was built to",
    }


@pytest.mark.parametrize(
    ("environment", "expected"),
    [
        ({}, (0, 0)),
        ({"APP_FAIL_PERCENT": "20", "APP_DELAY_MS": "700"}, (20, 700)),
        ({"APP_FAIL_PERCENT": "100", "APP_DELAY_MS": "60000"}, (100, 60_000)),
        ({"APP_FAIL_PERCENT": "0", "APP_DELAY_MS": "0"}, (0, 0)),
    ],
)
def test_faults_come_from_the_environment(environment: dict[str, str], expected: tuple[int, int]) -> None:
    settings = Settings.from_environment({"APP_VERSION": "v1", **environment}, hostname="here")

    assert (settings.fail_percent, settings.delay_ms) == expected


@pytest.mark.parametrize(
    ("name", "most", "value"),
    [
        *(("FAIL_PERCENT", 100, value) for value in ("", " ", "101", "-1", "1.5", "20%", "\u0661", "1" * 5000, "1\n")),
        *(("DELAY_MS", 60_000, value) for value in ("", "60001", "1s", "-5", "0x10")),
    ],
)
def test_a_fault_that_is_no_number_is_an_error_that_says_how_to_fix_it(name: str, most: int, value: str) -> None:
    with pytest.raises(SettingsError) as caught:
        Settings.from_environment({"APP_VERSION": "v1", f"APP_{name}": value}, hostname="here")

    assert f"APP_{name}={value!r} is not a whole number from 0 to {most}." in str(caught.value)
    assert f"--build-arg {name}=20" in str(caught.value)


# --- the access log --------------------------------------------------------------------------------------------------


def logged(caplog: pytest.LogCaptureFixture) -> list[dict[str, object]]:
    return [json.loads(record.getMessage()) for record in caplog.records if record.name == "app.access_log"]


def test_a_request_is_logged_as_one_line_of_json(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)

    get(named, "/nothing?token=hidden", {"Host": 'a"\t{'})

    [line] = logged(caplog)
    assert (line["method"], line["path"], line["status"]) == ("GET", "/nothing", 404)
    assert (line["host"], line["client"]) == ('a"\t{', "127.0.0.1")
    assert isinstance(line["duration_ms"], float)
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}\+00:00", str(line["time"]))


def test_a_path_cannot_forge_a_line_of_the_log(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)

    get(alone, "/a%0A%7B%22status%22:200%7D")

    [record] = [record for record in caplog.records if record.name == "app.access_log"]
    assert "\n" not in record.getMessage()
    assert json.loads(record.getMessage())["path"] == '/a\n{"status":200}'


def test_probes_are_not_logged_unless_they_fail(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)

    get(alone, "/healthz")
    assert logged(caplog) == []

    failing = create_app(alone)
    failing.before_request(lambda: abort(503))
    failing.test_client().get("/healthz")
    assert [line["status"] for line in logged(caplog)] == [503]


# --- settings --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("version", ["v1", "v10", "1.2.3", "0f3c9a1", "v2.0-rc.1", "a" * 128])
def test_a_version_may_be_whatever_a_tag_may_be(version: str) -> None:
    settings = Settings.from_environment({"APP_VERSION": version}, hostname="here")

    assert settings == Settings(version=version, pod_name="here", app_name=None)


@pytest.mark.parametrize(
    ("environment", "problem"),
    [
        ({}, "APP_VERSION is missing or empty"),
        ({"APP_VERSION": ""}, "APP_VERSION is missing or empty"),
        ({"APP_VERSION": " "}, "APP_VERSION=' ' is not a version"),
        ({"APP_VERSION": "v1\n"}, r"APP_VERSION='v1\n' is not a version"),
        ({"APP_VERSION": "v 1"}, "APP_VERSION='v 1' is not a version"),
        ({"APP_VERSION": "-v1"}, "APP_VERSION='-v1' is not a version"),
        ({"APP_VERSION": "a" * 129}, "is not a version"),
        ({"APP_VERSION": "flask-app:v1"}, "APP_VERSION='flask-app:v1' is not a version"),
        ({"APP_VERSION": "latest"}, "APP_VERSION='latest' is not a version"),
    ],
)
def test_no_proper_version_is_an_error_that_says_how_to_fix_it(environment: dict[str, str], problem: str) -> None:
    with pytest.raises(SettingsError) as caught:
        Settings.from_environment(environment, hostname="here")

    assert problem in str(caught.value)
    assert "--build-arg VERSION=v1" in str(caught.value)


@pytest.mark.parametrize("name", ["", " ", "App1", "app_1", "-app1", "app1-", "app1\n", "<b>", "a" * 64])
def test_an_ill_formed_app_name_is_an_error_that_says_how_to_fix_it(name: str) -> None:
    with pytest.raises(SettingsError) as caught:
        Settings.from_environment({"APP_VERSION": "v1", "APP_NAME": name}, hostname="here")

    assert f"APP_NAME={name!r}" in str(caught.value)
    assert "Fix:" in str(caught.value)


@pytest.mark.parametrize(
    ("environment", "pod"), [({"POD_NAME": "a-pod"}, "a-pod"), ({"POD_NAME": ""}, "here"), ({}, "here")]
)
def test_the_pod_is_the_host_where_no_pod_is_named(environment: dict[str, str], pod: str) -> None:
    settings = Settings.from_environment({"APP_VERSION": "v1", "APP_NAME": "app1", **environment}, hostname="here")

    assert settings == Settings(version="v1", pod_name=pod, app_name="app1")


# --- gunicorn --------------------------------------------------------------------------------------------------------


class Lines:
    """Reads a pipe as it fills, so that the writer never blocks, and waits for a line without polling."""

    def __init__(self, pipe: IO[str]) -> None:
        self.seen: list[str] = []
        self._ended = False
        self._changed = threading.Condition()
        self._thread = threading.Thread(target=self._read, args=(pipe,), daemon=True)
        self._thread.start()

    def _read(self, pipe: IO[str]) -> None:
        for line in pipe:
            with self._changed:
                self.seen.append(line.rstrip("\n"))
                self._changed.notify_all()
        with self._changed:
            self._ended = True
            self._changed.notify_all()

    def wait_for(self, pattern: str) -> re.Match[str]:
        """Return the first match in any line, or fail, showing all lines, at the stream's end or after PATIENCE."""
        with self._changed:
            self._changed.wait_for(lambda: self._find(pattern) or self._ended, timeout=PATIENCE)
            found = self._find(pattern)
        assert found, f"no line matches {pattern!r} in: {self.seen}"
        return found

    def _find(self, pattern: str) -> re.Match[str] | None:
        return next((found for line in self.seen if (found := re.search(pattern, line))), None)

    def all(self) -> list[str]:
        """Return every line, once the writer has closed the pipe."""
        self._thread.join(PATIENCE)
        assert not self._thread.is_alive(), f"still open after {PATIENCE} s; so far: {self.seen}"
        return self.seen


class Server(NamedTuple):
    process: subprocess.Popen[str]
    port: int
    out: Lines
    err: Lines

    def tell(self, line: str) -> None:
        """Write a line to the server's standard input; an error if nobody can read it any more."""
        assert self.process.stdin is not None
        self.process.stdin.write(f"{line}\n")
        self.process.stdin.flush()

    def connect(self) -> closing[http.client.HTTPConnection]:
        return closing(http.client.HTTPConnection("127.0.0.1", self.port, timeout=PATIENCE))


def server_command(*arguments: str) -> list[str]:
    return [sys.executable, "-m", "gunicorn", "--config", "python:app.server", *arguments]


def server_environment(**variables: str) -> dict[str, str]:
    """Return this process's environment without what would change the server, and with what is given."""
    own = {"APP_VERSION", "APP_NAME", "APP_FAIL_PERCENT", "APP_DELAY_MS", "POD_NAME"}
    own |= {"GUNICORN_CMD_ARGS", "XDG_RUNTIME_DIR"}
    return {name: value for name, value in os.environ.items() if name not in own} | variables


@contextmanager
def serving(*arguments: str, **variables: str) -> Iterator[Server]:
    """Run gunicorn with the app's own configuration on a free loopback port; kill it if the test has not."""
    with subprocess.Popen(
        server_command("--bind", "127.0.0.1:0", *arguments),
        cwd=ROOT,
        env=server_environment(PYTHONUNBUFFERED="1", **variables),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    ) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        out, err = Lines(process.stdout), Lines(process.stderr)
        try:
            port = int(err.wait_for(r"Listening at: http://127\.0\.0\.1:(\d+)")[1])
            yield Server(process, port, out, err)
        finally:
            if process.poll() is None:
                os.killpg(process.pid, signal.SIGKILL)  # the worker as well; the session is our own


def ask(connection: http.client.HTTPConnection, path: str = "/") -> tuple[int, bytes]:
    connection.request("GET", path)
    response = connection.getresponse()
    return response.status, response.read()


def test_gunicorn_serves_the_app_as_configured_and_leaves_no_file(tmp_path: Path) -> None:
    # These are the places for files of tempfile, of gunicorn's control socket and of the interpreter.
    places = {name: str(tmp_path) for name in ("TMPDIR", "HOME", "PYTHONPYCACHEPREFIX")}

    with serving(APP_VERSION="v7", PYTHONDONTWRITEBYTECODE="1", **places) as server:
        with server.connect() as connection:
            assert ask(connection) == (200, b'{"status":"ok","message":"v7"}\n')
            assert ask(connection, "/healthz")[0] == 200
        assert list(tmp_path.rglob("*")) == []
        server.process.send_signal(signal.SIGTERM)
        assert server.process.wait(PATIENCE) == 0
        [line] = server.out.all()
        workers = [message for message in server.err.all() if "Booting worker" in message]

    assert len(workers) == 1
    assert json.loads(line)["path"] == "/"
    assert list(tmp_path.rglob("*")) == []


# Serves the app with one path more, which begins, says so, and ends when a line comes in on standard input.
SLOW_APP = """
import sys
from app.main import create_app_from_environment

def create():
    app = create_app_from_environment()

    @app.get("/slow")
    def slow():
        print("slow request has begun", flush=True)
        return sys.stdin.readline()

    return app
"""


def test_sigterm_drops_idle_connections_and_no_request_under_way_and_exits_with_0(tmp_path: Path) -> None:
    (tmp_path / "slow_app.py").write_text(SLOW_APP)

    with (
        serving("--pythonpath", str(tmp_path), "slow_app:create()", APP_VERSION="v1") as server,
        server.connect() as idle,
        server.connect() as busy,
    ):
        busy.request("GET", "/slow")
        server.out.wait_for("slow request has begun")
        assert ask(idle, "/healthz")[0] == 200

        server.process.send_signal(signal.SIGTERM)
        # The worker closes this only while it is stopping, so from here on the other one outlives the signal.
        assert idle.sock.recv(1) == b""
        server.tell("finished")
        response = busy.getresponse()

        assert (response.status, response.read()) == (200, b"finished\n")
        assert server.process.wait(PATIENCE) == 0


@pytest.mark.parametrize(
    ("variables", "problem"),
    [
        ({}, "APP_VERSION is missing or empty"),
        ({"APP_VERSION": "v1", "APP_NAME": "A 1"}, "APP_NAME='A 1'"),
        ({"APP_VERSION": "v1", "APP_FAIL_PERCENT": "all"}, "APP_FAIL_PERCENT='all'"),
    ],
)
def test_gunicorn_refuses_to_start_with_wrong_settings_and_says_why(variables: dict[str, str], problem: str) -> None:
    result = subprocess.run(
        server_command("--bind", "127.0.0.1:0"),
        cwd=ROOT,
        env=server_environment(**variables),
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        check=False,
    )

    assert result.returncode == 1
    assert f"Error: {problem}" in result.stderr
    assert "Fix:" in result.stderr
    assert "Traceback" not in result.stderr


# --- the image's files -----------------------------------------------------------------------------------------------


def test_the_app_is_tested_with_the_packages_that_its_image_has() -> None:
    locked = dict(re.findall(r"^([a-z0-9-]+)==(\S+)", (ROOT / "app/requirements.txt").read_text(), re.MULTILINE))

    assert {"flask", "gunicorn", "werkzeug", "jinja2"} <= locked.keys()
    assert {name: importlib.metadata.version(name) for name in locked} == locked


def test_a_new_version_rebuilds_only_the_last_layers() -> None:
    lines = (ROOT / "app/Dockerfile").read_text().splitlines()
    first_use = next(number for number, line in enumerate(lines) if re.match(r"ARG VERSION\b", line))

    assert [line for line in lines[first_use:] if re.match(r"(RUN|COPY|ADD)\b", line)] == []
    faults = [number for number, line in enumerate(lines) if re.match(r"ARG (FAIL_PERCENT|DELAY_MS)=0$", line)]
    assert len(faults) == 2
    assert min(faults) > first_use
    assert [line for line in lines[:first_use] if "${VERSION}" in line or "$VERSION" in line] == []
