"""Pulumi's stacks, asked through its CLI."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from components.core import kube, names
from components.core.errors import LabError
from components.core.run import CommandError, MissingProgramError, run
from lab.host import local, paths
from lab.host.console import say
from lab.live import times

if TYPE_CHECKING:
    import argparse
    from collections.abc import Callable, Mapping

# No question to the CLI takes longer; one that waits for a lock or a backend must not wait for ever.
TIMEOUT: Final = 120
# How a state marks a secret: pulumi/sdk/go/common/resource/sig.go
SECRET: Final = "4dabf18193072939515e22adb298388d"  # noqa: S105 - the mark, the same everywhere
# The address of a state in a folder tells nobody anything.
QUIET: Final = ("--suppress-permalink=true",)


def argument(parser: argparse.ArgumentParser) -> None:
    """Add ``--stack`` to a command's arguments: $STACK, or else p3."""
    parser.add_argument("--stack", default=os.environ.get("STACK") or "p3", help="p1, p2 or p3 (default: %(default)s)")


def further_arguments(parser: argparse.ArgumentParser) -> None:
    """Add what is handed on to the tool that a command runs: everything after ``--``."""
    parser.add_argument("arguments", nargs="*", metavar="-- ARGUMENT", help="handed on as it is")


def pulumi(*args: str) -> str:
    """Run the Pulumi CLI in the project and return what it prints.

    Raises:
        LabError: it is missing, failed, or did not answer within ``TIMEOUT`` seconds.
    """
    command = ["pulumi", "--non-interactive", *args]
    try:
        return run(command, cwd=paths.ROOT, timeout=TIMEOUT)
    except CommandError as error:
        if isinstance(error, MissingProgramError):
            raise
        if error.said is None:
            raise LabError(error.what, fix=f"run `{' '.join(command)}` by hand to see why") from error
        raise LabError(f"{' '.join(command)} failed", why=error.said) from error


def run_pulumi(command: list[str]) -> int:
    """Run Pulumi for people to watch, and return its exit code.

    What its plugins leave behind among the temporary files, the cluster's kubeconfig with its key, goes in the end.
    """
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder:  # readable by its owner only
        return _run(command, folder, {})


def run_up(command: list[str]) -> int:
    """Run ``pulumi up`` likewise, and say where the time went."""
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder:
        log = Path(folder) / "events.jsonl"
        begin = time.monotonic()
        code = _run([*command, f"--event-log={log}"], folder, {"PULUMI_DEBUG_COMMANDS": "true"})
        lines = times.summary(log.read_text(encoding="utf-8").splitlines()) if log.exists() else []
    if lines:
        say(f"{time.monotonic() - begin:.0f} s, most of them here, side by side:")
    for line in lines:
        say(line)
    return code


def _run(command: list[str], temporary: str, env: dict[str, str]) -> int:
    """Run Pulumi with a folder for its temporary files.

    An interruption from the keyboard reaches it as well, and it ends in order; this process waits for that.
    """
    try:
        own = {"TMPDIR": temporary, names.TEMPORARY: tempfile.gettempdir()}
        process = subprocess.Popen(command, cwd=paths.ROOT, env=os.environ | env | own)
    except FileNotFoundError as error:
        raise LabError(f"{command[0]} is not on PATH", fix="make setup") from error
    # A signal that is ignored would be so in what is run next, too.
    signal.signal(signal.SIGINT, lambda *_: None)
    for number in (signal.SIGTERM, signal.SIGHUP):
        if signal.getsignal(number) != signal.SIG_IGN:  # as with nohup
            signal.signal(number, lambda *_: process.terminate())
    code = process.wait()
    return code if code >= 0 else 128 - code


def exists(stack: str) -> bool:
    """Tell whether a stack has been created. The project's own state is looked at without the CLI, which is faster."""
    if not local.has_own_backend():
        return stack in local.states()
    listed: list[dict[str, Any]] = json.loads(pulumi("stack", "ls", "--json"))
    return stack in {entry["name"] for entry in listed}


def is_empty(stack: str) -> bool:
    """Tell whether a stack's state knows of nothing."""
    if not local.has_own_backend():
        return not local.states().get(stack)
    return all(each["type"] == local.STACK for each in exported(stack).get("resources") or [])


def require(stack: str) -> None:
    """Stop unless a stack exists.

    Raises:
        LabError: it does not.
    """
    if not exists(stack):
        raise LabError(f"there is no stack {stack}", why="it was never brought up", fix=f"make up STACK={stack}")


def ensure(stack: str) -> None:
    """Create a stack unless it exists."""
    if not exists(stack):
        # A `pulumi destroy` that names no stack goes on being about the first one.
        other = ["--no-select"] if local.states() else []
        pulumi("stack", "init", *other, "--secrets-provider", "passphrase", "--stack", stack)
        local.settle(stack)


def mend(stack: str) -> None:
    """Take out of a stack's state what an interrupted rebuild has deleted, and nobody can make again from there."""
    gone = local.orphans(stack)
    if not gone:
        return

    def change(deployment: dict[str, Any]) -> None:
        deployment["resources"] = without(gone, deployment["resources"])

    rewrite(stack, change)
    say(f"{len(gone)} resources that went with a lost cluster are to be made anew")


def recognise(stack: str) -> None:
    """Tell an existing cluster in a stack's state by its identity, where an earlier version told it by its path.

    Otherwise it would be taken for another one, and all that is in it made anew.

    Raises:
        LabError: the cluster does not answer.
    """
    known = local.told_by_path(stack)
    if not known:
        return
    path, _, context = known.rpartition("#")
    identity = kube.identity_of(Path(path), context)

    def change(deployment: dict[str, Any]) -> None:
        for each in deployment["resources"]:
            for side in ("inputs", "outputs"):
                if each.get(side, {}).get(local.IDENTITY) == known:
                    each[side][local.IDENTITY] = identity

    rewrite(stack, change)
    say(f"the cluster of {path} is known by its own identity from now on")


def rewrite(stack: str, change: Callable[[dict[str, Any]], None]) -> None:
    """Change a stack's state. Secrets stay encrypted in it.

    Args:
        stack: the stack's name.
        change: changes the state's deployment, as ``pulumi stack export`` has it, in place.
    """
    state = json.loads(pulumi("stack", "export", "--stack", stack))
    change(state["deployment"])
    with tempfile.TemporaryDirectory() as folder:  # readable by its owner only
        path = Path(folder) / "state.json"
        path.write_text(json.dumps(state), encoding="utf-8")
        pulumi("stack", "import", "--stack", stack, "--file", str(path))


def without(gone: set[str], resources: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return the resources of a state without some, and without what the others say of them."""
    return [
        each
        | {"dependencies": [urn for urn in each.get("dependencies") or [] if urn not in gone]}
        | {
            "propertyDependencies": {
                key: [urn for urn in urns or [] if urn not in gone]
                for key, urns in (each.get("propertyDependencies") or {}).items()
            }
        }
        | ({"deletedWith": ""} if each.get("deletedWith") in gone else {})
        for each in resources
        if each["urn"] not in gone
    ]


def exported(stack: str) -> dict[str, Any]:
    """Return what the state has of a stack, with its secrets: ``resources``, and ``pending_operations`` if any.

    Args:
        stack: the stack's name.
    """
    found: dict[str, Any] = _plain(json.loads(pulumi("stack", "export", "--stack", stack, "--show-secrets")))
    return {"resources": [], **found["deployment"]}


def by_reference(deployment: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    """Return the resources of a stack as others refer to them, such as to their provider: by ``URN::ID``."""
    return {f"{each['urn']}::{each.get('id', '')}": each for each in deployment["resources"] or []}


def _plain(value: Any) -> Any:  # noqa: ANN401 - any JSON
    """Return a value of the state with what is secret in it as any other."""
    if isinstance(value, list):
        return [_plain(each) for each in value]
    if not isinstance(value, dict):
        return value
    if "plaintext" in value and SECRET in value:
        return json.loads(value["plaintext"])
    return {key: _plain(each) for key, each in value.items()}


def outputs(stack: str, *, show_secrets: bool = False) -> dict[str, Any]:
    """Return the outputs of a stack by name.

    Args:
        stack: the stack's name.
        show_secrets: give the values of secret outputs, which are "[secret]" otherwise.

    Raises:
        LabError: there is no such stack, or it has not been brought up.
    """
    require(stack)
    flags = ["--show-secrets"] if show_secrets else []
    found: dict[str, Any] = json.loads(pulumi("stack", "output", "--json", "--stack", stack, *flags))
    if not found:
        raise LabError(f"the stack {stack} is not up", fix=f"make up STACK={stack}")
    return found
