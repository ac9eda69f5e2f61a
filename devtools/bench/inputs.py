"""What the plain script is given: the program's own objects, from its graph, as files for k3d, helm and kubectl."""

from __future__ import annotations

import json
import secrets
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import yaml

from components.docker import container_provider
from components.docker import engine as docker_engine
from components.k3d import provider as k3d_provider
from devtools.graph import STAND_IN

if TYPE_CHECKING:
    from devtools.graph import Graph, Node

GIT: Final = "pulumi-python:dynamic/git:Server"
NODES: Final = "pulumi-python:dynamic/k3d:Nodes"
RELEASE: Final = "kubernetes:helm.sh/v3:Release"
IMAGE: Final = "docker:index/image:Image"
COMMAND: Final = "command:local:Command"
# What needs Argo CD's kinds comes after Argo CD; so does the Secret that belongs to them.
AFTER_ARGOCD: Final = ("AppProject", "Application")


@dataclass(frozen=True, kw_only=True)
class Inputs:
    """What was written.

    Attributes:
        folder: where.
        environment: for the script, besides the files.
        images: all that the cluster's pods, its nodes and the Git server run, but the app's own.
    """

    folder: Path
    environment: dict[str, str]
    images: list[str]


class Secrets:
    """Random values in the place of the graph's stand-ins: the same one wherever the same one was.

    The administrator's password becomes a random text as well, and not its hash: nobody signs in.
    """

    def __init__(self) -> None:
        self._values: dict[str, str] = {}

    def fill(self, value: Any) -> Any:  # noqa: ANN401 - any JSON
        """Return a value in which secrets are plain random texts."""
        if isinstance(value, dict):
            if set(value) == {"secret"}:
                return self.fill(value["secret"])
            return {key: self.fill(each) for key, each in value.items()}
        if isinstance(value, list):
            return [self.fill(each) for each in value]
        if isinstance(value, str) and value.startswith(STAND_IN):
            return self._values.setdefault(value, secrets.token_urlsafe(24))
        return value


def write(graph: Graph, folder: Path) -> Inputs:
    """Write the files.

    Args:
        graph: of p3.
        folder: readable by its owner only: the Secrets in it are plain.
    """
    fill = Secrets().fill
    (nodes,), (release,), (git,) = graph.of_type(NODES), graph.of_type(RELEASE), graph.of_type(GIT)
    built = [node.inputs for node in graph.of_type(IMAGE)]
    references = [each["imageName"] for each in built]
    # Each image once: it is saved by one Command and loaded by another.
    named = dict.fromkeys(image for node in graph.of_type(COMMAND) for image in _images(node))
    brought = [image for image in named if image not in references]
    _dump(folder / "k3d.yaml", [k3d_config(nodes.inputs)])
    _dump(folder / "values.yaml", [fill(release.inputs["values"])])
    objects = [node for node in graph.nodes if node.type.startswith("kubernetes:") and "kind" in node.inputs]
    late = [node for node in objects if _is_late(node)]
    _dump(folder / "cluster.yaml", [fill(node.inputs) for node in objects if node not in late])
    _dump(folder / "gitops.yaml", [fill(node.inputs) for node in late])
    server = container_provider.spec(git.inputs)
    (folder / "git-run.txt").write_text("".join(f"{each}\0" for each in server.command()), encoding="utf-8")
    (folder / "git.json").write_text(json.dumps(fill(git.inputs)), encoding="utf-8")
    (folder / "images.txt").write_text("".join(f"{each}\n" for each in [*brought, *references]), encoding="utf-8")
    tags = [each.rpartition(":")[2] for each in references]
    (folder / "versions.txt").write_text("".join(f"{tag}\n" for tag in tags), encoding="utf-8")
    return Inputs(
        folder=folder,
        environment={
            "CLUSTER": nodes.inputs["name"],
            "GIT": server.name,
            "PYTHON": sys.executable,
            "CHART": release.inputs["chart"],
            "REPOSITORY": references[0].rpartition(":")[0],
            "PYTHON_IMAGE": built[0]["build"]["args"]["PYTHON_IMAGE"],
            "TIMEOUT": str(nodes.inputs["timeout"]),
        },
        images=[*brought, *nodes.inputs["images"], server.image],
    )


def k3d_config(inputs: dict[str, Any]) -> dict[str, Any]:
    """Return the configuration with which the program makes the cluster, but for the labels by which it knows it.

    Args:
        inputs: of the cluster's resource.
    """
    config: dict[str, Any] = json.loads(inputs["config"])
    filters = ["server:*", *(["agent:*"] if config.get("agents") else [])]
    if inputs["archive"]:
        volume = f"{inputs['archive']}:{k3d_provider.IMAGES_FOLDER}/{Path(inputs['archive']).name}:ro"
        config["volumes"] = [{"volume": volume, "nodeFilters": filters}]
    if docker_engine.cgroup_version() == "1":
        config["options"]["k3s"]["extraArgs"].append(
            {"arg": "--kubelet-arg=fail-cgroupv1=false", "nodeFilters": filters}
        )
    return config


def _images(node: Node) -> list[str]:
    return str(node.inputs.get("environment", {}).get("IMAGES", "")).split()


def _is_late(node: Node) -> bool:
    labels = node.inputs["metadata"].get("labels") or {}
    return node.inputs["kind"] in AFTER_ARGOCD or "argocd.argoproj.io/secret-type" in labels


def _dump(path: Path, documents: list[dict[str, Any]]) -> None:
    path.write_text(yaml.safe_dump_all(documents, sort_keys=False), encoding="utf-8")
