"""A command that only asks loads neither the engine's SDK nor what the program is made of: it would wait for that."""

from __future__ import annotations

import subprocess
import sys

import pytest

from components.core.dynamic import Provider
from lab.host import local

ASKING = ("alerts", "check", "destroy", "kubectl", "preview", "promote", "release", "seal", "status", "up")


@pytest.mark.parametrize("command", ASKING)
def test_a_command_loads_no_pulumi(command: str) -> None:
    code = f"import sys; import lab.commands.{command}; print([m for m in sys.modules if m.startswith('pulumi')])"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "[]\n"


def test_a_state_names_the_class_where_it_is() -> None:
    assert Provider.__module__ == local.DYNAMIC
