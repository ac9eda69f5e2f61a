"""What Kustomize makes of the platform's repository, by the kubectl that the lab installs: no cluster is asked."""

from __future__ import annotations

import os
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from devtools import graph
from lab.commands import validate
from tests.lab.lab import ROOT
from tests.unit.test_gitops_checks import CANARY, OVERLAY, write

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = [pytest.mark.lab, pytest.mark.k3d]


@pytest.fixture
def clone(tmp_path: Path) -> Path:
    made = graph.build("platform", ROOT).named("gitea-server").inputs["repositories"]["gitops"]["branches"]["env/dev"]
    for name, text in made.items():
        write(tmp_path / name, text)
    return tmp_path


def run(clone: Path) -> tuple[int, str]:
    done = subprocess.run(
        [sys.executable, "-m", "lab", "validate", "--dir", str(clone)],
        cwd=ROOT,
        env=os.environ | {"KUBECONFIG": "/dev/null"},
        capture_output=True,
        text=True,
        check=False,
    )
    return done.returncode, done.stdout.replace(f"{clone}/", "") + done.stderr


def test_nothing_is_wrong_with_what_a_branch_begins_with(clone: Path) -> None:
    assert run(clone) == (0, "nothing wrong\n")
    assert {each.name for each in clone.iterdir()} == {"base", "overlays"}


def test_a_component_makes_a_rollout_of_the_deployment(clone: Path) -> None:
    for name, text in CANARY.items():
        write(clone / name, text)
    made = validate.render(clone, clone / "overlays" / "dev", clone / "delivery" / "canary")
    assert "kind: Rollout" in made
    assert "kind: AnalysisTemplate" in made
    assert "kind: Deployment" not in made
    # Argo CD gives its namespace to what comes with the component.
    assert made.count("namespace: dev") == 2


@pytest.mark.parametrize(
    ("old", "new", "told"),
    [
        ("resources:", "resorces:", f"{OVERLAY}: Kustomize refuses it: "),
        ("  newTag:", "  newName: docker.io/nginx\n  newTag:", "an image from elsewhere"),
        ("namespace: dev", "namespace: other", "Argo CD refuses the namespace other; use dev"),
    ],
)
def test_what_shows_in_what_comes_out_alone_is_told(clone: Path, old: str, new: str, told: str) -> None:
    path = clone / OVERLAY
    text = path.read_text(encoding="utf-8")
    assert old in text
    write(path, text.replace(old, new, 1))
    code, said = run(clone)
    assert code == 1
    assert told in said
