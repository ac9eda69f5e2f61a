"""What was changed or removed by hand in a stack's clusters, and an `up` is to put back."""

from __future__ import annotations

from contextlib import ExitStack
from typing import TYPE_CHECKING, Any, Final

from components.core import kube, names
from components.core.errors import LabError
from components.core.run import run
from lab.host import local, tools
from lab.host.console import say
from lab.live import stack as stacks

if TYPE_CHECKING:
    from pathlib import Path

ANSWER: Final = 15  # seconds
# Where Helm's workloads are. It puts nothing back of which it changes nothing, and Pulumi sees its releases alone.
HELM: Final = (names.ARGOCD, names.SEALED_SECRETS, names.MONITORING, names.ROLLOUTS)
OFF: Final = "argocd-applicationset-controller"  # at nothing by its chart's values
WORKLOADS: Final = "deployments.apps,statefulsets.apps"


def flags(stack: str) -> list[str]:
    """Start what was scaled to nothing, and return what `pulumi up` has to be told so that it looks at what is there.

    That is only where there is something to look at: what a cluster has that does not answer just now would be taken
    for gone, and made a second time.

    Args:
        stack: the stack's name.
    """
    if not local.has_own_backend() and not local.states().get(stack):
        return []
    try:
        outputs = stacks.outputs(stack, show_secrets=True)
        if outputs.get("part") == "p1" or "kubeconfig" not in outputs:
            return []  # nothing in its cluster is Pulumi's
        tools.ensure(["kubectl"])
        with ExitStack() as files:
            for text in (outputs["kubeconfig"], *(outputs.get("clusters") or {}).values()):
                revive(files.enter_context(kube.config_file(text)))
    except LabError:
        return []  # the `up` itself says, or mends, what is wrong
    return ["--refresh"]


def revive(config: Path) -> None:
    """Scale to one what Helm has installed and somebody has scaled to nothing; none of it has more.

    Args:
        config: path of the cluster's kubeconfig.

    Raises:
        LabError: the cluster does not answer, or does not do it.
    """
    for each in workloads(config, kube.ALL):
        kind, name, namespace = each["kind"].lower(), each["metadata"]["name"], each["metadata"]["namespace"]
        if namespace in HELM and each["spec"].get("replicas") == 0:
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
