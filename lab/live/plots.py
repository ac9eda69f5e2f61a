"""The dashboard as one HTML file: plots of what Prometheus has, and where the environments are.

plotly.js is in the file, and a policy in it lets nothing be fetched: it can be opened anywhere, and sent to anybody.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from datetime import datetime, timezone
from html import escape
from string import Template
from typing import TYPE_CHECKING, Any, Final

import plotly.io  # type: ignore[import-untyped] # it has no types
from plotly.offline import get_plotlyjs  # type: ignore[import-untyped] # as above

from components.monitoring import panels
from lab.live import prometheus

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from components.monitoring.panels import Panel, Query
    from lab.live.prometheus import Monitoring, Series, Watch

POINTS: Final = 240  # of a line; a screen shows no more
LEAST: Final = 15.0  # seconds between two points, so that there is a sample for each
RATE: Final = 60.0  # seconds over which a rate is taken at least: a dozen samples
# Told apart also by who does not see all colours, and in front of white as well as of black: a colour for each
# environment, and a dash for each version of it. https://www.w3.org/TR/WCAG22/#non-text-contrast asks for 3:1.
COLOURS: Final = ("#2a78d6", "#d0601b", "#16876a", "#c2468f", "#9a7400", "#8262cf")
DASHES: Final = ("solid", "dash", "dot", "dashdot", "longdash")
OTHER: Final = {"color": "#7a7f87", "dash": "solid"}  # the look of what is in no environment
LIGHT: Final = "#ffffff"
DARK: Final = "#16181c"
LONG: Final = 24  # characters of a cell that may need more than a line
SHOWN: Final = 6  # marks that are named in a plot; more would cover each other
DAY: Final = 86400.0  # seconds
HEIGHT: Final = 300  # pixels of a plot
STYLE: Final = """
:root { color-scheme: light dark; --page: %(light)s; --text: #1c2024; --soft: #555c66; --line: #d9dde3;
  --bad: #b3261e; --link: #1a5fb4 }
@media (prefers-color-scheme: dark) { :root { --page: %(dark)s; --text: #eceef1; --soft: #a9b1bc; --line: #3a3f47;
  --bad: #ff8a80; --link: #8ab4f8 } }
/* A plot is drawn when it is read: nothing below it may change its width. */
* { box-sizing: border-box } html { overflow-y: scroll }
body { background: var(--page); color: var(--text); font: 16px/1.5 system-ui, sans-serif; margin: 0 auto;
  max-width: 1200px; padding: 16px }
h1 { font-size: 1.5rem; margin: 0 } h2 { font-size: 1.05rem; margin: 2rem 0 .25rem }
p { margin: .25rem 0; max-width: 80ch } .soft { color: var(--soft) } .bad { color: var(--bad); font-weight: 600 }
a { color: var(--link) }
.wide { overflow-x: auto } table { border-collapse: collapse; min-width: 100%% }
th, td { border-bottom: 1px solid var(--line); padding: .35rem 1rem .35rem 0; text-align: left; vertical-align: top;
  white-space: nowrap }
td.text { min-width: 14rem; white-space: normal }
th { color: var(--soft); font-weight: 600 }
.plots { display: grid; gap: 0 2rem; grid-template-columns: repeat(auto-fill, minmax(min(100%%, 480px), 1fr)) }
.plots section { min-width: 0 }
.lines { display: flex; flex-wrap: wrap; font-size: .875rem; gap: .1rem 1rem; list-style: none; margin: 0; padding: 0 }
.lines svg { margin-right: .4rem; vertical-align: middle }
.main-svg { background: transparent !important }
.xtick text, .ytick text, .g-xtitle text, .g-ytitle text, .annotation-text { fill: var(--text) !important }
.annotation-text-g .bg { fill: var(--page) !important }
.gridlayer path, .zerolinelayer path { stroke: var(--line) !important }
"""
# What is in the file may run and be shown; nothing is fetched.
POLICY: Final = "default-src 'none'; script-src 'unsafe-inline'; style-src 'unsafe-inline'; img-src data: blob:"


@dataclass(frozen=True, kw_only=True)
class Row:
    """An environment, as the table has it.

    Attributes:
        name: of it.
        namespace: where its app runs.
        cluster: that it is in; empty for Argo CD's own.
        url: of its Application in Argo CD.
        version: that answers.
        sync: what Argo CD says of it.
        health: what Argo CD says of that.
        since: when it was synced last; empty when it never was.
    """

    name: str
    namespace: str
    cluster: str
    url: str
    version: str
    sync: str
    health: str
    since: str


@dataclass(frozen=True)
class Mark:
    """When a version began to answer that is another one than before.

    Attributes:
        namespace: where.
        version: the version.
        at: seconds since 1970; up to a step later than it was.
    """

    namespace: str
    version: str
    at: float


@dataclass(frozen=True, kw_only=True)
class Span:
    """The time that is shown, in seconds since 1970.

    Attributes:
        start: its beginning.
        end: its end.
    """

    start: float
    end: float

    @property
    def step(self) -> float:
        """Seconds between two points."""
        return max(LEAST, (self.end - self.start) / POINTS)

    def filled(self, text: str, namespaces: Sequence[str]) -> str:
        """Return a query of a panel with what it leaves open."""
        window = f"{max(RATE, 2 * self.step):.0f}s"
        return Template(text).substitute(window=window, namespaces="|".join(namespaces))


@dataclass(frozen=True, kw_only=True)
class Frame:
    """What all plots have in common.

    Attributes:
        span: the time that is shown.
        namespaces: of the environments, in their order.
        marks: when versions began to answer.
        looks: of lines, by namespace and version; the one of version "" is that of a namespace's other lines.
    """

    span: Span
    namespaces: Sequence[str]
    marks: Sequence[Mark]
    looks: Mapping[tuple[str, str], Mapping[str, str]]


def page(monitoring: Monitoring, stack: str, rows: Sequence[Row], span: Span) -> str:
    """Return the page.

    Args:
        monitoring: what is asked.
        stack: the stack's name.
        rows: its environments, in their order.
        span: the time that is shown.

    Raises:
        LabError: Prometheus does not answer, or refuses a query.
    """
    watch = monitoring.watch()
    seen = monitoring.query_range(span.filled(panels.VERSIONS, []), span.start, span.end, span.step)
    marks = releases(seen)
    names = [each.namespace for each in rows]
    frame = Frame(span=span, namespaces=names, marks=marks, looks=_looks(names, seen))
    plots = "\n".join(_section(monitoring, each, frame) for each in panels.PANELS)
    title = f"{stack} at {_at(span.end):%Y-%m-%d %H:%M} UTC"
    minutes = (span.end - span.start) / 60
    return f"""<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="{POLICY}">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{escape(title)}</title>
<style>{STYLE % {"light": LIGHT, "dark": DARK}}</style>
<script>{get_plotlyjs()}</script>
</head>
<body>
<h1>{escape(title)}</h1>
<p class="soft">The last {minutes:.0f} minutes, as Prometheus has them. All times are UTC.</p>
{_environments(rows, watch)}
{_alerts(watch)}
{_marks(marks)}
<div class="plots">
{plots}
</div>
</body>
</html>
"""


def releases(seen: Sequence[Series]) -> list[Mark]:
    """Return when versions began to answer, the first one first.

    What answers first is no release: it may have done so before. Neither is a version that comes back after a time
    in which none answered.

    Args:
        seen: a series for each version of an environment, with a point where there is one.
    """
    at: dict[tuple[str, str], dict[float, set[str]]] = {}
    for each in seen:
        where = each.labels.get("cluster", ""), each.labels.get("namespace", "")
        for moment, _ in each.points:
            at.setdefault(where, {}).setdefault(moment, set()).add(each.labels.get("version", ""))
    found = []
    for (_, namespace), moments in at.items():
        before: set[str] | None = None
        for moment, there in sorted(moments.items()):
            found += [Mark(namespace, version, moment) for version in sorted(there - (before or there))]
            before = there
    return sorted(found, key=lambda mark: mark.at)


def _looks(namespaces: Sequence[str], seen: Sequence[Series]) -> dict[tuple[str, str], dict[str, str]]:
    """Return what ``Frame.looks`` has."""
    found: dict[tuple[str, str], dict[str, str]] = {}
    known = [*namespaces, *sorted({each.labels.get("namespace", "") for each in seen} - set(namespaces))]
    for number, namespace in enumerate(known):
        colour = COLOURS[number % len(COLOURS)]
        found[namespace, ""] = {"color": colour, "dash": DASHES[0]}
        begun = {
            each.labels.get("version", ""): each.points[0][0]
            for each in seen
            if each.labels.get("namespace", "") == namespace
        }
        # The newest one has the plain line.
        for place, version in enumerate(sorted(begun, key=lambda version: -begun[version])):
            found[namespace, version] = {"color": colour, "dash": DASHES[place % len(DASHES)]}
    return found


def _section(monitoring: Monitoring, panel: Panel, frame: Frame) -> str:
    span = frame.span

    def asked(query: Query) -> list[Series]:
        return monitoring.query_range(span.filled(query.text, frame.namespaces), span.start, span.end, span.step)

    answers = [(query, asked(query)) for query in panel.queries]
    for other in panel.otherwise:
        if any(series for _, series in answers):
            break
        answers = [(other, asked(other))]
    lines = [
        _line(query, each, number, frame)
        for number, (query, series) in enumerate(answers)
        for each in sorted(series, key=lambda each: sorted(each.labels.items()))
        if not all(math.isnan(value) for _, value in each.points)
    ]
    about = "; ".join(query.about for query, _ in answers if query.about) if lines else ""
    note = f'<p class="soft">{escape(about[:1].upper() + about[1:])}.</p>' if about else ""
    figure = {"data": lines, "layout": _layout(panel, frame, empty=not lines)}
    html = plotly.io.to_html(
        figure, full_html=False, include_plotlyjs=False, config={"responsive": True, "displayModeBar": False}
    )
    return f"<section><h2>{escape(panel.title)}</h2>{note}{html}{_legend(lines)}{_values(panel, lines)}</section>"


def _line(query: Query, series: Series, number: int, frame: Frame) -> dict[str, Any]:
    labels = {"namespace": "", "version": "", "pod": ""} | dict(series.labels)
    look = frame.looks.get((labels["namespace"], labels["version"])) or frame.looks.get(
        (labels["namespace"], ""), OTHER
    )
    # A query of several in a panel has a dash of its own.
    dash = {"dash": DASHES[number]} if number else {}
    return {
        "type": "scatter",
        "mode": "lines",
        # plotly takes text for HTML.
        "name": escape(query.names.format(**labels).strip() or "app"),
        "x": [f"{_at(moment):%Y-%m-%d %H:%M:%S}" for moment, _ in series.points],
        "y": [None if math.isnan(value) or math.isinf(value) else value for _, value in series.points],
        "line": {"width": 2, **look, **dash},
    }


def _layout(panel: Panel, frame: Frame, *, empty: bool) -> dict[str, Any]:
    marks = () if empty else frame.marks
    shapes, notes = [], []
    for mark in marks:
        colour = frame.looks[mark.namespace, ""]["color"]
        moment = f"{_at(mark.at):%Y-%m-%d %H:%M:%S}"
        line = {"color": colour, "dash": "dot", "width": 1.5}
        shapes.append({"type": "line", "xref": "x", "yref": "paper", "y0": 0, "y1": 1, "line": line})
        shapes[-1] |= {"x0": moment, "x1": moment}
        if len(marks) <= SHOWN:
            text = escape(f"{mark.namespace} {mark.version}")
            notes.append({"x": moment, "xref": "x", "y": 1, "yref": "paper", "text": text, "textangle": -90})
            notes[-1] |= {"showarrow": False, "xanchor": "right", "yanchor": "top", "font": {"size": 12}}
            notes[-1] |= {"bgcolor": LIGHT, "borderpad": 1}
    if empty:
        text = f"no data:<br>{escape(panel.empty)}"
        notes.append({"x": 0.5, "xref": "paper", "y": 0.5, "yref": "paper", "text": text, "showarrow": False})
        notes[-1] |= {"font": {"size": 14}}
    ticks = {"ticks": "outside", "ticklen": 5, "tickcolor": "rgba(0,0,0,0)"}  # some air
    unit = {"tickformat": ",.3~%"} if panel.unit == "%" else {"tickformat": ",.4~r"}
    return {
        "template": "none",
        "height": HEIGHT,
        "margin": {"l": 8, "r": 12, "t": 12, "b": 8},
        "paper_bgcolor": "rgba(0,0,0,0)",
        "plot_bgcolor": "rgba(0,0,0,0)",
        "font": {"family": "system-ui, sans-serif", "size": 13},
        "hovermode": "x unified",
        "hoverlabel": {"bgcolor": "#ffffff", "font": {"color": "#1c2024"}, "namelength": -1},
        "showlegend": False,
        "xaxis": {
            "type": "date",
            "range": [f"{_at(each):%Y-%m-%d %H:%M:%S}" for each in (frame.span.start, frame.span.end)],
            "automargin": True,
            "nticks": 6,
            "tickformat": "%H:%M" if frame.span.end - frame.span.start <= DAY else "%b %d<br>%H:%M",
            "hoverformat": "%Y-%m-%d %H:%M:%S UTC",
            "title": {"text": "UTC", "standoff": 4},
            **ticks,
            "fixedrange": True,
        },
        "yaxis": {
            "title": {"text": panel.unit, "standoff": 8},
            "rangemode": "tozero",
            "automargin": True,
            "showticklabels": not empty,
            "showgrid": not empty,
            "zeroline": not empty,
            "fixedrange": True,
            **unit,
            **ticks,
        },
        "shapes": shapes,
        "annotations": notes,
    }


def _legend(lines: Sequence[Mapping[str, Any]]) -> str:
    """Return what a plot's lines are; outside of it, where long names make it no smaller."""
    strokes = {"solid": "", "dash": "6 4", "dot": "2 3", "dashdot": "6 3 2 3", "longdash": "10 4"}
    entries = [
        f'<li><svg width="26" height="8" aria-hidden="true"><path d="M0 4H26" stroke="{each["line"]["color"]}" '
        f'stroke-width="2" stroke-dasharray="{strokes[each["line"]["dash"]]}"/></svg>{each["name"]}</li>'
        for each in lines
    ]
    return f'<ul class="lines">{"".join(entries)}</ul>' if entries else ""


def _values(panel: Panel, lines: Sequence[Mapping[str, Any]]) -> str:
    """Return a plot's lines as a table, for who can't see it, or wants to know it exactly."""
    if not lines:
        return ""
    rows = []
    for each in lines:
        known = [value for value in each["y"] if value is not None]
        ends = [f"{number:.2%}" if panel.unit == "%" else f"{number:,.4g}" for number in (known[-1], max(known))]
        rows.append([each["name"], *ends])
    table = _table(["", f"last, {panel.unit}", f"highest, {panel.unit}"], rows)
    return f'<details><summary class="soft">in numbers</summary>{table}</details>'


def _environments(rows: Sequence[Row], watch: Watch) -> str:
    def cells(each: Row) -> list[str]:
        fires = [alert for alert in watch.firing if alert.environment == each.namespace]
        names = ", ".join(sorted({alert.name for alert in fires})) or "none"
        return [
            f'<a href="{escape(each.url)}">{escape(each.name)}</a>',
            escape(each.version),
            _judged(each.sync, good=each.sync == "Synced"),
            _judged(each.health, good=each.health == "Healthy"),
            _judged(names, good=not fires),
            escape(each.since or "never"),
            escape(each.cluster or "Argo CD's own"),
        ]

    # On a narrow screen the first ones are seen.
    head = ["environment", "version", "sync", "health", "firing alerts", "synced at", "cluster"]
    return f"<h2>Environments</h2>{_table(head, [cells(each) for each in rows])}"


def _alerts(watch: Watch) -> str:
    problems = "".join(f'<p class="bad">{escape(each)}</p>' for each in watch.problems)
    if not watch.alerts:
        return f"<h2>Alerts</h2>{problems}<p>Nothing fires, {watch.rules} rules are watched.</p>"
    rows = [
        [
            _judged(each.state, good=each.state != prometheus.FIRING),
            escape(each.severity),
            escape(each.name),
            escape(each.where),
            f"{prometheus.moment(each.since):%Y-%m-%d %H:%M:%S}",
            escape(each.summary or each.description),
        ]
        for each in watch.alerts
    ]
    head = ["state", "severity", "alert", "of", "since", "what"]
    return f"<h2>Alerts</h2>{problems}{_table(head, rows)}"


def _marks(marks: Sequence[Mark]) -> str:
    if not marks:
        return ""
    said = "; ".join(f"{_at(each.at):%H:%M:%S} {escape(f'{each.namespace} {each.version}')}" for each in marks)
    return f"<h2>Versions that began to answer</h2><p>{said}. Each is a dotted line in the plots.</p>"


def _judged(text: str, *, good: bool) -> str:
    return escape(text) if good else f'<span class="bad">{escape(text)}</span>'


def _table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Return a table.

    Args:
        head: names of its columns, as text.
        rows: its cells, as HTML.
    """
    top = "".join(f'<th scope="col">{escape(each)}</th>' for each in head)
    body = "".join(f"<tr>{''.join(map(_cell, row))}</tr>" for row in rows)
    # Where it is too wide, it is scrolled: by the keyboard, too.
    return f'<div class="wide" tabindex="0"><table><thead><tr>{top}</tr></thead><tbody>{body}</tbody></table></div>'


def _cell(html: str) -> str:
    return f'<td class="text">{html}</td>' if len(html) > LONG and "<" not in html else f"<td>{html}</td>"


def _at(seconds: float) -> datetime:
    return datetime.fromtimestamp(seconds, tz=timezone.utc)
