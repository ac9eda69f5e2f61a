"""Measure p3 against a plain script that does the same, in turns, and print the figures as Markdown.

With STACK=platform it measures the platform against p3, and with --load how p2 or p3 grows with the number of apps. It
has clusters, machines and ports of its own, and removes all that it makes. docs/benchmark.md says what is measured.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, Final

from components.core.errors import LabError
from devtools.bench import table
from lab.host import paths

if TYPE_CHECKING:
    import argparse

PAGE: Final = paths.ROOT / "docs" / "benchmark.md"


def arguments(parser: argparse.ArgumentParser) -> None:
    """Add the command's arguments."""
    parser.add_argument("stack", nargs="?", default="p3", choices=("p2", "p3", "platform"), help="(%(default)s)")
    parser.add_argument("--repetitions", type=int, default=3, help="how often each side runs (%(default)s)")
    parser.add_argument(
        "--load", nargs="?", const="1,10,50", metavar="NUMBERS", help="of apps that p2 or p3 runs (%(const)s)"
    )
    parser.add_argument("--set", action="append", default=[], metavar="KEY=VALUE", help="a setting of it, as JSON")
    parser.add_argument(
        "--write", action="store_true", help=f"also put the figures into {PAGE.relative_to(paths.ROOT)}"
    )


def run(args: argparse.Namespace) -> int:
    """Measure and print."""
    from devtools.bench import load, p3, platform  # noqa: PLC0415 - they load the whole program; --help can do without

    if args.repetitions < 1:
        raise LabError(f"--repetitions is {args.repetitions}", why="at least 1 was expected")
    overrides = dict(setting(each) for each in args.set)
    if args.load and args.stack == platform.STACK:
        raise LabError("--load is not for the platform", why="p2 and p3 are measured with more and more apps")
    if not args.load and args.stack == "p2":
        raise LabError("p2 is measured with --load alone", fix="make bench STACK=p2 ARGS=--load")
    if args.load:
        figures = load.measure(args.stack, load.numbers(args.load), args.repetitions, overrides)
        of = f"{args.stack} with many"
    elif args.stack == p3.STACK:
        figures, of = p3.measure(args.repetitions, overrides), ""
    else:
        figures, of = platform.measure(args.repetitions, overrides), args.stack
    print(figures)
    if args.write:
        table.put(PAGE, figures, of)
    return 0


def setting(text: str) -> tuple[str, Any]:
    """Return the key and the value of a KEY=VALUE; a value that is no JSON is a text.

    Raises:
        LabError: there is no "=" in it.
    """
    key, equals, value = text.partition("=")
    if not equals or not key:
        raise LabError(f"--set {text} has no value", why="expected KEY=VALUE", fix="--set apiPort=6551")
    try:
        return key, json.loads(value)
    except ValueError:
        return key, value
