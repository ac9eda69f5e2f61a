"""What was pushed to the Git server of an earlier version, which was in the cluster and would go with it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from components.core.errors import LabError
from components.core.run import CommandError, run
from components.gitops import git_backups

if TYPE_CHECKING:
    from pathlib import Path

TIMEOUT: Final = 300.0  # seconds


def from_node(node: str, server: str) -> None:
    """Write backups of what a cluster has in a Git server of its own; nothing to do when it has none.

    Args:
        node: the container of one of its servers.
        server: the name of the container of the Git server that takes its place.

    Raises:
        LabError: there may be something, and it can't be saved.
    """
    kubectl = ["docker", "exec", "--interactive", node, "kubectl", "--namespace=gitea"]

    def shell(script: str, into: Path | None) -> str:
        inside = [*kubectl, "exec", "--stdin", "deployment/gitea", "--container=gitea", "--", "sh", "-s"]
        return run(inside, timeout=TIMEOUT, given=script, into=into)

    try:
        if run([*kubectl, "get", "deployments", "--output=name"], timeout=TIMEOUT):
            git_backups.write(server, ["iot/iot"], shell)
    except CommandError as error:
        raise LabError(
            f"The cluster of {node} is to be replaced, and what was pushed to the Git server in it can't be saved",
            why=str(error),
            fix=f"`docker start {node}` and run again; when it is worth nothing, delete the cluster with k3d",
        ) from error
