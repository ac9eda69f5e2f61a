"""Show the last runs of the app's pipeline, or what one of them said: make ci, make ci RUN=3."""

from __future__ import annotations

from typing import TYPE_CHECKING

from components.core.errors import LabError
from lab.live import pipeline, stack

if TYPE_CHECKING:
    import argparse

MOST = 10  # runs that are shown


def arguments(parser: argparse.ArgumentParser) -> None:
    """Add the command's arguments."""
    stack.argument(parser)
    parser.add_argument("run", nargs="?", type=int, help="the number of a run, whose log is shown")


def run(args: argparse.Namespace) -> int:
    """Print them; 1 when the last one, or the one that is asked for, has failed."""
    outputs = stack.outputs(args.stack, show_secrets=True)
    found = pipeline.runs(outputs, 50 if args.run else MOST)
    if args.run is None:
        print("\n".join(f"{each.number:4}  {each}" for each in found) or "nothing was pushed to the app yet")
        return int(bool(found) and found[0].state == "failure")
    chosen = next((each for each in found if each.number == args.run), None)
    if not chosen:
        known = ", ".join(str(each.number) for each in found) or "none"
        raise LabError(f"there is no run {args.run}", why=f"there are {known}", fix="make ci shows them")
    print(pipeline.log(outputs, chosen), end="")
    print(chosen)
    return int(chosen.state == "failure")
