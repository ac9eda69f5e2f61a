"""What is brought from this host to a machine over SSH: data that is too much for a Command's input."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from pulumi.dynamic import CreateResult, DiffResult, Resource, ResourceProvider, UpdateResult

from components.core.dynamic import Provider
from components.core.errors import LabError
from components.core.run import CommandError
from components.machines import ssh

if TYPE_CHECKING:
    import pulumi

    from components.machines.machine import VagrantMachine


@dataclass(frozen=True, kw_only=True)
class Stream:
    """What one program here prints, and what reads it there.

    Attributes:
        source: the program here and its arguments.
        target: a line for the machine's shell.
    """

    source: list[pulumi.Input[str]]
    target: pulumi.Input[str]


@dataclass(frozen=True, kw_only=True)
class TransferArgs:
    """Data for a machine.

    Attributes:
        machine: where it goes.
        what: its name in messages.
        streams: the data.
        proof: a line for the machine's shell that fails unless all has arrived.
        versions: values that are others when the data is another; where it comes from is none of them.
        timeout: seconds that each stream may take.
    """

    machine: VagrantMachine
    what: pulumi.Input[str]
    streams: list[Stream]
    proof: pulumi.Input[str]
    versions: list[pulumi.Input[str]]
    timeout: int


class TransferProvider(ResourceProvider):
    """Brings the data when it, or the machine, is another one."""

    def diff(self, _id: str, _olds: dict[str, Any], _news: dict[str, Any]) -> DiffResult:
        """Compare what is there with what is to be there; files may lie elsewhere by now."""
        return DiffResult(changes=any(_olds.get(key) != _news.get(key) for key in ("versions", "identity", "proof")))

    def create(self, props: dict[str, Any]) -> CreateResult:
        """Bring it, and see that it has arrived."""
        login = ssh.login(props)
        for stream in props["streams"]:
            ssh.stream(stream["source"], login, stream["target"], timeout=props["timeout"])
        try:
            ssh.command(login, props["proof"], timeout=props["timeout"])
        except CommandError as error:
            raise LabError(
                f"{props['what']} did not arrive on {login.address}, although sending did not fail",
                why=str(error),
                fix="run `pulumi up` again; is there room on the machine's disk?",
            ) from error
        return CreateResult(id_="there", outs=props)

    def update(self, _id: str, _olds: dict[str, Any], _news: dict[str, Any]) -> UpdateResult:
        """Bring it as it is now."""
        return UpdateResult(outs=self.create(_news).outs)


class Transfer(Resource, module="transfer", name="Transfer"):
    """Data that is on a machine. Deleting it does nothing: it goes with the machine."""

    def __init__(self, name: str, args: TransferArgs, opts: pulumi.ResourceOptions) -> None:
        machine = args.machine
        super().__init__(
            Provider("transfer"),
            name,
            {
                "what": args.what,
                "streams": [{"source": stream.source, "target": stream.target} for stream in args.streams],
                "proof": args.proof,
                "versions": args.versions,
                "identity": machine.identity,
                **machine.login,
                "timeout": args.timeout,
            },
            opts,
        )
