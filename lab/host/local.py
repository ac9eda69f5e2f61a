"""The project's local things: the state's folder, the passphrase, and the filter that keeps salts out of Git."""

from __future__ import annotations

import base64
import json
import os
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Final

from components.core import versions
from components.core.errors import LabError, other_version
from components.core.names import PROJECT
from components.core.run import CommandError, run
from lab.host import paths
from lab.host.environment import ensure_passphrase, own_passphrase

if TYPE_CHECKING:
    from pathlib import Path

STACKS: Final = paths.STATE / ".pulumi" / "stacks" / PROJECT
SALT: Final = "encryptionsalt:"
ANSWER: Final = 60  # seconds for a question to Git
LATEST: Final = 4  # pulumi/sdk/go/common/apitype/core.go: DeploymentSchemaVersionLatest
DYNAMIC: Final = "components.core.dynamic"  # where the class is that a state names for all that is dynamic
STACK: Final = "pulumi:pulumi:Stack"
PROVIDER: Final = "pulumi:providers:kubernetes"
IDENTITY: Final = "clusterIdentifier"
FILTER: Final = {"clean": f"sed '/^{SALT}/d'", "smudge": "cat"}


def has_own_backend() -> bool:
    """Tell whether the user keeps the state elsewhere than in .lab/state."""
    return bool(os.environ.get("PULUMI_BACKEND_URL"))


def states() -> dict[str, int]:
    """Return how many resources each stack in .lab/state has, by its name."""
    return {path.stem: len(_resources(path)) for path in sorted(STACKS.glob("*.json"))}


def has_pending(stack: str) -> bool:
    """Tell whether the state of a stack in .lab/state has operations that were begun and not ended."""
    path = STACKS / f"{stack}.json"
    return path.exists() and bool(_latest(path).get("pending_operations"))


def _latest(path: Path) -> dict[str, Any]:
    state: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    return state["checkpoint"].get("latest") or {}


def _resources(path: Path) -> list[dict[str, Any]]:
    latest = _latest(path)
    return [each for each in latest.get("resources") or [] if each["type"] != STACK]


def _known(stack: str) -> list[dict[str, Any]]:
    """Return the resources of a stack in .lab/state; none when it is not there, or when the state is kept elsewhere."""
    path = STACKS / f"{stack}.json"
    return _resources(path) if path.exists() and not has_own_backend() else []


def orphans(stack: str) -> set[str]:
    """Return what in a stack's state in .lab/state is deleted and still to be made again, by a provider that is gone.

    An ``up`` leaves that when it replaces a lost cluster and fails after the cluster's new provider is there; every
    later command of Pulumi's then stops with "could not find provider".
    """
    found = _known(stack)
    there = {f"{each['urn']}::{each.get('id')}" for each in found}
    return {
        each["urn"] for each in found if each.get("pendingReplacement") and each.get("provider", "") not in {"", *there}
    }


def told_by_path(stack: str) -> str:
    """Return PATH#CONTEXT when a stack's state in .lab/state tells an existing cluster by that; empty otherwise."""
    said = [str(each.get("inputs", {}).get(IDENTITY, "")) for each in _known(stack) if each["type"] == PROVIDER]
    return next((each for each in said if "#" in each), "")


def check_version(stack: str) -> None:
    """Stop when the stack's state in .lab/state is one that this version of the project, or of Pulumi, can't handle.

    Pulumi would stop as well, in the middle and with "No module named", or without a word on what to do.

    Raises:
        LabError: it is.
    """
    path = STACKS / f"{stack}.json"
    if path.exists() and not has_own_backend():
        written: int = json.loads(path.read_text(encoding="utf-8")).get("version", 1)
        if written > LATEST:
            raise LabError(
                f"the state of {stack} was written by a newer version of Pulumi",
                why=f"it is of version {written}, and {versions.PULUMI} knows {LATEST}",
                fix="use the version of the project that has written it; nothing was changed",
            )
    for each in _known(stack):
        if each["type"].startswith("pulumi-python:"):
            said = each["inputs"]["__provider"]
            # Earlier versions had it encrypted.
            if not isinstance(said, str) or DYNAMIC.encode() not in base64.b64decode(said):
                raise other_version(each["urn"])


def prepare() -> None:
    """Make the local things that are not there yet.

    Raises:
        LabError: there is a state whose passphrase is gone.
    """
    for folder in (paths.LAB, paths.STATE):
        folder.mkdir(parents=True, exist_ok=True)
        folder.chmod(0o700)
    if not paths.PASSPHRASE.exists():
        _check_passphrase_given()
    if ensure_passphrase() and not states():
        # What an earlier .lab has left there fits a passphrase that is gone.
        forget_salts()
    _set_filter()


def _check_passphrase_given() -> None:
    if own_passphrase():
        return
    if has_own_backend():
        # Which stacks are there can't be asked without it; a salt says that some were made with one.
        known, state = [path.name for path in salted()], os.environ["PULUMI_BACKEND_URL"]
    else:
        known, state = list(states()), ".lab/state"
    if not known:
        return
    raise LabError(
        f"{paths.PASSPHRASE} is gone, and {state} was encrypted with it",
        why=f"it knows the stacks {', '.join(known)}",
        fix=f"put the file back, set PULUMI_CONFIG_PASSPHRASE, or remove {state} when nothing of them runs any more",
    )


def forget_salts() -> None:
    """Remove from the stacks' files what ties them to a passphrase.

    Raises:
        LabError: one of them has encrypted values, which only that passphrase can read.
    """
    texts = {path: path.read_text(encoding="utf-8") for path in salted()}
    if secret := [path.name for path, text in texts.items() if has_secrets(text)]:
        raise LabError(
            f"{', '.join(secret)} has values that only the passphrase in .lab/passphrase can read",
            fix=f"keep that passphrase, or remove the values (`secure:`) from {', '.join(secret)}",
        )
    for path, text in texts.items():
        path.write_text(without_salt(text), encoding="utf-8")


def salted() -> list[Path]:
    """Return the stacks' files that are tied to a passphrase."""
    files = sorted(paths.ROOT.glob("Pulumi.*.yaml"))
    return [path for path in files if SALT in path.read_text(encoding="utf-8")]


def made_elsewhere() -> list[str]:
    """Return the stacks' files that are tied to a passphrase, and whose stack is not in .lab/state."""
    return [path.name for path in salted() if path.stem.removeprefix("Pulumi.") not in states()]


def without_salt(text: str) -> str:
    """Return what a stack's file says, without what ties it to a passphrase."""
    return "".join(line for line in text.splitlines(keepends=True) if not line.startswith(SALT))


def has_secrets(text: str) -> bool:
    """Tell whether a stack's file has encrypted values."""
    return any(line.strip().startswith("secure:") for line in text.splitlines())


def _set_filter() -> None:
    """Keep `encryptionsalt` out of commits: it is each user's own, written to a file that all share."""
    if not _in_repository():
        return
    for action, command in FILTER.items():
        key = f"filter.iot-salt.{action}"
        try:
            is_set = _git("config", "--local", key) == command
        except CommandError:
            is_set = False
        if not is_set:
            _git("config", "--local", key, command)


def settle(stack: str) -> None:
    """Let Git see that a stack's file is as committed, but for the salt.

    Git takes a file for changed when its size is another one, until it is told to look; its content stays as it is.
    """
    file = f"Pulumi.{stack}.yaml"
    # Somebody else may hold Git's index, or nobody may write it; then Git shows a change that is none.
    with suppress(CommandError):
        if not _git("diff", "--", file):
            _git("add", "--", file)


def _in_repository() -> bool:
    # Unpacked from an archive, the project is in none; without Git, the checks say so in their own words.
    try:
        return bool(_git("rev-parse", "--git-dir"))
    except CommandError:
        return False


def _git(*arguments: str) -> str:
    return run(["git", *arguments], cwd=paths.ROOT, timeout=ANSWER)
