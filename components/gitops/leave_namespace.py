"""Take away what Argo CD has made in a namespace of a cluster that stays, when it deploys there no longer.

Argo CD forgets what it has made when an Application's destination is another one, or when its own cluster is lost.

Environment: KUBECONFIG_TEXT, NAMESPACE, KINDS (those that it may have made, such as "Deployment Service"), APPLICATION
(its name, by which Argo CD has marked what is its own).
"""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING, Final

from components.core import kube
from components.core.errors import LabError
from components.core.run import MissingProgramError, run

if TYPE_CHECKING:
    from pathlib import Path

# APPLICATION:GROUP/KIND:NAMESPACE/NAME (https://argo-cd.readthedocs.io/en/stable/user-guide/resource_tracking/)
TRACKING: Final = "argocd.argoproj.io/tracking-id"
TIME: Final = 120  # seconds for what is deleted to be gone
# By which the Kubernetes plugin is told the same: https://www.pulumi.com/registry/packages/kubernetes/api-docs/provider/
GONE: Final = "PULUMI_K8S_DELETE_UNREACHABLE"


def main() -> None:
    """Delete what bears the Application's mark, and say what that was, or why it is still there."""
    namespace, application = os.environ["NAMESPACE"], os.environ["APPLICATION"]
    try:
        with kube.config_file(os.environ["KUBECONFIG_TEXT"]) as kubeconfig:
            for kind in os.environ["KINDS"].split():
                leave(kubeconfig, kind, namespace, application)
    except MissingProgramError as error:
        sys.exit(str(error))
    except LabError as error:
        if os.environ.get(GONE) == "true":
            print(f"{error.what}, so that what {application} has in the namespace {namespace} counts as gone")
            return
        error.what = f"What {application} has in the namespace {namespace} is not taken away: {error.what}"
        error.fix = f"run this again when it answers, or with {GONE}=true when that cluster is gone for good"
        sys.exit(str(error))


def leave(kubeconfig: Path, kind: str, namespace: str, application: str) -> None:
    """Delete what an Application has of one kind in a namespace."""
    for found in kube.get(kubeconfig, kind, namespace=namespace)["items"]:
        name, annotations = found["metadata"]["name"], found["metadata"].get("annotations") or {}
        if annotations.get(TRACKING, "").startswith(f"{application}:"):
            where = f"--namespace={namespace}"
            run(kube.command(kubeconfig, "delete", kind, name, where, "--ignore-not-found"), timeout=TIME)
            print(f"deleted the {kind} {name} of {namespace}")


if __name__ == "__main__":
    main()
