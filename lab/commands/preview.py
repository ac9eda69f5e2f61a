"""Show what `up` would do: for one stack, or for all of them from an empty state.

It needs the Pulumi CLI and its plugins, but no Docker, no Vagrant and no cluster.
"""

from __future__ import annotations

import os
import shutil
import tempfile
import time
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from components.core.errors import LabError
from components.core.names import PROJECT, STACKS
from components.core.run import run as run_program
from components.core.run import show
from lab.host import chart, local, needs, paths
from lab.host.console import say
from lab.live import stack

if TYPE_CHECKING:
    import argparse

    from components.core import versions


def arguments(parser: argparse.ArgumentParser) -> None:
    """Add the command's arguments."""
    parser.add_argument("--stack", help="the stack to compare with its state (default: all, from an empty state)")
    parser.add_argument("--policy", action="store_true", help="hold it to the rules of policy/ as well")
    stack.further_arguments(parser)


def run(args: argparse.Namespace) -> int:
    """Run `pulumi preview`."""
    local.prepare()
    wanted = args.policy or os.environ.get("POLICY") == "1"
    pack = ["--policy-pack", str(paths.ROOT / "policy")] if wanted else []
    further = [*stack.QUIET, *pack, *args.arguments]
    if args.stack:
        needs.fetch(replace(needs.of(args.stack, args.arguments), tools=("pulumi",)))
        stack.ensure(args.stack)
        return stack.run_pulumi(["pulumi", "preview", "--stack", args.stack, *further])
    for name in STACKS:
        needs.fetch(replace(needs.of(name), tools=("pulumi",), charts=()))
    codes = {name: from_nothing(name, further) for name in STACKS}
    for name, code in codes.items():
        say(f"preview of {name}: {'ok' if code == 0 else 'failed'}")
    return max(codes.values())


def from_nothing(name: str, further: list[str]) -> int:
    """Preview a stack against an empty state that is thrown away, and return the exit code.

    Args:
        name: the stack.
        further: arguments for `pulumi preview`.
    """
    say(f"preview of {name}, from an empty state")
    start = time.monotonic()
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        (folder / "state").mkdir()
        env = {"PULUMI_BACKEND_URL": f"file://{folder}/state"}
        # `stack init` writes to the stack's file: it gets a copy.
        for file in ("Pulumi.yaml", f"Pulumi.{name}.yaml"):
            shutil.copy(paths.ROOT / file, folder)
        create = ["pulumi", "--cwd", str(folder), "stack", "init", name, "--secrets-provider", "passphrase"]
        run_program([*create, "--non-interactive"], env=env, timeout=stack.TIMEOUT)
        command = ["pulumi", "preview", "--stack", name, "--config-file", str(folder / f"Pulumi.{name}.yaml")]
        code = show([*command, *charts_for(name, folder), *further], cwd=paths.ROOT, env=env)
    say(f"{name} took {time.monotonic() - start:.1f} s")
    return code


def charts_for(name: str, folder: Path) -> list[str]:
    """Return the options for a stack's charts: none for those that are here.

    What a preview shows of a Helm Release is its values; the engine only insists on a chart of that version. So where
    there is none, and no way to fetch it, an empty one takes its place.

    Args:
        name: the stack.
        folder: where empty ones are made.
    """
    return [option for each in needs.of(name).charts for option in chart_for(each, folder)]


def chart_for(wanted: versions.Chart, folder: Path) -> list[str]:
    """Return the option for a chart; none when it is here.

    Args:
        wanted: the chart.
        folder: where an empty one is made.
    """
    try:
        chart.ensure(wanted)
    except LabError as error:
        say(f"previewing with an empty chart in place of {wanted.archive}, which is not here: {error.what}")
        return ["--config", f"{PROJECT}:{wanted.setting}={chart.stand_in(folder, wanted)}"]
    return []
