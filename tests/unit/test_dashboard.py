"""`make dashboard` writes one file with what Prometheus has; it needs no network, and shows what is in it as text."""

from __future__ import annotations

import argparse
import json
import re
from html.parser import HTMLParser
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import parse_qs, urlsplit

import promql_parser
import pytest

from components.core.errors import LabError
from components.monitoring import panels
from lab.commands import dashboard
from lab.host import paths, tools
from lab.live import plots, stack
from lab.live.plots import Mark, Span
from lab.live.prometheus import Series
from tests.unit import fakes
from tests.unit.test_alerts import MONITORING, firing, rule

if TYPE_CHECKING:
    from pathlib import Path

    from tests.unit.programs import Programs

pytestmark = pytest.mark.unit

# What a label of a series, or a summary of a rule, could do in a page.
HOSTILE: Final = "</script><script>alert(1)</script>"
QUERIES: Final = [query for panel in panels.PANELS for query in (*panel.queries, *panel.otherwise)]
SPAN: Final = Span(start=0, end=3600)
# It answers a query by the first words that it has.
KUBECTL: Final = """
from urllib.parse import parse_qs, urlsplit
answers = json.loads((here / "answers.json").read_text())
if "--raw" not in args:
    print(json.dumps(answers["application"]))
    sys.exit()
address = urlsplit(args[-1])
what = address.path.rpartition("/")[2]
if "alertmanager" in address.path:
    print("[]")
elif what == "query_range":
    asked = parse_qs(address.query)
    found = next((each for words, each in answers["series"] if words in asked["query"][0]), [])
    start, end, step = (float(asked[key][0]) for key in ("start", "end", "step"))
    points = [start + number * step for number in range(int((end - start) / step) + 1)]
    result = [{"metric": labels, "values": [[at, "1.5"] for at in points]} for labels in found]
    print(json.dumps({"data": {"result": result}}))
else:
    print(json.dumps({"data": answers[what]}))
"""


class Page(HTMLParser):
    """What a browser would make of a page: its text, what it fetches, and how many scripts it runs."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.text, self.scripts = "", [""]
        self.fetched: list[str | None] = []
        self._within = ""
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self._within = tag
        self.fetched += [value for name, value in attrs if name == "src" or (name == "href" and tag == "link")]
        if tag == "script":
            self.scripts.append("")

    def handle_endtag(self, _: str) -> None:
        self._within = ""

    def handle_data(self, data: str) -> None:
        if self._within == "script":
            self.scripts[-1] += data
        elif self._within != "style":
            self.text += data


class Platform:
    """A platform with dev alone, whose kubectl answers what a test says."""

    def __init__(self, programs: Programs, folder: Path) -> None:
        self.programs = programs
        self._folder = folder
        self.series: list[tuple[str, list[dict[str, str]]]] = []
        self.alerts: list[dict[str, Any]] = []
        programs.add("kubectl", KUBECTL)

    def run(self, *given: str) -> int:
        status = {
            "sync": {"status": "Synced"},
            "health": {"status": "Degraded"},
            "history": [{"deployedAt": "2026-11-28T18:30:00Z"}],
        }
        answers = {
            "series": self.series,
            "alerts": {"alerts": self.alerts},
            "rules": {"groups": [{"rules": [rule("AppDegraded")]}]},
            "application": {"status": status},
        }
        (self._folder / "answers.json").write_text(json.dumps(answers), encoding="utf-8")
        parser = argparse.ArgumentParser()
        dashboard.arguments(parser)
        return dashboard.run(parser.parse_args(["--stack=platform", *given]))

    def page(self, *given: str) -> tuple[str, Page]:
        path = self._folder / "page.html"
        assert self.run(f"--output={path}", *given) == 0
        html = path.read_text(encoding="utf-8")
        return html, Page(html)

    @property
    def queries(self) -> list[dict[str, list[str]]]:
        asked = [urlsplit(call.rpartition(" ")[2]) for call in self.programs.called("kubectl")]
        return [parse_qs(each.query) for each in asked if each.path.endswith("query_range")]


@pytest.fixture
def platform(programs: Programs, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Platform:
    outputs = fakes.outputs("platform") | {"kubeconfig": "", "monitoring": MONITORING}
    outputs["environments"] = [outputs["environments"][0] | {"url": "http://127.0.0.1:1/"}]
    monkeypatch.setattr(stack, "outputs", lambda *_, **__: outputs)
    monkeypatch.setattr(tools, "ensure", lambda _: None)
    return Platform(programs, tmp_path)


# --- queries ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("query", [panels.VERSIONS, *(each.text for each in QUERIES)])
def test_a_query_can_be_read(query: str) -> None:
    filled = SPAN.filled(query, ["dev", "prod"])
    assert "$" not in filled
    promql_parser.parse(filled)


@pytest.mark.parametrize("query", QUERIES, ids=lambda query: query.names)
def test_lines_are_named_by_labels_that_the_series_have(query: panels.Query) -> None:
    by = {label for found in re.findall(r"by \(([\w, ]+)\)", query.text) for label in found.split(", ")}
    assert set(re.findall(r"{(\w+)}", query.names)) <= by


def test_a_rate_is_over_more_than_a_step() -> None:
    assert SPAN.step == 15
    assert "[60s]" in SPAN.filled(QUERIES[0].text, [])
    day = Span(start=0, end=86400)
    assert day.step == 360
    assert "[720s]" in day.filled(QUERIES[0].text, [])


# --- releases --------------------------------------------------------------------------------------------------------


def seen(version: str, *moments: int, namespace: str = "dev") -> Series:
    labels = {"cluster": "in-cluster", "namespace": namespace, "version": version}
    return Series(labels, tuple((float(each), 1.0) for each in moments))


@pytest.mark.parametrize(
    ("series", "marks"),
    [
        ([seen("v1", 0, 1, 2)], []),  # it was there before, as far as is known
        ([seen("v1", 0, 1), seen("v2", 1, 2)], [Mark("dev", "v2", 1)]),
        ([seen("v1", 0, 1, 4), seen("v2", 2, 3)], [Mark("dev", "v2", 2), Mark("dev", "v1", 4)]),
        ([seen("v1", 0, 5)], []),  # nothing was seen in between
        (
            [seen("v1", 0), seen("v2", 3, namespace="prod"), seen("v2", 2)],
            [Mark("dev", "v2", 2)],
        ),
    ],
)
def test_a_release_is_when_another_version_begins_to_answer(series: list[Series], marks: list[Mark]) -> None:
    assert plots.releases(series) == marks


# --- the page --------------------------------------------------------------------------------------------------------


def test_with_no_data_every_plot_says_so_and_why(platform: Platform) -> None:
    html, page = platform.page()
    assert html.count("no data:") == len(panels.PANELS)
    assert "nobody asked the app anything in this time" in html
    assert "no pod says how much memory it takes" in html
    assert "Nothing fires, 1 rules are watched." in page.text


def test_it_has_the_environments_and_what_fires(platform: Platform) -> None:
    platform.alerts = [firing("ErrorRateHigh", environment="dev"), firing("TargetDown", "warning", cluster="prod")]
    html, page = platform.page()
    (table,) = re.findall(r"<h2>Environments</h2>.*?</table>", html, re.DOTALL)
    for words in ("http://localhost:8080/applications/argocd/dev", "Degraded", "2026-11-28 18:30:00", "ErrorRateHigh"):
        assert words in table
    assert "http://127.0.0.1:1/ does not answer" in table
    assert "TargetDown" not in table
    assert "TargetDown in short" in page.text


def test_versions_are_lines_and_marks(platform: Platform) -> None:
    platform.series = [("http_request_duration_seconds_count", [{"namespace": "dev", "version": "v1"}])]
    html, page = platform.page("--minutes=60")
    assert '"name":"dev v1"' in html
    assert "in numbers" in page.text
    assert re.search(r"platform at \d{4}-\d\d-\d\d \d\d:\d\d UTC", page.text)


def test_memory_is_what_is_known_of_it_and_the_page_says_what_that_is(platform: Platform) -> None:
    platform.series = [("kube_pod_container_resource_requests", [{"namespace": "dev", "pod": "a"}])]
    _, page = platform.page()
    assert "What its containers have asked for, and not what they take" in page.text
    own = ("process_resident_memory_bytes", [{"namespace": "dev", "pod": "a"}])
    platform.series = [own]
    _, page = platform.page()
    assert "resident memory of the app's process, as it says itself" in page.text
    platform.series = [("container_memory_working_set_bytes", [{"namespace": "dev", "pod": "a"}]), own]
    _, page = platform.page()
    assert "working set of its containers" in page.text
    assert "as it says itself" not in page.text


def test_the_time_that_is_shown_can_be_chosen(platform: Platform) -> None:
    platform.page("--minutes=5")
    for asked in platform.queries:
        assert float(asked["end"][0]) - float(asked["start"][0]) == pytest.approx(300, abs=0.01)


def test_what_is_in_it_is_text_and_nothing_else(platform: Platform) -> None:
    clean = Page(platform.page()[0])
    labels = {"namespace": HOSTILE, "version": HOSTILE, "pod": HOSTILE}
    platform.series = [("", [labels])]
    platform.alerts = [firing("A", environment="dev")]
    platform.alerts[0]["annotations"]["summary"] = HOSTILE
    html, page = platform.page()
    assert HOSTILE in page.text
    assert HOSTILE not in html
    assert len(page.scripts) == len(clean.scripts)
    # plotly reads text as HTML of its own; it is escaped there as well.
    assert "&lt;/script&gt;" in json.loads(re.findall(r'"name":("[^"]+")', "".join(page.scripts))[-1])


def test_nothing_is_fetched(platform: Platform) -> None:
    html, page = platform.page()
    assert page.fetched == []
    (policy,) = re.findall(r'http-equiv="Content-Security-Policy" content="([^"]+)"', html)
    assert policy.startswith("default-src 'none';")
    assert "http" not in policy


def contrast(one: str, other: str) -> float:
    """Return the contrast of two colours: https://www.w3.org/TR/WCAG22/#dfn-contrast-ratio."""

    def luminance(colour: str) -> float:
        parts = [int(colour[place : place + 2], 16) / 255 for place in (1, 3, 5)]
        red, green, blue = (each / 12.92 if each <= 0.04045 else ((each + 0.055) / 1.055) ** 2.4 for each in parts)
        return 0.2126 * red + 0.7152 * green + 0.0722 * blue

    low, high = sorted([luminance(one), luminance(other)])
    return (high + 0.05) / (low + 0.05)


@pytest.mark.parametrize("colour", [*plots.COLOURS, plots.OTHER["color"]])
def test_a_line_is_seen_on_light_and_on_dark(colour: str) -> None:
    assert contrast(colour, plots.LIGHT) >= 3
    assert contrast(colour, plots.DARK) >= 3


# --- the command -----------------------------------------------------------------------------------------------------


def test_it_is_written_where_git_ignores_it(
    platform: Platform, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert "/rendered/" in (paths.ROOT / ".gitignore").read_text(encoding="utf-8").splitlines()
    monkeypatch.setattr(paths, "ROOT", tmp_path)
    assert platform.run() == 0
    written = tmp_path / "rendered" / "dashboard-platform.html"
    assert capsys.readouterr().out == f"{written}\n"
    assert written.exists()


def test_a_file_that_can_not_be_written_is_named(platform: Platform, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(LabError, match=r"page\.html can't be written"):
        platform.run(f"--output={tmp_path}/file/page.html")


def test_a_stack_without_monitoring_is_told_how_to_get_it(platform: Platform, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stack, "outputs", lambda *_, **__: {"kubeconfig": ""})
    with pytest.raises(LabError, match="pulumi config set iot:monitoring true --stack platform"):
        platform.run()


@pytest.mark.parametrize("given", ["0", "-5", "an hour"])
def test_the_time_is_a_number_of_minutes(platform: Platform, given: str) -> None:
    with pytest.raises(SystemExit):
        platform.run(f"--minutes={given}")
