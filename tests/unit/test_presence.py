"""Whether K3s is looked at where it runs, with an SSH client that says what is found."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import pytest

from components.core import host
from components.k3s.presence import PresenceProvider

if TYPE_CHECKING:
    from tests.unit.programs import Programs

pytestmark = pytest.mark.unit

# What k3s.sh's `look` prints is in the file found; without one, the machine does not answer.
SSH: Final = """
asked = sys.stdin.read()
if not (here / 'found').exists():
    sys.exit('ssh: connect to host 192.168.56.111 port 22: Connection timed out')
if 'NODE_NAME=rel-filasw' not in asked or 'SERVICE=k3s-agent' not in asked:
    sys.exit('not expected: ' + asked[:200])
print((here / 'found').read_text())
"""


@pytest.fixture
def machine(programs: Programs) -> Programs:
    programs.add("ssh", SSH)
    return programs


@pytest.fixture
def olds() -> dict[str, Any]:
    """Return what the state has of K3s on a machine of this host."""
    inputs = {
        "address": "192.168.56.111",
        "user": "vagrant",
        "private_key": "key",
        "host_key": "ecdsa-sha2-nistp256 AAAA",
        "identity": "one",
        "made_on": host.whereabouts(),
        "service": "k3s-agent",
        "node": "rel-filasw",
    }
    return dict(PresenceProvider().create(inputs).outs or {})


def news(olds: dict[str, Any], **changed: str | None) -> dict[str, Any]:
    return {key: value for key, value in olds.items() if key not in {"faults", "losses"}} | changed


def found(machine: Programs, word: str) -> None:
    (machine.folder.parent / "found").write_text(word, encoding="utf-8")


def test_it_begins_without_a_look(machine: Programs, olds: dict[str, Any]) -> None:
    assert (olds["faults"], olds["losses"]) == (0, 0)
    assert machine.called("ssh") == []


def test_where_all_is_well_nothing_is_done(machine: Programs, olds: dict[str, Any]) -> None:
    found(machine, "well")
    assert not PresenceProvider().diff("it", olds, news(olds)).changes
    assert "sudo -n bash -s look" in machine.called("ssh")[0]


@pytest.mark.parametrize(("word", "losses"), [("down", 0), ("unregistered", 0), ("gone", 1)])
def test_what_is_wrong_is_counted(machine: Programs, olds: dict[str, Any], word: str, losses: int) -> None:
    found(machine, word)
    assert PresenceProvider().diff("it", olds, news(olds)).changes
    outs = PresenceProvider().update("it", olds, news(olds)).outs or {}
    assert (outs["faults"], outs["losses"]) == (1, losses)
    again = PresenceProvider().update("it", outs, news(olds)).outs or {}
    assert again["faults"] == 2


def test_of_a_machine_that_does_not_answer_nothing_is_known(machine: Programs, olds: dict[str, Any]) -> None:
    assert not PresenceProvider().diff("it", olds, news(olds)).changes
    assert machine.called("ssh")


def test_a_machine_of_another_host_is_not_asked(machine: Programs, olds: dict[str, Any]) -> None:
    olds["made_on"] = {"host": "elsewhere", "name": "elsewhere"}
    found(machine, "gone")
    assert not PresenceProvider().diff("it", olds, news(olds)).changes
    assert machine.called("ssh") == []


@pytest.mark.parametrize("changed", [{"identity": "two"}, {"host_key": None}])
def test_another_machine_is_noted_and_not_asked(
    machine: Programs, olds: dict[str, Any], changed: dict[str, str | None]
) -> None:
    found(machine, "gone")
    assert PresenceProvider().diff("it", olds, news(olds, **changed)).changes
    outs = PresenceProvider().update("it", olds, news(olds, **changed)).outs or {}
    assert (outs["faults"], outs["losses"]) == (0, 0)
    assert machine.called("ssh") == []


@pytest.mark.parametrize(("said", "changes"), [("Welcome to Debian\ndown", True), ("bash: look: not found", False)])
def test_only_what_the_script_says_counts(machine: Programs, olds: dict[str, Any], said: str, *, changes: bool) -> None:
    found(machine, said)
    assert PresenceProvider().diff("it", olds, news(olds)).changes is changes
