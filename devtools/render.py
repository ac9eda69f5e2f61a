"""A stack's Kubernetes objects as plain YAML, for those who want to read them, or to use them without Pulumi."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import yaml

from components.core import names, versions
from devtools import graph, objects, order

if TYPE_CHECKING:
    from collections.abc import Iterator

    from devtools.graph import Graph, Node

TITLE: Final = "# The Kubernetes objects of "  # of the README, by which a folder that was written is known again
FILL_IN: Final = "FILL-IN-"
HASH: Final = "-bcrypt"
# What Pulumi, or this program's own triggers, are told by an object. Nobody else reads it.
OWN_ANNOTATIONS: Final = ("pulumi.com/", "iot/")
# What is no secret in the Secrets that tell Argo CD of a repository:
# https://argo-cd.readthedocs.io/en/stable/operator-manual/declarative-setup/#repositories
OPEN_KEYS: Final = {"project", "type", "url", "username"}
FIRST: Final = ("apiVersion", "kind", "metadata", "name", "namespace", "type")
NOTE: Final = "# Fill in what begins with FILL-IN- before you apply this; README.md says how.\n"


def files(made: Graph) -> dict[str, str]:
    """Return what is written for a stack: the text of each file by its path, the same on every machine.

    Objects are in numbered folders: what a Helm Release needs stands before its values, what needs the Release after.
    """
    found = order.of(made)
    releases = objects.releases(made)
    texts = {}
    stages: dict[int, list[str]] = {}
    for node in objects.made_by(made):
        stage = 2 * sum(release.urn in found.everything[node.urn] for release in releases) + 1
        stages.setdefault(stage, []).append(node.name)
        content = _clean(node.inputs, ())
        path = f"{stage}/{len(stages[stage]):02}-{content['kind'].lower()}-{content['metadata']['name']}.yaml"
        texts[path] = dump(content)
    for number, release in enumerate(releases):
        texts[f"{2 * (number + 1)}-{release.inputs['name']}-values.yaml"] = dump(_clean(release.inputs["values"], ()))
    return {**texts, "README.md": readme(made, texts)} if texts else {}


def dump(content: dict[str, Any]) -> str:
    """Return an object as YAML, with its keys in the order in which people write them."""
    text = yaml.dump(content, Dumper=_Dumper, sort_keys=False, default_flow_style=False, width=120, allow_unicode=True)
    return (NOTE if FILL_IN in text else "") + text


class _Dumper(yaml.SafeDumper):
    """Writes text of several lines as such, and lists indented."""

    def increase_indent(self, flow: bool = False, indentless: bool = False) -> None:  # noqa: ARG002, FBT001, FBT002 - its signature
        super().increase_indent(flow, False)  # noqa: FBT003 - as above


def _text(dumper: yaml.SafeDumper, value: str) -> yaml.ScalarNode:
    return dumper.represent_scalar("tag:yaml.org,2002:str", value, style="|" if "\n" in value else None)


_Dumper.add_representer(str, _text)


def _clean(value: Any, keys: tuple[str, ...]) -> Any:  # noqa: ANN401 - any JSON
    """Return a value in order, without Pulumi's own annotations and without secrets."""
    if isinstance(value, list):
        return [_clean(each, keys) for each in value]
    if not isinstance(value, dict):
        return _placeholder(value, keys) if _is_stand_in(value) else value
    if set(value) == {"secret"}:
        return _hidden(value["secret"], keys)
    if keys[-1:] == ("annotations",):
        value = {key: each for key, each in value.items() if not key.startswith(OWN_ANNOTATIONS)}
    cleaned = {key: _clean(value[key], (*keys, key)) for key in sorted(value, key=_place)}
    return {key: each for key, each in cleaned.items() if not (key == "annotations" and each == {})}


def _hidden(value: Any, keys: tuple[str, ...]) -> Any:  # noqa: ANN401 - any JSON
    if isinstance(value, dict):
        return {
            key: value[key] if key in OPEN_KEYS else _hidden(value[key], (*keys, key))
            for key in sorted(value, key=_place)
        }
    return _placeholder(value, keys)


def _placeholder(value: object, keys: tuple[str, ...]) -> str:
    """Return the same placeholder for the same secret, wherever it is."""
    made_by = re.fullmatch(rf"{graph.STAND_IN}-(value|bcrypt)-of-(.+)", str(value))
    if not made_by:
        return FILL_IN + keys[-1]
    return FILL_IN + made_by[2] + (HASH if made_by[1] == "bcrypt" else "")


def _is_stand_in(value: object) -> bool:
    return isinstance(value, str) and (graph.STAND_IN in value or value == graph.UNKNOWN)


def _place(key: str) -> tuple[int, str]:
    return (FIRST.index(key) if key in FIRST else len(FIRST), key)


@dataclass(frozen=True)
class _Step:
    """One thing to do by hand: what, and the command."""

    what: str
    command: str


def readme(made: Graph, texts: dict[str, str]) -> str:
    """Return how to use the files without Pulumi.

    Args:
        made: the stack's graph.
        texts: the files' texts by their paths.
    """
    lines = [
        f"{TITLE}{made.stack}",
        "",
        f"Written by `make render STACK={made.stack}` from the program: what `pulumi up` would create in the cluster.",
        "To use them without Pulumi, in this folder:",
        "",
    ]
    for number, step in enumerate(_steps(made, texts), start=1):
        lines += [f"{number}. {step.what}", "", *(f"   {line}" for line in step.command.splitlines()), ""]
    return "\n".join(lines)


def _steps(made: Graph, texts: dict[str, str]) -> Iterator[_Step]:
    images = [node.inputs for node in made.of_type("docker:index/image:Image")]
    if images:
        builds = [
            f"docker build -t {image['imageName']} --build-arg VERSION={image['build']['args']['VERSION']} "
            f"../../{image['build']['context']}"
            for image in sorted(images, key=lambda each: str(each["imageName"]))
        ]
        what = "Build the app's images, and bring them into the cluster or push them to a registry:"
        yield _Step(what, _code(builds))
    secrets = {each for text in texts.values() for each in re.findall(rf"{FILL_IN}[\w-]+", text)}
    if random := sorted(each for each in secrets if not each.endswith(HASH)):
        what = "Fill the secrets in. These are random ones; put your own in where you have some:"
        yield _Step(what, _code(_fill(random, "openssl rand -hex 24")))
    if hashes := sorted(secrets - set(random)):
        what = "Fill the hashes of passwords in. htpasswd (of apache2-utils) asks for each of them:"
        yield _Step(what, _code(_fill(hashes, "htpasswd -nBC 10 '' | tr -d ':\\n'")))
    for stage in sorted({path.split("/")[0] for path in texts}, key=lambda name: int(name.split("-")[0])):
        if "-" not in stage:
            yield _Step("Apply the objects:", _code([f"kubectl apply -f {stage}/"]))
            continue
        release = objects.releases(made)[int(stage.split("-")[0]) // 2 - 1]
        yield _Step("Install the chart:", _code([helm(release, stage)]))
    if made.of_type("kubernetes:argoproj.io/v1alpha1:Application"):
        yield _Step(
            "The app itself is in `manifests/p3`: Argo CD applies it from Git. Without Argo CD:",
            _code(["kubectl apply -f ../../manifests/p3"]),
        )


def _fill(secrets: list[str], command: str) -> list[str]:
    """Return the shell's lines that put what a command prints in the place of each secret, wherever it stands."""
    return [
        f"for SECRET in {' '.join(secrets)}; do",
        f"  export SECRET VALUE=$({command})",
        "  grep -rl --include='*.yaml' \"$SECRET\" . | xargs perl -pi -e 's/$ENV{SECRET}(?![\\w-])/$ENV{VALUE}/g'",
        "done",
    ]


def helm(release: Node, values: str) -> str:
    """Return the command that installs a Release.

    Args:
        release: it.
        values: the file with its values.
    """
    name, namespace = release.inputs["name"], release.inputs["namespace"]
    known = {
        names.ARGOCD: versions.ARGOCD_CHART,
        names.SEALED_SECRETS: versions.SEALED_SECRETS_CHART,
        names.ROLLOUTS: versions.ROLLOUTS_CHART,
        names.PROMETHEUS: versions.PROMETHEUS_CHART,
    }
    # What was kept of it here is nowhere else.
    chart = f"{known[name].name} --repo {known[name].repository}" if name in known else str(release.inputs["chart"])
    rest = f"--version {release.inputs['version']} --values {values} --wait --timeout {release.inputs['timeout']}s"
    return f"helm upgrade --install {name} {chart} --namespace {namespace} {rest}"


def _code(lines: list[str]) -> str:
    return "\n".join(["```sh", *lines, "```"])
