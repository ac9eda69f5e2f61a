"""Put a version of the app live through Git: change the tag, commit, push, and wait for the app to say it.

The repository is the one that Argo CD follows. Nothing is told to the cluster: Argo CD does the rest.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from lab.live import releases, stack

if TYPE_CHECKING:
    import argparse


def arguments(parser: argparse.ArgumentParser) -> None:
    """Add the command's arguments."""
    stack.argument(parser)
    parser.add_argument("--no-wait", action="store_true", help="end when the commit is pushed")
    parser.add_argument(
        "--timeout", type=float, default=releases.TIMEOUT, help="seconds to wait for the app (%(default).0f)"
    )
    parser.add_argument("version", help="the version, such as v2")


def run(args: argparse.Namespace) -> int:
    """Release, wait, and print how long it took."""
    releases.check_name(args.version)
    target = releases.of(stack.outputs(args.stack, show_secrets=True))
    releases.check_exists(args.version, target.image)
    if args.no_wait:
        done = releases.push(target, args.version)
        print(releases.pushed(done, args.version, target))
        return 0
    times, done = releases.release(target, args.version, args.timeout)
    print(releases.report(times, done, args.version, target))
    return 0
