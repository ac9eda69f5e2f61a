"""Argo CD's Application: where it is, what it does with a commit, and what is in its way."""

from __future__ import annotations

import subprocess
import threading
import time
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from components.core import kube, names
from components.core.errors import LabError
from components.gitops import application_status

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

# One line for each change: the commit that Git was last compared at, then the last sync's state and commit.
LINE: Final = (
    "{.status.sync.revision}|{.status.operationState.phase}|{.status.operationState.syncResult.revision}{'\\n'}"
)
SEPARATORS: Final = 2


def of(outputs: Mapping[str, Any]) -> tuple[str, str]:
    """Return the name of a stack's Application, and its namespace; a stack of an earlier version does not say them.

    Args:
        outputs: the stack's.
    """
    return outputs.get("application") or names.APP, outputs.get("namespace") or names.APP_NAMESPACE


def status(config: Path, name: str) -> dict[str, Any]:
    """Return an Application's status.

    Args:
        config: path of the cluster's kubeconfig.
        name: of the Application.

    Raises:
        LabError: the cluster does not answer, or has no such Application.
    """
    found: dict[str, Any] = kube.get(config, names.APPLICATION, namespace=names.ARGOCD, name=name)
    return found.get("status") or {}


def diagnosis(config: Path, name: str, namespace: str, pods: Path) -> str:
    """Return what an Application, its pods and their events say, a line each.

    Args:
        config: path of the cluster's kubeconfig.
        name: of the Application.
        namespace: of its pods.
        pods: path of the kubeconfig of their cluster.

    Raises:
        LabError: the cluster does not answer, or has no such Application.
    """
    found = status(config, name)
    try:
        return application_status.diagnosis(found, lambda kind: kube.get(pods, kind, namespace=namespace)["items"])
    except LabError as error:  # what Argo CD knows of it may say why
        return f"{application_status.diagnosis(found, lambda _: [])}\n  of its pods nothing: {error}"


def pods_unwell(config: Path, namespace: str) -> list[str]:
    """Return what keeps the pods of an Application from being ready, a line each.

    Args:
        config: path of the kubeconfig of their cluster.
        namespace: where they are.
    """
    try:
        found = kube.get(config, "pods", namespace=namespace)["items"]
    except LabError:  # which the cluster's own line says
        return []
    stay = [pod for pod in found if not pod["metadata"].get("deletionTimestamp")]
    return [line for pod in stay for line in application_status.pod_problems(pod)]


@dataclass
class Progress:
    """How far the Application has got with a commit.

    Attributes:
        commit: the commit's ID.
        seen: when Argo CD had compared the cluster with it, in seconds of ``time.monotonic``; None before.
        applied: when all that it changes had been applied; None before.
        problem: why nothing more is noted; empty while all is well.
    """

    commit: str
    seen: float | None = None
    applied: float | None = None
    problem: str = ""

    def note(self, line: str) -> None:
        """Note what a line of kubectl's says."""
        now = time.monotonic()
        compared, phase, synced = line.rstrip("\n").split("|")
        if self.seen is None and compared == self.commit:
            self.seen = now
        if self.applied is None and synced == self.commit and phase == "Succeeded":
            self.applied = now


@contextmanager
def watched(config: Path, name: str, commit: str) -> Iterator[Progress]:
    """Watch an Application until the end of the block.

    Args:
        config: path of the cluster's kubeconfig.
        name: of the Application.
        commit: ID of the commit whose way is noted.
    """
    what = ["get", names.APPLICATION, name, "--watch", f"--output=jsonpath={LINE}"]
    progress = Progress(commit)
    with subprocess.Popen(
        kube.command(config, f"--namespace={names.ARGOCD}", *what),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        # Into the same pipe: what is no line of ours says why it has ended.
        stderr=subprocess.STDOUT,
        text=True,
    ) as process:
        thread = threading.Thread(target=_read, args=(process, progress))
        thread.start()
        try:
            yield progress
        finally:
            process.terminate()
            thread.join()


def _read(process: subprocess.Popen[str], progress: Progress) -> None:
    for line in process.stdout or ():
        if line.count("|") == SEPARATORS:
            progress.note(line)
        else:
            progress.problem = line.strip()
