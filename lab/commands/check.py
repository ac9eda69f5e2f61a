"""Check all that a grader tries by hand, a line per point.

The exit code is 1 when a point does not hold.
"""

from __future__ import annotations

import json
import sys
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict
from typing import TYPE_CHECKING

from components.core import kube
from lab.host import tools
from lab.host.console import GREEN, PLAIN, RED
from lab.live import defence, defence_platform, stack

if TYPE_CHECKING:
    import argparse


def arguments(parser: argparse.ArgumentParser) -> None:
    """Add the command's arguments."""
    stack.argument(parser)
    parser.add_argument("--json", action="store_true", help="print JSON instead")


def run(args: argparse.Namespace) -> int:
    """Print the points and what came of them, then how many hold."""
    outputs = stack.outputs(args.stack, show_secrets=True)
    tools.ensure(["kubectl"])
    with kube.config_file(outputs["kubeconfig"]) as config, ThreadPoolExecutor() as pool:
        # All at the same time: each may have to wait for something that does not answer.
        if outputs.get("environments"):
            points = list(defence_platform.points(outputs, config))
        else:
            points = defence.points(args.stack, outputs, config)
        results = list(pool.map(defence.result, points))
    held = sum(each.ok for each in results)
    if args.json:
        found = {"stack": args.stack, "ok": held == len(results), "points": [asdict(each) for each in results]}
        print(json.dumps(found, indent=2))
    else:
        for each in results:
            print(shown(each, colour=sys.stdout.isatty()))
        print(f"{held} of {len(results)} points hold")
    return 0 if held == len(results) else 1


def shown(result: defence.Result, *, colour: bool) -> str:
    """Return a result as people read it: what has to be so, and what was found."""
    state = f"{'ok' if result.ok else 'FAIL':6}"
    if colour:
        state = f"{GREEN if result.ok else RED}{state}{PLAIN}"
    return f"{state}{result.name} ({result.found})" if result.ok else f"{state}{result.name}\n      {result.found}"
