"""Where the desired state lives: an embedded Gitea beside the cluster, or any Git repository."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import urlsplit

import pulumi
from pulumi.dynamic import Resource

from components.core import versions
from components.core.dynamic import Provider
from components.core.names import EMBEDDED_BRANCH
from components.core.random_secret import RandomSecret
from components.core.run import module_hash
from components.docker.container import ContainerSpec
from components.gitops.git_provider import SECRETS, SETUP
from components.gitops.gitea import OWNER

if TYPE_CHECKING:
    from collections.abc import Mapping

READER: Final = "argocd"  # may read it and nothing else
REPOSITORY: Final = "iot"  # the only one, where there are no environments
HTTP: Final = 3000
# Its name on the cluster's network, for pods too: the cluster's DNS asks Docker's for what it does not know. Gitea has
# to call itself by it in its webhooks: Argo CD compares the host in them with the one in the Application. The domain is
# reserved for private use: https://www.icann.org/en/board-activities-and-meetings/materials/approved-resolutions-special-meeting-of-the-icann-board-29-07-2024-en
HOST: Final = "git.iot.internal"
DATA: Final = "/var/lib/gitea"
# The key of what Gitea encrypts in its database, such as the users' second factors, is made beside that, and seen by
# nobody else; without one, Gitea uses a key that all know.
START: Final = f"""umask 077
key={DATA}/secret_key
[ -s "$key" ] || head -c 48 /dev/urandom | base64 -w 0 >"$key"
exec /usr/bin/dumb-init -- /usr/local/bin/docker-entrypoint.sh
"""


@dataclass(frozen=True, kw_only=True)
class GitRepository:
    """A repository that Argo CD follows, and how to read and write it.

    Attributes:
        url: as Argo CD sees it.
        push_url: as this host sees it.
        username: who may read it; empty for a public one.
        password: of that user, as a secret, or None.
        ssh_key: a private key instead, as a secret, or None.
        push_username: who may write; empty when Git's own credentials are used.
        push_password: of that user, as a secret, or None.
        ready: what has to exist before it can be read.
        container: the name of the one with it on this host; empty when it is elsewhere.
    """

    url: str
    push_url: str
    username: str
    password: pulumi.Output[str] | None
    ssh_key: pulumi.Output[str] | None
    push_username: str
    push_password: pulumi.Output[str] | None
    ready: list[pulumi.Resource]
    container: str = ""


@dataclass(frozen=True, kw_only=True)
class Rule:
    """What protects the branches of a repository.

    Attributes:
        branch: its name, or a pattern that stands for those that no other rule names.
        pushers: who may push to it; everybody else goes through a pull request.
        approvals: how many a pull request needs before it is merged.
        approvers: who may approve and merge it; empty means everybody who may write.
        force: whether those who may push may rewrite it.
    """

    branch: str
    pushers: tuple[str, ...] = ()
    approvals: int = 0
    approvers: tuple[str, ...] = ()
    force: bool = False


@dataclass(frozen=True, kw_only=True)
class Repository:
    """A repository of the embedded Git server.

    Attributes:
        branches: the first commit of each: content by path.
        message: of these commits.
        members: read or write, by user.
        rules: what protects its branches.
        kept: a folder whose content stays what ``branches`` says; empty for none. All else is the users'.
        followed: whether Argo CD is told of its pushes.
        variables: what its workflows know.
        secrets: what its workflows know and nobody is shown: the password of a user, by name.
    """

    branches: Mapping[str, Mapping[str, str]]
    message: str
    members: Mapping[str, str] = field(default_factory=dict)
    rules: tuple[Rule, ...] = ()
    kept: str = ""
    followed: bool = True
    variables: Mapping[str, str] = field(default_factory=dict)
    secrets: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class GitServerArgs:
    """An embedded Gitea with private repositories.

    Attributes:
        container: name of its container and of the volume with its data.
        network: the Docker network that the cluster is on.
        stack: whose it is.
        bind_address: where this host listens.
        ports: of this host.
        push_url: where this host reaches it, without a slash at the end.
        users: what signs in besides its owner; each sees only repositories that it is a member of.
        people: who does, with their passwords, secrets.
        repositories: by name.
        restore: whether to begin from the newest backups, when there are any.
        webhook_url: what is told of every push, on that network.
        webhook_secret: what the webhook is signed with, as a secret.
        timeout: seconds until it has to be ready.
        actions: whether repositories have workflows.
        metrics: whether it says how it is doing at /metrics, to whom reaches it.
    """

    container: str
    network: str
    stack: str
    bind_address: str
    ports: tuple[int, ...]
    push_url: str
    users: tuple[str, ...]
    people: Mapping[str, pulumi.Output[str]] = field(default_factory=dict)
    repositories: Mapping[str, Repository]
    restore: bool
    webhook_url: str
    webhook_secret: pulumi.Output[str]
    timeout: int
    actions: bool = False
    metrics: bool = False


class GitServer(pulumi.ComponentResource):
    """A Gitea beside the cluster, filled once and then left to its users.

    It is a container of the host's Docker engine: what is pushed outlives the cluster that it describes.

    Type token ``iot:git:GitServer``. Makes a dynamic resource named ``{name}-server`` and a random password for its
    owner and for each of ``users``.

    Attributes:
        passwords: by user, the owner's too; secrets.
        container: its name.
        push_url: where this host reaches it, without a slash at the end.
        address: where what is on its network reaches it, likewise.
        data: changes when it has lost its data.
        ready: what has to be there before it can be asked for anything.
    """

    def __init__(self, name: str, args: GitServerArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("iot:git:GitServer", name, {"container": args.container, "pushUrl": args.push_url}, opts)
        own = pulumi.ResourceOptions(parent=self)
        # The reader's is named so since before there were others.
        resources = {OWNER: "owner", READER: "reader"}
        self.passwords = {
            user: RandomSecret(f"{name}-{resources.get(user, user)}", own).value for user in (OWNER, *args.users)
        } | dict(args.people)
        self.container = args.container
        self.push_url, self.address = args.push_url, f"http://{HOST}:{HTTP}"
        self._server = _Server(f"{name}-server", args, self.passwords, own)
        self.data: pulumi.Output[str] = self._server.data
        self.ready: list[pulumi.Resource] = [self._server]
        self.register_outputs({"pushUrl": args.push_url, "repositories": sorted(args.repositories)})

    def repository(self, name: str, *, writer: str = OWNER) -> GitRepository:
        """Return one of its repositories.

        Args:
            name: of the repository.
            writer: as whom people write it.
        """
        return GitRepository(
            url=url(name),
            push_url=f"{self.push_url}/{OWNER}/{name}.git",
            username=READER,
            password=self.passwords[READER],
            ssh_key=None,
            push_username=writer,
            push_password=self.passwords[writer],
            ready=self.ready,
            container=self.container,
        )


class _Server(Resource, module="git", name="Server"):
    """The container, its data, and what is set up in it."""

    data: pulumi.Output[str]

    def __init__(
        self,
        name: str,
        args: GitServerArgs,
        passwords: Mapping[str, pulumi.Output[str]],
        opts: pulumi.ResourceOptions,
    ) -> None:
        super().__init__(
            Provider("git-server"),
            name,
            {
                **asdict(container(args)),
                "owner_password": passwords[OWNER],
                "passwords": {user: password for user, password in passwords.items() if user != OWNER},
                "webhook_url": args.webhook_url,
                "webhook_secret": args.webhook_secret,
                "setup": module_hash(*SETUP),
                "repositories": {key: asdict(each) for key, each in args.repositories.items()},
                "rights": {key: _rights(each) for key, each in args.repositories.items()},
                "restore": args.restore,
                "timeout": args.timeout,
                "made_at": None,
                "data": None,
            },
            pulumi.ResourceOptions.merge(
                opts,
                pulumi.ResourceOptions(
                    additional_secret_outputs=[*SECRETS],
                    delete_before_replace=True,
                    custom_timeouts=pulumi.CustomTimeouts(create=f"{args.timeout * 2}s", update=f"{args.timeout * 2}s"),
                ),
            ),
        )


def url(repository: str) -> str:
    """Return where Argo CD reaches a repository."""
    return f"http://{HOST}:{HTTP}/{OWNER}/{repository}.git"


def _rights(repository: Repository) -> dict[str, Any]:
    """Return what of a repository stays as it is wanted, in whatever way its users change the rest."""
    return {
        "members": dict(repository.members),
        "variables": dict(repository.variables),
        "secrets": dict(repository.secrets),
        "rules": [asdict(each) for each in repository.rules],
        "branches": sorted(repository.branches),
        "kept": {
            f"{branch}:{path}": text
            for branch, files in repository.branches.items()
            for path, text in files.items()
            if repository.kept and path.startswith(f"{repository.kept}/")
        },
    }


def container(args: GitServerArgs) -> ContainerSpec:
    """Return the container (https://docs.gitea.com/installation/install-with-docker-rootless)."""
    return ContainerSpec(
        name=args.container,
        stack=args.stack,
        image=versions.GITEA_IMAGE,
        network=args.network,
        alias=HOST,
        ports=[f"{args.bind_address}:{port}:{HTTP}" for port in args.ports],
        mount=DATA,
        script=START,
        environment=_settings(urlsplit(args.webhook_url).hostname or "", actions=args.actions)
        | ({"GITEA__metrics__ENABLED": "true"} if args.metrics else {}),
        # Its configuration is with its data.
        temporary=["/tmp", "/etc/gitea"],  # noqa: S108 - in the container
        memory="512m",
    )


def _settings(webhook_host: str, *, actions: bool) -> dict[str, str]:
    """Return Gitea's settings (https://docs.gitea.com/administration/config-cheat-sheet) as environment variables.

    Args:
        webhook_host: the only host that webhooks may reach.
        actions: whether repositories have workflows; what these use is here, too, and on no other server.
    """
    return {
        "GITEA_APP_INI": f"{DATA}/app.ini",
        "GITEA__server__ROOT_URL": f"http://{HOST}:{HTTP}/",
        "GITEA__server__DISABLE_SSH": "true",
        "GITEA__server__START_SSH_SERVER": "false",
        "GITEA__server__OFFLINE_MODE": "true",
        "GITEA__database__DB_TYPE": "sqlite3",
        # Queues in files are looked at every 2 s, which a push and its webhook would wait for one after the other.
        "GITEA__queue__TYPE": "channel",
        "GITEA__security__INSTALL_LOCK": "true",
        "GITEA__security__SECRET_KEY_URI": f"file:{DATA}/secret_key",
        # Webhooks reach Argo CD, and nothing else.
        "GITEA__security__ALLOWED_HOST_LIST": webhook_host,
        "GITEA__service__DISABLE_REGISTRATION": "true",
        "GITEA__service__REQUIRE_SIGNIN_VIEW": "true",
        "GITEA__openid__ENABLE_OPENID_SIGNIN": "false",
        "GITEA__repository__DEFAULT_BRANCH": EMBEDDED_BRANCH,
        "GITEA__actions__ENABLED": str(actions).lower(),
        **({"GITEA__actions__DEFAULT_ACTIONS_URL": "self"} if actions else {}),
        "GITEA__packages__ENABLED": "false",
        "GITEA__cron__ENABLED": "false",
        "GITEA__log__LEVEL": "Warn",
    }
