"""What objects say of each other: names, labels and ports that have to match for the whole to work."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from components.core import versions
from components.core.names import IMAGE
from components.gitops import manifests
from components.gitops.allowed import SEALED
from devtools.checks import Finding
from policy.rules import Resource, pod, pod_at

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from devtools.objects import Object

# Where a pod names another object of its namespace: the field, and the key of the name in it.
NAMED: Final = {
    "configMap": ("ConfigMap", "name"),
    "configMapKeyRef": ("ConfigMap", "name"),
    "configMapRef": ("ConfigMap", "name"),
    "persistentVolumeClaim": ("PersistentVolumeClaim", "claimName"),
    "secret": ("Secret", "secretName"),
    "secretKeyRef": ("Secret", "name"),
    "secretRef": ("Secret", "name"),
}
ALWAYS: Final = ("kube-public",)  # namespaces that every cluster has, and that ours use
Keys = tuple[str | int, ...]


def findings(objects: Sequence[Object], namespaces: Sequence[str] = ()) -> Iterator[Finding]:
    """Yield what refers to something that is not there.

    Args:
        objects: all that the stack or the folder has.
        namespaces: those that are there besides.
    """
    there = {(each.content.get("kind"), _namespace(each), each.metadata.get("name")) for each in objects}
    # What a sealed one becomes in the cluster.
    sealed = [each for each in objects if each.content.get("kind") == SEALED[1]]
    there |= {("Secret", _namespace(each), each.metadata.get("name")) for each in sealed}
    there |= {("Namespace", None, each) for each in (*namespaces, *ALWAYS)}
    seen = set()
    for each in objects:
        key = (each.cluster, each.content.get("kind"), _namespace(each), each.metadata.get("name"))
        if key in seen:
            yield Finding(each.at(("metadata", "name")), f"{each.name} is there twice; give one of them another name")
        seen.add(key)
        if _namespace(each) and ("Namespace", None, _namespace(each)) not in there:
            where = each.at(("metadata", "namespace"))
            yield Finding(where, f"{each.name}: there is no Namespace {_namespace(each)}; add one to the others")
        yield from _selectors(each, objects)
        yield from _names(each, there)
    yield from _node_ports(objects)
    yield from _backends(objects)


def _node_ports(objects: Sequence[Object]) -> Iterator[Finding]:
    taken: dict[int, str] = {}
    for each in objects:
        for index, port in enumerate((each.content.get("spec") or {}).get("ports") or []):
            number = port.get("nodePort") if each.content.get("kind") == "Service" else None
            if number and taken.setdefault(number, each.name) != each.name:
                where = each.at(("spec", "ports", index, "nodePort"))
                yield Finding(where, f"{each.name}: {taken[number]} has the node port {number} too; take another one")


def _backends(objects: Sequence[Object]) -> Iterator[Finding]:
    """Yield the routes to a Service, or a port of it, that is not there."""
    services = {(_namespace(each), each.metadata.get("name")): each for each in objects if _is_service(each)}
    for each in objects:
        for keys, backend in _found(each.content, ()) if each.content.get("kind") == "Ingress" else ():
            if keys[-1] != "service":
                continue
            name, wanted = backend.get("name"), next(iter(backend.get("port", {}).items()), None)
            service = services.get((_namespace(each), name))
            if not service:
                yield Finding(each.at(keys), f"{each.name}: there is no Service {name}; name one of its namespace")
            elif wanted not in (known := _service_ports(service)):
                told = (
                    f"the Service {name} has no port {wanted and wanted[1]}; use one of {[port for _, port in known]}"
                )
                yield Finding(each.at((*keys, "port")), f"{each.name}: {told}")


def _is_service(each: Object) -> bool:
    return each.content.get("kind") == "Service"


def _service_ports(service: Object) -> list[tuple[str, Any]]:
    ports = (service.content.get("spec") or {}).get("ports") or []
    return [(key, port[of]) for port in ports for key, of in (("name", "name"), ("number", "port")) if of in port]


def _found(value: Any, keys: Keys) -> Iterator[tuple[Keys, dict[str, Any]]]:  # noqa: ANN401 - any JSON
    """Yield every object in an object, with what leads to it."""
    if isinstance(value, dict):
        yield keys or ("",), value
    for key, each in value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ():
        yield from _found(each, (*keys, key))


def _selectors(each: Object, objects: Sequence[Object]) -> Iterator[Finding]:
    spec = each.content.get("spec") or {}
    if each.content.get("kind") == "Deployment":
        wanted, labels = spec.get("selector", {}).get("matchLabels", {}), _labels(each)
        if not wanted or wanted.items() - labels.items():
            where = each.at(("spec", "selector", "matchLabels"))
            yield Finding(
                where, f"{each.name}: the selector {wanted} is not among its pods' labels {labels}; make it so"
            )
    if each.content.get("kind") != "Service" or not spec.get("selector"):
        return
    behind = [
        other
        for other in objects
        if _namespace(other) == _namespace(each) and not spec["selector"].items() - _labels(other).items()
    ]
    if not behind:
        where = each.at(("spec", "selector"))
        yield Finding(where, f"{each.name}: no pod has the labels {spec['selector']}; select labels that pods have")
    for index, port in enumerate(spec.get("ports", [])):
        known = [name for other in behind for name in _ports(other)]
        if known and port.get("targetPort", port.get("port")) not in known:
            where = each.at(("spec", "ports", index, "targetPort"))
            yield Finding(where, f"{each.name}: its pods have no port {port.get('targetPort')}; use one of {known}")


def _names(each: Object, there: set[tuple[Any, Any, Any]]) -> Iterator[Finding]:
    """Yield what a pod needs and its namespace does not have."""
    wanted: list[tuple[Keys, str, object]] = []
    pod, at = _pod(each) or {}, pod_at(_resource(each)) or ()
    for keys, value in _found(pod, at):
        if keys[-1] in NAMED and not value.get("optional"):
            kind, key = NAMED[str(keys[-1])]
            # In a projected volume, a Secret's name is where that of a ConfigMap is.
            wanted.append((keys, kind, value.get(key, value.get("name"))))
    wanted += [((*at, "imagePullSecrets"), "Secret", one.get("name")) for one in pod.get("imagePullSecrets", [])]
    if (account := pod.get("serviceAccountName", "default")) != "default":
        wanted.append(((*at, "serviceAccountName"), "ServiceAccount", account))
    for keys, kind, name in wanted:
        if (kind, _namespace(each), name) not in there:
            yield Finding(each.at(keys), f"{each.name}: there is no {kind} {name}; name one of its namespace")


def project(objects: Sequence[Object], namespace: str, allowed: tuple[tuple[str, str], ...]) -> Iterator[Finding]:
    """Yield what Argo CD would refuse, because the AppProject does not allow it.

    Args:
        objects: what is in Git.
        namespace: the one of the project.
        allowed: the kinds that Git may bring, by API group.
    """
    for each in objects:
        kind, found = str(each.content.get("kind")), _namespace(each)
        if (str(each.content.get("apiVersion")).rpartition("/")[0], kind) not in allowed:
            told = "name it in KINDS of components/gitops/application.py, or let Pulumi make it"
            if kind == SEALED[1]:
                told = "pulumi config set iot:sealedSecrets true"
            if kind == "Secret":
                told = "whoever reads Git reads it, also after it is removed: change the value, and `make seal` it"
            yield Finding(each.at(("kind",)), f"{each.name}: Argo CD refuses a {kind}; {told}")
        elif found not in (None, namespace):
            where = each.at(("metadata", "namespace"))
            yield Finding(where, f"{each.name}: Argo CD refuses the namespace {found}; use {namespace}")


def tags(folder: Path, shown: str) -> Iterator[Finding]:
    """Yield the containers of a folder's manifests that run a version of the app that nothing builds.

    Args:
        folder: the manifests.
        shown: how it is called in messages.
    """
    for name, text in manifests.read(folder).items():
        for line, reference in _images(text, name):
            match = IMAGE.fullmatch(reference)
            if not match:
                yield Finding(f"{shown}/{name}:{line}", f"{reference!r} is no image; write NAME:TAG")
            elif match["repository"] == versions.APP_REPOSITORY and match["tag"] not in versions.APP_VERSIONS:
                built = ", ".join(versions.APP_VERSIONS)
                yield Finding(f"{shown}/{name}:{line}", f"nothing builds {reference}; use one of the tags {built}")


def _images(text: str, name: str) -> Iterator[tuple[int, str]]:
    lines = text.splitlines()
    for reference in manifests.images(text, name):
        found = [number for number, line in enumerate(lines, start=1) if reference in line]
        yield found[0] if found else 1, reference


def _namespace(each: Object) -> str | None:
    return each.metadata.get("namespace")


def _pod(each: Object) -> Any:  # noqa: ANN401 - as it is in YAML
    return pod(_resource(each))


def _resource(each: Object) -> Resource:
    return Resource(type=f"kubernetes:{each.content.get('kind')}", name=each.name, inputs=each.plain())


def _containers(each: Object) -> list[dict[str, Any]]:
    spec = _pod(each) or {}
    return [*spec.get("initContainers", []), *spec.get("containers", [])]


def _labels(each: Object) -> dict[str, Any]:
    """Return the labels of the pods that an object makes; none when it makes none."""
    template = (each.content.get("spec") or {}).get("template") if _pod(each) else None
    found: dict[str, Any] = ((template or {}).get("metadata") or {}).get("labels") or {}
    return found


def _ports(each: Object) -> list[Any]:
    ports = [port for container in _containers(each) for port in container.get("ports", [])]
    return [port[key] for port in ports for key in ("name", "containerPort") if key in port]
