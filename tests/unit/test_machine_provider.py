"""The life of a machine's resource, with a Vagrant and a Docker that only note what they are asked."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from components.core import host as hosts
from components.core.errors import LabError
from components.core.run import CommandError
from components.docker import engine as docker_engine
from components.machines import ssh, vagrant
from components.machines.provider import VagrantMachineProvider

if TYPE_CHECKING:
    from tests.unit.programs import Programs

pytestmark = pytest.mark.unit

PROPS: dict[str, Any] = {
    "name": "rel-filaS",
    "stack": "p1",
    "provider": "virtualbox",
    "box": "bento/debian-13",
    "box_version": "1",
    "address": "192.168.56.110",
    "cpus": 1,
    "memory": 1024,
    "timeout": 600,
}
# Vagrant: `status` says what state.txt has; `up` notes an identity and a key, unless broken exists.
VAGRANT = """
import os
notes = pathlib.Path(os.environ['VAGRANT_DOTFILE_PATH'])
machine = json.loads((notes / 'machine.json').read_text())
folder = notes / 'machines' / machine['name'] / machine['provider']
state = here / 'state.txt'
if args[0] == 'status':
    print('1,rel-filaS,provider-name,' + machine['provider'])
    print('1,rel-filaS,state,' + (state.read_text() if state.exists() else 'not_created'))
elif args[0] == 'up':
    folder.mkdir(parents=True, exist_ok=True)
    if (here / 'broken').exists():
        sys.exit('the box is broken')
    (folder / 'id').write_text('one')
    (folder / 'private_key').write_text('key')
    state.write_text('running')
elif args[0] == 'destroy':
    state.write_text('not_created')
print('PULUMI_CONFIG_PASSPHRASE' in os.environ, file=open(here / 'passphrase', 'a'))
print(os.environ.get('TMPDIR'), 'IOT_TMPDIR' in os.environ, file=open(here / 'temporary', 'a'))
"""
# SSH: the machine introduces itself with a key.
SSH = """
known = [word for word in args if word.startswith('UserKnownHostsFile')][0].split('"')[1]
open(known, 'w').write('192.168.56.110 ecdsa-sha2-nistp256 AAAA')
"""


# https://github.com/hashicorp/vagrant/blob/main/templates/locales/en.yml, machine_action_locked
LOCKED = """An action 'destroy' was attempted on the machine 'rel-filaS',
but another process is already executing an action on the machine.
Vagrant locks each machine for access by only one process at a time.
Please wait until the other Vagrant process finishes modifying this
machine, then try again.

If you believe this message is in error, please check the process
listing for any "ruby" or "vagrant" processes and kill them. Then
try again."""


@pytest.fixture
def host(programs: Programs, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Programs:
    """Return a host with Vagrant and SSH, and machines' folders of its own."""
    monkeypatch.setattr(vagrant, "RUN", tmp_path / "project" / ".lab" / "run")
    vagrant.RUN.parent.mkdir(parents=True)
    monkeypatch.setenv("PULUMI_CONFIG_PASSPHRASE", "secret")
    programs.add("vagrant", VAGRANT)
    programs.add("ssh", SSH)
    return programs


def made(host: Programs) -> tuple[str, dict[str, Any]]:
    """Make a machine and return its identity and outputs."""
    result = VagrantMachineProvider().create(dict(PROPS))
    host.folder.parent.joinpath("calls.jsonl").unlink()
    return str(result.id), dict(result.outs or {})


def say(host: Programs, state: str) -> None:
    """Let Vagrant say that the machine is in a state."""
    (host.folder.parent / "state.txt").write_text(state, encoding="utf-8")


def test_a_machine_is_made_with_its_own_folder_and_key(host: Programs) -> None:
    identity, outs = made(host)
    assert identity == "one"
    assert (outs["private_key"], outs["host_key"], outs["boots"]) == ("key", "ecdsa-sha2-nistp256 AAAA", 1)
    described = json.loads((vagrant.RUN / "p1" / "rel-filaS" / "machine.json").read_text(encoding="utf-8"))
    assert (described["memory"], described["label"]) == (1024, "iot-p1-rel-filaS")


def test_vagrant_does_not_see_pulumis_passphrase(host: Programs) -> None:
    made(host)
    assert "True" not in (host.folder.parent / "passphrase").read_text(encoding="utf-8")


def test_vagrant_keeps_the_users_own_folder_for_temporary_files(
    host: Programs, monkeypatch: pytest.MonkeyPatch
) -> None:
    """VirtualBox's server, which it starts, outlives the one that Pulumi is run with."""
    monkeypatch.setenv("TMPDIR", "/gone-in-the-end")
    monkeypatch.setenv("IOT_TMPDIR", "/theirs")
    made(host)
    assert set((host.folder.parent / "temporary").read_text(encoding="utf-8").splitlines()) == {"/theirs False"}


def test_a_running_machine_is_left_alone(host: Programs) -> None:
    identity, outs = made(host)
    assert not VagrantMachineProvider().diff(identity, outs, PROPS).changes


@pytest.mark.parametrize("state", ["poweroff", "saved", "aborted", "stopped", "shutoff"])
def test_a_halted_machine_is_started(host: Programs, state: str) -> None:
    identity, outs = made(host)
    say(host, state)
    found = VagrantMachineProvider().diff(identity, outs, PROPS)
    assert (found.changes, found.replaces) == (True, [])
    updated = VagrantMachineProvider().update(identity, outs, dict(PROPS)).outs or {}
    assert host.called("vagrant up")
    assert updated["boots"] == 2


def test_a_lost_machine_is_replaced(host: Programs) -> None:
    identity, outs = made(host)
    say(host, "not_created")
    found = VagrantMachineProvider().diff(identity, outs, PROPS)
    assert found.replaces
    assert found.delete_before_replace


def test_a_machine_made_by_hand_in_its_place_is_another_one(host: Programs) -> None:
    _, outs = made(host)
    assert VagrantMachineProvider().diff("another", outs, PROPS).replaces


def test_a_machine_whose_folder_is_gone_is_replaced(host: Programs) -> None:
    identity, outs = made(host)
    (vagrant.RUN / "p1" / "rel-filaS" / "machine.json").unlink()
    assert VagrantMachineProvider().diff(identity, outs, PROPS).replaces


def test_without_vagrant_nothing_is_planned(host: Programs) -> None:
    identity, outs = made(host)
    (host.folder / "vagrant").unlink()
    assert not VagrantMachineProvider().diff(identity, outs, PROPS).changes


def test_a_machine_of_another_host_is_neither_looked_for_nor_deleted(host: Programs) -> None:
    identity, outs = made(host)
    elsewhere = outs | {"made_on": {"host": "another", "name": "another-host"}}
    say(host, "not_created")
    assert not VagrantMachineProvider().diff(identity, elsewhere, PROPS).changes
    assert VagrantMachineProvider().read(identity, elsewhere).id == identity
    with pytest.raises(LabError, match="another-host"):
        VagrantMachineProvider().delete(identity, elsewhere)


def test_a_container_at_another_engine_of_this_host_is_not_lost(
    host: Programs, monkeypatch: pytest.MonkeyPatch
) -> None:
    identity, outs = made(host)
    here = hosts.whereabouts() | {"endpoint": "unix:///desktop.sock", "engine": "one"}
    container = {"provider": "docker"}
    state = outs | container | {"made_on": here}
    say(host, "not_created")
    monkeypatch.setattr(docker_engine, "whereabouts", lambda: here)
    assert VagrantMachineProvider().diff(identity, state, PROPS | container).replaces
    monkeypatch.setattr(docker_engine, "whereabouts", lambda: here | {"endpoint": "unix:///c.sock", "engine": "two"})
    assert not VagrantMachineProvider().diff(identity, state, PROPS | container).changes
    with pytest.raises(LabError, match=r"is on unix:///desktop\.sock of .*, not here"):
        VagrantMachineProvider().delete(identity, state)


def test_another_size_keeps_the_machine(host: Programs) -> None:
    identity, outs = made(host)
    wanted = PROPS | {"memory": 2048}
    found = VagrantMachineProvider().diff(identity, outs, wanted)
    assert (found.changes, found.replaces) == (True, [])
    VagrantMachineProvider().update(identity, outs, wanted)
    assert host.called("vagrant reload")
    assert not host.called("vagrant destroy")


@pytest.mark.parametrize("key", ["name", "stack", "provider", "box", "address"])
def test_what_makes_it_another_machine_replaces_it(host: Programs, key: str) -> None:
    identity, outs = made(host)
    assert VagrantMachineProvider().diff(identity, outs, PROPS | {key: "other"}).replaces == [key]


def test_a_failed_up_leaves_nothing_and_says_what_vagrant_said(host: Programs) -> None:
    (host.folder.parent / "broken").touch()
    with pytest.raises(LabError, match="the box is broken"):
        VagrantMachineProvider().create(dict(PROPS))
    assert host.called("vagrant destroy")
    assert not vagrant.RUN.exists()


def test_an_interrupted_up_is_cleared_away_first(host: Programs) -> None:
    folder = vagrant.RUN / "p1" / "rel-filaS"
    folder.mkdir(parents=True)
    (folder / "machine.json").write_text(json.dumps(PROPS | {"network": None}), encoding="utf-8")
    VagrantMachineProvider().create(dict(PROPS))
    done = [call.split()[1] for call in host.called("vagrant")]
    assert done == ["destroy", "up"]


def test_a_vagrant_that_still_holds_the_machine_is_waited_for(host: Programs, monkeypatch: pytest.MonkeyPatch) -> None:
    identity, outs = made(host)
    monkeypatch.setattr(vagrant, "LOCK_EVERY", 0.1)
    held = (
        "if args[0] == 'destroy' and not (here / 'free').exists():\n"
        "    (here / 'free').touch()\n"
        f"    sys.exit({LOCKED!r})\n"
    )
    host.add("vagrant", held + VAGRANT)
    VagrantMachineProvider().delete(identity, outs)
    assert len(host.called("vagrant destroy")) == 2
    assert not vagrant.RUN.exists()


def test_deleting_leaves_no_folder_and_may_be_repeated(host: Programs) -> None:
    identity, outs = made(host)
    VagrantMachineProvider().delete(identity, outs)
    VagrantMachineProvider().delete(identity, outs)
    assert not vagrant.RUN.exists()
    assert len(host.called("vagrant destroy")) == 1


def test_refresh_drops_a_lost_machine_alone(host: Programs) -> None:
    identity, outs = made(host)
    assert VagrantMachineProvider().read(identity, outs).id == identity
    say(host, "not_created")
    assert not VagrantMachineProvider().read(identity, outs).id


def test_a_vagrant_that_does_not_end_is_interrupted_in_time(host: Programs) -> None:
    host.add("vagrant", "time.sleep(60)")
    machine = vagrant.Machine(PROPS | {"timeout": 1})
    machine.folder.mkdir(parents=True)
    with pytest.raises(CommandError, match=r"vagrant up.* did not end within 1 s"):
        machine.up()


def test_the_client_has_a_private_key_file_for_as_long_as_it_takes() -> None:
    login = ssh.Login(address="192.0.2.1", user="u", private_key="KEY", host_key="ecdsa-sha2-nistp256 AAAA")
    with ssh.client(login) as command:
        (option,) = [word for word in command if word.startswith("IdentityFile")]
        path = Path(option.split('"')[1])
        assert path.read_text(encoding="utf-8") == "KEY\n"
        assert path.stat().st_mode & 0o777 == 0o600
        assert "StrictHostKeyChecking=yes" in command
        assert "KEY" not in " ".join(command)
    assert not path.exists()


def test_the_host_of_a_machine_is_this_one(host: Programs) -> None:
    assert made(host)[1]["made_on"] == hosts.whereabouts()
