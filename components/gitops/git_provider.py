"""The life of the embedded Git server as a Pulumi resource that notices when it is lost, and loses no commit itself."""

from __future__ import annotations

import base64
import io
import shlex
import tarfile
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from pulumi.dynamic import DiffResult, UpdateResult

from components.core import wait
from components.core.errors import LabError
from components.core.run import CommandError
from components.docker import container as containers
from components.docker import container_provider
from components.docker.container_provider import ContainerProvider, spec
from components.gitops import git_backups

if TYPE_CHECKING:
    from collections.abc import Mapping

    from components.docker.container import ContainerSpec

SETUP: Final = Path(__file__).with_name("gitea-setup.sh")
OURS: Final = "iot/iot"  # the repository that Argo CD follows
RESTORE: Final = "/var/lib/gitea/restore.bundle"
BACKUP: Final = 600.0  # seconds for all bundles
SECRETS: Final = ("owner_password", "reader_password", "webhook_secret")
# What it is made anew for, with the same data; the rest matters at its beginning only.
COMPARED: Final = (*container_provider.FIELDS, *SECRETS, "webhook_url", "setup")


class GitServerProvider(ContainerProvider):
    """Creates, heals and deletes a Gitea in a container, with its users, its repository and its webhook.

    Inputs: those of the container, ``SECRETS``, ``webhook_url``, ``setup`` (a digest of the script), ``files`` (the
    first commit: content by path), ``restore`` (whether to begin from the newest backup) and ``timeout`` (seconds).
    Outputs: the inputs (to be marked secret by the resource: ``SECRETS``) and ``made_at`` (which engine has it).
    """

    def diff(self, _id: str, _olds: dict[str, Any], _news: dict[str, Any]) -> DiffResult:
        """Compare as a container is compared, and how it is set up."""
        return DiffResult(changes=container_provider.differs(_olds, _news, COMPARED), stables=["stack"])

    def update(self, _id: str, _olds: dict[str, Any], _news: dict[str, Any]) -> UpdateResult:
        """Make it anew where it is lost or otherwise; one of another name begins with what the one before had."""
        if _olds["name"] == _news["name"]:
            return super().update(_id, _olds, _news)
        self.delete(_id, _olds)
        return UpdateResult(outs=self._begun(_news, git_backups.newest(_olds["name"], OURS)))

    def delete(self, _id: str, _props: dict[str, Any]) -> None:
        """Write a bundle of what users have committed, then remove the container, its volume and its network.

        Raises:
            LabError: it is at another engine, or its repositories can't be saved; nothing is removed then.
        """
        wanted = container_provider.here(_props)
        if (containers.labels("volume", wanted.name) or {}).get(containers.STACK_LABEL) == wanted.stack:
            for path in _back_up(wanted):
                print(f"kept what was pushed to Git: {path.relative_to(git_backups.FOLDER.parents[1])}", flush=True)
        containers.remove(wanted)

    def _made(self, props: dict[str, Any]) -> dict[str, Any]:
        """Make the container and set it up; return the outputs."""
        return self._begun(props, git_backups.newest(props["name"], OURS) if props["restore"] else None)

    def _begun(self, props: dict[str, Any], restore: Path | None) -> dict[str, Any]:
        """Make the container and set it up, with what a backup has when its repository is empty."""
        outs = super()._made(props)
        wanted, timeout = spec(props), float(props["timeout"])
        try:
            if restore:
                containers.put(wanted, restore, RESTORE, timeout=BACKUP)
            with wait.told(f"setting {wanted.name} up", most=timeout):
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
        return outs


def _back_up(wanted: ContainerSpec) -> list[Path]:
    try:
        return git_backups.write(
            wanted.name, lambda script, into: containers.inside(wanted, script, timeout=BACKUP, into=into)
        )
    except (CommandError, OSError) as error:
        raise LabError(
            f"What was pushed to the Git server {wanted.name} can't be saved, so that it is not removed",
            why=str(error),
            fix="see whether the disk has room, and run again; when it is worth nothing, `docker rm --force "
            f"{wanted.name}; docker volume rm {wanted.name}`",
        ) from error


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
