"""The life of the embedded Git server as a Pulumi resource that notices when it is lost, and loses no commit itself."""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING, Any, Final

import yaml
from pulumi.dynamic import DiffResult, UpdateResult

from components.core import wait
from components.core.errors import LabError
from components.core.names import EMBEDDED_BRANCH
from components.core.run import CommandError
from components.docker import container as containers
from components.docker import container_provider
from components.docker.container_provider import ContainerProvider, spec
from components.gitops import git_backups, gitea
from components.gitops.git_content import KEPT, Content

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from pathlib import Path

    from components.docker.container import ContainerSpec

# What sets it up, by whose texts it is set up again when one of them is another.
SETUP: Final = ("components.gitops.git_provider", "components.gitops.git_content", "components.gitops.gitea")
BACKUP: Final = 600.0  # seconds for all bundles
EVERY: Final = 0.2  # seconds between two looks whether it serves
SECRETS: Final = ("owner_password", "passwords", "webhook_secret")
# What it is made anew for, with the same data; the rest matters at its beginning only.
COMPARED: Final = (*container_provider.FIELDS, *SECRETS, "webhook_url", "setup", "rights")


class GitServerProvider(ContainerProvider):
    """Creates, heals and deletes a Gitea in a container, with its users, its repositories and their webhooks.

    Inputs: those of the container, ``SECRETS`` (``passwords`` by user), ``webhook_url``, ``setup`` (a digest of
    ``SETUP``), ``repositories`` (by name, each with the fields of ``Repository``), ``rights`` (what of these is kept so
    later, too), ``restore`` (whether to begin from the newest backups) and ``timeout`` (seconds).
    Outputs: the inputs (to be marked secret by the resource: ``SECRETS``), ``made_at`` (which engine has it) and
    ``data`` (when its volume was made).
    """

    def diff(self, _id: str, _olds: dict[str, Any], _news: dict[str, Any]) -> DiffResult:
        """Compare as a container is compared, and how it is set up."""
        return DiffResult(changes=container_provider.differs(_olds, _news, COMPARED), stables=["stack"])

    def update(self, _id: str, _olds: dict[str, Any], _news: dict[str, Any]) -> UpdateResult:
        """Make it anew where it is lost or otherwise; one of another name begins with what the one before had."""
        if _olds["name"] == _news["name"]:
            return super().update(_id, _olds, _news)
        self.delete(_id, _olds)
        return UpdateResult(outs=self._begun(_news, _olds["name"]))

    def delete(self, _id: str, _props: dict[str, Any]) -> None:
        """Write a bundle of what users have committed, then remove the container, its volume and its network.

        Raises:
            LabError: it is at another engine, or its repositories can't be saved; nothing is removed then.
        """
        wanted = container_provider.here(_props)
        if containers.is_ours("volume", wanted.name, wanted.stack):
            containers.stop(wanted)  # what is pushed while it is saved would be lost
            for path in _back_up(wanted, _props.get("repositories", ())):
                print(f"kept what was pushed to Git: {path.relative_to(git_backups.FOLDER.parents[1])}", flush=True)
        containers.remove(wanted)

    def _made(self, props: dict[str, Any]) -> dict[str, Any]:
        """Make the container and set it up; return the outputs."""
        return self._begun(props, props["name"] if props["restore"] else "")

    def _begun(self, props: dict[str, Any], backups: str) -> dict[str, Any]:
        """Make the container and set it up; repositories without a commit begin with the backups of a server's name."""
        outs = super()._made(props)
        wanted, timeout = spec(props), float(props["timeout"])
        try:
            with wait.told(f"setting {wanted.name} up", most=timeout):
                set_up(wanted, props, backups)
        except LabError as error:
            fix = error.fix or f"`docker logs {wanted.name}`, or docs/troubleshooting.md"
            what = f"The Git server {wanted.name} can't be set up"
            raise LabError(what, why=f"{error.what}, {error.why}" if error.why else error.what, fix=fix) from error
        there = containers.inspect("volume", wanted.name) or {}
        return {**outs, "data": there.get("CreatedAt", "")}


def set_up(wanted: ContainerSpec, props: Mapping[str, Any], backups: str) -> None:
    """Make what is not as it should be in a Git server that runs.

    Args:
        wanted: its container.
        props: the resource's inputs.
        backups: the name of a server; repositories without a commit begin with its newest backups. Empty for none.

    Raises:
        LabError: it does not serve in time, or refuses something.
    """
    timeout, password = float(props["timeout"]), props["owner_password"]
    address, port, _ = wanted.ports[0].rsplit(":", 2)
    server = gitea.Gitea(f"http://{'127.0.0.1' if address == '0.0.0.0' else address}:{port}")  # noqa: S104 - compared
    wait.until(server.healthy, timeout=timeout, every=EVERY, also=containers.still_runs(wanted.name))
    mine = gitea.owner(server, password, lambda script: containers.inside(wanted, script, timeout=timeout))
    for user, its_password in props["passwords"].items():
        gitea.ensure_user(mine, user, its_password)
    for name, repository in props["repositories"].items():
        gitea.ensure_repository(mine, name)
        found = {key: props["passwords"][user] for key, user in repository["secrets"].items()}
        gitea.ensure_workflows(mine, name, repository["variables"], found)
        _fill(Content(f"{server.url}/{gitea.OWNER}/{name}.git", password), name, repository, backups)
        gitea.ensure_rights(mine, name, repository["members"], repository["rules"])
        if repository["rules"]:
            gitea.ensure_no_tags(mine, name)
        if repository["followed"]:
            gitea.ensure_webhook(mine, name, props["webhook_url"], props["webhook_secret"])


def _fill(content: Content, name: str, repository: Mapping[str, Any], backups: str) -> None:
    there = content.heads()
    backup = git_backups.newest(backups, f"{gitea.OWNER}/{name}") if backups else None
    if not there and backup:
        content.restore(backup, unbuilt=EMBEDDED_BRANCH if repository["variables"] else "")
        print(f"{name} begins with what was kept of it: {backup.name}", flush=True)
        there = content.heads()
    branches = repository["branches"]
    if repository["kept"] and EMBEDDED_BRANCH in there:
        branches = _carried(content, branches, repository["kept"], there)
    # The first one that is pushed becomes the repository's default.
    for branch, files in sorted(branches.items(), key=lambda each: each[0] != EMBEDDED_BRANCH):
        if branch not in there:
            content.begin(branch, files, repository["message"])
        elif repository["kept"]:
            content.keep(branch, files, repository["kept"], KEPT.format(repository["kept"]))


def _carried(
    content: Content, branches: Mapping[str, Mapping[str, str]], kept: str, there: set[str]
) -> dict[str, dict[str, str]]:
    """Bring what an Application follows along to the branch that it is to follow from now on, as it is by now.

    Args:
        content: the repository.
        branches: how branches begin: content by path.
        kept: the folder with Applications, on the first branch.
        there: the branches that are there.

    Returns:
        How branches begin that are not there, which have it; to others it is committed.
    """
    wanted = {name: dict(files) for name, files in branches.items()}
    was = _followed(content.files(EMBEDDED_BRANCH), kept)
    for name, (branch, folder) in _followed(wanted[EMBEDDED_BRANCH], kept).items():
        before, its_folder = was.get(name, (branch, folder))
        if before == branch or before not in there or its_folder != folder:
            continue
        mine = {path: text for path, text in content.files(before).items() if not path.startswith(f"{kept}/")}
        wanted[branch] |= {path: text for path, text in mine.items() if path.startswith(f"{folder}/")}
        if branch in there:
            content.keep(branch, wanted[branch], folder, f"Bring {name} along from {before}")
        else:
            wanted[branch] |= {path: mine[path] for path in wanted[branch] if path in mine}
    return wanted


def _followed(files: Mapping[str, str], kept: str) -> dict[str, tuple[str, str]]:
    """Return the branch and the folder that each Application in a folder follows, by name."""
    found = {}
    for path, text in files.items():
        if path.startswith(f"{kept}/"):
            # What people have made of it meanwhile may be anything.
            with suppress(yaml.YAMLError, TypeError, KeyError):
                one = yaml.safe_load(text)
                source = one["spec"]["source"]
                branch = str(source["targetRevision"]).removeprefix("refs/heads/")
                found[str(one["metadata"]["name"])] = (branch, str(source["path"]))
    return found


def _back_up(wanted: ContainerSpec, repositories: Iterable[str]) -> list[Path]:
    ours = [f"{gitea.OWNER}/{name}" for name in repositories]
    try:
        return git_backups.write(
            wanted.name, ours, lambda script, into: containers.inside(wanted, script, timeout=BACKUP, into=into)
        )
    except (CommandError, OSError) as error:
        raise LabError(
            f"What was pushed to the Git server {wanted.name} can't be saved, so that it is not removed",
            why=str(error),
            fix="see whether the disk has room, and run again (`make up` starts the server, from which everything can "
            "be cloned); when it is worth nothing, `docker rm --force "
            f"{wanted.name}; docker volume rm {wanted.name}`",
        ) from error
