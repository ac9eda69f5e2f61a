"""What a run of Pulumi that was killed has left of a stack: its lock, and the operations that it had begun."""

from __future__ import annotations

import json
import os
import socket
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from components.core import kube
from components.core.names import PROJECT
from components.core.run import CommandError, run
from lab.host import local, paths
from lab.host.console import say
from lab.live import orphans
from lab.live import stack as stacks

if TYPE_CHECKING:
    from collections.abc import Mapping

ANSWER: Final = 10  # seconds
RELEASE: Final = "kubernetes:helm.sh/v3:Release"


def recover(stack: str) -> None:
    """Take away the locks of runs that are gone from this host, forget what they had begun, and mend what they broke.

    What was begun is made again, or taken over, by what makes it. The lock of a run that goes on, or of another host,
    stays, and Pulumi says whose it is. State that is kept elsewhere than in .lab/state is left alone.

    Args:
        stack: the stack's name.
    """
    if local.has_own_backend():
        return
    # As pulumi/pkg/backend/diy/lock.go lays it out; a file of attributes may be beside each.
    folder = paths.STATE / ".pulumi" / "locks" / "organization" / PROJECT / stack
    _remove_cut_off([*local.STACKS.glob(f"{stack}.json*.attrs"), *folder.glob("*.attrs")])
    held = {path: json.loads(path.read_text(encoding="utf-8")) for path in folder.glob("*.json")}
    gone = [path for path, lock in held.items() if _is_gone(lock)]
    for path in gone:
        path.unlink(missing_ok=True)
        path.with_name(f"{path.name}.attrs").unlink(missing_ok=True)
    if len(gone) < len(held):
        return
    for path in local.STACKS.glob(f"{stack}.json*.tmp"):  # what was being written; it gets its name when it is whole
        path.unlink(missing_ok=True)
    if ended := orphans.end():
        say(f"an earlier run was killed: {ended} of its plugins that were still at work are ended")
    forgotten = _forget_pending(stack) if local.has_pending(stack) else 0
    if gone or forgotten:
        say(f"an earlier run of {stack} was killed: its lock is taken away, and {forgotten} operations begin anew")
    stacks.mend(stack)


def _remove_cut_off(files: list[Path]) -> None:
    """Remove the metadata beside a file of the state that a kill has cut off, as earlier versions had it.

    Pulumi reads nothing of a state with it, and needs none of it.
    """
    for path in files:
        if not path.read_bytes().rstrip().endswith(b"}"):
            path.unlink(missing_ok=True)


def _is_gone(lock: Mapping[str, Any]) -> bool:
    """Tell whether the process that holds a lock was one of this host and is there no more."""
    # A laptop's name ends otherwise in another network.
    if lock["hostname"].partition(".")[0] != socket.gethostname().partition(".")[0]:
        return False
    try:
        os.kill(lock["pid"], 0)
    except ProcessLookupError:
        return True
    except PermissionError:
        pass
    # The system may have given its number to another program since. A zombie (Z) has ended, too: where no init asks
    # for its end, as in many containers, it stays for ever.
    try:
        said = run(["ps", "-o", "stat=", "-o", "comm=", "-p", str(lock["pid"])], timeout=ANSWER)
    except CommandError:
        return False
    state, _, program = said.partition(" ")
    return state.startswith("Z") or "pulumi" not in Path(program.strip()).name


def _forget_pending(stack: str) -> int:
    """Drop the pending operations from a stack's state, and return how many there were."""
    pending: list[dict[str, Any]] = []

    def change(deployment: dict[str, Any]) -> None:
        pending.extend(deployment.pop("pending_operations", []))
        for each in pending:
            if each["resource"]["type"] == RELEASE:
                _forget_release(stack, each)

    stacks.rewrite(stack, change)
    return len(pending)


def _forget_release(stack: str, operation: Mapping[str, Any]) -> None:
    """Remove what Helm has noted of a release that was interrupted, without which it refuses to begin anew.

    What the release had made already is taken over by the next one of that name.
    """
    release = operation["resource"]
    name, namespace = release["inputs"]["name"], release["inputs"]["namespace"]
    # Of one that was being made, nothing else knows: Helm may have come to its end since.
    status = "" if operation["type"] == "creating" else ",status in (pending-install,pending-upgrade,pending-rollback)"
    kubeconfig = stacks.by_reference(stacks.exported(stack))[release["provider"]]["inputs"]["kubeconfig"]
    with kube.config_file(kubeconfig) as config:
        command = kube.command(config, f"--request-timeout={ANSWER}s", f"--namespace={namespace}", "delete", "secrets")
        try:
            run([*command, f"--selector=owner=helm,name={name}{status}"], timeout=ANSWER + 5)
        except CommandError as error:
            say(f"what Helm has noted of {name} could not be removed: {error}")
