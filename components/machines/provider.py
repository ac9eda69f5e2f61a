"""The life of a Vagrant machine as a Pulumi resource that notices when the machine is lost or halted.

Like the k3d cluster's (components/k3d/provider.py) it asks, on every preview, what there is; a Command would only
compare its inputs, which a machine that was destroyed by hand does not change.
"""

from __future__ import annotations

from typing import Any, Final

from pulumi.dynamic import CreateResult, DiffResult, ReadResult, ResourceProvider, UpdateResult

from components.core import host
from components.core.errors import LabError
from components.core.run import CommandError
from components.docker import engine as docker_engine
from components.machines import vagrant

# What makes it another machine; of these the provider's identity is the one that only the provider knows.
IDENTITY: Final = ("name", "stack", "provider", "box", "box_version", "address")
WHERE: Final = ("endpoint", "name")  # what messages say of the place that has it
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
        if not replaces:
            machine = vagrant.Machine(_news)
            state = _state(machine, _olds["made_on"])
            if state is None:
                # Nothing is known, so nothing is planned.
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
        machine = vagrant.Machine(props)
        state = _state(machine, props["made_on"])
        gone = state is not None and (state == vagrant.GONE or machine.instance != id_)
        return ReadResult("", {}) if gone else ReadResult(id_, props)

    def delete(self, _id: str, _props: dict[str, Any]) -> None:
        """Remove the machine; nothing to do when it is gone."""
        machine, made_on = vagrant.Machine(_props), _props["made_on"]
        if not _is_here(machine, made_on):
            raise LabError(
                f"The machine {machine.name} is on {' of '.join(made_on[key] for key in WHERE if key in made_on)}, "
                "not here",
                why="only there it can be removed",
                fix="run `make destroy` there; if that is gone for good, `pulumi state delete URN`",
            )
        machine.destroy()


def _whereabouts(machine: vagrant.Machine) -> dict[str, str]:
    return docker_engine.whereabouts() if machine.provider == "docker" else host.whereabouts()


def _is_here(machine: vagrant.Machine, made_on: dict[str, str]) -> bool:
    """Say whether the machine can be expected here; Vagrant's notes about it are on its host in any case."""
    return host.is_here(made_on) and (machine.provider != "docker" or docker_engine.is_at(made_on))


def _state(machine: vagrant.Machine, made_on: dict[str, str]) -> str | None:
    """Return the machine's state; None when it is elsewhere, or neither Vagrant nor its provider can be asked."""
    try:
        return machine.state() if _is_here(machine, made_on) else None
    except (CommandError, docker_engine.UnreachableError):
        return None


def _outputs(machine: vagrant.Machine, *, boots: int) -> dict[str, Any]:
    login = machine.login()
    return {
        **machine.props,
        "user": login.user,
        "private_key": login.private_key,
        "host_key": login.host_key,
        "boots": boots,
        "made_on": _whereabouts(machine),
    }
