"""What an older version of the project has brought up, this one updates and removes.

The state names the project's code, so a class that has moved is noticed only here. The tests run in their order on one
lab, with the commands that users have, which are the same in both versions.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import pytest

from tests import history
from tests.lab import cluster
from tests.lab.lab import Lab

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = [pytest.mark.lab, pytest.mark.k3d]

# The version that users are promised they can come from. It moves forward only with a break that is meant, which the
# commit's message tells them of.
OLDER: Final = "a85bccd3222b58d1c5f391f66d2ee8edbc3c558f"
PASSWORDS: Final = ("argocdPassword", "gitPassword", "gitReader")


@pytest.fixture(scope="module")
def before() -> Iterator[dict[str, set[str]]]:
    """Return what Docker has before anything is brought up."""
    with cluster.alone():
        yield cluster.there()


@pytest.fixture(scope="module")
def lab(tmp_path_factory: pytest.TempPathFactory, before: dict[str, set[str]]) -> Iterator[Lab]:
    """Bring p3 up with the older version, and down again whatever has happened."""
    folder = tmp_path_factory.mktemp("older")
    made = Lab(folder, "p3", cluster.SETTINGS, history.unpack(OLDER, folder / "older"))
    made.use_kept_chart()
    # With the project's own backend, as users have it: only there does `up` look whether it can handle the state.
    del made.env["PULUMI_BACKEND_URL"]
    try:
        made.command("up")
        yield made
    finally:
        cluster.remove(made)


def facts(lab: Lab) -> dict[str, Any]:
    """Return what an update has to leave as it is: the passwords, and what was pushed.

    The cluster is another one: the older version had Git in it.
    """
    outputs = lab.outputs()
    return {"commit": cluster.head(lab), **{name: outputs[name] for name in PASSWORDS}}


def test_this_version_updates_it_and_keeps_passwords_and_what_was_pushed(lab: Lab) -> None:
    lab.command("release", "v2")
    known = facts(lab)
    assert all(known[name] for name in PASSWORDS)
    lab.become()
    lab.command("up")
    assert facts(lab) == known
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
