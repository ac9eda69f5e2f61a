"""A host keeps its identity when its name changes."""

from __future__ import annotations

import platform
from typing import TYPE_CHECKING

import pytest

from components.core import host

if TYPE_CHECKING:
    from pathlib import Path

    from tests.unit.programs import Programs

pytestmark = pytest.mark.unit

UUID = "564D7A6B-0000-1111-2222-333344445555"


@pytest.fixture(autouse=True)
def bare(programs: Programs, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Programs:
    """Return a host that has no identity yet."""
    monkeypatch.setattr(host, "MACHINE_ID", tmp_path / "machine-id")
    monkeypatch.setattr(host, "OWN_ID", tmp_path / "lab" / "host-id")
    return programs


def again() -> dict[str, str]:
    """Ask as another process would."""
    host.whereabouts.cache_clear()
    return host.whereabouts()


def test_another_name_is_the_same_host(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    host.MACHINE_ID.write_text("0" * 32, encoding="utf-8")
    before = again()
    monkeypatch.setattr(platform, "node", lambda: "in-another-network")
    assert again() != before
    assert host.is_here(before)
    host.MACHINE_ID.write_text("1" * 32, encoding="utf-8")
    again()
    assert not host.is_here(before)


def test_the_identity_itself_is_not_told() -> None:
    host.MACHINE_ID.write_text("0" * 32, encoding="utf-8")
    assert "0" * 8 not in again()["host"]


def test_macos_is_asked_for_that_of_its_hardware(bare: Programs, tmp_path: Path) -> None:
    bare.add("ioreg", f"""print('    "IOPlatformUUID" = "{UUID}"')""")
    assert again() == again()
    assert not host.OWN_ID.exists()


@pytest.mark.parametrize("content", ["", "uninitialized\n"])
def test_a_host_without_one_is_given_one_that_stays(content: str) -> None:
    host.MACHINE_ID.write_text(content, encoding="utf-8")
    assert again() == again()
    assert host.OWN_ID.exists()
