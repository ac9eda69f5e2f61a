"""The project's rules (policy/rules.py), held against what the program would create and against the manifests."""

from __future__ import annotations

from typing import TYPE_CHECKING

from components.core import project
from components.core.settings import PROJECT
from devtools.checks import Finding
from lab.host import paths
from policy import rules

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from devtools.graph import Graph
    from devtools.objects import Object

NODE_PORTS = ("appNodePort", "argocdNodePort", "gitNodePort")


def context(stack: str, *, own_cluster: bool = True) -> rules.Context:
    """Return what rules have to know of a stack, from its settings."""
    config = project.stack_config(stack, paths.ROOT)
    ports = frozenset(int(config[f"{PROJECT}:{key}"]) for key in NODE_PORTS)
    return rules.Context(node_ports=ports, own_cluster=own_cluster)


def of_graph(graph: Graph) -> Iterator[Finding]:
    """Yield what is wrong with a stack's resources."""
    known = {node.urn: node for node in graph.nodes}
    clusters = graph.of_type("pulumi:providers:kubernetes")
    own = any(node.deleted_with for node in clusters)
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
        for problem in rules.violations(resource, context(graph.stack, own_cluster=own)):
            yield Finding(f"{graph.stack} {node.name}", problem)


def of_manifests(objects: Iterable[Object]) -> Iterator[Finding]:
    """Yield what is wrong with the manifests."""
    for each in objects:
        resource = rules.Resource(
            type=f"kubernetes:{each.content.get('apiVersion')}:{each.content.get('kind')}",
            name=each.name,
            inputs=each.content,
        )
        for problem in rules.violations(resource, context("p3")):
            yield Finding(each.at(()), f"{each.name}: {problem}")
