"""The project's rules for what it creates, in plain Python: for Pulumi's policy pack, and for the offline checks.

A rule looks at one resource and yields what is wrong with it: the field, and words that say how to fix it.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any, Final

from components.core import names, versions

# Where this project's objects may be, besides its environments. A new namespace is a decision: it is added here, too.
READING: Final = {"get", "list", "watch"}  # verbs
NAMESPACES: Final = (
    names.ARGOCD,
    names.APP_NAMESPACE,
    names.WEB_NAMESPACE,
    names.SEALED_SECRETS,
    names.ROLLOUTS,
    names.MONITORING,
)
# The AppProjects that Applications are in, besides the environments'; Argo CD's own "default" allows everything.
PROJECTS: Final = ("iot", "environments")
# The settings with the node ports of what the program creates. The app's is taken by a manifest in Git.
NODE_PORTS: Final = ("argocdNodePort",)
APP_NODE_PORT: Final = "appNodePort"
APP_IMAGE: Final = "appImage"
ENVIRONMENTS: Final = "environments"
CI: Final = "ci"
REGISTRY_PORT: Final = "registryPort"
MONITORING: Final = "monitoring"
# Where tools look for a registry: https://github.com/kubernetes/enhancements/tree/master/keps/sig-cluster-lifecycle/generic/1755-communicating-a-local-registry
HOSTING: Final = ("ConfigMap", "kube-public", "local-registry-hosting")
IMAGES: Final = frozenset({versions.ARGOCD_IMAGE, versions.REDIS_IMAGE, versions.GRAFANA_IMAGE})
GIT_SERVER: Final = "pulumi-python:dynamic/git:Server"
RESTRICTED: Final = {"pod-security.kubernetes.io/enforce": "restricted"}
CLUSTER_WIDE: Final = (
    *("Namespace", "ClusterRole", "ClusterRoleBinding", "CustomResourceDefinition", "PersistentVolume"),
    *("ValidatingAdmissionPolicy", "ValidatingAdmissionPolicyBinding"),
)
POD_TEMPLATES: Final = ("Deployment", "StatefulSet", "DaemonSet", "ReplicaSet", "Job", "Rollout")
HTTPS: Final = ("values", "server", "service", "nodePortHttps")  # of Argo CD's chart
RELEASE: Final = "kubernetes:helm.sh/v3:Release"
# What stands for a value that is not known yet; no rule can judge it.
UNKNOWN: Final = "04da6b54-80e4-46f7-96ec-b56ff0331ba9"
# The volumes of the restricted Pod Security Standard:
# https://kubernetes.io/docs/concepts/security/pod-security-standards/#restricted
VOLUMES: Final = (
    *("configMap", "csi", "downwardAPI", "emptyDir", "ephemeral", "image", "persistentVolumeClaim"),
    *("projected", "secret"),
)
# What ends so says where a secret is.
SECRET_NAME: Final = re.compile(
    r"(?:passw|secret|token|private|api_?key|credential)(?!\w*_(?:URI|FILE)$)", re.IGNORECASE
)
# A password in an address; one that a script puts in from a variable is none.
PASSWORD_IN_URL: Final = re.compile(r"[a-z][a-z0-9+.-]*://[^\s/:@]*:[^\s/:@$%{}<>]+@", re.IGNORECASE)
# https://kubernetes.io/docs/reference/kubernetes-api/common-definitions/quantity/
QUANTITY: Final = re.compile(r"(?P<number>\d+(?:\.\d*)?|\.\d+)(?P<unit>[KMGTPE]i|[numkMGTPE]|[eE][+-]?\d+)?")
UNITS: Final = {
    **{f"{unit}i": Decimal(1024) ** power for power, unit in enumerate("KMGTPE", start=1)},
    **{unit: Decimal(1000) ** power for power, unit in enumerate(("n", "u", "m", "", *"kMGTPE"), start=-3)},
}
SECRET_BYTES: Final = 16  # 128 bits, which nobody guesses
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
        app: the repository of the app's image, which may run with any tag.
        environments: their names, which their namespaces and AppProjects have, too.
    """

    node_ports: frozenset[int]
    own_cluster: bool = True
    app: str = versions.APP_REPOSITORY
    environments: tuple[str, ...] = ()

    @property
    def namespaces(self) -> tuple[str, ...]:
        """Where objects may be."""
        return (*NAMESPACES, *self.environments)

    @property
    def projects(self) -> tuple[str, ...]:
        """Where Applications may be."""
        return (*PROJECTS, *self.environments)


def context(setting: Callable[[str], Any], ports: Sequence[str] = NODE_PORTS, *, own_cluster: bool = True) -> Context:
    """Return what rules have to know of a stack.

    Args:
        setting: returns a setting by its key.
        ports: the settings with the node ports that may be taken.
        own_cluster: as in the context.
    """
    app = _repository(setting(APP_IMAGE) or versions.APP_REPOSITORY)
    if str(setting(CI)).lower() == "true":
        app = f"localhost:{setting(REGISTRY_PORT)}/flask-app"  # what CI pushes has the name of what is built here
    # That of Prometheus is the same everywhere.
    watched = {names.PROMETHEUS_NODE_PORT} if str(setting(MONITORING)).lower() == "true" else set()
    return Context(
        node_ports=frozenset(int(setting(key)) for key in ports) | watched,
        own_cluster=own_cluster,
        app=app,
        environments=tuple(json.loads(setting(ENVIRONMENTS) or "{}")),
    )


Keys = tuple[str | int, ...]
Problem = tuple[Keys, str]  # what leads to the field, and what is wrong with it
Check = Callable[[Resource, Context], Iterator[Problem]]


@dataclass(frozen=True)
class Rule:
    """A rule: its name, what it is good for, and the function that looks."""

    name: str
    description: str
    check: Check


def problems(resource: Resource, context: Context) -> Iterator[Problem]:
    """Yield all that is wrong with a resource, each in words that begin with the rule's name."""
    for rule in RULES:
        for keys, problem in rule.check(resource, context):
            yield keys, f"{rule.name}: {problem}"


# What rules read


def pod_at(resource: Resource) -> Keys | None:
    """Return what leads to the pod that a resource makes; None when it makes none."""
    if resource.kind == "Pod":
        return ("spec",)
    if resource.kind == "CronJob":
        return ("spec", "jobTemplate", "spec", "template", "spec")
    return ("spec", "template", "spec") if resource.kind in POD_TEMPLATES else None


def pod(resource: Resource) -> Mapping[str, Any] | None:
    """Return the pod that a resource makes, as its spec."""
    keys = pod_at(resource)
    if keys is None:
        return None
    spec: object = resource.inputs
    for key in keys:
        spec = _map(spec).get(str(key))
    return _map(spec)


def containers(resource: Resource) -> Iterator[tuple[Keys, str, Mapping[str, Any]]]:
    """Yield the containers that a resource runs, each with what leads to it and how to call it."""
    spec = pod(resource) or {}
    for key in ("initContainers", "containers", "ephemeralContainers"):
        for index, container in enumerate(_list(spec.get(key))):
            keys = (*(pod_at(resource) or ()), key, index)
            yield keys, f"container {_map(container).get('name', '?')}", _map(container)


def _map(value: object) -> Mapping[str, Any]:
    return value if isinstance(value, Mapping) else {}


def _list(value: object) -> Sequence[Any]:
    return value if isinstance(value, Sequence) and not isinstance(value, str) else ()


def _repository(image: str) -> str:
    name, _, last = image.partition("@")[0].rpartition("/")
    return f"{name}/{last.partition(':')[0]}".lstrip("/")


def _quantity(value: object) -> Decimal | None:
    """Return a quantity as a number, or None when Kubernetes would not take it."""
    match = QUANTITY.fullmatch(str(value))
    if not match:
        return None
    unit = match["unit"] or ""
    return Decimal(match["number"]) * (UNITS[unit] if unit in UNITS else Decimal(f"1{unit}"))


def _leaves(value: object, keys: Keys = ()) -> Iterator[tuple[Keys, object]]:
    """Yield every value that is not made of others, with the keys that lead to it. Secrets are left out."""
    if isinstance(value, Mapping):
        if set(value) != {"secret"} or "secret" in keys[-1:]:
            for key, each in value.items():
                yield from _leaves(each, (*keys, key))
    elif isinstance(value, Sequence) and not isinstance(value, str):
        for index, each in enumerate(value):
            yield from _leaves(each, (*keys, index))
    elif value is not None:
        yield keys, value


# The rules


def explicit_provider(resource: Resource, _context: Context) -> Iterator[Problem]:
    """Keep everything out of whatever cluster kubectl happens to be pointed at."""
    provider = resource.provider
    if resource.in_cluster and provider is not None and (not provider or provider.startswith("default")):
        yield (), "it has Pulumi's default provider; give it the cluster's options: cluster.inside(self)"


def deleted_with(resource: Resource, context: Context) -> Iterator[Problem]:
    """Let a destroy go through when the cluster is gone already."""
    if resource.in_cluster and context.own_cluster and resource.deleted_with == "":
        yield (), "it has no deleted_with, so that a lost cluster can't be destroyed; use cluster.inside(self)"


def own_name(resource: Resource, _context: Context) -> Iterator[Problem]:
    """Give objects the names that the documentation and the checks call them by."""
    if resource.in_cluster and resource.inputs:
        named = resource.inputs if resource.type == RELEASE else _map(resource.inputs.get("metadata"))
        if not named.get("name"):
            yield ("metadata",), "it has no name of its own, so that Pulumi makes a random one; set metadata.name"


def allowed_namespace(resource: Resource, context: Context) -> Iterator[Problem]:
    """Keep every object in a namespace that is known, and out of those of Kubernetes."""
    if not resource.in_cluster or not resource.inputs:
        return
    metadata = resource.inputs if resource.type == RELEASE else _map(resource.inputs.get("metadata"))
    key = "name" if resource.kind == "Namespace" else "namespace"
    found = metadata.get(key)
    if resource.kind in CLUSTER_WIDE and resource.kind != "Namespace":
        return
    if (resource.kind, found, metadata.get("name")) == HOSTING:
        return
    if found not in (*context.namespaces, UNKNOWN):
        known = ", ".join(context.namespaces)
        yield (
            ("metadata", key),
            f"its namespace is {found or 'the default one'}; use one of {known}, or add it to policy/rules.py",
        )


def restricted_namespace(resource: Resource, _context: Context) -> Iterator[Problem]:
    """Let Kubernetes itself refuse pods that may more than they need."""
    if resource.kind == "Namespace" and resource.in_cluster:
        labels = _map(_map(resource.inputs.get("metadata")).get("labels"))
        for label, value in RESTRICTED.items():
            if labels.get(label) != value:
                yield (
                    ("metadata", "labels", label),
                    f"it does not enforce the restricted Pod Security Standard; add the label {label}: {value}",
                )


def requests_and_limits(resource: Resource, _context: Context) -> Iterator[Problem]:
    """Let the scheduler know what a pod needs, and keep one pod from taking all."""
    for keys, name, container in containers(resource):
        resources = _map(container.get("resources"))
        for kind in ("requests", "limits"):
            for what in ("cpu", "memory"):
                if not _map(resources.get(kind)).get(what):
                    yield (*keys, "resources", kind), f"{name} has no {kind} of {what}; set resources.{kind}.{what}"


def no_host_path(resource: Resource, _context: Context) -> Iterator[Problem]:
    """Keep pods away from the node's files."""
    for index, volume in enumerate(_list((pod(resource) or {}).get("volumes"))):
        if "hostPath" in _map(volume):
            name = _map(volume).get("name")
            keys = (*(pod_at(resource) or ()), "volumes", index)
            yield keys, f"the volume {name} is a hostPath; use an emptyDir, a ConfigMap or a PersistentVolumeClaim"
    if resource.kind == "PersistentVolume" and "hostPath" in _map(resource.inputs.get("spec")):
        yield (
            ("spec", "hostPath"),
            "it is a hostPath; claim a volume of the cluster's storage class with a PersistentVolumeClaim",
        )


def no_host_network(resource: Resource, _context: Context) -> Iterator[Problem]:
    """Keep pods away from the node's network and processes."""
    spec = pod(resource) or {}
    for key in ("hostNetwork", "hostPID", "hostIPC"):
        if spec.get(key):
            yield (*(pod_at(resource) or ()), key), f"{key} is true; leave it out, and use a Service"
    for keys, name, container in containers(resource):
        for index, port in enumerate(_list(container.get("ports"))):
            if taken := _map(port).get("hostPort"):
                at = (*keys, "ports", index, "hostPort")
                yield at, f"{name} takes the host port {taken}; use a Service of type NodePort"


def declared_ports(resource: Resource, context: Context) -> Iterator[Problem]:
    """Open nothing to the outside that the settings don't name."""
    spec = _map(resource.inputs.get("spec"))
    ports: list[tuple[Keys, object]] = []
    if resource.in_cluster and resource.kind == "Service":
        if spec.get("type") == "LoadBalancer" or spec.get("externalIPs"):
            what = "it listens on outside addresses; use type NodePort with a port that the settings declare"
            yield ("spec", "externalIPs" if spec.get("externalIPs") else "type"), what
        if spec.get("type") == "NodePort":
            found = enumerate(_list(spec.get("ports")))
            ports = [(("spec", "ports", index, "nodePort"), _map(port).get("nodePort")) for index, port in found]
    if resource.type == RELEASE:
        values = _leaves(resource.inputs.get("values"), ("values",))
        # The chart can't leave that one away, which is published nowhere.
        ports = [(keys, value) for keys, value in values if str(keys[-1]).startswith("nodePort") and keys != HTTPS]
    for keys, port in ports:
        if port not in (*context.node_ports, UNKNOWN):
            declared = ", ".join(map(str, sorted(context.node_ports))) or "none"
            which = f"the node port {port}" if port else "its node port, a random one,"
            yield keys, f"{which} is not declared here ({declared}); take it from the settings"


def pinned_images(resource: Resource, context: Context) -> Iterator[Problem]:
    """Run tomorrow what was tried today, and nobody else's."""
    images = [((*keys, "image"), name, container.get("image")) for keys, name, container in containers(resource)]
    if resource.type == "docker:index/image:Image":
        images.append((("imageName",), "it", resource.inputs.get("imageName")))
    if resource.type == GIT_SERVER and resource.inputs.get("image") != versions.GITEA_IMAGE:
        yield ("image",), f"it runs {resource.inputs.get('image')}, which was not tried; use {versions.GITEA_IMAGE}"
    built = "|".join(re.escape(each) for each in (context.app, versions.CI_REPOSITORY))
    for keys, name, image in images:
        if image == UNKNOWN:
            continue
        reference = str(image or "")
        plain = reference.partition("@")[0]
        tag = plain.rpartition("/")[2].partition(":")[2]
        if "@sha256:" not in reference and tag in {"", "latest"}:
            yield keys, f"{name} runs {reference or 'no image'}, which is not pinned; add a tag that is not latest"
        # A stack other than p3 builds the app under its own name: iot-lab/flask-app-p2.
        elif plain not in IMAGES and not re.fullmatch(rf"({built})(-\w+)?", _repository(reference)):
            ours = ", ".join(sorted({context.app, *IMAGES}))
            yield keys, f"{name} runs {reference}, an image from elsewhere; use one of {ours}, or set iot:appImage"


def pinned_chart(resource: Resource, _context: Context) -> Iterator[Problem]:
    """Install the chart that was tried, wholly or not at all, in bounded time."""
    if resource.type != RELEASE:
        return
    if not resource.inputs.get("version"):
        yield ("version",), "its chart has no version; take it from components/core/versions.py"
    if not resource.inputs.get("atomic"):
        yield ("atomic",), "it is not atomic, so that a failed install stays half done; set atomic=True"
    if not resource.inputs.get("timeout"):
        yield ("timeout",), "it has no timeout; take it from the settings"


def unprivileged(resource: Resource, _context: Context) -> Iterator[Problem]:
    """Meet the restricted Pod Security Standard."""
    spec = pod(resource)
    if spec is None:
        return
    whole = _map(spec.get("securityContext"))
    for index, volume in enumerate(_list(spec.get("volumes"))):
        if kinds := set(_map(volume)) - {"name", "hostPath", *VOLUMES}:
            what = f"the volume {_map(volume).get('name')} is of the kind {', '.join(sorted(kinds))}"
            yield (*(pod_at(resource) or ()), "volumes", index), f"{what}; use one of {', '.join(VOLUMES)}"
    for keys, name, container in containers(resource):
        own = _map(container.get("securityContext"))
        for key, problem in _privileges(own):
            yield (*keys, "securityContext", *key.split(".")), f"{name} {problem}"
        for key, problem in _identity({**whole, **own}):
            # The container's own wins over the pod's.
            yield (
                (*((pod_at(resource) or ()) if key in whole and key not in own else keys), "securityContext", key),
                (f"{name} {problem}"),
            )


def _privileges(own: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """Say what a container may do that it must not, each with the field."""
    if own.get("privileged"):
        yield "privileged", "is privileged; leave securityContext.privileged out"
    for key, wanted, problem in (
        ("allowPrivilegeEscalation", False, "may gain privileges"),
        ("readOnlyRootFilesystem", True, "may write its root file system"),
    ):
        if own.get(key) is not wanted:
            yield key, f"{problem}; set securityContext.{key} to {str(wanted).lower()}"
    capabilities = _map(own.get("capabilities"))
    if "ALL" not in _list(capabilities.get("drop")):
        yield "capabilities.drop", "keeps capabilities; set securityContext.capabilities.drop to [ALL]"
    if added := set(_list(capabilities.get("add"))) - {"NET_BIND_SERVICE"}:
        what = f"has the capabilities {', '.join(sorted(map(str, added)))}; remove them from capabilities.add"
        yield "capabilities.add", what


def _identity(both: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """Say what is wrong with who a container runs as, from the pod's and its own security context."""
    if both.get("runAsNonRoot") is not True:
        yield "runAsNonRoot", "may run as root; set securityContext.runAsNonRoot to true"
    if both.get("runAsUser") == 0:
        yield "runAsUser", "runs as root; set securityContext.runAsUser to the image's user"
    if _map(both.get("seccompProfile")).get("type") not in {"RuntimeDefault", "Localhost"}:
        what = "may make any system call; set securityContext.seccompProfile.type to RuntimeDefault"
        yield "seccompProfile", what


def no_account_token(resource: Resource, _context: Context) -> Iterator[Problem]:
    """Keep pods from the Kubernetes API, which none of them needs."""
    spec = pod(resource)
    if spec is not None and spec.get("automountServiceAccountToken") is not False:
        keys = (*(pod_at(resource) or ()), "automountServiceAccountToken")
        yield keys, "its pods get a token for the Kubernetes API; set automountServiceAccountToken to false"


def probed(resource: Resource, _context: Context) -> Iterator[Problem]:
    """Send requests to those only who can answer."""
    if resource.kind not in {"Deployment", "StatefulSet", "DaemonSet"}:
        return
    for keys, name, container in containers(resource):
        if "containers" in keys and not container.get("readinessProbe"):
            yield keys, f"{name} has no readinessProbe; let Kubernetes ask when it is ready"


def named_ports(resource: Resource, _context: Context) -> Iterator[Problem]:
    """Ask a port that is there."""
    for keys, name, container in containers(resource):
        known = [_map(port).get("name") for port in _list(container.get("ports"))]
        for at, port in _leaves({key: each for key, each in container.items() if key.endswith("Probe")}, keys):
            if at[-1] == "port" and isinstance(port, str) and port not in (*known, UNKNOWN):
                yield at, f"{name} has no port named {port}; use one of {known}"


def quantities(resource: Resource, _context: Context) -> Iterator[Problem]:
    """Ask for what Kubernetes understands, and for no more than the limit."""
    for keys, name, container in containers(resource):
        resources = {kind: _map(_map(container.get("resources")).get(kind)) for kind in ("requests", "limits")}
        for kind, amounts in resources.items():
            for what, amount in amounts.items():
                if amount != UNKNOWN and _quantity(amount) is None:
                    yield (
                        (*keys, "resources", kind, what),
                        f"{name}: {amount} is no quantity; write it like 500m or 128Mi",
                    )
        for what, amount in resources["requests"].items():
            asked, limit = _quantity(amount), _quantity(resources["limits"].get(what))
            if asked is not None and limit is not None and asked > limit:
                at = (*keys, "resources", "requests", what)
                yield at, f"{name} requests more {what} than its limit {resources['limits'][what]}; request less"


def no_rights(resource: Resource, context: Context) -> Iterator[Problem]:
    """Give rights in the Kubernetes API to what needs them, where it does, and to nobody else: no pod of ours asks it.

    Argo CD changes environments, Argo Rollouts does, and looks at the rest, and Prometheus sees pods.
    """
    if not resource.type.startswith("kubernetes:rbac.authorization.k8s.io/"):
        return
    metadata = _map(resource.inputs.get("metadata"))
    name, where = metadata.get("name"), metadata.get("namespace")
    in_one = resource.kind in {"Role", "RoleBinding"}
    known = {
        names.ARGOCD_ACCOUNT: in_one and where in context.environments,
        names.ROLLOUTS_CONTROLLER: in_one and where in {*context.environments, names.ROLLOUTS},
        names.ROLLOUTS: resource.kind in {"ClusterRole", "ClusterRoleBinding"},
        names.PROMETHEUS: in_one,
    }
    if not known.get(str(name)):
        yield ("kind",), f"a {resource.kind} gives rights in the cluster, and no pod here needs any; leave it out"
    bound = _map(resource.inputs.get("roleRef"))
    if bound and bound.get("name") != name:
        yield ("roleRef",), f"it gives {name} what the {bound.get('kind')} {bound.get('name')} may; name its own Role"
    for at, rule in enumerate(_list(resource.inputs.get("rules"))):
        for keys, problem in _too_much(_map(rule), str(name)):
            yield ("rules", at, *keys), problem


def _too_much(rule: Mapping[str, Any], name: str) -> Iterator[Problem]:
    verbs, seen = {*_list(rule.get("verbs"))}, {*_list(rule.get("resources"))}
    if name == names.ROLLOUTS and verbs - READING:
        yield ("verbs",), f"it may {', '.join(sorted(verbs - READING))} in every namespace; leave that out"
    if name == names.PROMETHEUS and (verbs - READING or seen - {"pods", "pods/proxy"}):
        yield (), "it gives Prometheus more than to see pods; leave the rest out"
    if rule.get("resourceNames") and not verbs - READING:
        return
    for found, value in _leaves(rule):
        if value == "*" or value in {"secrets", "serviceaccounts", "roles", "rolebindings"}:
            yield found, f"it gives rights to {value}; name the kinds that are needed"


def narrow_project(resource: Resource, _context: Context) -> Iterator[Problem]:
    """Let Git bring what the app needs, and nothing else."""
    if resource.kind == "AppProject":
        for keys, value in _leaves(resource.inputs.get("spec"), ("spec",)):
            if keys[1] != "description" and isinstance(value, str) and value.strip() in {"*", "**"}:
                yield keys, f"{'.'.join(map(str, keys[1:]))} allows everything; name what the app needs"


def own_project(resource: Resource, context: Context) -> Iterator[Problem]:
    """Keep every Application in the project that restricts it, and in this cluster."""
    if resource.kind != "Application":
        return
    spec = _map(resource.inputs.get("spec"))
    if spec.get("project") not in (*context.projects, UNKNOWN):
        yield ("spec", "project"), f"it is in the project {spec.get('project')}; use {PROJECTS[0]}, which restricts it"
    destination = _map(spec.get("destination"))
    if destination.get("server") not in ("https://kubernetes.default.svc", UNKNOWN):
        yield ("spec", "destination"), "it goes to another cluster; set its server to https://kubernetes.default.svc"
    if destination.get("namespace") not in (*context.namespaces, UNKNOWN):
        yield ("spec", "destination"), f"it goes to another namespace; use one of {', '.join(context.namespaces)}"


def no_open_allow_list(resource: Resource, _context: Context) -> Iterator[Problem]:
    """Let a web hook reach the hosts that it is for."""
    for key, value in _map(resource.inputs.get("environment")).items():
        if key.endswith("ALLOWED_HOST_LIST") and "*" in map(str.strip, str(value).split(",")):
            yield ("environment", key), f"{key} allows every host; name those that it needs"
    for keys, name, container in containers(resource):
        for index, variable in enumerate(map(_map, _list(container.get("env")))):
            hosts = str(variable.get("value")).split(",")
            if str(variable.get("name")).endswith("ALLOWED_HOST_LIST") and "*" in map(str.strip, hosts):
                yield (*keys, "env", index), f"{name}: {variable['name']} allows every host; name those that it needs"


def long_secret(resource: Resource, _context: Context) -> Iterator[Problem]:
    """Make secrets that nobody guesses."""
    size = resource.inputs.get("bytes", SECRET_BYTES)
    if resource.type == "pulumi-python:dynamic/random:Secret" and size != UNKNOWN and size < SECRET_BYTES:
        yield ("bytes",), f"it has {size:g} random bytes, which can be guessed; take {SECRET_BYTES} or more"


def no_plain_environment(resource: Resource, _context: Context) -> Iterator[Problem]:
    """Keep secrets out of what `kubectl describe` prints."""
    for keys, name, container in containers(resource):
        for index, variable in enumerate(map(_map, _list(container.get("env")))):
            known = isinstance(variable.get("value"), str) and variable["value"] not in {"", "true", "false", UNKNOWN}
            if known and SECRET_NAME.search(str(variable.get("name"))):
                what = f"{name} has {variable['name']} in plain text; take it from a Secret with valueFrom"
                yield (*keys, "env", index), what


def no_plain_secret(resource: Resource, _context: Context) -> Iterator[Problem]:
    """Keep secrets out of the state, the logs and Git."""
    for keys, value in _leaves(resource.inputs):
        for what, pattern in (("is a private key", PRIVATE_KEY), ("has a password in an address", PASSWORD_IN_URL)):
            if isinstance(value, str) and pattern.search(value):
                name = ".".join(map(str, keys))
                yield keys, f"{name} {what}, in plain text; take it from a Secret, made with pulumi.Output.secret"
    if not resource.secrets_marked:
        return
    if resource.in_cluster and resource.kind == "Secret":
        for key in ("data", "stringData"):
            if any(value != UNKNOWN for _, value in _leaves(resource.inputs.get(key))):
                yield (key,), f"its {key} is not a secret in Pulumi's state; wrap the values in pulumi.Output.secret"
    for keys, value in _leaves(resource.inputs.get("environment"), ("environment",)):
        if SECRET_NAME.search(str(keys[-1])) and value != UNKNOWN:
            yield keys, f"the variable {keys[-1]} is in plain text; make it a secret with pulumi.Output.secret"


def undone(resource: Resource, _context: Context) -> Iterator[Problem]:
    """Leave nothing behind that nobody removes."""
    if resource.type in {"command:local:Command", "command:remote:Command"}:
        if not resource.inputs.get("create"):
            yield ("create",), "it creates nothing; give it a create"
        if not resource.inputs.get("delete"):
            yield (
                ("delete",),
                'it says nothing of its removal; give it a delete, or ":" when there is nothing to remove',
            )


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
        named_ports,
        quantities,
        no_rights,
        narrow_project,
        own_project,
        no_open_allow_list,
        long_secret,
        no_plain_environment,
        no_plain_secret,
        undone,
    )
)
