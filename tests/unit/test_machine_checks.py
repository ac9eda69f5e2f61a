"""What is said of a host that can't have the machines, before anything is made."""

from __future__ import annotations

import json
import socket
import threading
from typing import TYPE_CHECKING

import pulumi
import pytest

from components.core.errors import LabError
from components.machines import preflight as machine_checks
from components.machines import vagrant
from components.machines.machine import VagrantMachineArgs

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.unit.programs import Programs

pytestmark = pytest.mark.unit


def machine(address: str = "192.168.56.110", provider: str = "virtualbox") -> VagrantMachineArgs:
    return VagrantMachineArgs(
        machine="rel-filaS",
        stack="p2",
        provider=provider,
        box="",
        address=address,
        cpus=1,
        memory=1024,
        timeout=600,
    )


@pytest.fixture
def host(programs: Programs, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Programs:
    """Return a host with Vagrant and VirtualBox, where no machine answers."""
    monkeypatch.setattr(vagrant, "RUN", tmp_path / "run")
    monkeypatch.setattr(machine_checks, "VIRTUALBOX_FILE", tmp_path / "networks.conf")
    monkeypatch.setattr(machine_checks, "_answers", lambda _: False)
    programs.add("vagrant", "")
    programs.add("VBoxManage", "")
    return programs


def said() -> str:
    return " ".join(str(problem) for problem in machine_checks.problems_of([machine()]))


def test_a_host_that_has_everything_is_fine(host: Programs) -> None:
    assert machine_checks.problems_of([machine()]) == []


def test_without_vagrant_it_is_named(host: Programs) -> None:
    (host.folder / "vagrant").unlink()
    assert "vagrant is not on PATH" in said()


def test_a_provider_that_is_not_there_is_answered_with_those_that_are(host: Programs) -> None:
    (problem,) = machine_checks.problems_of([machine(provider="libvirt")])
    assert "iot:vagrantProvider is libvirt" in str(problem)
    assert "found here: virtualbox" in str(problem)
    assert "pulumi config set iot:vagrantProvider virtualbox" in str(problem)


def test_virtualbox_on_the_windows_side_of_wsl_is_one(host: Programs) -> None:
    (host.folder / "VBoxManage").rename(host.folder / "VBoxManage.exe")
    assert "virtualbox" in machine_checks.installed()


def test_virtualbox_of_windows_need_not_be_on_path(
    host: Programs, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    installed = tmp_path / "Program Files" / "VBoxManage.exe"
    installed.parent.mkdir()
    (host.folder / "VBoxManage").rename(installed)
    assert "virtualbox" not in machine_checks.installed()
    monkeypatch.setattr(vagrant, "VIRTUALBOX", ("VBoxManage", "VBoxManage.exe", str(installed)))
    assert "virtualbox" in machine_checks.installed()


def test_a_host_without_any_provider_is_told_so(host: Programs) -> None:
    (host.folder / "VBoxManage").unlink()
    assert "found here: none of them" in said()


def test_libvirt_needs_its_plugin_too(host: Programs) -> None:
    host.add("virsh", "")
    assert "libvirt" not in machine_checks.installed()
    host.add("vagrant", "print('vagrant-libvirt (0.12.2, system)')")
    assert "libvirt" in machine_checks.installed()


@pytest.mark.parametrize("address", ["192.168.56.1", "192.168.63.254"])
def test_virtualbox_allows_its_default_range(host: Programs, address: str) -> None:
    assert machine_checks.problems_of([machine(address)]) == []


@pytest.mark.parametrize("address", ["192.168.55.254", "192.168.64.1", "10.0.0.10"])
def test_virtualbox_outside_its_range_is_refused_naming_the_file(host: Programs, address: str) -> None:
    (problem,) = machine_checks.problems_of([machine(address)])
    assert address in str(problem)
    assert "networks.conf" in str(problem)
    assert "192.168.56.0/21" in str(problem)


def test_virtualbox_is_allowed_what_its_file_allows(host: Programs) -> None:
    machine_checks.VIRTUALBOX_FILE.write_text("# mine\n* 10.0.0.0/8 192.168.33.0/24\n* 2001::/64\n", encoding="utf-8")
    assert machine_checks.problems_of([machine("10.1.2.3"), machine("192.168.33.7")]) == []
    (problem,) = machine_checks.problems_of([machine("192.168.56.110")])
    assert "10.0.0.0/8" in str(problem)


def test_other_providers_know_no_such_range(host: Programs) -> None:
    host.add("docker", "print(json.dumps({'ID': 'x'}))")
    assert machine_checks.problems_of([machine("10.0.0.10", provider="docker")]) == []


def test_an_address_that_another_stack_has_is_named_with_that_stack(
    host: Programs, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(machine_checks, "_answers", lambda _: True)
    other = vagrant.RUN / "p1" / "rel-filaS"
    other.mkdir(parents=True)
    (other / "machine.json").write_text(json.dumps({}), encoding="utf-8")
    (problem,) = machine_checks.problems_of([machine()])
    assert "192.168.56.110 is taken" in str(problem)
    assert "pulumi destroy --stack p1" in str(problem)


def test_the_stacks_own_machine_may_answer(host: Programs, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(machine_checks, "_answers", lambda _: True)
    own = vagrant.RUN / "p2" / "rel-filaS"
    own.mkdir(parents=True)
    (own / "machine.json").write_text("{}", encoding="utf-8")
    assert machine_checks.problems_of([machine()]) == []


@pytest.fixture
def greeting(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[bytes]]:
    """Return what a server on this host says first to whoever connects."""
    said: list[bytes] = []
    with socket.create_server(("127.0.0.1", 0)) as server:
        monkeypatch.setattr(machine_checks, "SSH_PORT", server.getsockname()[1])

        def serve() -> None:
            connection, _ = server.accept()
            with connection:
                connection.sendall(b"".join(said))

        thread = threading.Thread(target=serve)
        thread.start()
        yield said
        thread.join()


@pytest.mark.parametrize(("first", "taken"), [(b"SSH-2.0-OpenSSH", True), (b"", False), (b"HTTP/1.1", False)])
def test_only_an_ssh_server_counts_as_a_machine(greeting: list[bytes], first: bytes, taken: bool) -> None:
    greeting.append(first)
    assert machine_checks._answers("127.0.0.1") is taken  # noqa: SLF001 - what the others put something else for


def test_an_up_stops_and_a_preview_warns(host: Programs, monkeypatch: pytest.MonkeyPatch) -> None:
    warned: list[str] = []
    monkeypatch.setattr(pulumi.log, "warn", warned.append)
    wrong = [machine("10.0.0.10"), machine("10.0.0.11")]
    monkeypatch.setattr(pulumi.runtime, "is_dry_run", lambda: True)
    machine_checks.check(wrong)
    assert len(warned) == 2
    monkeypatch.setattr(pulumi.runtime, "is_dry_run", lambda: False)
    with pytest.raises(LabError, match="2 problems"):
        machine_checks.check(wrong)


def test_a_preview_without_vagrant_says_nothing(host: Programs, monkeypatch: pytest.MonkeyPatch) -> None:
    (host.folder / "vagrant").unlink()
    monkeypatch.setattr(pulumi.runtime, "is_dry_run", lambda: True)
    machine_checks.check([machine("10.0.0.10")])
