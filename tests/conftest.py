"""What all tests share: the tier that a test belongs to, the time it may take, and an environment of its own."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Final

import pytest

from tests.site import Site, served

if TYPE_CHECKING:
    from collections.abc import Iterator

TESTS: Final = Path(__file__).parent
# Seconds that one test may take, by its tier. A test that needs more says so: @pytest.mark.timeout(SECONDS)
TIMES: Final = {"unit": 120, "preview": 300, "lab": 1800}
LABS: Final = {"k3d", "vagrant"}


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark every test with its tier, which is its folder, and bound its time."""
    for item in items:
        if TESTS not in item.path.parents:
            continue
        tier = item.path.relative_to(TESTS).parts[0]
        if tier not in TIMES:
            raise pytest.UsageError(f"{item.nodeid}: tests are in tests/{', tests/'.join(TIMES)}")
        marks = {mark.name for mark in item.iter_markers()}
        if others := marks & (set(TIMES) - {tier}):
            raise pytest.UsageError(f"{item.nodeid} is in tests/{tier} and marked {', '.join(sorted(others))}")
        if tier == "lab" and not marks & LABS:
            raise pytest.UsageError(f"{item.nodeid} does not say what it needs: mark it {' or '.join(sorted(LABS))}")
        item.add_marker(tier)
        if "timeout" not in marks:
            item.add_marker(pytest.mark.timeout(TIMES[tier]))


@pytest.fixture(autouse=True)
def _own_environment(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Keep what the user has set for the lab and for Pulumi, or given to make, out of unit tests."""
    if request.node.get_closest_marker("unit"):
        for name in list(os.environ):
            if name.startswith(("IOT_", "PULUMI_", "INSTALL_", "MAKE", "MFLAGS")) or name == "STACK":
                monkeypatch.delenv(name)
        # No unit test looks at a real engine, whose volumes and containers are the user's.
        monkeypatch.setenv("DOCKER_HOST", "unix:///nowhere/docker.sock")


@pytest.fixture
def site() -> Iterator[Site]:
    """Serve a site on loopback for one test."""
    with served() as content:
        yield content
