"""k3s.sh, run on machines over SSH, with what it has to know of K3s."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import pulumi
import pulumi_command as command

from components.core import versions

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from components.machines.machine import VagrantMachine

SCRIPT: Final = Path(__file__).parent / "k3s.sh"


def script_input(values: Mapping[str, str]) -> str:
    """Return what ``bash -s`` reads: the values as quoted variables, then the script.

    Standard input shows in no list of processes and in no file on the machine, unlike arguments and copied scripts.
    """
    lines = "".join(f"{name}={shlex.quote(value)}\n" for name, value in values.items())
    return lines + SCRIPT.read_text(encoding="utf-8")


def _joined(values: Sequence[object]) -> str:
    return " ".join(map(str, values))


def download() -> dict[str, str]:
    """Return the script's variables for what K3s is and where it comes from."""
    return {
        "K3S_VERSION": versions.K3S,
        "RELEASE_URL": versions.K3S_RELEASE_URL,
        "SHA256_AMD64": versions.K3S_SHA256["amd64"],
        "SHA256_ARM64": versions.K3S_SHA256["arm64"],
        "INSTALL_URL": versions.K3S_INSTALL_URL,
        "INSTALL_SHA256": versions.K3S_INSTALL_SHA256,
    }


def run(  # noqa: PLR0913 - what a Command is made of
    name: str,
    machine: VagrantMachine,
    action: str,
    values: Mapping[str, pulumi.Input[str]],
    opts: pulumi.ResourceOptions,
    *,
    undo: str,
    again: Sequence[pulumi.Input[Any]],
) -> command.remote.Command:
    """Run an action of the script; when a value, or one of ``again``, is another it runs again and makes it so.

    Not by the Command's own triggers: they replace it, and the old one's ``delete`` would undo what the new one did.
    """
    return command.remote.Command(
        name,
        connection=machine.connection,
        create=f"sudo -n bash -s {action}",
        update=f"sudo -n bash -s {action}",
        delete=f"sudo -n bash -s {undo}",
        stdin=pulumi.Output.all(**values, RUN_AGAIN=pulumi.Output.all(*again).apply(_joined)).apply(script_input),
        # What the script says to people is on standard error; what it hands back is secret. Its input is secret when
        # one of the values is.
        logging=command.remote.Logging.STDERR,
        add_previous_output_in_env=False,
        opts=pulumi.ResourceOptions.merge(opts, pulumi.ResourceOptions(additional_secret_outputs=["stdout"])),
    )
