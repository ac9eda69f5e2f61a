"""Whether K3s still runs on a machine, and its node is in the cluster: asked on every preview.

A Command compares its inputs alone, which somebody who uninstalls K3s, stops it or deletes the node does not change.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from pulumi.dynamic import CreateResult, DiffResult, Resource, ResourceProvider, UpdateResult

from components.core import host
from components.core.dynamic import Provider
from components.core.run import CommandError
from components.k3s.script import script_input
from components.machines import ssh
from components.machines.machine import node_name

if TYPE_CHECKING:
    import pulumi

    from components.machines.machine import VagrantMachine

WELL: Final = "well"
GONE: Final = "gone"
WRONG: Final = ("down", "unregistered", GONE)  # what k3s.sh's `look` prints besides
WHOSE: Final = ("identity", "host_key", "service")
LOOK: Final = 30.0  # seconds


class PresenceProvider(ResourceProvider):
    """Looks at K3s on a machine, and counts what was found.

    Inputs: ``VagrantMachine.login``, ``identity`` and ``made_on`` of the machine, ``service`` (the unit there, but for
    ".service") and ``node`` (its name).
    Outputs: the inputs, ``faults`` (how often it was not as it should be) and ``losses`` (how often it was not there).
    What does something about K3s has ``faults`` among what makes it run again, what brings K3s's files ``losses``.
    """

    def create(self, props: dict[str, Any]) -> CreateResult:
        """Begin to count; K3s comes after this."""
        return CreateResult(id_=props["node"], outs={**props, "faults": 0, "losses": 0})

    def diff(self, _id: str, _olds: dict[str, Any], _news: dict[str, Any]) -> DiffResult:
        """Say whether something is to be done."""
        return DiffResult(changes=_is_another(_olds, _news) or _look(_olds, _news) != WELL)

    def update(self, _id: str, _olds: dict[str, Any], _news: dict[str, Any]) -> UpdateResult:
        """Count what is found."""
        found = _look(_olds, _news)
        counted = {"faults": _olds["faults"] + (found != WELL), "losses": _olds["losses"] + (found == GONE)}
        return UpdateResult(outs={**_news, **counted})


def _is_another(olds: dict[str, Any], news: dict[str, Any]) -> bool:
    """Say whether it is another machine, or one that is about to be changed, of which previews know less."""
    return any(olds.get(key) != news.get(key) for key in WHOSE)


def _look(olds: dict[str, Any], news: dict[str, Any]) -> str:
    """Return what is found on the machine; ``WELL`` where it is another one, elsewhere, or does not answer.

    A machine that is another one, or was started again, is a reason of its own to look after K3s.
    """
    if _is_another(olds, news) or not host.is_here(olds["made_on"]):
        return WELL
    asks = script_input({"NODE_NAME": news["node"], "SERVICE": news["service"]})
    try:
        said = ssh.command(ssh.login(olds), "sudo -n bash -s look", timeout=LOOK, given=asks)
    except CommandError:
        return WELL
    # A shell may greet who comes in.
    last = said.rpartition("\n")[2]
    return last if last in WRONG else WELL


class K3sPresence(Resource, module="k3s", name="Presence"):
    """K3s on a machine, as it is found.

    Attributes:
        machine: where it is looked for.
        faults: grows when K3s was not as it should be.
        losses: grows when it was not there.
    """

    faults: pulumi.Output[int]
    losses: pulumi.Output[int]

    def __init__(self, name: str, machine: VagrantMachine, service: str, opts: pulumi.ResourceOptions) -> None:
        self.machine = machine
        inputs = {
            **machine.login,
            "identity": machine.identity,
            "made_on": machine.vm.made_on,
            "service": service,
            "node": node_name(machine.name),
            "faults": None,
            "losses": None,
        }
        super().__init__(Provider("k3s-presence"), name, inputs, opts)
