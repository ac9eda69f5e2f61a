"""The life of a Vagrant machine as a Pulumi resource that notices when the machine is lost or halted.

Like the k3d cluster's (see k3d_provider.py) it asks, on every preview, what there is; a Command would only compare
its inputs, which a machine that was destroyed by hand does not change.
"""

from __future__ import annotations

import platform
from typing import Any, Final

from pulumi.dynamic import CreateResult, DiffResult, ReadResult, ResourceProvider, UpdateResult

from components.core.errors import LabError
from components.core.run import CommandError
from components.machines import vagrant

# What makes it another machine; of these the provider's identity is the one that only the provider knows.
IDENTITY: Final = ("name", "stack", "provider", "box", "box_version", "address")
SIZE: Final = ("cpus", "memory")


class VagrantMachineProvider(ResourceProvider):
    """Creates, starts, resizes, replaces and deletes one machine.

    Inputs: those of ``vagrant.Machine``.
    Outputs: the inputs, ``user``, ``private_key`` (to be marked secret by the resource), ``host_key``, ``boots`` (how
    often it was started, so that what runs on it is looked after again) and ``made_on`` (the host that has it).
    The identity is the provider's own.
    """

    def diff(self, _id: str, _olds: dict[str, Any], _news: dict[str, Any]) -> DiffResult:
        """Compare what was asked for, and what the provider has, with what is wanted."""
        replaces = [key for key in IDENTITY if _olds.get(key) != _news.get(key)]
        resized = any(_olds.get(key) != _news.get(key) for key in SIZE)
        halted = False
        if not replaces and _olds.get("made_on") == platform.node():
            machine = vagrant.Machine(_news)
            try:
                state = machine.state()
            except CommandError:
                # No Vagrant here, or its provider is stopped: nothing is known, so nothing is planned.
                return DiffResult(changes=resized, stables=list(IDENTITY), delete_before_replace=True)
            lost = state == vagrant.GONE or machine.instance != _id
            replaces = ["host_key"] if lost else []
            halted = state == vagrant.HALTED
        return DiffResult(
            changes=bool(replaces) or resized or halted,
            replaces=replaces,
            stables=list(IDENTITY),
            delete_before_replace=True,
        )

    def create(self, props: dict[str, Any]) -> CreateResult:
        """Make the machine, after removing what an interrupted run may have left of it."""
        machine = vagrant.Machine(props)
        machine.destroy()
        try:
            machine.prepare()
            machine.up()
            return CreateResult(id_=machine.instance, outs=_outputs(machine, boots=1))
        except LabError as error:
            machine.destroy()
            raise LabError(
                f"The machine {machine.name} did not come up, and what there was of it is removed again",
                why=str(error),
                fix="docs/p1.md#when-something-is-wrong",
            ) from error

    def update(self, _id: str, _olds: dict[str, Any], _news: dict[str, Any]) -> UpdateResult:
        """Start the machine if it is halted, and give it the size that is wanted."""
        machine = vagrant.Machine(_news)
        halted = machine.state() == vagrant.HALTED
        machine.prepare()
        if halted:
            machine.up()
        if any(_olds.get(key) != _news.get(key) for key in SIZE) and not (halted and machine.provider != "docker"):
            machine.reload()
        booted = halted or machine.provider != "docker"
        return UpdateResult(outs=_outputs(machine, boots=int(_olds["boots"]) + booted))

    def read(self, id_: str, props: dict[str, Any]) -> ReadResult:
        """Say whether the machine is still there; for `pulumi refresh`."""
        if props["made_on"] != platform.node():
            return ReadResult(id_, props)
        machine = vagrant.Machine(props)
        try:
            state = machine.state()
        except CommandError:
            return ReadResult(id_, props)
        return ReadResult("", {}) if state == vagrant.GONE or machine.instance != id_ else ReadResult(id_, props)

    def delete(self, _id: str, _props: dict[str, Any]) -> None:
        """Remove the machine; nothing to do when it is gone."""
        if _props["made_on"] != platform.node():
            raise LabError(
                f"The machine {_props['name']} is on the host {_props['made_on']}, not on this one",
                why="only that host can remove it",
                fix="run `pulumi destroy` there; if that host is gone, `pulumi state delete URN`",
            )
        vagrant.Machine(_props).destroy()


def _outputs(machine: vagrant.Machine, *, boots: int) -> dict[str, Any]:
    login = machine.login()
    return {
        **machine.props,
        "user": login.user,
        "private_key": login.private_key,
        "host_key": login.host_key,
        "boots": boots,
        "made_on": platform.node(),
    }
