"""Show DORA's four metrics of each environment: make dora STACK=platform.

They are taken from Git and from Argo CD; lab/live/dora.py says how. Nothing is shown that is not known: with too little
to say a number, it says so.
"""

from __future__ import annotations

import json
import time
from contextlib import ExitStack
from dataclasses import asdict, replace
from typing import TYPE_CHECKING, Any, Final

from components.core import kube
from lab.host import tools
from lab.live import application, dora, environments, git, stack

if TYPE_CHECKING:
    import argparse
    from collections.abc import Mapping

    from lab.live.dora import Metrics

MINUTE: Final = 60
HOUR: Final = 3600


def arguments(parser: argparse.ArgumentParser) -> None:
    """Add the command's arguments."""
    stack.argument(parser)
    parser.add_argument("--days", type=days, default=30, help="that are looked at (%(default)s)")
    parser.add_argument("--json", action="store_true", help="print JSON instead")


def days(text: str) -> int:
    """Return how many days are looked at; argparse says it when that is no number of them."""
    found = int(text)
    if found < 1:
        raise ValueError(text)
    return found


def run(args: argparse.Namespace) -> int:
    """Print the metrics."""
    outputs = stack.outputs(args.stack, show_secrets=True)
    tools.ensure(["kubectl"])
    found = measure(outputs, args.days, time.time())
    if args.json:
        print(json.dumps({"stack": args.stack, "days": args.days, "environments": [asdict(each) for each in found]}))
    else:
        print("\n".join(line for each in found for line in lines(each)))
    return 0


def measure(outputs: Mapping[str, Any], window: int, now: float) -> list[Metrics]:
    """Return the metrics of a stack's environments, in their order.

    Args:
        outputs: the stack's, with secrets.
        window: days that are looked at.
        now: seconds since 1970.

    Raises:
        LabError: the stack has no repository, or Git or the cluster does not answer.
    """
    found = []
    with ExitStack() as opened:
        config = opened.enter_context(kube.config_file(outputs["kubeconfig"]))
        code = None
        if "ci" in outputs:
            remote = replace(git.remote(outputs), url=outputs["ci"]["repository"], revision="HEAD", may_ask=False)
            code = opened.enter_context(git.cloned(remote, git.WHOLE))
        for app in environments.apps(outputs):
            status = application.status(config, app.application)
            clone = opened.enter_context(git.cloned(app.remote, git.WHOLE))
            found.append(dora.measure(app, status, clone, code, outputs["image"], now=now, window=window * dora.DAY))
    return found


def lines(found: Metrics) -> list[str]:
    """Return the metrics of an environment as people read them."""
    time_ = f"{took(found.seconds)}, which is all there is of it" if found.young else took(found.seconds)
    sources = f"{found.deployments - found.by_git} as Argo CD remembers, {found.by_git} as Git's commits have it"
    often = f"{_count(found.deployments, 'deployment')} in {time_}"
    if found.deployments:
        often += f" ({sources})"
        often += f": {found.per_day:.2g} a day" if found.per_day is not None else "; too short for a rate"
    lead = "not known: no commit of the app was deployed, as far as Argo CD remembers"
    if found.lead_time is not None:
        lead = f"{took(found.lead_time)}, the median of {_count(found.lead_commits, 'commit')} of the app"
    rate, recovery = "not known: nothing was deployed", "nothing to recover from"
    if found.failure_rate is not None:
        rate = f"{found.failure_rate:.0%}: {found.failed} of {_count(found.deployments, 'deployment')}"
        rate += ", the last one is Degraded" if found.degraded else ""
    if found.recovery_time is not None:
        recovery = f"{took(found.recovery_time)}, the median of {_count(found.recovered, 'deployment')}"
    elif found.failed:
        recovery = "not known: what failed is not taken back yet, or before what Argo CD remembers"
    result = [
        found.environment,
        f"  deployment frequency   {often}",
        f"  lead time for changes  {lead}",
        f"  change failure rate    {rate}",
        f"  recovery time          {recovery}",
    ]
    if found.strangers:
        result.append(f"  not counted: {_count(found.strangers, 'sync')} of what is not in the branch")
    return result


def took(seconds: float) -> str:
    """Return a time as people say it, in its two largest units."""
    if abs(seconds) < MINUTE:
        return f"{seconds:.0f} s"
    for size, name, part, part_name in (
        (dora.DAY, "d", HOUR, "h"),
        (HOUR, "h", MINUTE, "min"),
        (MINUTE, "min", 1, "s"),
    ):
        if seconds >= size:
            whole, rest = divmod(seconds, size)
            left = int(rest // part)
            return f"{whole:.0f} {name} {left} {part_name}" if left else f"{whole:.0f} {name}"
    return f"{seconds:.0f} s"


def _count(number: int, what: str) -> str:
    return f"{number} {what}{'' if number == 1 else 's'}"
