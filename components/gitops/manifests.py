"""The YAML that Argo CD follows: read with exact positions, so that a change touches one value and nothing else."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, Final

import yaml

from components.core.errors import MALFORMED, LabError, not_yaml

if TYPE_CHECKING:
    from collections.abc import Callable, Hashable, Iterator
    from pathlib import Path

Keys = tuple[str | int, ...]
KUSTOMIZATION: Final = (
    "kustomization.yaml"  # https://kubectl.docs.kubernetes.io/references/kustomize/kustomization/images/
)
WORKLOADS: Final = ("Deployment", "StatefulSet", "DaemonSet", "Job", "CronJob", "Pod", "ReplicaSet", "Rollout")
YAML: Final = "tag:yaml.org,2002:"
# What PyYAML takes for more than Kubernetes does: dates, and numbers with a base of 60.
OTHERWISE: Final = tuple(f"{YAML}{each}" for each in ("timestamp", "value", "int", "float"))
NUMBERS: Final = {  # as go-yaml has them: https://github.com/kubernetes-sigs/yaml/blob/master/goyaml.v2/resolve.go
    "int": r"[-+]?(?:0b[01_]+|0x[0-9a-fA-F_]+|0o?[0-7_]+|0|[1-9][0-9_]*)",
    "float": r"[-+]?(?:\.[0-9]+|[0-9]+(?:\.[0-9]*)?)(?:[eE][-+]?[0-9]+)?|[-+]?\.(?:inf|Inf|INF)|\.(?:nan|NaN|NAN)",
}


class Loader(yaml.SafeLoader):
    """Reads YAML as Kubernetes does, which makes JSON of it: dates are texts, and so are all keys."""

    yaml_implicit_resolvers = {  # noqa: RUF012 - as the class before has it
        first: [each for each in known if each[0] not in OTHERWISE]
        for first, known in yaml.SafeLoader.yaml_implicit_resolvers.items()
    }

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Hashable, Any]:  # noqa: FBT001, FBT002 - PyYAML's
        """Return a mapping with texts for its keys."""
        self.flatten_mapping(node)
        return {self._key(key): self.construct_object(value, deep=deep) for key, value in node.value}

    def _key(self, node: yaml.Node) -> str:
        if not isinstance(node, yaml.ScalarNode):
            raise yaml.constructor.ConstructorError(None, None, "a key is no text", node.start_mark)
        key = self.construct_object(node)
        return str(key).lower() if isinstance(key, bool) else str(key)


for _kind, _form in NUMBERS.items():
    Loader.add_implicit_resolver(f"{YAML}{_kind}", re.compile(f"(?:{_form})$"), list("-+.0123456789"))


def read(folder: Path) -> dict[str, str]:
    """Return the manifests of a folder.

    Args:
        folder: the folder; its .yaml and .yml files are read, those in folders below it are not.

    Returns:
        Their text, by file name.

    Raises:
        LabError: there are none, or one is malformed; names the file and the line.
    """
    texts = {path.name: path.read_text(encoding="utf-8") for path in sorted(folder.glob("*.y*ml"))}
    if not texts:
        raise LabError(f"There are no manifests in {folder}", fix="git checkout manifests")
    for name, text in texts.items():
        documents(text, name)
    return texts


def documents(text: str, name: str) -> list[yaml.Node]:
    """Return the documents of a YAML text, as nodes that know their positions.

    Args:
        text: the YAML.
        name: of its file, for the message.

    Raises:
        LabError: it is malformed; names the file and the line.
    """
    return [node for node, _ in contents(text, name)]


def contents(text: str, name: str) -> list[tuple[yaml.Node, Any]]:
    """Return the documents of a YAML text, as nodes that know their positions, each with what it says.

    Args:
        text: the YAML.
        name: of its file, for the message.

    Raises:
        LabError: it is malformed; names the file and the line.
    """
    loader = Loader("")
    found: list[tuple[yaml.Node, Any]] = []
    try:
        for node in yaml.compose_all(text, Loader=Loader):
            _refuse_endless(node, set(), set())
            found.append((node, loader.construct_document(node)))
    except yaml.YAMLError as error:
        raise not_yaml(error, name, text) from error
    except MALFORMED as error:
        # Such as a number that is none, of which PyYAML does not say where it is.
        raise LabError(f"{name} is not YAML", why=str(error), fix="correct it") from error
    return found


def _refuse_endless(node: yaml.Node, around: set[int], known: set[int]) -> None:
    """Stop at an alias of what it is in itself.

    Args:
        node: where it is looked for.
        around: the identities of the nodes that it is in.
        known: those of nodes that have none; what is found now is added.
    """
    if id(node) in around:
        raise yaml.composer.ComposerError(None, None, "an alias repeats what it is in itself", node.start_mark)
    if id(node) in known or isinstance(node, yaml.ScalarNode):
        return
    inner = node.value if isinstance(node, yaml.SequenceNode) else [each for pair in node.value for each in pair]
    for each in inner:
        _refuse_endless(each, around | {id(node)}, known)
    known.add(id(node))


def images(text: str, name: str) -> list[str]:
    """Return the images that the containers of a manifest run, or that a kustomization has them run, in their order.

    Args:
        text: the manifest.
        name: of its file, for messages.
    """
    run = [node.value for node in _found(text, name, _is_image)]
    return run + [f"{repository}:{node.value}" for repository, node in _kustomized(text, name)]


def set_tag(text: str, name: str, repository: str, tag: str) -> str:
    """Return a manifest in which the containers that run an image run it with another tag.

    Args:
        text: the manifest.
        name: of its file, for messages.
        repository: the image without its tag.
        tag: the new one.

    Raises:
        LabError: no container runs that image.
    """
    return set_image(text, name, repository, f"{repository}:{tag}")


def set_image(text: str, name: str, repository: str, reference: str) -> str:
    """Return a manifest in which the containers that run an image run another one.

    Args:
        text: the manifest.
        name: of its file, for messages.
        repository: the image without its tag.
        reference: the new image, with its tag.

    Raises:
        LabError: no container runs that image; says which ones they run.
    """
    found = [node for node in _found(text, name, _is_image) if _repository(node.value) == repository]
    tags = [node for its, node in _kustomized(text, name) if its == repository]
    if tags and _repository(reference) == repository:
        tag = reference.rpartition(":")[2]
        # What YAML would take for a number, such as a commit's ID, has to stay a text.
        safe = all(node.style for node in tags) or isinstance(yaml.load(tag, Loader), str)  # noqa: S506 - a safe one
        return _with(text, tags, tag if safe else f'"{tag}"')
    if not found:
        raise LabError(
            f"No container in {name} runs the image {repository}",
            why=f"they run {', '.join(images(text, name)) or 'none'}",
            fix="name the image that is to change",
        )
    return _with(text, found, reference)


def set_node_port(text: str, name: str, old: int, new: int) -> str:
    """Return a manifest in which Services that had one node port have another; the same one when none had it.

    Args:
        text: the manifest.
        name: of its file, for messages.
        old: the node port that is replaced.
        new: in 30000 to 32767.
    """
    found = [node for node in _found(text, name, _is_node_port) if node.value == str(old)]
    return _with(text, found, str(new))


def add_resource(text: str, name: str, resource: str) -> str:
    """Return a kustomization that names one more resource; the same one when it does already.

    Args:
        text: the kustomization.
        name: of its file, for messages.
        resource: path of the resource, relative to it.
    """
    found = documents(text, name)
    root = found[0].value if found and isinstance(found[0], yaml.MappingNode) else []
    there: yaml.Node | None = next((node for key, node in root if key.value == "resources"), None)
    if there is None:
        return f"{text.rstrip()}\nresources:\n- {resource}\n"
    items = there.value if isinstance(there, yaml.SequenceNode) else []
    if not items:
        # An empty list, or nothing at all.
        return f"{text[: there.start_mark.index].rstrip()}\n- {resource}{text[there.end_mark.index :]}"
    if resource in [each.value for each in items]:
        return text
    last: yaml.Node = items[-1]
    if isinstance(there, yaml.SequenceNode) and there.flow_style:
        return f"{text[: last.end_mark.index]}, {resource}{text[last.end_mark.index :]}"
    end = text.find("\n", last.end_mark.index)
    head, tail = (text, "\n") if end < 0 else (text[:end], text[end:])
    return f"{head}\n{' ' * there.start_mark.column}- {resource}{tail}"


def _with(text: str, nodes: list[yaml.ScalarNode], value: str) -> str:
    # By position: what an alias repeats stands in the text once.
    for _, node in sorted({node.start_mark.index: node for node in nodes}.items(), reverse=True):
        # A node begins with its tag, anchor and quote, if any.
        start = text.rindex(node.value, node.start_mark.index, node.end_mark.index)
        text = text[:start] + value + text[start + len(node.value) :]
    return text


def _kustomized(text: str, name: str) -> list[tuple[str, yaml.ScalarNode]]:
    """Return the images whose tags a kustomization sets, without their tags, and where these are."""
    if name != KUSTOMIZATION:
        return []
    found = []
    for document in documents(text, name):
        scalars = dict(_scalars(document, ()))
        for keys, node in scalars.items():
            if keys[:1] == ("images",) and keys[-1] == "newTag":
                named = scalars.get((*keys[:-1], "newName")) or scalars.get((*keys[:-1], "name"))
                found.append((named.value if named else "", node))
    return found


def _repository(reference: str) -> str:
    name = reference.partition("@")[0]
    head, colon, tag = name.rpartition(":")
    return head if colon and "/" not in tag else name


def _is_image(kind: str, keys: Keys) -> bool:
    return kind in WORKLOADS and keys[-1] == "image" and keys[-3:-2] in {("containers",), ("initContainers",)}


def _is_node_port(kind: str, keys: Keys) -> bool:
    return kind == "Service" and keys[-1] == "nodePort" and keys[:2] == ("spec", "ports")


def _found(text: str, name: str, wanted: Callable[[str, Keys], bool]) -> list[yaml.ScalarNode]:
    nodes = []
    for document in documents(text, name):
        scalars = list(_scalars(document, ()))
        kind = next((node.value for keys, node in scalars if keys == ("kind",)), "")
        nodes += [node for keys, node in scalars if keys and wanted(kind, keys)]
    return nodes


def _scalars(node: yaml.Node, keys: Keys) -> Iterator[tuple[Keys, yaml.ScalarNode]]:
    if isinstance(node, yaml.ScalarNode):
        yield keys, node
    elif isinstance(node, yaml.SequenceNode):
        for index, item in enumerate(node.value):
            yield from _scalars(item, (*keys, index))
    elif isinstance(node, yaml.MappingNode):
        for key, value in node.value:
            yield from _scalars(value, (*keys, str(key.value)))
