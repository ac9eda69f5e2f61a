"""Who is who in Git and in Argo CD, and what they may bring. It imports nothing of Pulumi's."""

from __future__ import annotations

from typing import Final

from components.core import names

GITOPS: Final = "gitops"  # the repository that environments follow
CODE: Final = "app"  # the one with the app's code and its pipeline
HEADS: Final = "refs/heads/"
DEVELOPER: Final = "developer"  # sees all, and changes what needs no approval
RELEASER: Final = "releaser"  # approves the rest, and syncs it
VIEWER: Final = "viewer"  # sees all of Argo CD
CI: Final = "ci"  # the user of Git that releases what CI has built
ACCOUNTS: Final = (DEVELOPER, RELEASER, VIEWER)
CONTROLLER: Final = f"system:serviceaccount:{names.ARGOCD}:argocd-application-controller"
# Of an environment's namespace.
QUOTA: Final = {
    "pods": "10",
    "requests.cpu": "1",
    "requests.memory": "1Gi",
    "limits.memory": "2Gi",
    "services.nodeports": "1",
}
KINDS: Final = (("apps", "Deployment"), ("", "Service"))  # what Git may bring, by API group
PROGRESSIVE: Final = (("argoproj.io", "Rollout"), ("argoproj.io", "AnalysisTemplate"))  # and these, where they work
SEALED: Final = ("bitnami.com", "SealedSecret")  # and this, where something reads it


def kinds(*, sealed: bool, progressive: bool = False) -> tuple[tuple[str, str], ...]:
    """Return what Git may bring, by API group.

    Args:
        sealed: whether something reads sealed secrets.
        progressive: whether versions have to prove themselves.
    """
    return (*KINDS, *([SEALED] if sealed else ()), *(PROGRESSIVE if progressive else ()))
