"""What was changed, removed or left in a stack's clusters behind Pulumi's back, and an `up` is to put right."""

from __future__ import annotations

import base64
import json
from contextlib import ExitStack, contextmanager, suppress
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
    from collections.abc import Iterator, Mapping
    from pathlib import Path

ANSWER: Final = 15  # seconds
# Helm's releases by their namespaces, which are all that Pulumi sees of what Helm has installed.
HELM: Final = {
    **{each: each for each in (names.ARGOCD, names.SEALED_SECRETS, names.ROLLOUTS)},
    names.MONITORING: names.PROMETHEUS,
}
NAMESPACE: Final = "kubernetes:core/v1:Namespace"
NODES: Final = "pulumi-python:dynamic/k3d:Nodes"
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
        with _looked_at(stack) as (known, configs):
            for key, config in configs.items():
                _put_right(config, key, known)
            return ["--refresh"] if configs else []
    except LabError:
        return []  # the `up` itself says, or mends, what is wrong


def mended(stack: str) -> bool:
    """Tell whether an `up` that has failed is worth another one: half a release was in its way, and is forgotten now.

    A cluster that did not answer before it, because it was stopped, does so after it.

    Args:
        stack: the stack's name.
    """
    try:
        with _looked_at(stack) as (known, configs):
            done = [forget(config, *_ours(key, known)) for key, config in configs.items() if _own(known)]
    except LabError:
        return False
    return any(done)


@contextmanager
def _looked_at(stack: str) -> Iterator[tuple[dict[str, dict[str, Any]], dict[str, Path]]]:
    """Give a stack's resources by reference, and a kubeconfig for each of its clusters by that of its provider.

    There is none beside another run that is at work, or was killed and has to be looked after first.

    Raises:
        LabError: one of them does not answer.
    """
    deployment = stacks.exported(stack)
    known = stacks.by_reference(deployment)
    clusters = {key: each["inputs"]["kubeconfig"] for key, each in known.items() if each["type"] == local.PROVIDER}
    if deployment.get("pending_operations") or not clusters:
        yield known, {}
        return
    tools.ensure(["kubectl"])
    with ExitStack() as files:
        configs = {key: files.enter_context(kube.config_file(text)) for key, text in clusters.items()}
        for config in configs.values():
            kube.raw(config, "/version")
        yield known, configs


def _own(known: Mapping[str, Mapping[str, Any]]) -> bool:
    """Tell whether a stack has made its clusters: one that was there before may have what is somebody else's."""
    return any(each["type"] == NODES for each in known.values())


def _ours(provider: str, known: Mapping[str, Mapping[str, Any]]) -> tuple[set[str], set[str]]:
    """Return the namespaces of a stack in one cluster, and the releases."""
    its = [each for each in known.values() if each.get("provider") == provider]
    ours = {each["inputs"]["metadata"]["name"] for each in its if each["type"] == NAMESPACE}
    return ours, {each["inputs"]["name"] for each in its if each["type"] == locks.RELEASE}


def _put_right(config: Path, provider: str, known: Mapping[str, Mapping[str, Any]]) -> None:
    """Put back in one cluster what Pulumi does not see.

    Args:
        config: path of its kubeconfig.
        provider: the reference to its provider.
        known: the stack's resources by reference.
    """
    ours, installed = _ours(provider, known)
    outputs = next((each.get("outputs") or {} for each in known.values() if each["type"] == local.STACK), {})
    text = known[provider]["inputs"]["kubeconfig"]
    # What somebody has removed altogether is the `up`'s to make.
    with suppress(LabError):
        revive(config, installed)
    if _own(known):
        with suppress(LabError):
            forget(config, ours, installed)
    if names.ARGOCD in installed and "argocdUrl" in outputs and text == outputs.get("kubeconfig"):
        with suppress(LabError):
            set_back(config, outputs)


def forget(config: Path, ours: set[str], installed: set[str]) -> bool:
    """Remove what Helm has noted of half a release that nobody knows, and tell whether there was one.

    With it, Helm refuses to begin anew. One is left when the cluster goes away while Helm is at work, which can't even
    take it back. What it had made already is taken over by the next one of that name. In a cluster that was there
    before it may be somebody else's.

    Args:
        config: path of the kubeconfig of a cluster that the stack has made.
        ours: the namespaces there that the stack has made.
        installed: the releases there that it knows.

    Raises:
        LabError: the cluster does not answer, or does not do it.
    """
    removed = ""
    for namespace, release in HELM.items():
        if namespace in ours and release not in installed:
            half = f"--selector=owner=helm,name={release},status notin (deployed,superseded)"
            removed += run(kube.command(config, f"--namespace={namespace}", "delete", "secrets", half), timeout=ANSWER)
    if removed:
        say(f"the cluster went away while Helm was at work: what it has noted is removed ({removed})")
    return bool(removed)


def revive(config: Path, installed: set[str]) -> None:
    """Scale to one what Helm has installed for the stack and somebody has scaled to nothing; none of it has more.

    Args:
        config: path of the cluster's kubeconfig.
        installed: the releases there that the stack knows.

    Raises:
        LabError: the cluster does not answer, or does not do it.
    """
    for each in workloads(config, kube.ALL):
        kind, name, namespace = each["kind"].lower(), each["metadata"]["name"], each["metadata"]["namespace"]
        if HELM[namespace] in installed and each["spec"].get("replicas") == 0:
            say(f"{kind} {name} in {namespace} was scaled to 0: it is started again")
            scaled = kube.command(config, f"--namespace={namespace}", "scale", f"{kind}/{name}", "--replicas=1")
            run(scaled, timeout=ANSWER)


def workloads(config: Path, namespace: str) -> list[dict[str, Any]]:
    """Return the Deployments and StatefulSets of a namespace that our releases have there, and are to have pods.

    Args:
        config: path of the cluster's kubeconfig.
        namespace: theirs, or that of all of them.

    Raises:
        LabError: the cluster does not answer.
    """
    found = kube.get(config, WORKLOADS, namespace=namespace)["items"]
    return [each for each in found if _is_ours(each["metadata"]) and each["metadata"]["name"] != OFF]


def _is_ours(metadata: Mapping[str, Any]) -> bool:
    release = (metadata.get("annotations") or {}).get("meta.helm.sh/release-name", "")
    return bool(release) and HELM.get(metadata["namespace"]) == release


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
