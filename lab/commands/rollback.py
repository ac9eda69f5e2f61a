"""Take back the last change of an environment, by a revert in Git: make rollback ENV=staging.

Where a change needs an approval, so does the way back.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from components.core.errors import LabError
from lab.host import tools
from lab.live import environments, git, manifest_tags, releases, stack

if TYPE_CHECKING:
    import argparse
    from collections.abc import Mapping

    from lab.live.environments import Environment

DEPTH: Final = 200  # commits in which the last change is looked for


def arguments(parser: argparse.ArgumentParser) -> None:
    """Add the command's arguments."""
    stack.argument(parser)
    parser.add_argument("--timeout", type=float, default=releases.TIMEOUT, help="seconds to wait (%(default).0f)")
    parser.add_argument("environment", help="the environment")


def run(args: argparse.Namespace) -> int:
    """Revert, and wait until the version before is live where nobody has to approve it."""
    outputs = stack.outputs(args.stack, show_secrets=True)
    target = environments.find(outputs, args.environment)
    tools.ensure(["kubectl"])
    environments.require_cluster(outputs, target)
    return git.once_more(lambda: rollback(outputs, target, args.timeout))


def rollback(outputs: Mapping[str, Any], target: Environment, timeout: float) -> int:
    """Commit to an environment's branch what takes its last change back, and return the exit code.

    Args:
        outputs: the stack's, with secrets.
        target: the environment.
        timeout: seconds until it has to be live, where nobody has to approve it.

    Raises:
        RejectedError: somebody else has pushed at the same time.
        LabError: there is nothing that can be taken back.
    """
    image = outputs["image"]
    with git.cloned(environments.remote(outputs, target), DEPTH) as clone:
        folder = clone.root / target.path
        version = manifest_tags.one_of(manifest_tags.tags(manifest_tags.read(folder), image))
        title = clone.revert(target.folders)
        if not folder.is_dir():
            raise LabError(
                f"nothing can be taken back in {target.name}", why="its last change is the one that it began with"
            )
        before = manifest_tags.one_of(manifest_tags.tags(manifest_tags.read(folder), image))
        if before != version:
            releases.check_exists(before, image)
        request = environments.submit(outputs, target, clone, title)
    change = releases.Change(before=version, after=before, what=repr(title))
    releases.follow(outputs, target, change, request, timeout)
    return 0
