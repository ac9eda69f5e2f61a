"""What was changed, removed or left in a stack's clusters behind Pulumi's back, and an `up` is to put right."""

from __future__ import annotations

import base64
import json
from contextlib import ExitStack
from datetime import datetime, timezone
from typing import TYPE_CHECKING, Any, Final

from components.core import kube, names
from components.core.errors import LabError
from components.core.run import run
from lab.host import local, tools
from lab.host.console import say
from lab.live import locks
from lab.live import stack as stacks

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

ANSWER: Final = 15  # seconds
# Helm's releases by their namespaces, which are all that Pulumi sees of what Helm has installed.
HELM: Final = {
    **{each: each for each in (names.ARGOCD, names.SEALED_SECRETS, names.ROLLOUTS)},
    names.MONITORING: names.PROMETHEUS,
}
PROVIDER: Final = "pulumi:providers:kubernetes"
NAMESPACE: Final = "kubernetes:core/v1:Namespace"
STACK: Final = "pulumi:pulumi:Stack"
OFF: Final = "argocd-applicationset-controller"  # at nothing by its chart's values
SECRET: Final = "argocd-secret"  # noqa: S105 - its name
WORKLOADS: Final = "deployments.apps,statefulsets.apps"


def flags(stack: str) -> list[str]:
    """Put back what Pulumi does not see, and return what `pulumi up` has to be told so that it looks at what is there.

    That is only where there is something to look at: what a cluster has that does not answer just now would be taken
    for gone, and made a second time.

    Args:
        stack: the stack's name.
    """
    if not local.has_own_backend() and not local.states().get(stack):
        return []
    try:
        known = stacks.exported(stack)
        clusters = {key: each["inputs"]["kubeconfig"] for key, each in known.items() if each["type"] == PROVIDER}
        if not clusters:
            return []
        tools.ensure(["kubectl"])
        outputs = next((each.get("outputs") or {} for each in known.values() if each["type"] == STACK), {})
        with ExitStack() as files:
            for key, text in clusters.items():
                config = files.enter_context(kube.config_file(text))
                its = [each for each in known.values() if each.get("provider") == key]
                ours = {each["inputs"]["metadata"]["name"] for each in its if each["type"] == NAMESPACE}
                installed = {each["inputs"]["name"] for each in its if each["type"] == locks.RELEASE}
                revive(config, ours)
                forget(config, ours, installed)
                if text == outputs.get("kubeconfig") and "argocdUrl" in outputs:
                    set_back(config, outputs)
    except LabError:
        return []  # the `up` itself says, or mends, what is wrong
    return ["--refresh"]


def forget(config: Path, ours: set[str], installed: set[str]) -> None:
    """Remove what Helm has noted of a release that nobody knows, without which it refuses to begin anew.

    One is left when the cluster goes away while Helm is at work, which can't even take it back. What it had made
    already is taken over by the next one of that name.

    Args:
        config: path of the cluster's kubeconfig.
        ours: the namespaces there that the stack has made.
        installed: the releases there that it knows.

    Raises:
        LabError: the cluster does not answer, or does not do it.
    """
    for namespace, release in HELM.items():
        if namespace in ours and release not in installed:
            named = [f"--namespace={namespace}", "delete", "secrets", f"--selector=owner=helm,name={release}"]
            run(kube.command(config, *named), timeout=ANSWER)


def revive(config: Path, ours: set[str]) -> None:
    """Scale to one what Helm has installed for us and somebody has scaled to nothing; none of it has more.

    Args:
        config: path of the cluster's kubeconfig.
        ours: the namespaces there that the stack has made.

    Raises:
        LabError: the cluster does not answer, or does not do it.
    """
    for each in workloads(config, kube.ALL):
        kind, name, namespace = each["kind"].lower(), each["metadata"]["name"], each["metadata"]["namespace"]
        installed_by = (each["metadata"].get("annotations") or {}).get("meta.helm.sh/release-name")
        its = namespace in ours and installed_by == HELM.get(namespace, "")
        if its and each["spec"].get("replicas") == 0:
            say(f"{kind} {name} in {namespace} was scaled to 0: it is started again")
            scaled = kube.command(config, f"--namespace={namespace}", "scale", f"{kind}/{name}", "--replicas=1")
            run(scaled, timeout=ANSWER)


def workloads(config: Path, namespace: str) -> list[dict[str, Any]]:
    """Return the Deployments and StatefulSets of a namespace that are to have pods.

    Args:
        config: path of the cluster's kubeconfig.
        namespace: theirs, or that of all of them.

    Raises:
        LabError: the cluster does not answer.
    """
    found = kube.get(config, WORKLOADS, namespace=namespace)["items"]
    return [each for each in found if each["metadata"]["name"] != OFF]


def other_passwords(config: Path, outputs: Mapping[str, Any]) -> dict[str, str]:
    """Return the passwords of Argo CD's accounts that it does not accept, by the key of its Secret that has the hash.

    Args:
        config: path of its cluster's kubeconfig.
        outputs: the stack's, with secrets.

    Raises:
        LabError: the cluster does not answer, or has no such Secret.
    """
    import bcrypt  # noqa: PLC0415 - only where there is one to compare

    # https://argo-cd.readthedocs.io/en/stable/operator-manual/argocd-secret-yaml/
    accounts = {f"accounts.{name}.password": each for name, each in (outputs.get("accounts") or {}).items()}
    wanted = accounts or {"admin.password": outputs["argocdPassword"]}
    data = kube.get(config, "secrets", namespace=names.ARGOCD, name=SECRET)["data"]
    other = {}
    for key, password in wanted.items():
        try:
            known = bcrypt.checkpw(password.encode(), base64.b64decode(data.get(key, "")))
        except ValueError:  # no hash
            known = False
        if not known:
            other[key] = password
    return other


def set_back(config: Path, outputs: Mapping[str, Any]) -> None:
    """Give Argo CD's accounts the stack's passwords again, where somebody has changed them.

    Args:
        config: path of its cluster's kubeconfig.
        outputs: the stack's, with secrets.

    Raises:
        LabError: the cluster does not answer, or does not do it.
    """
    import bcrypt  # noqa: PLC0415 - as above

    data: dict[str, str] = {}
    for key, password in other_passwords(config, outputs).items():
        say(f"Argo CD has another {key} than `make password` shows: it is set back")
        data[key] = bcrypt.hashpw(password.encode(), bcrypt.gensalt()).decode()
        data[f"{key}Mtime"] = datetime.now(timezone.utc).strftime("%Y-%m-%dT%H:%M:%SZ")
    if data:
        patch = ["patch", "secret", SECRET, "--patch-file=/dev/stdin"]
        told = json.dumps({"stringData": data})
        run(kube.command(config, f"--namespace={names.ARGOCD}", *patch), timeout=ANSWER, given=told)
