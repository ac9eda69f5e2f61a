"""Approve what waits for an environment, as the account that may: merge its pull request, and sync it.

What was merged already, and is not synced, is synced: make approve ENV=prod.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from components.core import kube, names
from components.core.errors import LabError
from components.gitops import application_status
from lab.host import tools
from lab.live import application, argocd, environments, git, manifest_tags, releases, rollout, stack

if TYPE_CHECKING:
    import argparse
    from collections.abc import Mapping

    from lab.live.environments import Environment


def arguments(parser: argparse.ArgumentParser) -> None:
    """Add the command's arguments."""
    stack.argument(parser)
    parser.add_argument("--timeout", type=float, default=releases.TIMEOUT, help="seconds to wait (%(default).0f)")
    parser.add_argument("environment", help="the environment")


def run(args: argparse.Namespace) -> int:
    """Merge, sync, and wait until the version is live."""
    outputs = stack.outputs(args.stack, show_secrets=True)
    target = environments.find(outputs, args.environment)
    tools.ensure(["kubectl"])
    environments.require_cluster(outputs, target)
    request = environments.pull_request(outputs, target) if target.approvals else None
    if request:
        print(f"{request.title}: {request.url}")
        commit = environments.approve(outputs, request)
        print(f"approved by {target.by} and merged as {commit[: manifest_tags.SHORT]} into {target.branch}")
    elif status := _synced(outputs, target):
        if action := _once_more(outputs, target):
            print(f"{target.by} has {target.name} looked at once more")
            argocd.signed_in(outputs, target.by).act(target.name, rollout.KIND, names.APP, target.name, action)
            releases.live(releases.at(outputs, target), _version(outputs, target), args.timeout)
            return 0
        if application_status.summary(status) == application_status.GOOD:
            print(f"nothing waits for an approval in {target.name}: it runs what {target.branch} says")
            return 0
    if target.sync == "manual":
        sync(outputs, target)
    releases.live(releases.at(outputs, target), _version(outputs, target), args.timeout)
    return 0


def _synced(outputs: Mapping[str, Any], target: Environment) -> dict[str, Any]:
    """Return an environment's Application's status when it was synced to what Git has by now; empty otherwise."""
    with kube.config_file(outputs["kubeconfig"]) as config, git.cloned(environments.remote(outputs, target)) as clone:
        status = application.status(config, target.name)
        synced = (status.get("operationState", {}).get("syncResult") or {}).get("revision")
        return status if synced == clone.head else {}


def _once_more(outputs: Mapping[str, Any], target: Environment) -> str:
    """Return what has a version looked at once more that waits there for somebody, or was given up; empty for nothing.

    It has to be the one that Git has by now: what was taken back meanwhile is not tried again.

    Args:
        outputs: the stack's, with secrets.
        target: an environment that was synced to what Git has.
    """
    if not target.progressive:
        return ""
    with kube.config_file(environments.kubeconfig(outputs, target.cluster)) as config:
        progress = rollout.look(config, target.name, outputs["image"])
    if progress.tag != _version(outputs, target):
        return ""
    return "resume" if progress.paused else "retry" if progress.aborted else ""


def sync(outputs: Mapping[str, Any], target: Environment) -> None:
    """Have an environment made equal to its branch, by the account that may.

    Args:
        outputs: the stack's, with secrets.
        target: the environment.

    Raises:
        LabError: Argo CD refuses it.
    """
    commit = argocd.signed_in(outputs, target.by).sync(target.name)
    print(f"{target.by} has it synced to {commit[: manifest_tags.SHORT]}")


def _version(outputs: Mapping[str, Any], target: Environment) -> str:
    source = environments.remote(outputs, target)
    with git.cloned(source) as clone:
        version = manifest_tags.one_of(
            manifest_tags.tags(manifest_tags.read(clone.root / source.path), outputs["image"])
        )
    if ", " in version:
        raise LabError(f"{target.name} runs several versions: {version}", fix="make status")
    return version
