"""The life of the embedded Git server as a Pulumi resource that notices when it is lost, and loses no commit itself."""

from __future__ import annotations

import base64
import io
import secrets
import shlex
import tarfile
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from pulumi.dynamic import CreateResult, DiffResult, ReadResult, ResourceProvider, UpdateResult

from components.core.errors import LabError
from components.core.run import CommandError
from components.docker import container as containers
from components.docker import engine
from components.docker.container import ContainerSpec
from components.gitops import git_backups

if TYPE_CHECKING:
    from collections.abc import Mapping

SETUP: Final = Path(__file__).with_name("gitea-setup.sh")
OURS: Final = "iot/iot"  # the repository that Argo CD follows
RESTORE: Final = "/var/lib/gitea/restore.bundle"
BACKUP: Final = 600.0  # seconds for all bundles
SECRETS: Final = ("owner_password", "reader_password", "webhook_secret")
# What the container is made with; another one of these makes it anew, with the same data.
CONTAINER: Final = ("image", "network", "alias", "ports", "environment", "mount", "script", "temporary", "memory")


class GitServerProvider(ResourceProvider):
    """Creates, heals and deletes a Gitea in a container, with its users, its repository and its webhook.

    Inputs: ``name`` (of the container and its volume), ``stack``, those of ``CONTAINER``, those of ``SECRETS``,
    ``webhook_url``, ``setup`` (a digest of the script), ``files`` (the first commit: content by path), ``restore``
    (whether to begin from the newest backup) and ``timeout`` (seconds).
    Outputs: the inputs (to be marked secret by the resource: ``SECRETS``) and ``made_at`` (which engine has it).
    """

    def diff(self, _id: str, _olds: dict[str, Any], _news: dict[str, Any]) -> DiffResult:
        """Compare what was asked for, and what Docker runs, with what is wanted."""
        if any(_olds.get(key) != _news.get(key) for key in ("name", "stack")):
            # The one that goes is backed up before the other one begins.
            return DiffResult(changes=True, replaces=["name"], delete_before_replace=True)
        compared = (*CONTAINER, *SECRETS, "webhook_url", "setup")
        changes = any(_olds.get(key) != _news.get(key) for key in compared)
        if not changes:
            try:
                changes = engine.is_at(_olds["made_at"]) and not containers.is_whole(spec(_news))
            except engine.UnreachableError:
                changes = False  # nothing is known, so nothing is planned
        return DiffResult(changes=changes, stables=["name", "stack"])

    def create(self, props: dict[str, Any]) -> CreateResult:
        """Make it, or take over what an interrupted run has left."""
        return CreateResult(id_=secrets.token_hex(8), outs=_made(props))

    def update(self, _id: str, _olds: dict[str, Any], _news: dict[str, Any]) -> UpdateResult:
        """Make the container anew where it is lost or otherwise, and set it up again."""
        return UpdateResult(outs=_made(_news))

    def read(self, id_: str, props: dict[str, Any]) -> ReadResult:
        """Say whether its data are still there; for `pulumi refresh`. A lost container alone is healed by an update."""
        try:
            gone = engine.is_at(props["made_at"]) and containers.inspect("volume", props["name"]) is None
        except engine.UnreachableError:
            gone = False
        return ReadResult("", {}) if gone else ReadResult(id_, props)

    def delete(self, _id: str, _props: dict[str, Any]) -> None:
        """Write a bundle of what users have committed, then remove the container, its volume and its network.

        Raises:
            LabError: it is at another engine, or its repositories can't be saved; nothing is removed then.
        """
        wanted, made_at = spec(_props), _props["made_at"]
        if not engine.is_at(made_at):
            raise LabError(
                f"The Git server {wanted.name} is at the Docker engine {made_at['endpoint']} of {made_at['name']}, "
                "not at this one",
                why="only there it can be deleted",
                fix="run `make destroy` there (`docker context use` changes the engine); if it is gone for good, "
                "`pulumi state delete URN`",
            )
        if (containers.labels("volume", wanted.name) or {}).get(containers.STACK_LABEL) == wanted.stack:
            for path in _back_up(wanted):
                print(f"kept what was pushed to Git: {path.relative_to(git_backups.FOLDER.parents[1])}", flush=True)
        containers.remove(wanted)


def spec(props: Mapping[str, Any]) -> ContainerSpec:
    """Return the container of a Git server with these inputs."""
    return ContainerSpec(name=props["name"], stack=props["stack"], **{key: props[key] for key in CONTAINER})


def _back_up(wanted: ContainerSpec) -> list[Path]:
    try:
        return git_backups.write(
            wanted.stack, lambda script, into: containers.inside(wanted, script, timeout=BACKUP, into=into)
        )
    except (CommandError, OSError) as error:
        raise LabError(
            f"What was pushed to the Git server {wanted.name} can't be saved, so that it is not removed",
            why=str(error),
            fix="see whether the disk has room, and run again; when it is worth nothing, `docker rm --force "
            f"{wanted.name}; docker volume rm {wanted.name}`",
        ) from error


def _made(props: dict[str, Any]) -> dict[str, Any]:
    """Make the container and set it up; return the outputs."""
    wanted = spec(props)
    if not containers.is_whole(wanted):
        containers.make(wanted)
    timeout = float(props["timeout"])
    restore = git_backups.newest(wanted.stack, OURS) if props["restore"] else None
    try:
        if restore:
            containers.put(wanted, restore, RESTORE, timeout=BACKUP)
        said = containers.inside(wanted, setup(props, RESTORE if restore else ""), timeout=timeout + BACKUP)
        if restore:
            containers.inside(wanted, f"rm -f {RESTORE}", timeout=timeout)
    except CommandError as error:
        fix = f"`docker logs {wanted.name}`, or docs/troubleshooting.md"
        if restore and RESTORE in str(error):
            fix = f"move {restore} away, or `pulumi config set iot:gitRestore false` to begin without"
        raise LabError(f"The Git server {wanted.name} can't be set up", why=error.why, fix=fix) from error
    if said:
        print(said, flush=True)
    return {**props, "made_at": engine.whereabouts()}


def setup(props: Mapping[str, Any], restore: str) -> str:
    """Return the script that sets a Git server up, with what it is given.

    Args:
        props: the inputs, with secrets.
        restore: path of a bundle in the container that takes the place of the first commit; empty when there is none.
    """
    given = {
        "OWNER_PASSWORD": props["owner_password"],
        "READER_PASSWORD": props["reader_password"],
        "WEBHOOK_URL": props["webhook_url"],
        "WEBHOOK_SECRET": props["webhook_secret"],
        "FILES": base64.b64encode(_archive(props["files"])).decode(),
        "RESTORE": restore,
        "TIMEOUT": str(int(props["timeout"])),
    }
    lines = [f"{key}={shlex.quote(value)}\n" for key, value in given.items()]
    return "".join(lines) + SETUP.read_text(encoding="utf-8")


def _archive(files: Mapping[str, str]) -> bytes:
    archive = io.BytesIO()
    with tarfile.open(fileobj=archive, mode="w:gz") as tar:
        for path, content in files.items():
            entry = tarfile.TarInfo(path)
            data = content.encode()
            entry.size, entry.mode = len(data), 0o644
            tar.addfile(entry, io.BytesIO(data))
    return archive.getvalue()
