"""What an older version of the project has brought up, this one updates and removes.

The state names the project's code, so a class that has moved is noticed only here. The tests run in their order on one
lab, with the commands that users have, which are the same in both versions.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import pytest

from tests import history
from tests.lab import cluster

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.lab.lab import Lab

pytestmark = [pytest.mark.lab, pytest.mark.k3d]

# The version that users are promised they can come from. It moves forward only with a break that is meant, which the
# commit's message tells them of.
OLDER: Final = "a85bccd3222b58d1c5f391f66d2ee8edbc3c558f"


@pytest.fixture(scope="module")
def lab(tmp_path_factory: pytest.TempPathFactory, before: dict[str, set[str]]) -> Iterator[Lab]:
    """Bring p3 up with the older version, and down again whatever has happened."""
    folder = tmp_path_factory.mktemp("older")
    with cluster.lab(folder, history.unpack(OLDER, folder / "older")) as made:
        made.command("up")
        yield made


def test_this_version_updates_it_and_keeps_passwords_and_what_was_pushed(lab: Lab) -> None:
    lab.command("release", "v2")
    known = cluster.facts(lab)
    assert all(known.values())
    lab.become()
    lab.command("up")
    assert cluster.facts(lab) == known
    cluster.answers("v2")
    cluster.wait_settled(lab)
    lab.command("status")


def test_a_further_up_changes_nothing(lab: Lab) -> None:
    said = lab.pulumi("up", "--skip-preview")
    assert "unchanged" in said
    assert not any(word in said for word in (" created", " updated", " replaced", " deleted")), said


def test_this_version_removes_it_and_leaves_nothing(lab: Lab, before: dict[str, set[str]]) -> None:
    lab.command("destroy")
    assert cluster.left(before) == {}
