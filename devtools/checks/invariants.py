"""The project's rules (policy/rules.py), held against what the program would create and against the manifests."""

from __future__ import annotations

from typing import TYPE_CHECKING

from components.core import project
from components.core.names import PROJECT
from devtools.checks import Finding
from lab.host import paths
from policy import rules

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from devtools.graph import Graph
    from devtools.objects import Object


def _setting(stack: str) -> Callable[[str], str]:
    config = project.stack_config(stack, paths.ROOT)
    return lambda key: config[f"{PROJECT}:{key}"]


def of_graph(graph: Graph) -> Iterator[Finding]:
    """Yield what is wrong with a stack's resources."""
    known = {node.urn: node for node in graph.nodes}
    clusters = graph.of_type("pulumi:providers:kubernetes")
    own = any(node.deleted_with for node in clusters)
    context = rules.context(_setting(graph.stack), own_cluster=own)
    for node in graph.nodes:
        if not node.custom:
            continue
        provider = known.get(node.provider.rpartition("::")[0])
        resource = rules.Resource(
            type=node.type,
            name=node.name,
            inputs=node.inputs,
            provider=provider.name if provider else "",
            # What is only read is not deleted.
            deleted_with=None if node.read else node.deleted_with,
            secrets_marked=True,
        )
        for _, problem in rules.problems(resource, context):
            yield Finding(f"{graph.stack} {node.name}", problem)


def of_manifests(objects: Iterable[Object], stack: str = "p3") -> Iterator[Finding]:
    """Yield what is wrong with the manifests that a stack follows."""
    context = rules.context(_setting(stack), (rules.APP_NODE_PORT,))
    for each in objects:
        resource = rules.Resource(
            type=f"kubernetes:{each.content.get('apiVersion')}:{each.content.get('kind')}",
            name=each.name,
            inputs=each.content,
        )
        for keys, problem in rules.problems(resource, context):
            yield Finding(each.at(keys), f"{each.name}: {problem}")
