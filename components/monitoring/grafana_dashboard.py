"""The panels of `make dashboard` as a dashboard of Grafana.

https://grafana.com/docs/grafana/v12.4/visualizations/dashboards/build-dashboards/view-dashboard-json-model/
"""

from __future__ import annotations

import re
from string import Template
from typing import TYPE_CHECKING, Any, Final

from components.monitoring import panels

if TYPE_CHECKING:
    from collections.abc import Sequence

    from components.monitoring.panels import Panel

UID: Final = "iot-apps"  # Grafana takes 8 to 40 characters
SCHEMA: Final = 41  # of the JSON; a newer Grafana reads it as well
DATASOURCE: Final = {"type": "prometheus", "uid": "prometheus"}
# Grafana takes a rate over four of what its data source says is the time between two samples, at least.
WINDOW: Final = "$__rate_interval"
UNITS: Final = {"requests/s": "reqps", "%": "percentunit", "ms": "ms", "MiB": "mbytes"}  # as Grafana calls them
WIDTH: Final = 12  # of a panel; the page has 24
HEIGHT: Final = 9


def dashboard(title: str, namespaces: Sequence[str]) -> dict[str, Any]:
    """Return the dashboard.

    Args:
        title: what it is called.
        namespaces: of the environments, in all clusters.
    """
    return {
        "uid": UID,
        "title": title,
        "schemaVersion": SCHEMA,
        "timezone": "utc",
        "time": {"from": "now-1h", "to": "now"},
        "refresh": "30s",
        "editable": False,
        "panels": [_panel(each, number, namespaces) for number, each in enumerate(panels.PANELS)],
    }


def _panel(panel: Panel, number: int, namespaces: Sequence[str]) -> dict[str, Any]:
    across = 24 // WIDTH
    return {
        "id": number + 1,
        "type": "timeseries",
        "title": panel.title,
        "description": _about(panel),
        "datasource": DATASOURCE,
        "gridPos": {"x": number % across * WIDTH, "y": number // across * HEIGHT, "w": WIDTH, "h": HEIGHT},
        "fieldConfig": {"defaults": {"unit": UNITS[panel.unit], "min": 0, "noValue": panel.empty}, "overrides": []},
        "targets": [
            {
                "refId": chr(ord("A") + place),
                "datasource": DATASOURCE,
                "expr": Template(text).substitute(window=WINDOW, namespaces="|".join(namespaces)),
                "legendFormat": re.sub(r"{(\w+)}", r"{{\1}}", names),
                "range": True,
            }
            for place, (text, names) in enumerate(_queries(panel))
        ],
    }


def _queries(panel: Panel) -> list[tuple[str, str]]:
    """Return a panel's queries and what their lines are called; what is asked otherwise is in the one before it."""
    if not panel.otherwise:
        return [(each.text, each.names) for each in panel.queries]
    (first,) = panel.queries
    text = f"({first.text})"
    for each in panel.otherwise:
        text = f"{text} or (({each.text}) unless on () ({text}))"
    return [(text, first.names)]


def _about(panel: Panel) -> str:
    return "; or else ".join(each.about for each in (*panel.queries, *panel.otherwise) if each.about)
