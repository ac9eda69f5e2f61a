"""What Prometheus and Alertmanager of a stack say: series, alerts and rules.

No port of this host leads to them. The API server is the way, as whoever has the kubeconfig:
https://kubernetes.io/docs/tasks/access-application-cluster/access-cluster-services/
"""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from datetime import datetime, timezone
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import quote, urlencode

import promql_parser

from components.core import kube
from components.core.errors import LabError
from components.core.run import CommandError, MissingProgramError

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

PROMETHEUS: Final = "prometheus"
ALERTMANAGER: Final = "alertmanager"
NAMES: Final = {PROMETHEUS: "Prometheus", ALERTMANAGER: "Alertmanager"}
# What kubectl makes of the statuses 400 and 422 with which Prometheus refuses; it does not show what is said with them.
# https://prometheus.io/docs/prometheus/3.14/querying/api/#format-overview
REFUSED: Final = ("(BadRequest)", "The request is invalid")
FIRING: Final = "firing"
PENDING: Final = "pending"
SILENCED: Final = "silenced"
INHIBITED: Final = "inhibited"
CRITICAL: Final = "critical"
ORDER: Final = (FIRING, PENDING, INHIBITED, SILENCED)
IN_WORDS: Final = {
    "err": "can't be evaluated",
    "unknown": "was not evaluated yet",
}


@dataclass(frozen=True)
class Series:
    """A series, or a part of it.

    Attributes:
        labels: by which it is told from others.
        points: seconds since 1970, and the value then, which may be NaN.
    """

    labels: Mapping[str, str]
    points: tuple[tuple[float, float], ...]


@dataclass(frozen=True, kw_only=True)
class Alert:
    """An alert that fires, or is about to.

    Attributes:
        name: of its rule.
        state: firing, pending, or when it fires and nobody is told: silenced, or inhibited by another one.
        severity: critical or warning; empty when the rule does not say.
        since: from when on what it warns of is so, as in 2026-11-28T19:00:00Z.
        environment: empty when it is of none.
        cluster: empty when it is of none.
        summary: what is wrong, in a line.
        description: more of that.
        link: to the Argo CD Application; empty when it is of none.
    """

    name: str
    state: str
    severity: str
    since: str
    environment: str
    cluster: str
    summary: str
    description: str
    link: str

    @property
    def where(self) -> str:
        """What it is of, in a word."""
        return "/".join(each for each in (self.environment, self.cluster) if each) or "-"


@dataclass(frozen=True, kw_only=True)
class Watch:
    """What is watched, and what became of it.

    Attributes:
        alerts: that fire or are about to, the worst first.
        rules: how many rules can fire.
        problems: what is wrong with the watching itself, a line each.
    """

    alerts: tuple[Alert, ...]
    rules: int
    problems: tuple[str, ...]

    @property
    def firing(self) -> list[Alert]:
        """Those that fire, and that nobody has silenced."""
        return [each for each in self.alerts if each.state == FIRING]


class Monitoring:
    """Prometheus and Alertmanager of a stack.

    Attributes:
        config: path of the kubeconfig of the cluster that they are in.
    """

    def __init__(self, outputs: Mapping[str, Any], config: Path, stack: str = "platform") -> None:
        """Find out where they are.

        Args:
            outputs: the stack's, with secrets.
            config: path of the kubeconfig of Argo CD's cluster.
            stack: its name, for what is said.

        Raises:
            LabError: the stack has none.
        """
        require(outputs, stack)
        self.config = config
        self._services: Mapping[str, Any] = outputs["monitoring"]

    def query(self, text: str) -> list[Series]:
        """Return what a query gives now; nothing when there is no such series.

        Args:
            text: PromQL.

        Raises:
            LabError: Prometheus does not answer, or refuses the query.
        """
        answer = self._asked("query", {"query": text}, text)
        found = answer["result"]
        if answer["resultType"] == "scalar":  # a number by itself, without labels
            found = [{"metric": {}, "value": found}]
        return [Series(each["metric"], (_point(each["value"]),)) for each in found]

    def query_range(self, text: str, start: float, end: float, step: float) -> list[Series]:
        """Return what a query gives over a time; nothing when there is no such series.

        Args:
            text: PromQL.
            start: seconds since 1970.
            end: seconds since 1970.
            step: seconds between two points.

        Raises:
            LabError: Prometheus does not answer, or refuses the query.
        """
        asked = {"query": text, "start": f"{start:.3f}", "end": f"{end:.3f}", "step": f"{step:g}"}
        found = self._asked("query_range", asked, text)["result"]
        return [Series(each["metric"], tuple(_point(point) for point in each["values"])) for each in found]

    def watch(self) -> Watch:
        """Return what fires, what is about to, and whether all rules are in order.

        Raises:
            LabError: Prometheus does not answer. That Alertmanager does not is one of the problems.
        """
        alerts = [_alert(each) for each in self._asked("alerts")["alerts"]]
        rules = [rule for group in self._asked("rules")["groups"] for rule in group["rules"]]
        broken = [each for each in rules if each["health"] != "ok"]
        problems = [
            f"the rule {each['name']} {IN_WORDS.get(each['health'], each['health'])}"
            + (f": {each['lastError']}" if each.get("lastError") else "")
            for each in broken
        ]
        try:
            quiet = [each for each in self._get(ALERTMANAGER, "api/v2/alerts") if each["status"]["state"] != "active"]
        except LabError as error:
            # What fires is known, and has to be told all the more.
            quiet = []
            problems.append(f"nobody is told of what fires: {error}")
        alerts = [(labels, _quieted(labels, alert, quiet)) for labels, alert in alerts]
        found = sorted((each for _, each in alerts), key=_rank)
        return Watch(
            alerts=tuple(found),
            rules=sum(each["type"] == "alerting" for each in rules),
            problems=tuple(problems),
        )

    def _asked(self, what: str, asked: Mapping[str, str] | None = None, query: str = "") -> dict[str, Any]:
        answer = self._get(PROMETHEUS, f"api/v1/{what}{'?' if asked else ''}{_encoded(asked or {})}", query)
        found: dict[str, Any] = answer["data"]
        return found

    def _get(self, who: str, path: str, query: str = "") -> Any:  # noqa: ANN401 - any JSON
        at = self._services[who]
        # The engine's JSON has every number as a float.
        service = f"/api/v1/namespaces/{at['namespace']}/services/{at['service']}:{int(at['port'])}/proxy/"
        try:
            text = kube.raw(self.config, f"{service}{path}")
        except MissingProgramError:
            raise
        except CommandError as error:
            said = error.what if error.said is None else error.said.rpartition("\n")[2]
            if query and any(words in said for words in REFUSED):
                raise LabError(f"Prometheus refuses the query {query}", why=_unreadable(query) or said) from error
            raise LabError(
                f"{NAMES[who]} does not answer",
                why=said,
                fix=f"make kubectl ARGS='-n {at['namespace']} get pods,events', or make up, which repairs what is lost",
            ) from error
        try:
            return json.loads(text)
        except ValueError as error:
            raise LabError(f"{NAMES[who]} answers no JSON", why=text[:80], fix="make up") from error


def require(outputs: Mapping[str, Any], stack: str) -> None:
    """Stop unless a stack has monitoring.

    Args:
        outputs: the stack's.
        stack: its name.

    Raises:
        LabError: says how to switch it on.
    """
    if not outputs.get("monitoring"):
        raise LabError(
            f"the stack {stack} has no monitoring",
            why="iot:monitoring is off, or was not on yet at its last `make up`",
            fix=f"pulumi config set iot:monitoring true --stack {stack}; make up STACK={stack}",
        )


def moment(text: str) -> datetime:
    """Return a time as Kubernetes, Prometheus and Argo CD write it: UTC, with up to nine digits behind the second."""
    whole = text.removesuffix("Z").partition(".")[0]
    return datetime.strptime(whole, "%Y-%m-%dT%H:%M:%S").replace(tzinfo=timezone.utc)


def _unreadable(query: str) -> str:
    """Return why a query can't be read; empty when it can."""
    try:
        promql_parser.parse(query)
    except ValueError as error:
        return str(error)
    return ""


def _encoded(asked: Mapping[str, str]) -> str:
    return urlencode(asked, quote_via=quote)


def _point(pair: list[Any]) -> tuple[float, float]:
    return float(pair[0]), float(pair[1])


def _alert(found: Mapping[str, Any]) -> tuple[Mapping[str, str], Alert]:
    labels, notes = found["labels"], found.get("annotations") or {}
    return labels, Alert(
        name=labels["alertname"],
        state=found["state"],
        severity=labels.get("severity", ""),
        since=f"{moment(found['activeAt']):%Y-%m-%dT%H:%M:%SZ}",
        environment=labels.get("environment", ""),
        cluster=labels.get("cluster", ""),
        summary=notes.get("summary", ""),
        description=notes.get("description", ""),
        link=notes.get("application", ""),
    )


def _quieted(labels: Mapping[str, str], alert: Alert, quiet: list[Mapping[str, Any]]) -> Alert:
    """Return an alert as Alertmanager sees it, which may know more labels of it than Prometheus shows."""
    if alert.state != FIRING:
        return alert
    for each in quiet:
        if labels.items() <= each["labels"].items():
            return replace(alert, state=SILENCED if each["status"].get("silencedBy") else INHIBITED)
    return alert


def _rank(alert: Alert) -> tuple[int, bool, str, str]:
    state = ORDER.index(alert.state) if alert.state in ORDER else len(ORDER)
    return state, alert.severity != CRITICAL, alert.name, alert.where
