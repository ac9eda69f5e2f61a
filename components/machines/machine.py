"""The Vagrant machine: what it is like, the resource that keeps it alive, and the SSH connection to it."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import pulumi
import pulumi_command as command
from pulumi.dynamic import Resource

from components.core import versions
from components.core.dynamic import Provider

if TYPE_CHECKING:
    from components.core.settings import MachineSettings

# A NodeName is a DNS subdomain: https://kubernetes.io/docs/concepts/overview/working-with-objects/names/
_NOT_IN_NODE_NAMES: Final = re.compile(r"[^-a-z0-9]")
_NOT_IN_LABELS: Final = re.compile(r"[^A-Za-z0-9]")
_LABEL: Final = 32  # characters; a label's value has room for 63, a container's identity is 64 long


def server_name(login: str) -> str:
    """Return the name of a login's server machine, such as rel-filaS."""
    return f"{_host_name(login)}S"


def agent_name(login: str, number: int) -> str:
    """Return the name of a login's agent ``number``, counted from 1: rel-filaSW, rel-filaSW2, and so on."""
    return f"{_host_name(login)}SW{number if number > 1 else ''}"


def node_name(machine: str) -> str:
    """Return the name of the Kubernetes node on a machine: the machine's, as far as Kubernetes allows it."""
    return _NOT_IN_NODE_NAMES.sub("-", machine.lower())


def _host_name(login: str) -> str:
    # A login may hold an underscore, a host name may not (RFC 1123).
    return login.replace("_", "-")


@dataclass(frozen=True, kw_only=True)
class VagrantMachineArgs:
    """A Vagrant machine.

    Attributes:
        machine: its name and host name.
        stack: whose machine it is.
        provider: virtualbox, libvirt or docker.
        box: a Vagrant box, or an image for docker; empty means the pinned one.
        address: IPv4 address on the private network.
        cpus: number of virtual CPUs.
        memory: MiB.
        timeout: seconds until it has to be up.
        after: a machine that has to be up before this one is begun, or None.
    """

    machine: str
    stack: str
    provider: str
    box: str
    address: str
    cpus: int
    memory: int
    timeout: int
    after: VagrantMachine | None = None


def server_args(settings: MachineSettings, stack: str, timeout: int) -> VagrantMachineArgs:
    """Return what the server machine is like."""
    return VagrantMachineArgs(
        machine=server_name(settings.login),
        stack=stack,
        provider=settings.provider,
        box=settings.box,
        address=settings.server_address,
        cpus=settings.server_cpus,
        memory=settings.server_memory,
        timeout=timeout,
    )


def agent_args(settings: MachineSettings, number: int, stack: str, timeout: int) -> VagrantMachineArgs:
    """Return what the machine of agent ``number``, counted from 1, is like."""
    return VagrantMachineArgs(
        machine=agent_name(settings.login, number),
        stack=stack,
        provider=settings.provider,
        box=settings.box,
        address=settings.agent_address(number),
        cpus=settings.agent_cpus,
        memory=settings.agent_memory,
        timeout=timeout,
    )


class VagrantMachine(pulumi.ComponentResource):
    """A Vagrant machine that is made again when it was lost, and started when it was halted.

    Type token ``iot:machine:VagrantMachine``. Makes a dynamic resource named ``{name}-vm``.

    Attributes:
        name: of the machine.
        address: IPv4 address on the private network.
        vm: the resource whose end is the end of everything on the machine.
        connection: how Commands get in; its key is secret.
        identity: changes when it is another machine, as characters that a Kubernetes label may have.
        boots: grows when it was started again.
    """

    def __init__(self, name: str, args: VagrantMachineArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__(
            "iot:machine:VagrantMachine",
            name,
            {"machine": args.machine, "provider": args.provider, "address": args.address},
            opts,
        )
        self.name, self.address = args.machine, args.address
        # On the resource itself: what a component depends on is not handed to its children.
        before: list[pulumi.Resource] = [args.after.vm] if args.after else []
        self.vm: _Vm = _Vm(f"{name}-vm", args, pulumi.ResourceOptions(parent=self, depends_on=before))
        self.connection = command.remote.ConnectionArgs(
            host=args.address,
            user=self.vm.user,
            private_key=self.vm.private_key,
            host_key=self.vm.host_key,
            # A machine that has just been started may take a while to let anyone in: 15 s a try.
            dial_error_limit=max(1, args.timeout // 15),
        )
        self.identity = self.vm.id.apply(lambda instance: _NOT_IN_LABELS.sub("", instance)[:_LABEL])
        self.boots = self.vm.boots
        self.register_outputs({"identity": self.identity, "boots": self.boots})

    @property
    def login(self) -> dict[str, pulumi.Input[str]]:
        """The inputs by which a dynamic resource gets in, see ``ssh.login``; its key is secret."""
        vm = self.vm
        return {
            "address": self.address,
            "user": vm.user,
            "private_key": vm.private_key,
            "host_key": vm.host_key,
        }

    def on_it(self, parent: pulumi.Resource, *depends_on: pulumi.Resource) -> pulumi.ResourceOptions:
        """Return the options of a resource on the machine, which needs no deleting when the machine goes.

        Args:
            parent: the component that it belongs to.
            depends_on: what has to be there first.
        """
        return pulumi.ResourceOptions(parent=parent, deleted_with=self.vm, depends_on=list(depends_on))


class _Vm(Resource, module="machine", name="Vm"):
    """The machine itself."""

    user: pulumi.Output[str]
    private_key: pulumi.Output[str]
    host_key: pulumi.Output[str]
    boots: pulumi.Output[int]
    made_on: pulumi.Output[dict[str, str]]

    def __init__(self, name: str, args: VagrantMachineArgs, opts: pulumi.ResourceOptions) -> None:
        pinned = (
            (versions.VAGRANT_DOCKER_IMAGE, "") if args.provider == "docker" else versions.VAGRANT_BOXES[args.provider]
        )
        box, box_version = (args.box, "") if args.box else pinned
        super().__init__(
            Provider("vagrant-machine"),
            name,
            {
                "name": args.machine,
                "stack": args.stack,
                "provider": args.provider,
                "box": box,
                "box_version": box_version,
                "address": args.address,
                "cpus": args.cpus,
                "memory": args.memory,
                "timeout": args.timeout,
                "user": None,
                "private_key": None,
                "host_key": None,
                "boots": None,
                "made_on": None,
            },
            pulumi.ResourceOptions.merge(
                opts,
                pulumi.ResourceOptions(
                    additional_secret_outputs=["private_key"],
                    delete_before_replace=True,
                    custom_timeouts=pulumi.CustomTimeouts(create=f"{args.timeout * 2}s", update=f"{args.timeout * 2}s"),
                ),
            ),
        )
