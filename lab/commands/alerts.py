"""Show what fires and what is about to: make alerts STACK=platform.

The exit code is 1 when something fires that nobody has silenced, or when the watching itself is broken: a rule that
can't be evaluated, or an Alertmanager that does not answer.
"""

from __future__ import annotations

import json
import sys
from dataclasses import asdict
from typing import TYPE_CHECKING, Final

from components.core import kube
from lab.host import tools
from lab.host.console import PLAIN, RED
from lab.live import prometheus, stack

if TYPE_CHECKING:
    import argparse

    from lab.live.prometheus import Alert, Watch

INDENT: Final = "    "


def arguments(parser: argparse.ArgumentParser) -> None:
    """Add the command's arguments."""
    stack.argument(parser)
    parser.add_argument("--json", action="store_true", help="print JSON instead")


def run(args: argparse.Namespace) -> int:
    """Print the alerts."""
    outputs = stack.outputs(args.stack, show_secrets=True)
    prometheus.require(outputs, args.stack)
    tools.ensure(["kubectl"])
    with kube.config_file(outputs["kubeconfig"]) as config:
        watch = prometheus.Monitoring(outputs, config, args.stack).watch()
    ok = not watch.firing and not watch.problems
    if args.json:
        print(json.dumps({"stack": args.stack, "ok": ok, **asdict(watch)}))
    else:
        print("\n".join(lines(watch, colour=sys.stdout.isatty())))
    return 0 if ok else 1


def lines(watch: Watch, *, colour: bool) -> list[str]:
    """Return a table of the alerts, and what is wrong with the watching, as people read it.

    Args:
        watch: what was found.
        colour: whether what fires is painted.
    """
    found = [line for line in _table(watch.alerts, colour=colour) if watch.alerts]
    found += [f"NOT OK  {each}" for each in watch.problems]
    if not watch.firing:
        found.append(f"nothing fires, {watch.rules} rules are watched")
    return found


def _table(alerts: tuple[Alert, ...], *, colour: bool) -> list[str]:
    rows = [("state", "severity", "alert", "of", "since (UTC)", "what")]
    rows += [
        (
            each.state,
            each.severity or "-",
            each.name,
            each.where,
            f"{prometheus.moment(each.since):%Y-%m-%d %H:%M:%S}",
            each.summary or each.description or "-",
        )
        for each in alerts
    ]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    links = ["", *(each.link for each in alerts)]
    found = []
    for row, link in zip(rows, links, strict=True):
        line = "  ".join(text.ljust(width) for text, width in zip(row, widths, strict=True)).rstrip()
        painted = colour and row[0] == prometheus.FIRING
        found.append(f"{RED}{line}{PLAIN}" if painted else line)
        if link:
            found.append(f"{INDENT}{link}")
    return found
