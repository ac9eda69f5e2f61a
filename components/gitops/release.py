"""A Helm Release of ours: one chart in one namespace, taken back whole when it does not come up."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pulumi_kubernetes as kubernetes

if TYPE_CHECKING:
    from collections.abc import Mapping

    import pulumi

    from components.gitops.chart import Chart


def release(  # noqa: PLR0913 - what a Release is told
    name: str,
    of: str,
    chart: Chart,
    values: Mapping[str, Any],
    *,
    timeout: int,
    opts: pulumi.ResourceOptions,
    namespace: str = "",
) -> kubernetes.helm.v3.Release:
    """Make a Release.

    Args:
        name: of the resource.
        of: the Release's own.
        chart: where its chart comes from.
        values: of the chart.
        timeout: seconds until it has to be ready.
        opts: of the resource.
        namespace: where it is; empty for the one of its own name.
    """
    return kubernetes.helm.v3.Release(
        name,
        name=of,
        namespace=namespace or of,
        chart=chart.name,
        version=chart.version,
        repository_opts=kubernetes.helm.v3.RepositoryOptsArgs(repo=chart.repository) if chart.repository else None,
        values=values,
        atomic=True,
        timeout=timeout,
        opts=opts,
    )
