"""What has to be true of this host before a machine is made; each mistake is named before anything is created."""

from __future__ import annotations

import ipaddress
import shutil
import socket
from pathlib import Path
from typing import TYPE_CHECKING, Final

import pulumi

from components.core.errors import LabError, all_of
from components.core.run import CommandError, run
from components.core.settings import VAGRANT_PROVIDERS
from components.docker import engine as docker_engine
from components.machines import vagrant

if TYPE_CHECKING:
    from collections.abc import Sequence

    from components.machines.machine import VagrantMachineArgs

# https://www.virtualbox.org/manual/ch06.html#network_hostonly: what it allows unless its file says otherwise.
VIRTUALBOX_DEFAULT: Final = "192.168.56.0/21"
VIRTUALBOX_FILE: Final = Path("/etc/vbox/networks.conf")
SSH_PORT: Final = 22
KNOCK: Final = 1.0  # seconds


def check(machines: Sequence[VagrantMachineArgs]) -> None:
    """Check this host for what the machines need.

    A preview may run where there is neither Vagrant nor a provider, such as in CI: there nothing can be wrong with
    the host; with Vagrant here, what an `up` would stop at is a warning.

    Args:
        machines: those that the stack is to have, all of one provider.

    Raises:
        LabError: lists every mistake.
    """
    dry_run = pulumi.runtime.is_dry_run()
    if dry_run and not shutil.which("vagrant"):
        return
    problems = problems_of(machines)
    if not problems:
        return
    if not dry_run:
        raise all_of(problems)
    for problem in problems:
        pulumi.log.warn(str(problem))


def problems_of(machines: Sequence[VagrantMachineArgs]) -> list[LabError]:
    """Return what is wrong with this host, or with the machines on it."""
    try:
        vagrant.require_vagrant()
    except CommandError as error:
        return [error]
    provider = machines[0].provider
    problems = [_provider_problem(provider)]
    if provider == "virtualbox":
        problems += [_virtualbox_problem(machine.address, VIRTUALBOX_FILE) for machine in machines]
    problems += [_taken_problem(machine) for machine in machines]
    return [problem for problem in problems if problem]


def installed() -> list[str]:
    """Return the providers that are ready to use on this host."""
    ready = {"virtualbox": _has_virtualbox, "libvirt": _has_libvirt, "docker": _has_docker}
    return [name for name in VAGRANT_PROVIDERS if ready[name]()]


def allowed_by_virtualbox(file: Path) -> list[ipaddress.IPv4Network]:
    """Return the ranges of host-only addresses that VirtualBox allows on this host.

    Args:
        file: /etc/vbox/networks.conf; lines such as ``* 10.0.0.0/8 192.168.0.0/16``.
    """
    if not file.exists():
        return [ipaddress.IPv4Network(VIRTUALBOX_DEFAULT)]
    lines = [line.split() for line in file.read_text(encoding="utf-8").splitlines()]
    words = [word for line in lines if line[:1] == ["*"] for word in line[1:] if ":" not in word]
    return [ipaddress.IPv4Network(word, strict=False) for word in words]


def _provider_problem(provider: str) -> LabError | None:
    ready = installed()
    if provider in ready:
        return None
    found = f"found here: {', '.join(ready)}" if ready else "found here: none of them"
    fix = f"pulumi config set iot:vagrantProvider {ready[0]}, or install {provider}" if ready else f"install {provider}"
    return LabError(
        f"iot:vagrantProvider is {provider}, which is not ready on this host",
        why=f"Vagrant can use {', '.join(VAGRANT_PROVIDERS)}; {found}",
        fix=fix,
    )


def _virtualbox_problem(address: str, file: Path) -> LabError | None:
    try:
        ranges = allowed_by_virtualbox(file)
    except ValueError as error:
        return LabError(
            f"{file} can't be read", why=str(error), fix=f"write ranges in it, such as * {VIRTUALBOX_DEFAULT}"
        )
    if any(ipaddress.IPv4Address(address) in network for network in ranges):
        return None
    shown = ", ".join(map(str, ranges)) or "no IPv4 address"
    return LabError(
        f"VirtualBox allows no host-only address {address}",
        why=f"it allows {shown} ({file if file.exists() else f'without {file}'})",
        fix=f"set iot:serverAddress into that range, or add the line '* {address}/24' to {file} as root",
    )


def _taken_problem(machine: VagrantMachineArgs) -> LabError | None:
    """Say who has the address: p1 and p2 have the same ones, and a network does not tell."""
    if (vagrant.RUN / machine.stack / machine.machine / "machine.json").exists():
        return None
    if not _answers(machine.address):
        return None
    folders = sorted(vagrant.RUN.glob("*/*/machine.json"))
    others = sorted({path.parent.parent.name for path in folders} - {machine.stack})
    seems = f"the stack {' or '.join(others)} may have it" if others else "another machine has it"
    return LabError(
        f"{machine.address} is taken: SSH answers there, and {machine.machine} is not made yet",
        why=seems,
        fix=f"{f'pulumi destroy --stack {others[0]}' if others else 'remove that machine'}, "
        "or pulumi config set iot:serverAddress ADDRESS",
    )


def _answers(address: str) -> bool:
    """Say whether an SSH server introduces itself; a connection alone may be a firewall's or a proxy's doing."""
    try:
        with socket.create_connection((address, SSH_PORT), timeout=KNOCK) as connection:
            connection.settimeout(KNOCK)
            return connection.recv(4) == b"SSH-"
    except OSError:
        return False


def _has_virtualbox() -> bool:
    return any(map(shutil.which, vagrant.VIRTUALBOX))


def _has_libvirt() -> bool:
    if not shutil.which("virsh"):
        return False
    try:
        return "vagrant-libvirt" in run(["vagrant", "plugin", "list"], timeout=vagrant.ANSWER)
    except CommandError:
        return False


def _has_docker() -> bool:
    try:
        docker_engine.endpoint()
    except LabError:
        return False
    return True
