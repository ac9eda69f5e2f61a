"""The URNs that are recorded are those that the real engine gives."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from devtools import golden

if TYPE_CHECKING:
    from pathlib import Path

    from tests.preview.project import Project

pytestmark = pytest.mark.preview


@pytest.mark.parametrize("stack", ["p1", "p2", "p3"])
def test_the_engine_knows_resources_by_the_recorded_urns(project: Project, chart: Path, stack: str) -> None:
    project.create(stack)
    if stack == "p3":
        project.use_charts(stack, chart)
    found = {step["urn"] for step in project.plan(stack)["steps"]}
    record = json.loads(golden.path(stack).read_text(encoding="utf-8"))
    recorded = {urn for urn, options in record.items() if not options.get("read")}
    assert {urn for urn in found if "pulumi:pulumi:Stack" not in urn and "::default_" not in urn} - recorded == set()
    assert recorded - found == set()
