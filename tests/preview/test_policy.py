"""The policy pack runs with the pinned engine: it lets the stacks through, and stops a mistake."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.preview.project import ROOT, Project

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = [pytest.mark.preview, pytest.mark.timeout(1200)]

PACK = ["--policy-pack", str(ROOT / "policy")]

# A program with a mistake for each of several rules.
WRONG = """
import pulumi_kubernetes as kubernetes

pod = {
    "hostNetwork": True,
    "volumes": [{"name": "host", "hostPath": {"path": "/"}}],
    "containers": [{"name": "app", "image": "nginx"}],
}
kubernetes.core.v1.Pod("wrong", metadata={"name": "wrong", "namespace": "kube-system"}, spec=pod)
"""


@pytest.mark.parametrize("stack", ["p1", "p2", "p3"])
def test_a_stack_keeps_the_rules(project: Project, chart: Path, stack: str) -> None:
    project.create(stack)
    if stack == "p3":
        project.use_charts(stack, chart)
    said = project.pulumi("preview", "--stack", stack, *PACK)
    assert said.code == 0, said.all
    assert "iot@v" in said.out


def test_mistakes_stop_a_preview_and_are_told_how_to_fix(project: Project) -> None:
    project.create("p3")
    (project.root / "__main__.py").write_text(WRONG, encoding="utf-8")
    said = project.pulumi("preview", "--stack", "p3", *PACK)
    assert said.code != 0
    for rule, fix in {
        "explicit-provider": "cluster.inside(self)",
        "allowed-namespace": "its namespace is kube-system; use one of argocd",
        "no-host-path": "the volume host is a hostPath; use an emptyDir",
        "no-host-network": "hostNetwork is true; leave it out",
        "pinned-images": "container app runs nginx, which is not pinned; add a tag",
        "requests-and-limits": "set resources.limits.memory",
        "unprivileged": "set securityContext.runAsNonRoot to true",
    }.items():
        assert rule in said.all
        assert fix in said.all
