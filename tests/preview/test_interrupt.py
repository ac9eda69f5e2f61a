"""Ctrl-C while Pulumi's program begins, which takes about a second."""

from __future__ import annotations

import subprocess
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from pathlib import Path

    from tests.preview.project import Project

pytestmark = pytest.mark.preview

# Python imports it after it has read lab/interrupt.pth, and before anything else. In the program it presses the keys.
PRESSES = """\
import os, signal, sys, time

if any(each.endswith("pulumi-language-python-exec") for each in sys.orig_argv):
    os.kill(os.getsid(0), signal.SIGINT)
    time.sleep(60)
"""
ENDS = 120  # seconds


def test_ctrl_c_while_the_program_begins_has_no_traceback(project: Project, chart: Path, tmp_path: Path) -> None:
    project.create("p3")
    project.set("p3", "argocdChart", str(chart))
    (tmp_path / "sitecustomize.py").write_text(PRESSES, encoding="utf-8")
    done = subprocess.run(
        ["pulumi", "preview", "--stack", "p3"],
        cwd=project.root,
        env=project.env | {"PYTHONPATH": str(tmp_path)},
        capture_output=True,
        text=True,
        timeout=ENDS,
        check=False,
        start_new_session=True,
    )
    said = done.stdout + done.stderr
    assert "canceled" in said, said
    assert not any(words in said for words in ("Traceback", "KeyboardInterrupt", "Fatal Python error")), said
