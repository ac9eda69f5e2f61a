"""Kubernetes' own schemas of the pinned version, and strictly: a field that they don't know is a mistake."""

from __future__ import annotations

import difflib
import json
import re
from functools import cache
from importlib import resources
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import yaml
from jsonschema import Draft202012Validator
from referencing import Registry, Resource

from components.core import versions
from devtools.checks import Finding

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from jsonschema.exceptions import ValidationError

    from devtools.objects import Object

# Kinds that are not Kubernetes' own, by API group.
OTHERS: Final = {
    "argoproj.io": ("Argo CD", Path(__file__).parent / "argoproj.yaml"),
    "bitnami.com": ("Sealed Secrets", Path(__file__).parent / "bitnami.yaml"),
}
Keys = tuple[str | int, ...]
MINOR: Final = ".".join(versions.K3S.lstrip("v").split(".")[:2])


def findings(found: Iterable[Object]) -> Iterator[Finding]:
    """Yield what Kubernetes or Argo CD would refuse, each with the line where it stands."""
    for each in found:
        schema = _schema(each)
        if isinstance(schema, Finding):
            yield schema
            continue
        for error in sorted(_errors(schema, each.plain()), key=lambda one: [str(key) for key in one.absolute_path]):
            yield _finding(each, error)
        for keys in _empty(each.plain()):
            yield Finding(each.at(keys), f"{each.name}: there is nothing behind the hyphen; remove it")


def _empty(value: Any, keys: Keys = ()) -> Iterator[Keys]:  # noqa: ANN401 - any JSON
    """Yield where a list has an entry that is nothing, which the schemas let pass."""
    inside = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, each in inside:
        if each is None:
            yield (*keys, key)
        yield from _empty(each, (*keys, key))


def _errors(schema: Draft202012Validator, content: dict[str, Any]) -> Iterator[ValidationError]:
    for error in schema.iter_errors(content):
        # What is wrong in one of several alternatives is told by the deepest of its errors.
        yield max(error.context, key=lambda each: len(each.absolute_path), default=error) if error.context else error


def _finding(each: Object, error: ValidationError) -> Finding:
    keys = tuple(error.absolute_path)
    field = ".".join(str(key) for key in keys) or "the object"
    if error.validator == "additionalProperties":
        schema: Any = error.schema
        instance: Any = error.instance
        known = list(schema.get("properties", {}))
        extra = next(key for key in instance if key not in known)
        near = difflib.get_close_matches(extra, known, n=1)
        hint = f"did you mean {near[0]}?" if near else f"{field} may have {', '.join(sorted(known))}"
        return Finding(each.at((*keys, extra)), f"{each.name}: {field} has no field {extra}; {hint}")
    return Finding(each.at(keys), f"{each.name}: {field}: {error.message}; correct it")


def _schema(each: Object) -> Draft202012Validator | Finding:
    """Return the schema of an object's kind, or what is wrong when there is none."""
    version, kind = each.content.get("apiVersion"), each.content.get("kind")

    def wrong(key: str, what: str) -> Finding:
        return Finding(each.at((key,)), f"{each.name}: {what}")

    if not isinstance(version, str) or not isinstance(kind, str):
        return wrong("metadata", "it has no apiVersion or no kind; give it both")
    group = version.partition("/")[0]
    if group in OTHERS:
        known, (whose, path) = of_group(group), OTHERS[group]
        hint = f"devtools/checks/{path.name} has {', '.join(known)}"
        return known.get(kind) or wrong("kind", f"{whose} has no {kind} here; {hint}")
    name = f"{kind.lower()}-{_short(version)}.json"
    if name in _names():
        return _validator(name)
    served = sorted(group for name, group in _served() if name == kind)
    if served:
        return wrong("apiVersion", f"Kubernetes {MINOR} has no {kind} in {version}; it is in {', '.join(served)}")
    near = difflib.get_close_matches(kind, {name for name, _ in _served()}, n=1)
    hint = f"did you mean {near[0]}?" if near else "see `kubectl api-resources`"
    return wrong("kind", f"Kubernetes {MINOR} has no kind {kind} in {version}; {hint}")


def _short(version: str) -> str:
    """Return an API version as it is in the files' names: without its group's domain."""
    return re.sub(r"^([^./]*)(?:\.[^/]*)?/", r"\1-", version)


@cache
def _folder() -> Path:
    found = Path(str(resources.files("kubernetes_validate"))) / "kubernetes-json-schema" / f"v{MINOR}.0-local-strict"
    if not found.is_dir():
        raise FileNotFoundError(f"kubernetes-validate has no schemas of Kubernetes {MINOR}: pin a version that has")
    return found


@cache
def _names() -> frozenset[str]:
    return frozenset(each.name for each in _folder().iterdir())


@cache
def _served() -> frozenset[tuple[str, str]]:
    """Return the kinds, each with the API versions that it is in."""
    kinds = set()
    for definition in _definitions()["$defs"].values():
        for each in definition.get("x-kubernetes-group-version-kind", []):
            group = f"{each['group']}/{each['version']}" if each["group"] else each["version"]
            kinds.add((each["kind"], group))
    return frozenset(kinds)


@cache
def _definitions() -> dict[str, Any]:
    found: dict[str, Any] = json.loads((_folder() / "_definitions.json").read_text(encoding="utf-8"))
    return found


@cache
def _validator(name: str) -> Draft202012Validator:
    schema = json.loads((_folder() / name).read_text(encoding="utf-8"))
    registry: Registry[Any] = Registry().with_resources(
        [(each["$id"], Resource.from_contents(each)) for each in (schema, _definitions())]
    )
    return Draft202012Validator(schema, registry=registry)


@cache
def of_group(group: str) -> dict[str, Draft202012Validator]:
    """Return the schemas of the kinds of a group in ``OTHERS``."""
    known = yaml.safe_load(OTHERS[group][1].read_text(encoding="utf-8"))
    common = known.pop("$defs")
    return {kind: Draft202012Validator({**schema, "$defs": common}) for kind, schema in known.items()}
