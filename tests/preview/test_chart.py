"""p3 can be previewed with the empty chart that takes the place of one that can't be fetched."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from components.core import versions
from lab.host import chart

if TYPE_CHECKING:
    from pathlib import Path

    from tests.preview.project import Project

pytestmark = pytest.mark.preview


def test_p3_is_previewed_with_an_empty_chart(project: Project, tmp_path: Path) -> None:
    project.create("p3")
    project.set("p3", "argocdChart", str(chart.stand_in(tmp_path / "chart", versions.ARGOCD_CHART)))
    steps = project.plan("p3")["steps"]
    (release,) = [step for step in steps if step["newState"]["type"] == "kubernetes:helm.sh/v3:Release"]
    # What it is installed with is shown all the same.
    assert release["newState"]["inputs"]["values"]["server"]["service"]["nodePortHttp"] == 30002
