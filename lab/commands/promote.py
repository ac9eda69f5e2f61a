"""Bring to an environment what runs in the one before it: make promote TO=staging.

What goes on is the app's version and the base, as they are in the commit that Argo CD runs there; what an environment
has of its own stays. Where a change needs an approval, it becomes a pull request.
"""

from __future__ import annotations

import shutil
from typing import TYPE_CHECKING, Any

from components.core import kube
from components.core.errors import LabError
from components.gitops import application_status
from lab.host import tools
from lab.live import application, environments, git, manifest_tags, releases, stack

if TYPE_CHECKING:
    import argparse
    from collections.abc import Mapping

    from lab.live.environments import Environment


def arguments(parser: argparse.ArgumentParser) -> None:
    """Add the command's arguments."""
    stack.argument(parser)
    parser.add_argument("--from", dest="source", default="", help="the environment before it, which is the default")
    parser.add_argument("--timeout", type=float, default=releases.TIMEOUT, help="seconds to wait (%(default).0f)")
    parser.add_argument("to", help="the environment")


def run(args: argparse.Namespace) -> int:
    """Promote, and wait until the version is live where nobody has to approve it."""
    outputs = stack.outputs(args.stack, show_secrets=True)
    target = environments.find(outputs, args.to)
    source = source_of(outputs, target, args.source)
    tools.ensure(["kubectl"])
    environments.require_cluster(outputs, target)
    commit = running(outputs, source)
    return git.once_more(lambda: promote(outputs, source, target, commit, args.timeout))


def source_of(outputs: Mapping[str, Any], target: Environment, named: str) -> Environment:
    """Return the environment that a version comes from.

    Args:
        outputs: the stack's.
        target: where it goes.
        named: the one that was named; empty for the one before.

    Raises:
        LabError: versions do not go that way.
    """
    if named == target.name:
        raise LabError(f"{named} can't be promoted to itself", fix="name two environments: make promote TO=staging")
    source = environments.find(outputs, named or target.after or target.name)
    order = [each.name for each in environments.of(outputs)]
    if source.name == target.after:
        return source
    if not target.after:
        raise LabError(
            f"{target.name} is the first environment",
            why="a version comes to it by a release, and goes on from it",
            fix=f"make release VERSION=v2, or to go back: make rollback ENV={target.name}",
        )
    if order.index(source.name) > order.index(target.name):
        raise LabError(
            f"{source.name} comes after {target.name}",
            why="versions go forward by promotion, and back by a revert",
            fix=f"make rollback ENV={target.name}",
        )
    raise LabError(
        f"{target.name} takes its versions from {target.after}, and not from {source.name}",
        why="iot:environments says so",
        fix=f"make promote TO={target.after} first, then make promote TO={target.name}",
    )


def running(outputs: Mapping[str, Any], source: Environment) -> str:
    """Return the commit that runs in an environment.

    Args:
        outputs: the stack's, with secrets.
        source: the environment.

    Raises:
        LabError: what runs there is not what Git says, or does not work.
    """
    with kube.config_file(outputs["kubeconfig"]) as config:
        status = application.status(config, source.name)
    state = application_status.summary(status)
    if state != application_status.GOOD or application_status.is_running(status):
        raise LabError(
            f"{source.name} is {state}, so that nothing goes on from it",
            why="; ".join(application_status.problems(status)) or "only what runs there as Git says is promoted",
            fix=f"wait a moment, or {environments.look(source)}",
        )
    return str(status["sync"]["revision"])


def promote(outputs: Mapping[str, Any], source: Environment, target: Environment, commit: str, timeout: float) -> int:
    """Commit to an environment's branch what runs in another one, and return the exit code.

    Args:
        outputs: the stack's, with secrets.
        source: where it runs.
        target: where it goes.
        commit: the one that runs there.
        timeout: seconds until it has to be live, where nobody has to approve it.

    Raises:
        RejectedError: somebody else has pushed at the same time.
        LabError: it can't be promoted.
    """
    image = outputs["image"]
    into = environments.remote(outputs, target)
    with git.cloned(environments.remote(outputs, source)) as had, git.cloned(into) as clone:
        if had.head != commit:
            raise LabError(
                f"{source.name} runs commit {commit[: manifest_tags.SHORT]}, and Git is at {had.head[:7]} by now",
                why="only what runs there is promoted",
                fix="make status, and promote when it is there",
            )
        version = manifest_tags.one_of(manifest_tags.tags(manifest_tags.read(had.root / source.path), image))
        releases.check_exists(version, image)
        shutil.rmtree(clone.root / environments.BASE, ignore_errors=True)
        shutil.copytree(had.root / environments.BASE, clone.root / environments.BASE)
        before = releases.change(clone.root / target.path, image, version)
        if not clone.changed:
            print(f"{target.branch} has what runs in {source.name} already: {version}")
            if target.sync == "manual":
                print(f"where it is not synced yet: make approve ENV={target.name}")
            return 0
        title = f"Run version {version} of the app in {target.name}"
        done = clone.commit(f"{title}\n\nIt was {before}. {source.name} runs it at commit {commit}.")
        request = environments.submit(outputs, target, clone, title)
    what = f"commit {done[: manifest_tags.SHORT]}"
    releases.follow(outputs, target, releases.Change(before=before, after=version, what=what), request, timeout)
    return 0
