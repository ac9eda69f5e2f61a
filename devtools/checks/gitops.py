"""The platform's repository `gitops`, file by file: base, overlays and delivery of Kustomize, and Argo CD's apps.

What comes out of an overlay is looked at as well, by what is in devtools/checks for any objects.
https://kubectl.docs.kubernetes.io/references/kustomize/kustomization/
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from components.core.errors import LabError
from components.gitops import manifests
from components.gitops.allowed import SEALED
from components.gitops.environments import APPS
from devtools.checks import Finding, progressive, references, schemas
from devtools.objects import Object, given

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    import yaml

BASE: Final = "base"
OVERLAYS: Final = "overlays"
DELIVERY: Final = "delivery"
FOLDERS: Final = (BASE, OVERLAYS, DELIVERY)
KUSTOMIZATIONS: Final = ("kustomization.yaml", "kustomization.yml", "Kustomization")
OTHERS: Final = ("resources", "components", "bases")  # where a kustomization names files and folders
PATCHES: Final = ("patches", "patchesStrategicMerge", "patchesJson6902")
MADE: Final = {"secretGenerator": "Secret", "configMapGenerator": "ConfigMap"}
LONGEST: Final = 256  # characters of a path; a longer one is none, which the system would not look for
Kinds = tuple[tuple[str, str], ...]
LEAKED: Final = "whoever reads Git reads it, also after it is removed: change the value, and `make seal` it"


def is_one(root: Path) -> bool:
    """Tell whether a folder is a clone of such a repository."""
    return (root / OVERLAYS).is_dir()


def overlays(root: Path) -> list[Path]:
    """Return the folders that environments follow."""
    return sorted(each for each in (root / OVERLAYS).iterdir() if each.is_dir())


def deliveries(root: Path) -> list[Path]:
    """Return the folders that change how a version gets into an environment."""
    return sorted(each for each in (root / DELIVERY).glob("*") if each.is_dir())


def kustomization(folder: Path) -> Path | None:
    """Return the file that makes a folder one of Kustomize's; None where there is none."""
    return next((folder / name for name in KUSTOMIZATIONS if (folder / name).is_file()), None)


@dataclass(frozen=True)
class _Document:
    """A YAML document: its file, as messages call it and where it is, and what is in it."""

    path: Path
    source: str
    content: Any
    node: yaml.Node

    def at(self, keys: Sequence[str | int] = ()) -> str:
        return Object(source=self.source, content={}, node=self.node).at(tuple(keys))

    def object(self) -> Object:
        return Object(source=self.source, content=given(self.content), node=self.node)


def findings(root: Path, shown: str, allowed: Kinds) -> Iterator[Finding]:
    """Yield what is wrong with the files.

    Args:
        root: the clone.
        shown: how it is called in messages.
        allowed: the kinds that Git may bring, by API group.
    """
    documents: list[_Document] = []
    for path in _files(root):
        yield from _read(path, f"{shown}/{path.relative_to(root).as_posix()}", documents)
    named: set[Path] = set()
    patches: set[Path] = set()
    for each in documents:
        if each.path.name in KUSTOMIZATIONS:
            yield from _kustomization(each, root, allowed, named, patches)
    yield from _empty(root, shown)
    its: list[Object] = []
    for each in documents:
        top = each.path.relative_to(root).parts[0]
        if top == APPS:
            yield from _application(each)
        elif top not in FOLDERS:
            yield from _secret(each)
        elif each.path.resolve() in patches:
            yield from _node_ports(each, each.content, (), top)
        elif each.path.name not in KUSTOMIZATIONS:
            yield from _manifest(each, top, named)
            its += [each.object()] if isinstance(each.content, dict) else []
    yield from _objects(its, allowed)


def _empty(root: Path, shown: str) -> Iterator[Finding]:
    for folder in overlays(root):
        if not kustomization(folder):
            yield Finding(f"{shown}/{OVERLAYS}/{folder.name}", "it has no kustomization.yaml; add one, or remove it")


def _files(root: Path) -> list[Path]:
    """Return the YAML files, of which JSON is some; those that are hidden Argo CD is not pointed at."""
    named = {".yaml", ".yml", ".json"}
    found = [path for path in root.rglob("*") if path.suffix in named or path.name in KUSTOMIZATIONS]
    return sorted(
        path
        for path in found
        if path.is_file() and not any(part.startswith(".") for part in path.relative_to(root).parts)
    )


def _objects(its: list[Object], allowed: Kinds) -> Iterator[Finding]:
    wrong = list(schemas.findings(its))
    yield from wrong
    for one in its:
        # An overlay says in which namespace it is.
        yield from references.project([one], str(one.metadata.get("namespace")), allowed)
    if not wrong:
        yield from progressive.alone(its)


def _secret(each: _Document) -> Iterator[Finding]:
    if isinstance(each.content, dict) and each.content.get("kind") == "Secret":
        yield Finding(each.at(("kind",)), f"a Secret is in Git; {LEAKED}")


def _read(path: Path, source: str, into: list[_Document]) -> Iterator[Finding]:
    text = path.read_text(encoding="utf-8", errors="replace")
    try:
        into += [_Document(path, source, content, node) for node, content in manifests.contents(text, source)]
    except LabError as told:
        where, _, what = told.what.partition(" is ")
        yield Finding(where, f"it is {what}: {told.why}; {told.fix}")


def _kustomization(
    each: _Document, root: Path, allowed: Kinds, named: set[Path], patches: set[Path]
) -> Iterator[Finding]:
    """Yield what a kustomization names that is not there, and note what it names."""
    content, folder = each.content, each.path.parent
    if wrong := _shape(each):
        yield wrong
        return
    for key in OTHERS:
        for index, entry in enumerate(content.get(key) or []):
            yield from _named(each, (key, index), entry, root)
            named |= _target(folder, entry)
    for key in PATCHES:
        for index, entry in enumerate(content.get(key) or []):
            at = (key, index)
            path = entry.get("path") if isinstance(entry, dict) else entry
            text = entry.get("patch") if isinstance(entry, dict) else None
            if isinstance(path, str) and "\n" not in path:
                yield from _named(each, at, path, root)
                patches |= _target(folder, path)
            elif isinstance(text or path, str):
                yield from _inline(each, str(text or path), (*at, "patch"), root)
    for key, kind in MADE.items():
        if content.get(key) and ("", kind) not in allowed:
            fix = LEAKED if kind == "Secret" else "take it out"
            yield Finding(each.at((key,)), f"it makes a {kind}, which Argo CD refuses; {fix}")


def _shape(each: _Document) -> Finding | None:
    """Return what is wrong with the shape of a kustomization."""
    if not isinstance(each.content, dict):
        return Finding(each.at(), "it is no kustomization; see those beside it")
    for key in (*OTHERS, *PATCHES):
        if not isinstance(each.content.get(key) or [], list):
            return Finding(each.at((key,)), f"{key} is no list; put a hyphen before each entry")
    return None


def _target(folder: Path, entry: object) -> set[Path]:
    """Return the path that an entry names in a folder; none when it names none."""
    named = isinstance(entry, str) and entry.isprintable() and len(entry) < LONGEST
    return {(folder / str(entry)).resolve()} if named else set()


def _named(each: _Document, at: tuple[str | int, ...], entry: object, root: Path) -> Iterator[Finding]:
    where = each.at(at)
    if not isinstance(entry, str) or not (targets := _target(each.path.parent, entry)):
        yield Finding(where, f"{entry!r} is no path; name a file or a folder")
        return
    if "://" in entry or "?ref=" in entry or entry.startswith(("github.com/", "git@")):
        yield Finding(where, f"{entry} is elsewhere, where others change it; copy what it has into this repository")
        return
    (target,) = targets
    if root.resolve() not in target.parents:
        yield Finding(where, f"{entry} is outside of this repository, so that Argo CD does not have it; copy it here")
    elif not target.exists():
        yield Finding(where, f"there is no {entry}; correct the path, or add it to this branch")
    elif target.is_dir() and not kustomization(target):
        yield Finding(where, f"{entry} has no kustomization.yaml; add one there, or name its files")


def _inline(each: _Document, text: str, at: tuple[str | int, ...], root: Path) -> Iterator[Finding]:
    try:
        changes = [content for _, content in manifests.contents(text, "the patch")]
    except LabError as error:
        yield Finding(each.at(at), f"the patch is not YAML: {error.why}; correct it")
        return
    for change in changes:
        for found in _node_ports(each, change, (), each.path.relative_to(root).parts[0]):
            # It is a text in the kustomization, whose line is known.
            yield Finding(each.at(at), found.what)


def _node_ports(each: _Document, content: object, keys: tuple[str | int, ...], top: str) -> Iterator[Finding]:
    """Yield the node ports in a manifest or a patch, where they are not the settings'."""
    if top == BASE:
        return  # the environments' Applications put theirs in its place
    if isinstance(content, dict):
        path = str(content.get("path") or "")
        to_it = "nodePort" in content or path.endswith("/nodePort")
        opens = content.get("type") == "NodePort" or (path == "/spec/type" and content.get("value") == "NodePort")
        if to_it or opens:
            key = "nodePort" if "nodePort" in content else "type" if "type" in content else "path"
            what = "a node port is no overlay's to take: the cluster publishes that of the settings alone; leave it out"
            yield Finding(each.at((*keys, key)), f"{what}, and set iot:environments.NAME.port")
            return
    inner: list[tuple[str | int, Any]] = []
    if isinstance(content, dict):
        inner = [*content.items()]
    elif isinstance(content, list):
        inner = [*enumerate(content)]
    for at, value in inner:
        yield from _node_ports(each, value, (*keys, at), top)


def _manifest(each: _Document, top: str, named: set[Path]) -> Iterator[Finding]:
    if not isinstance(each.content, dict):
        yield Finding(each.at(), "it is no object: it has no kind; correct it, or name it among the patches")
        return
    if each.path.resolve() not in named:
        yield Finding(each.at(), f"no kustomization names it, so that Argo CD does not see it; add {each.path.name}")
    yield from _node_ports(each, each.content, (), top)
    environment = each.path.parent.name
    theirs = each.object().metadata.get("namespace")
    if each.content.get("kind") == SEALED[1] and top == OVERLAYS and theirs not in (None, environment):
        what = f"it is sealed for {theirs}, and can't be read in {environment}; make seal ENV={environment}"
        yield Finding(each.at(("metadata", "namespace")), f"{each.object().name}: {what}")


def _application(each: _Document) -> Iterator[Finding]:
    content = each.content if isinstance(each.content, dict) else {}
    name = Object(source=each.source, content=content).metadata.get("name")
    spec = content.get("spec")
    if content.get("kind") != "Application":
        what = f"a {content.get('kind')} is no Application, and Argo CD refuses it there"
        fix = LEAKED if content.get("kind") == "Secret" else f"move it into {BASE} or into an overlay"
        yield Finding(each.at(("kind",)), f"{what}; {fix}")
    elif (project := spec.get("project") if isinstance(spec, dict) else None) != name:
        what = f"the Application {name} names the project {project}, which the cluster refuses; name {name}"
        yield Finding(each.at(("spec", "project")), what)
