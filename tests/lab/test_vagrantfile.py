"""The one Vagrantfile, as Vagrant itself reads it."""

from __future__ import annotations

import json
import os
import re
import subprocess
from typing import TYPE_CHECKING

import pytest

from components.machines import preflight as machine_checks
from components.machines.vagrant import VAGRANTFILE, Machine

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = [pytest.mark.lab, pytest.mark.vagrant]


def validate(folder: Path, provider: str, *options: str) -> str:
    """Let Vagrant validate a machine of a provider, and return what it said."""
    props = {
        "name": "rel-filaS",
        "stack": "p1",
        "provider": provider,
        "box": "debian/trixie64",
        "box_version": "",
        "address": "192.168.56.110",
        "cpus": 1,
        "memory": 1024,
        "timeout": 600,
    }
    extra: dict[str, object] = {"label": Machine(props).label, "network": None, "docker_args": []}
    (folder / "machine.json").write_text(json.dumps({**props, **extra}), encoding="utf-8")
    env = {
        **os.environ,
        "VAGRANT_CWD": str(VAGRANTFILE),
        "VAGRANT_DOTFILE_PATH": str(folder),
        "VAGRANT_DEFAULT_PROVIDER": provider,
        "VAGRANT_CHECKPOINT_DISABLE": "1",
    }
    done = subprocess.run(
        ["vagrant", "validate", *options], env=env, capture_output=True, text=True, timeout=120, check=False
    )
    return done.stdout + done.stderr


def test_it_is_valid_for_every_provider_that_is_ready_here(tmp_path: Path) -> None:
    ready = machine_checks.installed()
    assert ready
    for provider in ready:
        said = validate(tmp_path, provider)
        assert "validated successfully" in said, said


@pytest.mark.parametrize("provider", ["virtualbox", "docker"])
def test_it_is_valid_without_the_provider_for_those_that_vagrant_brings(tmp_path: Path, provider: str) -> None:
    said = validate(tmp_path, provider, "--ignore-provider")
    assert "validated successfully" in said, said


def test_nothing_of_vagrant_is_left_beside_it() -> None:
    assert not (VAGRANTFILE / ".vagrant").exists()


def test_it_says_something_about_every_provider_of_the_settings() -> None:
    text = (VAGRANTFILE / "Vagrantfile").read_text(encoding="utf-8")
    assert set(re.findall(r'provider "(\w+)"', text)) == {"virtualbox", "libvirt", "docker"}
