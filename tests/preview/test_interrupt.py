"""Ctrl-C, as a terminal sends it to all that a command has started."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from typing import TYPE_CHECKING, Final

import pytest

from tests.lab.machines import descendants

if TYPE_CHECKING:
    from pathlib import Path

    from tests.preview.project import Project

pytestmark = pytest.mark.preview

PROGRAM: Final = "pulumi-language-python-exec"
BEGINS: Final = 120  # seconds until the program has begun, on a busy machine
ENDS: Final = 60
MOMENTS: Final = (0.0, 0.1, 0.2, 0.4, 0.8)  # seconds after that; it is imported for one, or for more


@pytest.mark.parametrize("moment", MOMENTS)
def test_ctrl_c_while_the_program_begins_has_no_traceback(
    project: Project, chart: Path, tmp_path: Path, moment: float
) -> None:
    project.create("p3")
    project.set("p3", "argocdChart", str(chart))
    printed = tmp_path / "printed"
    with printed.open("w") as file:
        command = ["pulumi", "preview", "--stack", "p3"]
        process = subprocess.Popen(
            command, cwd=project.root, env=project.env, stdout=file, stderr=file, start_new_session=True
        )
        try:
            end = time.monotonic() + BEGINS
            while not begun(process.pid):
                assert process.poll() is None, printed.read_text(encoding="utf-8")
                assert time.monotonic() < end, "the program has not begun"
                time.sleep(0.02)
            time.sleep(moment)
            os.killpg(process.pid, signal.SIGINT)
            process.wait(ENDS)
        finally:
            if process.poll() is None:
                os.killpg(process.pid, signal.SIGKILL)
    said = printed.read_text(encoding="utf-8")
    assert "canceled" in said
    assert "Traceback" not in said


def begun(process: int) -> bool:
    """Tell whether a process has started the program."""
    ids = ",".join(map(str, descendants(process)))
    done = subprocess.run(["ps", "-ww", "-o", "args=", "-p", ids or "0"], capture_output=True, text=True, check=False)
    return PROGRAM in done.stdout
