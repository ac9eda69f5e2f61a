"""The project's rules for what it creates, in plain Python: for Pulumi's policy pack, and for the tests.

A rule looks at one resource and yields what is wrong with it, in words that say how to fix it.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

# Where this project's objects may be. A new namespace is a decision: it is added here, too.
NAMESPACES: Final = ("argocd", "dev", "gitea", "web")
RESTRICTED: Final = {"pod-security.kubernetes.io/enforce": "restricted"}
CLUSTER_WIDE: Final = ("Namespace", "ClusterRole", "ClusterRoleBinding", "CustomResourceDefinition", "PersistentVolume")
POD_TEMPLATES: Final = ("Deployment", "StatefulSet", "DaemonSet", "ReplicaSet", "Job")
RELEASE: Final = "kubernetes:helm.sh/v3:Release"
# What stands for a value that is not known yet; no rule can judge it.
UNKNOWN: Final = "04da6b54-80e4-46f7-96ec-b56ff0331ba9"
# The volumes of the restricted Pod Security Standard:
# https://kubernetes.io/docs/concepts/security/pod-security-standards/#restricted
VOLUMES: Final = (
    *("configMap", "csi", "downwardAPI", "emptyDir", "ephemeral", "image", "persistentVolumeClaim"),
    *("projected", "secret"),
)
SECRET_NAME: Final = re.compile(r"passw|secret|token|private|api_?key|credential", re.IGNORECASE)
PRIVATE_KEY: Final = re.compile(r"-----BEGIN [A-Z ]*PRIVATE KEY-----|client-key-data:\s*\S{20}")


@dataclass(frozen=True, kw_only=True)
class Resource:
    """What a rule looks at.

    Attributes:
        type: Pulumi's type token, such as kubernetes:apps/v1:Deployment.
        name: its name in the program, or in its file.
        inputs: its inputs. Where secrets are marked, one is ``{"secret": value}``.
        provider: name of its provider; "" for Pulumi's default one, None when there is no telling.
        deleted_with: URN of what it goes with; "" when there is none, None when there is no telling.
        secrets_marked: whether secrets in the inputs are marked.
    """

    type: str
    name: str
    inputs: Mapping[str, Any]
    provider: str | None = None
    deleted_with: str | None = None
    secrets_marked: bool = False

    @property
    def kind(self) -> str:
        """The last word of its type."""
        return self.type.rpartition(":")[2]

    @property
    def in_cluster(self) -> bool:
        """Whether it is in a Kubernetes cluster."""
        return self.type.startswith("kubernetes:")


@dataclass(frozen=True, kw_only=True)
class Context:
    """What rules have to know of the stack.

    Attributes:
        node_ports: those that the settings declare.
        own_cluster: whether the stack makes the cluster, and removes it in the end.
    """

    node_ports: frozenset[int]
    own_cluster: bool = True


Check = Callable[[Resource, Context], Iterator[str]]


@dataclass(frozen=True)
class Rule:
    """A rule: its name, what it is good for, and the function that looks."""

    name: str
    description: str
    check: Check


def violations(resource: Resource, context: Context) -> list[str]:
    """Return all that is wrong with a resource, each beginning with the rule's name."""
    return [f"{rule.name}: {problem}" for rule in RULES for problem in rule.check(resource, context)]


# What rules read


def pod(resource: Resource) -> Mapping[str, Any] | None:
    """Return the pod that a resource makes, as its spec."""
    spec = _map(resource.inputs.get("spec"))
    if resource.kind == "Pod":
        return spec
    if resource.kind == "CronJob":
        spec = _map(_map(spec.get("jobTemplate")).get("spec"))
    elif resource.kind not in POD_TEMPLATES:
        return None
    return _map(_map(spec.get("template")).get("spec"))


def containers(resource: Resource) -> Iterator[tuple[str, Mapping[str, Any]]]:
    """Yield the containers that a resource runs, each with how to call it."""
    spec = pod(resource) or {}
    for key in ("initContainers", "containers", "ephemeralContainers"):
        for container in _list(spec.get(key)):
            yield f"container {_map(container).get('name', '?')}", _map(container)


def _map(value: object) -> Mapping[str, Any]:
    return value if isinstance(value, Mapping) else {}


def _list(value: object) -> Sequence[Any]:
    return value if isinstance(value, Sequence) and not isinstance(value, str) else ()


def _leaves(value: object, keys: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], object]]:
    """Yield every value that is not made of others, with the keys that lead to it. Secrets are left out."""
    if isinstance(value, Mapping):
        if set(value) != {"secret"} or "secret" in keys[-1:]:
            for key, each in value.items():
                yield from _leaves(each, (*keys, str(key)))
    elif isinstance(value, Sequence) and not isinstance(value, str):
        for each in value:
            yield from _leaves(each, keys)
    elif value is not None:
        yield keys, value


# The rules


def explicit_provider(resource: Resource, _context: Context) -> Iterator[str]:
    """Keep everything out of whatever cluster kubectl happens to be pointed at."""
    provider = resource.provider
    if resource.in_cluster and provider is not None and (not provider or provider.startswith("default")):
        yield "it has Pulumi's default provider; give it the cluster's options: cluster.inside(self)"


def deleted_with(resource: Resource, context: Context) -> Iterator[str]:
    """Let a destroy go through when the cluster is gone already."""
    if resource.in_cluster and context.own_cluster and resource.deleted_with == "":
        yield "it has no deleted_with, so that a lost cluster can't be destroyed; use cluster.inside(self)"


def own_name(resource: Resource, _context: Context) -> Iterator[str]:
    """Give objects the names that the documentation and the checks call them by."""
    if resource.in_cluster and resource.inputs:
        named = resource.inputs if resource.type == RELEASE else _map(resource.inputs.get("metadata"))
        if not named.get("name"):
            yield "it has no name of its own, so that Pulumi makes a random one; set metadata.name"


def allowed_namespace(resource: Resource, _context: Context) -> Iterator[str]:
    """Keep every object in a namespace that is known, and out of those of Kubernetes."""
    if not resource.in_cluster or not resource.inputs:
        return
    metadata = resource.inputs if resource.type == RELEASE else _map(resource.inputs.get("metadata"))
    key = "name" if resource.kind == "Namespace" else "namespace"
    found = metadata.get(key)
    if resource.kind in CLUSTER_WIDE and resource.kind != "Namespace":
        return
    if found not in (*NAMESPACES, UNKNOWN):
        known = ", ".join(NAMESPACES)
        yield f"its namespace is {found or 'the default one'}; use one of {known}, or add it to policy/rules.py"


def restricted_namespace(resource: Resource, _context: Context) -> Iterator[str]:
    """Let Kubernetes itself refuse pods that may more than they need."""
    if resource.kind == "Namespace" and resource.in_cluster:
        labels = _map(_map(resource.inputs.get("metadata")).get("labels"))
        for label, value in RESTRICTED.items():
            if labels.get(label) != value:
                yield f"it does not enforce the restricted Pod Security Standard; add the label {label}: {value}"


def requests_and_limits(resource: Resource, _context: Context) -> Iterator[str]:
    """Let the scheduler know what a pod needs, and keep one pod from taking all."""
    for name, container in containers(resource):
        resources = _map(container.get("resources"))
        for kind in ("requests", "limits"):
            for what in ("cpu", "memory"):
                if not _map(resources.get(kind)).get(what):
                    yield f"{name} has no {kind} of {what}; set resources.{kind}.{what}"


def no_host_path(resource: Resource, _context: Context) -> Iterator[str]:
    """Keep pods away from the node's files."""
    for volume in _list((pod(resource) or {}).get("volumes")):
        if "hostPath" in _map(volume):
            name = _map(volume).get("name")
            yield f"the volume {name} is a hostPath; use an emptyDir, a ConfigMap or a PersistentVolumeClaim"
    if resource.kind == "PersistentVolume" and "hostPath" in _map(resource.inputs.get("spec")):
        yield "it is a hostPath; claim a volume of the cluster's storage class with a PersistentVolumeClaim"


def no_host_network(resource: Resource, _context: Context) -> Iterator[str]:
    """Keep pods away from the node's network and processes."""
    spec = pod(resource) or {}
    for key in ("hostNetwork", "hostPID", "hostIPC"):
        if spec.get(key):
            yield f"{key} is true; leave it out, and use a Service"
    for name, container in containers(resource):
        for port in _list(container.get("ports")):
            if _map(port).get("hostPort"):
                yield f"{name} takes the host port {_map(port)['hostPort']}; use a Service of type NodePort"


def declared_ports(resource: Resource, context: Context) -> Iterator[str]:
    """Open nothing to the outside that the settings don't name."""
    spec = _map(resource.inputs.get("spec"))
    ports: list[object] = []
    if resource.in_cluster and resource.kind == "Service":
        if spec.get("type") == "LoadBalancer" or spec.get("externalIPs"):
            yield "it listens on outside addresses; use type NodePort with a port that the settings declare"
        if spec.get("type") == "NodePort":
            ports = [_map(port).get("nodePort") for port in _list(spec.get("ports"))]
    if resource.type == RELEASE:
        values = _leaves(resource.inputs.get("values"))
        ports = [value for keys, value in values if keys[-1].startswith("nodePort")]
    for port in ports:
        if port not in (*context.node_ports, UNKNOWN):
            declared = ", ".join(map(str, sorted(context.node_ports))) or "none"
            which = f"the node port {port}" if port else "its node port, a random one,"
            yield f"{which} is not declared ({declared}); take it from the settings"


def pinned_images(resource: Resource, _context: Context) -> Iterator[str]:
    """Run tomorrow what was tried today."""
    images = [(name, container.get("image")) for name, container in containers(resource)]
    if resource.type == "docker:index/image:Image":
        images.append(("it", resource.inputs.get("imageName")))
    for name, image in images:
        if image == UNKNOWN:
            continue
        reference = str(image or "")
        tag = reference.partition("@")[0].rpartition("/")[2].partition(":")[2]
        if "@sha256:" not in reference and tag in {"", "latest"}:
            yield f"{name} runs {reference or 'no image'}, which is not pinned; add a tag that is not latest"


def pinned_chart(resource: Resource, _context: Context) -> Iterator[str]:
    """Install the chart that was tried, wholly or not at all, in bounded time."""
    if resource.type != RELEASE:
        return
    if not resource.inputs.get("version"):
        yield "its chart has no version; take it from components/core/versions.py"
    if not resource.inputs.get("atomic"):
        yield "it is not atomic, so that a failed install stays half done; set atomic=True"
    if not resource.inputs.get("timeout"):
        yield "it has no timeout; take it from the settings"


def unprivileged(resource: Resource, _context: Context) -> Iterator[str]:
    """Meet the restricted Pod Security Standard."""
    spec = pod(resource)
    if spec is None:
        return
    whole = _map(spec.get("securityContext"))
    for volume in _list(spec.get("volumes")):
        if kinds := set(_map(volume)) - {"name", "hostPath", *VOLUMES}:
            what = f"the volume {_map(volume).get('name')} is of the kind {', '.join(sorted(kinds))}"
            yield f"{what}; use one of {', '.join(VOLUMES)}"
    for name, container in containers(resource):
        own = _map(container.get("securityContext"))
        yield from (f"{name} {problem}" for problem in _privileges(own))
        yield from (f"{name} {problem}" for problem in _identity({**whole, **own}))


def _privileges(own: Mapping[str, Any]) -> Iterator[str]:
    """Say what a container may do that it must not."""
    if own.get("privileged"):
        yield "is privileged; leave securityContext.privileged out"
    if own.get("allowPrivilegeEscalation") is not False:
        yield "may gain privileges; set securityContext.allowPrivilegeEscalation to false"
    if not own.get("readOnlyRootFilesystem"):
        yield "may write its root file system; set securityContext.readOnlyRootFilesystem to true"
    capabilities = _map(own.get("capabilities"))
    if "ALL" not in _list(capabilities.get("drop")):
        yield "keeps capabilities; set securityContext.capabilities.drop to [ALL]"
    if added := set(_list(capabilities.get("add"))) - {"NET_BIND_SERVICE"}:
        yield f"has the capabilities {', '.join(sorted(map(str, added)))}; remove them from capabilities.add"


def _identity(both: Mapping[str, Any]) -> Iterator[str]:
    """Say what is wrong with who a container runs as, from the pod's and its own security context."""
    if both.get("runAsNonRoot") is not True:
        yield "may run as root; set securityContext.runAsNonRoot to true"
    if both.get("runAsUser") == 0:
        yield "runs as root; set securityContext.runAsUser to the image's user"
    if _map(both.get("seccompProfile")).get("type") not in {"RuntimeDefault", "Localhost"}:
        yield "may make any system call; set securityContext.seccompProfile.type to RuntimeDefault"


def no_account_token(resource: Resource, _context: Context) -> Iterator[str]:
    """Keep pods from the Kubernetes API, which none of them needs."""
    spec = pod(resource)
    if spec is not None and spec.get("automountServiceAccountToken") is not False:
        yield "its pods get a token for the Kubernetes API; set automountServiceAccountToken to false"


def probed(resource: Resource, _context: Context) -> Iterator[str]:
    """Send requests to those only who can answer."""
    if resource.kind not in {"Deployment", "StatefulSet", "DaemonSet"}:
        return
    for container in _list((pod(resource) or {}).get("containers")):
        if not _map(container).get("readinessProbe"):
            yield f"container {_map(container).get('name')} has no readinessProbe; let Kubernetes ask when it is ready"


def no_plain_environment(resource: Resource, _context: Context) -> Iterator[str]:
    """Keep secrets out of what `kubectl describe` prints."""
    for name, container in containers(resource):
        for variable in map(_map, _list(container.get("env"))):
            known = isinstance(variable.get("value"), str) and variable["value"] not in {"", "true", "false", UNKNOWN}
            if known and SECRET_NAME.search(str(variable.get("name"))):
                yield f"{name} has {variable['name']} in plain text; take it from a Secret with valueFrom"


def no_plain_secret(resource: Resource, _context: Context) -> Iterator[str]:
    """Keep secrets out of the state, the logs and Git."""
    for keys, value in _leaves(resource.inputs):
        if isinstance(value, str) and PRIVATE_KEY.search(value):
            yield f"{'.'.join(keys)} is a private key in plain text; make it a secret with pulumi.Output.secret"
    if not resource.secrets_marked:
        return
    if resource.in_cluster and resource.kind == "Secret":
        for key in ("data", "stringData"):
            if any(value != UNKNOWN for _, value in _leaves(resource.inputs.get(key))):
                yield f"its {key} is not a secret in Pulumi's state; wrap the values in pulumi.Output.secret"
    for keys, value in _leaves(resource.inputs.get("environment")):
        if keys and SECRET_NAME.search(keys[-1]) and value != UNKNOWN:
            yield f"the variable {keys[-1]} is in plain text; make it a secret with pulumi.Output.secret"


def undone(resource: Resource, _context: Context) -> Iterator[str]:
    """Leave nothing behind that nobody removes."""
    if resource.type in {"command:local:Command", "command:remote:Command"}:
        if not resource.inputs.get("create"):
            yield "it creates nothing; give it a create"
        if not resource.inputs.get("delete"):
            yield 'it says nothing of its removal; give it a delete, or ":" when there is nothing to remove'


RULES: Final = tuple(
    Rule(check.__name__.replace("_", "-"), (check.__doc__ or "").strip(), check)
    for check in (
        explicit_provider,
        deleted_with,
        own_name,
        allowed_namespace,
        restricted_namespace,
        requests_and_limits,
        no_host_path,
        no_host_network,
        declared_ports,
        pinned_images,
        pinned_chart,
        unprivileged,
        no_account_token,
        probed,
        no_plain_environment,
        no_plain_secret,
        undone,
    )
)
