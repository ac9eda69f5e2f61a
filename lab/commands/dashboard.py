"""Write what Prometheus has as plots, into one HTML file that needs no network: make dashboard STACK=platform.

It has requests, failures, times and memory by environment and version, when versions began to answer, where each
environment is, and what fires.
"""

from __future__ import annotations

import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, Any

from components.core import kube, names
from components.core.errors import LabError
from lab.host import paths, tools
from lab.live import answers, application, environments, plots, prometheus, stack

if TYPE_CHECKING:
    import argparse
    from collections.abc import Mapping

    from lab.live.environments import App


def arguments(parser: argparse.ArgumentParser) -> None:
    """Add the command's arguments."""
    stack.argument(parser)
    parser.add_argument("--minutes", type=minutes, default=60, help="that are shown (%(default)s)")
    parser.add_argument("--output", type=Path, help="the file (default: rendered/dashboard-STACK.html)")


def minutes(text: str) -> int:
    """Return how many minutes are shown; argparse says it when that is no number of them."""
    found = int(text)
    if found < 1:
        raise ValueError(text)
    return found


def run(args: argparse.Namespace) -> int:
    """Write the file, and print where it is."""
    outputs = stack.outputs(args.stack, show_secrets=True)
    prometheus.require(outputs, args.stack)
    tools.ensure(["kubectl"])
    end = time.time()
    span = plots.Span(start=end - 60 * args.minutes, end=end)
    with kube.config_file(outputs["kubeconfig"]) as config:
        with ThreadPoolExecutor() as pool:
            rows = list(pool.map(lambda each: row(outputs, config, each), environments.apps(outputs)))
        text = plots.page(prometheus.Monitoring(outputs, config, args.stack), args.stack, rows, span)
    path = args.output or paths.ROOT / "rendered" / f"dashboard-{args.stack}.html"
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    except OSError as error:
        raise LabError(f"{path} can't be written", why=str(error), fix="name another file: --output FILE") from error
    print(path)
    return 0


def row(outputs: Mapping[str, Any], config: Path, app: App) -> plots.Row:
    """Return where an environment is.

    Args:
        outputs: the stack's, with secrets.
        config: path of the cluster's kubeconfig.
        app: of the environment.

    Raises:
        LabError: the cluster does not answer, or has no such Application.
    """
    status = application.status(config, app.application)
    try:
        version = answers.version(app.url)
    except LabError as error:  # that nothing answers is what there is to show
        version = f"none: {error.what}"
    synced = (status.get("history") or [{}])[-1].get("deployedAt", "")
    return plots.Row(
        name=app.application,
        namespace=app.namespace,
        cluster=app.cluster,
        url=f"{outputs['argocdUrl']}applications/{names.ARGOCD}/{app.application}",
        version=version,
        sync=status.get("sync", {}).get("status", "Unknown"),
        health=status.get("health", {}).get("status", "Unknown"),
        since=f"{prometheus.moment(synced):%Y-%m-%d %H:%M:%S}" if synced else "",
    )
