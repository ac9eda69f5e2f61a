"""What the dashboard shows: a query or more for each panel, of the series that a stack with monitoring has.

``$window`` is the time over which a rate is taken, such as 60s, and ``$namespaces`` those of the environments, such as
dev|prod.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

APP: Final = 'job="app"'
BY_VERSION: Final = "sum by (cluster, namespace, version)"
SERVER_ERRORS: Final = 'status=~"5.."'
MIB: Final = 2**20

# What answers: a series begins with the first request that a version answers, and ends with its last pod.
VERSIONS: Final = f"count by (cluster, namespace, version) (http_request_duration_seconds_count{{{APP}}})"


@dataclass(frozen=True, kw_only=True)
class Query:
    """A query of a panel.

    Attributes:
        text: PromQL.
        names: what its lines are called; each in braces is a label of the series.
        about: what it measures, where the panel's title does not say.
    """

    text: str
    names: str
    about: str = ""


@dataclass(frozen=True, kw_only=True)
class Panel:
    """A plot.

    Attributes:
        title: what it shows.
        unit: of its values, behind the axis; % for shares of 1.
        queries: whose lines are all shown.
        otherwise: asked, one after the other, when none of those has any data.
        empty: why there may be no data.
    """

    title: str
    unit: str
    queries: tuple[Query, ...]
    otherwise: tuple[Query, ...] = ()
    empty: str


def _rate(of: str, more: str = "") -> str:
    matchers = ",".join(each for each in (APP, more) if each)
    return f"rate(http_request_duration_seconds_{of}{{{matchers}}}[$window])"


def _latency(share: float) -> str:
    return f"1000 * histogram_quantile({share}, sum by (cluster, namespace, le) ({_rate('bucket')}))"


NOBODY_ASKED: Final = "nobody asked the app anything in this time"
PANELS: Final = (
    Panel(
        title="Requests, by environment and version",
        unit="requests/s",
        queries=(Query(text=f"{BY_VERSION} ({_rate('count')})", names="{namespace} {version}"),),
        empty=NOBODY_ASKED,
    ),
    Panel(
        title="Share of requests that fail (status 5xx), by environment and version",
        unit="%",
        queries=(
            Query(
                # A version without a single failure has no series of them: its share is 0, and not unknown.
                text=f"({BY_VERSION} ({_rate('count', SERVER_ERRORS)}) or 0 * {BY_VERSION} ({_rate('count')}))"
                f" / {BY_VERSION} ({_rate('count')})",
                names="{namespace} {version}",
            ),
        ),
        empty=NOBODY_ASKED,
    ),
    Panel(
        title="Time to answer, by environment",
        unit="ms",
        queries=(
            Query(text=_latency(0.5), names="{namespace} p50"),
            Query(text=_latency(0.95), names="{namespace} p95"),
        ),
        empty=NOBODY_ASKED,
    ),
    Panel(
        title="Memory, by pod of an environment",
        unit="MiB",
        queries=(
            Query(
                text="sum by (cluster, namespace, pod) (container_memory_working_set_bytes"
                f'{{container!="",namespace=~"$namespaces"}}) / {MIB}',
                names="{namespace} {pod}",
                about="the working set of its containers, as the kubelet counts it",
            ),
        ),
        otherwise=(
            Query(
                text=f"sum by (cluster, namespace, pod) (process_resident_memory_bytes{{{APP}}}) / {MIB}",
                names="{namespace} {pod}",
                about="the resident memory of the app's process, as it says itself; other containers are not in it",
            ),
            Query(
                text="sum by (cluster, namespace, pod) (kube_pod_container_resource_requests"
                f'{{job="kube-state-metrics",namespace=~"$namespaces",resource="memory"}}) / {MIB}',
                names="{namespace} {pod}",
                about="what its containers have asked for, and not what they take: nothing says that",
            ),
        ),
        empty="no pod says how much memory it takes",
    ),
)
