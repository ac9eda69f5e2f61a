"""Plugins whose engine was killed are ended by the next command, and nobody else's are."""

from __future__ import annotations

import os
import signal

import pytest

from components.core.run import CommandError
from lab.host import paths
from lab.live import orphans

MINE = f"A=b IOT_ROOT={paths.ROOT} C=d"
PROCESSES = f"""
  1 0 /sbin/init
 10 1 /usr/local/bin/pulumi-language-python 127.0.0.1:1 {MINE}
 11 1 /bin/sh /usr/local/bin/pulumi-resource-pulumi-python 127.0.0.1:1 {MINE}
 12 11 /p/.venv/bin/python -u -m pulumi.dynamic 127.0.0.1:1 {MINE}
 13 12 k3d cluster create iot-cluster {MINE}
 20 1 pulumi up --stack p3 {MINE}
 21 20 /usr/local/bin/pulumi-resource-docker 127.0.0.1:2 {MINE}
 22 21 docker build {MINE}
 25 1 /home/me/my labs/iot/.lab/bin/pulumi up --stack p1 {MINE}
 26 25 /usr/local/bin/pulumi-resource-docker 127.0.0.1:4 {MINE}
 30 1 /usr/local/bin/pulumi-resource-docker 127.0.0.1:3 IOT_ROOT={paths.ROOT}-other C=d
 31 1 /usr/local/bin/pulumi-resource-docker 127.0.0.1:3
 40 1 vi pulumi-resource-notes.md {MINE}
 41 1
"""


@pytest.fixture
def killed(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    found: list[int] = []
    monkeypatch.setattr(orphans, "run", lambda *_, **__: PROCESSES.strip("\n"))

    def kill(pid: int, number: int) -> None:
        assert number == signal.SIGKILL
        found.append(pid)
        if pid == 13:
            raise ProcessLookupError

    monkeypatch.setattr(os, "kill", kill)
    return found


def test_plugins_without_an_engine_are_ended_with_what_they_run(killed: list[int]) -> None:
    assert orphans.end() == 3
    assert sorted(killed) == [10, 11, 12, 13]


def test_without_ps_nothing_is_ended(killed: list[int], monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object, **__: object) -> str:
        raise CommandError("ps is not there")

    monkeypatch.setattr(orphans, "run", fail)
    assert orphans.end() == 0
    assert killed == []
