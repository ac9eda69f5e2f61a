"""The settings of a stack: read once, typed, checked together, and immutable from then on.

This is the only module that reads ``pulumi.Config``. Each subject is a class. A field says which key it is read from
(``alias``), what it may be, and what a message about it expects (``description``; of a number the limits say it).
Defaults, and descriptions for users, are in Pulumi.yaml.
"""

from __future__ import annotations

import difflib
import ipaddress
import itertools
import re
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final, Literal, NamedTuple, TypeVar, get_args

import pulumi
from pulumi.runtime.config import is_config_secret
from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    Field,
    Json,
    PlainValidator,
    TypeAdapter,
    ValidationError,
    ValidationInfo,
)
from pydantic_core import PydanticCustomError

from components.core import names, versions
from components.core.errors import LabError, all_of
from components.core.names import EMBEDDED_BRANCH, IMAGE, PARTS, PROGRESSIVE, PROJECT, Delivery

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping

    from pydantic_core import ErrorDetails

Provider = Literal["virtualbox", "libvirt", "docker"]

VAGRANT_PROVIDERS: Final[tuple[str, ...]] = get_args(Provider)
# https://docs.k3s.io/cli/server: the arguments whose values let somebody in.
K3S_SECRETS: Final = (
    "token",
    "agent-token",
    "datastore-endpoint",
    "etcd-s3-access-key",
    "etcd-s3-secret-key",
    "etcd-s3-session-token",
    "vpn-auth",
)
NAME: Final = 32  # characters that a k3d cluster's name has at most
# Which no environment can be named.
RESERVED: Final = ("argo-rollouts", "argocd", "default", "environments", "monitoring", "sealed-secrets")
_CREDENTIALS: Final = re.compile(r"://[^\s/@]*@")
_LABEL: Final = r"[a-z0-9]([-a-z0-9]*[a-z0-9])?"
_MAIL: Final = 'to, from and a server, such as {"to": "a@a.example", "from": "b@a.example", "server": "a.example:587"}'
_PLAIN_TEXT: Final = "a secret, but it is kept in plain text"


class _Secret(str):
    """The value of a key that is kept as a secret."""

    __slots__ = ()


def _existing(kind: str, good: Callable[[Path], bool]) -> PlainValidator:
    """Accept nothing, or a path that is there; a relative one is relative to the project."""

    def check(raw: str | None, info: ValidationInfo[Path]) -> Path | None:
        if not raw:
            return None
        path = info.context / Path(raw).expanduser()
        if not good(path):
            raise PydanticCustomError("expected", f"{kind}; there is none at {path}")
        return path

    return PlainValidator(check)


def _pinned(reference: str) -> str:
    match = IMAGE.fullmatch(reference)
    if not match or match["tag"] == "latest" or not (match["tag"] or match["digest"]):
        words = "an image with a tag that is not latest, such as registry.example/flask-app:v1"
        raise PydanticCustomError("expected", words)
    return reference


def _no_parent(path: str) -> str:
    if ".." in Path(path).parts:
        raise ValueError(path)
    return path


def _password(raw: str) -> pulumi.Output[str] | None:
    if raw and not isinstance(raw, _Secret):
        raise PydanticCustomError("expected", _PLAIN_TEXT)
    return pulumi.Output.secret(str(raw)) if raw else None


def _secret_url(raw: str) -> pulumi.Output[str] | None:
    if raw and not re.fullmatch(r"https?://[^\s/]+(/\S*)?", raw):
        raise PydanticCustomError("expected", "a URL, such as https://chat.example/hooks/1")
    return _password(raw)


def _with_server(mail: object) -> object:
    needed = {"to", "from", "server"}
    if not isinstance(mail, dict) or not (not mail or needed <= set(mail) <= {*needed, "username"}):
        raise PydanticCustomError("expected", _MAIL)
    return mail or None


def _no_plain_secret(argument: str, info: ValidationInfo[bool]) -> str:
    name = argument.partition("=")[0]
    if name.removeprefix("--") in K3S_SECRETS and not info.context:
        raise PydanticCustomError("expected", _PLAIN_TEXT, {"secret": name})
    return argument


def _k3s_args(raw: str) -> tuple[str, ...] | pulumi.Output[tuple[str, ...]]:
    secret = isinstance(raw, _Secret)
    arguments = _K3S_ARGS.validate_python(raw, context=secret)
    return pulumi.Output.secret(arguments) if secret else arguments


def _with_host(app: object) -> object:
    if not isinstance(app, dict) or not {"host"} <= set(app) <= {"host", "replicas"}:
        raise PydanticCustomError("expected", 'a host and replicas, such as {"host": "app1.com", "replicas": 1}')
    return app


def _with_port(environment: object) -> object:
    known = {"port", "after", "sync", "approvals", "cluster", "delivery"}
    if not isinstance(environment, dict) or not {"port"} <= set(environment) <= known:
        words = 'a port, and after, sync and approvals where there are any, such as {"port": 30011, "after": "dev"}'
        raise PydanticCustomError("expected", words)
    return environment


def _environments(raw: str) -> tuple[EnvironmentSettings, ...]:
    found = [each.model_copy(update={"name": name}) for name, each in _ENVIRONMENTS.validate_python(raw).items()]
    # The engine hands objects over in no order of their own.
    ordered: list[EnvironmentSettings] = []
    while ready := [each for each in found if each.after in {"", *(one.name for one in ordered)}]:
        ordered += sorted(ready, key=lambda each: each.name)
        found = [each for each in found if each not in ready]
    if found:
        raise PydanticCustomError("expected", f"after of {found[0].name} to name an environment that comes before it")
    if [each.after for each in ordered].count("") > 1:
        raise PydanticCustomError("expected", "one environment alone without after, in which a version comes first")
    return tuple(ordered)


def _with_api(cluster: object) -> object:
    if not isinstance(cluster, dict) or set(cluster) not in ({"apiPort"}, {"kubeconfig"}, {"kubeconfig", "context"}):
        words = 'an apiPort for one that k3d makes, such as {"apiPort": 6551}, or the kubeconfig of an existing one'
        raise PydanticCustomError("expected", words)
    return cluster


def _clusters(raw: str, info: ValidationInfo[Path]) -> tuple[FurtherClusterSettings, ...]:
    found = _CLUSTERS.validate_python(raw, context=info.context).items()
    return tuple(each.model_copy(update={"name": name}) for name, each in sorted(found))


def _apps(raw: str) -> tuple[AppSettings, ...]:
    return tuple(app.model_copy(update={"name": name}) for name, app in _APPS.validate_python(raw).items())


def _spelled(pattern: str) -> BeforeValidator:
    """Accept what is spelled as the message says: pydantic by itself takes 5.0 for a number, and yes for true."""

    def check(raw: object) -> object:
        if isinstance(raw, str) and not re.fullmatch(pattern, raw):
            raise ValueError(raw)
        return raw

    return BeforeValidator(check)


T = TypeVar("T")
Whole = Annotated[int, _spelled(r"-?\d+")]
Flag = Annotated[bool, _spelled(r"(?i:true|false)")]
Maybe = Annotated[T | None, BeforeValidator(lambda raw: raw or None)]  # an empty value is None
Cpus = Annotated[Whole, Field(ge=1, le=64)]
Memory = Annotated[Whole, Field(ge=512, le=1 << 20)]  # MiB
Nodes = Annotated[Whole, Field(ge=0, le=20)]
Port = Annotated[Whole, Field(ge=1, le=65535)]
NodePort = Annotated[Whole, Field(ge=30000, le=32767)]
HostPorts = Annotated[
    Json[tuple[Annotated[Port, Field(strict=True)], ...]],
    Field(min_length=1, description="a list of ports from 1 to 65535, with at least one port in it"),
]
Address = Annotated[
    str, AfterValidator(lambda text: str(ipaddress.IPv4Address(text))), Field(description="an IPv4 address")
]
HostName = Annotated[str, Field(max_length=253, pattern=rf"^{_LABEL}(\.{_LABEL})*$")]
AppName = Annotated[str, Field(max_length=63, pattern=f"^{_LABEL}$")]
Image = Annotated[str, AfterValidator(_pinned)]
GitUrl = Annotated[str, Field(pattern=r"^(https?://[^\s/@]+/\S+|ssh://([^\s/@:]+@)?[^\s/@]+/\S+|[\w.-]+@[\w.-]+:\S+)$")]
Password = Annotated[pulumi.Output[str] | None, PlainValidator(_password), Field(repr=False)]
SecretUrl = Annotated[pulumi.Output[str] | None, PlainValidator(_secret_url), Field(repr=False)]
MailAddress = Annotated[
    str, Field(pattern=r"^[^\s@<>,]+@[^\s@<>,]+$", description="one address, such as ops@a.example")
]
K3sArgument = Annotated[str, Field(pattern=r"^--[^\s=-][^\s=]*(=(?s:.*))?$"), AfterValidator(_no_plain_secret)]


class SealingSettings(BaseModel, frozen=True):
    """Secrets in Git, which p3's clusters alone can read."""

    wanted: Flag = Field(alias="sealedSecrets", description="true or false")
    keys: Whole = Field(alias="sealingKeys", ge=1, le=9)  # what is sealed from now on is sealed with the last one
    chart: Annotated[Path | None, _existing("a chart, a folder or a .tgz", Path.exists)] = Field(
        alias="sealedSecretsChart"
    )


class MailSettings(BaseModel, frozen=True):
    """Who gets mail of an alert, and which server takes it."""

    to: MailAddress
    sender: MailAddress = Field(alias="from")
    server: str = Field(pattern=r"^[A-Za-z0-9.-]+:[0-9]{1,5}$", description="HOST:PORT, such as a.example:587")
    username: str = Field("", strict=True, description="the user that alertMailPassword belongs to")


class ObservabilitySettings(BaseModel, frozen=True):
    """What is seen of a stack, and told."""

    wanted: Flag = Field(alias="monitoring", description="true or false")
    grafana: Flag = Field(alias="grafana", description="true or false")  # whether it shows that, too
    # Who is told of an alert; those that are set, all of them.
    webhook: SecretUrl = Field(alias="alertWebhook")
    slack: SecretUrl = Field(alias="alertSlack")
    mail: Json[Annotated[MailSettings | None, BeforeValidator(_with_server)]] = Field(
        alias="alertMail", description=_MAIL
    )
    mail_password: Password = Field(alias="alertMailPassword")
    chart: Annotated[Path | None, _existing("a chart, a folder or a .tgz", Path.exists)] = Field(
        alias="prometheusChart"
    )


class MachineSettings(BaseModel, frozen=True):
    """The machines of p1 and p2."""

    login: str = Field(  # what the machines are named after
        alias="login",
        pattern=r"^[a-z]([-a-z0-9_]{0,30}[a-z0-9])?$",
        description="a login: lower case letters, digits, - and _, beginning with a letter",
    )
    provider: Provider = Field(alias="vagrantProvider", description=f"one of {', '.join(VAGRANT_PROVIDERS)}")
    box: str = Field(alias="vagrantBox")  # or an image for the docker provider; empty means the pinned one
    server_address: Address = Field(alias="serverAddress")  # on the private network
    server_cpus: Cpus = Field(alias="serverCpus")
    server_memory: Memory = Field(alias="serverMemory")
    agents: Nodes = Field(alias="agents")  # how many join the server
    agent_cpus: Cpus = Field(alias="agentCpus")  # of each
    agent_memory: Memory = Field(alias="agentMemory")  # of each
    # A folder with K3s's air-gap files; None means that K3s is downloaded.
    airgap_dir: Annotated[Path | None, _existing("a folder", Path.is_dir)] = Field(alias="k3sAirgapDir")
    # Further arguments of the K3s server; a secret when the setting is one.
    k3s_args: Annotated[tuple[str, ...] | pulumi.Output[tuple[str, ...]], PlainValidator(_k3s_args)] = Field(
        alias="k3sArgs", description="a list of arguments, each --name or --name=value"
    )

    def agent_address(self, number: int) -> str:
        """Return the IPv4 address of agent ``number``, counted from 1."""
        return str(ipaddress.IPv4Address(self.server_address) + number)


class AppSettings(BaseModel, frozen=True):
    """One of p2's apps."""

    name: str = ""  # of the Deployment, the Service and the app; what the host and the replicas are set below
    host: HostName = Field(description="a host name, such as app1.com")  # the Host header that leads to it
    replicas: int = Field(1, strict=True, ge=1, le=50, description="1 to 50 replicas")


class ImageSettings(BaseModel, frozen=True):
    """Which image the app runs."""

    stack: str
    # In a registry, with its tag or, for an existing cluster, its digest; None means that app/ is built.
    reference: Maybe[Image] = Field(alias="appImage")
    version: str = Field(alias="appVersion")  # the one that p2 runs when app/ is built
    ci: Flag = Field(alias="ci", description="true or false")  # whether versions come from CI, by the registry
    registry_port: Whole = Field(alias="registryPort", ge=0, le=65535)

    @property
    def built(self) -> str:
        """The name of the image that is built; every stack has one of its own, which goes with it."""
        if self.ci:
            # What CI pushes to the registry has the name of what is built here, and another tag.
            return f"localhost:{self.registry_port}/flask-app"
        # manifests/p3 names the image of the stack p3.
        return versions.APP_REPOSITORY if self.stack == "p3" else f"{versions.APP_REPOSITORY}-{self.stack.lower()}"

    @property
    def repository(self) -> str:
        """The image's name without its tag and its digest."""
        match = IMAGE.fullmatch(self.reference or "")
        return match["repository"] if match else self.built


class ClusterSettings(BaseModel, frozen=True):
    """The k3d cluster of p3, or the existing one that takes its place."""

    name: str = Field(
        alias="clusterName",
        max_length=NAME,
        pattern=f"^{_LABEL}$",
        description="a name of at most 32 lower case letters, digits and -",
    )
    servers: Annotated[Literal[1, 3, 5, 7, 9], BeforeValidator(int)] = Field(  # control plane nodes
        alias="servers", description="an odd number from 1 to 9, which etcd needs to agree"
    )
    agents: Nodes = Field(alias="agentNodes")  # worker nodes
    image: Annotated[Image, BeforeValidator(lambda raw: raw or versions.K3S_IMAGE)] = Field(alias="k3sImage")
    # An archive of K3s's own images, or None.
    images_archive: Annotated[Path | None, _existing("an archive of images", Path.is_file)] = Field(alias="k3sImages")
    api_port: Port = Field(alias="apiPort")
    registry_port: Whole = Field(alias="registryPort", ge=0, le=65535)  # of this host; 0 means no registry
    bind_address: Address = Field(alias="bindAddress")  # of every published port
    # Whether passwords may leave this host in clear.
    allow_plain_http: Flag = Field(alias="allowPlainHttp", description="true or false")
    node_host: HostName = Field(alias="nodeHost", description="a host name or an address")
    # Of an existing cluster; None means that k3d makes one.
    kubeconfig: Annotated[Path | None, _existing("a kubeconfig", Path.is_file)] = Field(alias="kubeconfig")
    context: Maybe[str] = Field(alias="kubeContext")  # in that kubeconfig; None means its current one


class PortSettings(BaseModel, frozen=True):
    """How one service of the cluster is reached; the first of the host's ports is shown to people."""

    node_port: NodePort
    host_ports: HostPorts


class _AppPort(PortSettings, frozen=True):
    node_port: NodePort = Field(alias="appNodePort")
    host_ports: HostPorts = Field(alias="appPorts")


class _ArgoCdPort(PortSettings, frozen=True):
    node_port: NodePort = Field(alias="argocdNodePort")
    host_ports: HostPorts = Field(alias="argocdPorts")


class GitSettings(BaseModel, frozen=True):
    """Where the desired state lives."""

    url: Maybe[GitUrl] = Field(  # None means the embedded Git server
        alias="gitUrl", description="https://..., ssh://... or user@host:path, without a password in it"
    )
    revision: str = Field(alias="gitRevision", pattern=r"^[\w./-]+$", description="a branch, tag or commit")
    path: Annotated[str, AfterValidator(_no_parent)] = Field(
        alias="gitPath",
        pattern=r"^[A-Za-z0-9._][A-Za-z0-9._-]*(/[A-Za-z0-9._-]+)*/?$",
        description="a folder inside the repository, relative to its root, without spaces",
    )
    username: str = Field(alias="gitUsername")  # for a private repository over HTTPS, or empty
    password: Password = Field(alias="gitPassword")  # for a private repository over HTTPS
    ssh_key: Password = Field(alias="gitSshKey")  # for a private repository over SSH
    ports: HostPorts = Field(alias="gitPorts")  # of this host, that lead to the embedded server
    # Whether a new embedded server begins with what the last one had, when that was kept.
    restore: Flag = Field(alias="gitRestore", description="true or false")


class FurtherClusterSettings(BaseModel, frozen=True):
    """A cluster besides Argo CD's own: one that k3d makes, or an existing one."""

    name: str = ""  # what environments call it
    api_port: int = Field(  # of this host, for its Kubernetes API; 0 for an existing one
        0, alias="apiPort", strict=True, ge=0, le=65535, description="a port from 1 to 65535"
    )
    kubeconfig: Annotated[Path | None, _existing("a kubeconfig", Path.is_file)] = None
    context: Maybe[str] = None


class EnvironmentSettings(BaseModel, frozen=True):
    """A namespace that follows a branch of the GitOps repository."""

    name: str = ""  # of the namespace, the Application and the AppProject; what the port is set below
    port: int = Field(  # the app's, of this host and of the nodes
        strict=True, ge=30000, le=32767, description="a port from 30000 to 32767"
    )
    # Which one a version comes from; empty for the first.
    after: str = Field("", strict=True, description="the name of the environment that a version comes from")
    sync: Literal["auto", "manual"] = Field("auto", description="auto or manual")
    cluster: str = Field("", strict=True, description="the name of one of iot:clusters")  # empty for Argo CD's own
    # Whether somebody else has to approve a change, which is the releaser; its branch is protected then.
    approvals: int = Field(0, strict=True, ge=0, le=1, description="0 or 1 approval")
    # How a version takes the place of the one before.
    delivery: Delivery = Field("deployment", description=f"one of {', '.join(get_args(Delivery))}")

    @property
    def progressive(self) -> bool:
        """Whether a version has to prove itself before it takes the place of the one before."""
        return self.delivery in PROGRESSIVE

    @property
    def ports(self) -> PortSettings:
        """How the app is reached in it."""
        return PortSettings.model_construct(node_port=self.port, host_ports=(self.port,))


class Settings(BaseModel, frozen=True, hide_input_in_errors=True):
    """Everything that a stack can be told."""

    stack: str
    part: str = Field(alias="part")  # one of PARTS
    timeout: Whole = Field(alias="timeout", ge=60, le=7200)  # seconds that one wait may take
    machines: MachineSettings  # for p1 and p2
    # p2's apps, in the order of the settings file.
    apps: Annotated[tuple[AppSettings, ...], PlainValidator(_apps)] = Field(
        alias="apps", description="apps by name; names are of lower case letters, digits and -"
    )
    default_app: str = Field(alias="defaultApp")  # answers for every other host; empty means the last one
    image: ImageSettings  # for p2 and p3
    cluster: ClusterSettings  # for p3, and so is what follows
    app_port: _AppPort
    argocd_port: _ArgoCdPort
    git: GitSettings
    sealing: SealingSettings
    observability: ObservabilitySettings
    # What a version goes through, in this order; without any, the app has the one namespace.
    environments: Annotated[tuple[EnvironmentSettings, ...], PlainValidator(_environments)] = Field(
        alias="environments", description="environments by name; names are of lower case letters, digits and -"
    )
    # Where environments can be besides Argo CD's own cluster; those that no environment is in are not made.
    clusters: Annotated[tuple[FurtherClusterSettings, ...], PlainValidator(_clusters)] = Field(
        alias="clusters", description="clusters by name; names are of lower case letters, digits and -"
    )
    argocd_chart: Annotated[Path | None, _existing("a chart, a folder or a .tgz", Path.exists)] = Field(
        alias="argocdChart"
    )
    rollouts_chart: Annotated[Path | None, _existing("a chart, a folder or a .tgz", Path.exists)] = Field(
        alias="rolloutsChart"
    )
    poll_interval: Whole = Field(alias="pollInterval", ge=10, le=3600)  # seconds between Argo CD's looks at Git

    @property
    def further_clusters(self) -> tuple[FurtherClusterSettings, ...]:
        """The clusters besides Argo CD's own that environments are in."""
        used = {each.cluster for each in self.environments}
        return tuple(each for each in self.clusters if each.name in used)

    @property
    def prometheus_node_port(self) -> int | None:
        """Where canaries in further clusters ask Prometheus about themselves; None when there are none."""
        asked = any(each.cluster and each.delivery == "canary" for each in self.environments)
        return names.PROMETHEUS_NODE_PORT if self.observability.wanted and asked else None

    @property
    def services(self) -> dict[str, PortSettings]:
        """What is reached from outside and is no environment, by what its settings begin with."""
        app = {} if self.environments else {"app": self.app_port}
        return {**app, "argocd": self.argocd_port}

    @property
    def node_ports(self) -> list[tuple[int, str]]:
        """The node ports that are taken, each with the key of its setting."""
        found = [(port.node_port, f"{name}NodePort") for name, port in self.services.items()]
        found += [(self.prometheus_node_port, "monitoring")] if self.prometheus_node_port else []
        # Those of another cluster are its own, but an environment may move.
        return found + [(each.port, "environments") for each in self.environments]


_K3S_ARGS: Final = TypeAdapter(Json[tuple[K3sArgument, ...]])
_APPS: Final = TypeAdapter(Json[dict[AppName, Annotated[AppSettings, BeforeValidator(_with_host)]]])
_ENVIRONMENTS: Final = TypeAdapter(Json[dict[AppName, Annotated[EnvironmentSettings, BeforeValidator(_with_port)]]])
_CLUSTERS: Final = TypeAdapter(Json[dict[AppName, Annotated[FurtherClusterSettings, BeforeValidator(_with_api)]]])
_SUBJECTS: Final[dict[str, Any]] = {
    name: field.annotation for name, field in Settings.model_fields.items() if not field.alias and name != "stack"
}
_INSIDE: Final = {
    **AppSettings.model_fields,
    **EnvironmentSettings.model_fields,
    **{
        field.alias or name: field
        for model in (FurtherClusterSettings, MailSettings)
        for name, field in model.model_fields.items()
    },
}
KEYS: Final = {
    field.alias: field
    for model in (Settings, *_SUBJECTS.values())
    for field in model.model_fields.values()
    if field.alias
}


def load(
    stack: str,
    defaults: Mapping[str, str],
    set_keys: Iterable[str],
    root: Path,
    places: Mapping[str, str] | None = None,
) -> Settings:
    """Read and check the settings of a stack.

    Args:
        stack: the stack's name.
        defaults: of the keys that Pulumi.yaml declares, as the engine hands them over; keys without a namespace.
        set_keys: the keys that are set, with their namespaces.
        root: the project's folder, which relative paths are relative to.
        places: the file and the line where a key is set, for messages; keys without a namespace.

    Returns:
        The settings; all of them are valid.

    Raises:
        LabError: lists every mistake that was found.
    """
    raw = {key: _raw(key, defaults[key]) for key in KEYS}
    part = raw["part"] or stack
    raw["part"] = part if part in PARTS else PARTS[0]
    at = {key: f" ({place})" for key, place in (places or {}).items()}
    problems = _unknown_keys(defaults, set_keys, at)
    if part not in PARTS:
        problems.append(_unknown_part(part, stack))
    mistakes: list[_Mistake] = []
    try:
        settings = _validate(stack, raw, root)
    except ValidationError as error:
        mistakes += [_mistake(each, raw) for each in error.errors(include_url=False)]
        # With the defaults in the place of what is wrong, the rest can be checked together.
        settings = _validate(stack, raw | {each.key: defaults[each.key] for each in mistakes}, root)
    wrong = {each.key for each in mistakes}
    mistakes += [each for each in _check_together(settings, raw) if wrong.isdisjoint((each.key, *each.others))]
    # A key that is read for two subjects, or a port of two kinds, is wrong once.
    once = {(each.key, str(each.value)): each for each in reversed(mistakes)}
    problems += [_problem(each, at, hidden=isinstance(raw[each.key], _Secret)) for each in reversed(once.values())]
    if problems:
        raise all_of(problems)
    return settings


def _raw(key: str, default: str) -> str:
    value = pulumi.Config(PROJECT).get(key, default)
    # A password is what it is; of anything else, white space around it is a slip.
    value = value.strip() if KEYS[key].repr else value
    return _Secret(value) if is_config_secret(f"{PROJECT}:{key}") else value


def _validate(stack: str, raw: dict[str, str], root: Path) -> Settings:
    """Return the settings; each subject is handed all keys and takes its own."""
    keys = raw | {"stack": stack}
    return Settings.model_validate(dict.fromkeys(_SUBJECTS, keys) | keys, context=root)


class _Mistake(NamedTuple):
    key: str  # without a namespace
    value: object  # as it is shown
    expected: str
    fix: str = ""  # empty means to set the key
    others: tuple[str, ...] = ()  # the keys that it was compared with


def _mistake(error: ErrorDetails, raw: Mapping[str, str]) -> _Mistake:
    """Put what pydantic found into words."""
    location, words, secret = error["loc"], error["msg"], error.get("ctx", {}).get("secret")
    key = str(next(name for name in location if name in KEYS))
    if error["type"] != "expected":
        field = _INSIDE.get(str(location[-1])) or KEYS[key]
        limits = {name: getattr(each, name) for each in field.metadata for name in ("ge", "le") if hasattr(each, name)}
        words = field.description or "a whole number from {ge} to {le}".format(**limits)
    if location[-1] == key:
        return _Mistake(key, raw[key], words)
    inside = location[location.index(key) + 1 :]
    path = "".join(f"[{name}]" if isinstance(name, int) else f".{name}" for name in inside)
    setting = f"--path '{PROJECT}:{key}{path}'"
    if secret:
        # Without a value the CLI asks for it, and no shell remembers it.
        fix = f"pulumi config set --secret {setting}, and enter {secret}=VALUE"
        return _Mistake(key, f"{secret}=(hidden)", words, fix)
    # An element of a list, or a field of an app or an environment, can be set by itself.
    alone = isinstance(location[-1], int) or location[-1] in _INSIDE
    return _Mistake(key, error["input"], words, f"pulumi config set {setting} -- VALUE" if alone else "")


def _problem(mistake: _Mistake, at: Mapping[str, str], *, hidden: bool) -> LabError:
    key, secret = mistake.key, not KEYS[mistake.key].repr
    shown = "'(hidden)'" if hidden or (secret and mistake.value) else repr(mistake.value)
    return LabError(
        f"{PROJECT}:{key} is {_CREDENTIALS.sub('://(hidden)@', shown)}{at.get(key, '')}",
        why=f"expected {mistake.expected}",
        fix=mistake.fix or f"pulumi config set {'--secret ' * secret}{PROJECT}:{key}{'' if secret else ' VALUE'}",
    )


def _unknown_keys(declared: Iterable[str], set_keys: Iterable[str], at: Mapping[str, str]) -> list[LabError]:
    problems = []
    for key in set_keys:
        namespace, _, name = key.partition(":")
        if namespace != PROJECT or name in declared:
            continue
        near = difflib.get_close_matches(name, declared, n=1)
        problems.append(
            LabError(
                f"There is no setting {key}{at.get(name, '')}",
                why=f"did you mean {PROJECT}:{near[0]}?" if near else "docs/settings.md lists those there are",
                fix=f"pulumi config rm {key}, and set the right one",
            )
        )
    return problems


def _unknown_part(part: str, stack: str) -> LabError:
    return LabError(
        f"Nothing is known of a stack named {stack!r}" if part == stack else f"{PROJECT}:part is {part!r}",
        why=f"the parts are {', '.join(PARTS)}",
        fix=f"pulumi stack select p3, or pulumi config set {PROJECT}:part p3",
    )


def _check_together(settings: Settings, raw: Mapping[str, str]) -> Iterator[_Mistake]:
    """Yield what no setting shows alone, of the part that the stack is."""
    yield from _check_images(raw)
    if settings.part == "p3":
        yield from _check_ports(settings, raw)
        yield from _check_git(raw)
        yield from _check_cluster(settings.cluster, raw)
        yield from _check_environments(settings, raw)
        yield from _check_delivery(settings)
        yield from _check_ci(settings, raw)
        yield from _check_alerts(settings.observability, raw)
    else:
        yield from _check_addresses(settings.machines)
    if settings.part == "p2":
        yield from _check_apps(settings)


def _check_images(raw: Mapping[str, str]) -> Iterator[_Mistake]:
    if not raw["appImage"] and raw["appVersion"] not in versions.APP_VERSIONS:
        yield _Mistake("appVersion", raw["appVersion"], f"one of {', '.join(versions.APP_VERSIONS)}")
    for key in ("k3sImage",) if raw["kubeconfig"] else ("k3sImage", "appImage"):
        if "@" in raw[key]:
            yield _Mistake(
                key,
                raw[key],
                "an image without a digest: Docker saves one that is named by it without its tag, so that it can't be "
                f"brought into a node (an existing cluster, {PROJECT}:kubeconfig, pulls it itself)",
            )


def _check_ports(settings: Settings, raw: Mapping[str, str]) -> Iterator[_Mistake]:
    host_ports = [(settings.cluster.api_port, "apiPort")]
    host_ports += [(each.api_port, "clusters") for each in settings.further_clusters if each.api_port]
    host_ports += [(number, f"{name}Ports") for name, port in settings.services.items() for number in port.host_ports]
    host_ports += [(each.port, "environments") for each in settings.environments]
    host_ports += [(settings.cluster.registry_port, "registryPort")] if settings.cluster.registry_port else []
    host_ports += [(number, "gitPorts") for number in ([] if raw["gitUrl"] else settings.git.ports)]
    # An existing cluster is reached at its node ports alone.
    for ports in [settings.node_ports] if raw["kubeconfig"] else [settings.node_ports, host_ports]:
        for (one, its), (other, key) in itertools.combinations(ports, 2):
            if one == other:
                yield _Mistake(key, other, f"a port of its own, but {PROJECT}:{its} has it", others=(its,))


def _check_git(raw: Mapping[str, str]) -> Iterator[_Mistake]:
    url, username, password, key = (raw[name] for name in ("gitUrl", "gitUsername", "gitPassword", "gitSshKey"))
    if not url and (username or password or key):
        yield _Mistake("gitUrl", "", "the repository that the Git credentials are for")
    # With another one, Argo CD would wait for a branch that nobody makes.
    if not url and raw["gitRevision"] != EMBEDDED_BRANCH:
        words = f"{EMBEDDED_BRANCH}, the only branch of the embedded Git server"
        fix = f"pulumi config set {PROJECT}:gitRevision {EMBEDDED_BRANCH}"
        fix += f", or set {PROJECT}:gitUrl to the repository that has it"
        yield _Mistake("gitRevision", raw["gitRevision"], words, fix)
    if password and not username:
        yield _Mistake("gitUsername", "", "the user that gitPassword belongs to (any name with a token of GitHub)")
    if username and not password:
        yield _Mistake("gitPassword", "", "the password of gitUsername")
    if key and url.startswith("http"):
        yield _Mistake("gitUrl", url, "an SSH URL, because gitSshKey is set")
    if password and url and not url.startswith("http"):
        yield _Mistake("gitUrl", url, "an HTTPS URL, because gitPassword is set")


def _check_cluster(cluster: ClusterSettings, raw: Mapping[str, str]) -> Iterator[_Mistake]:
    if raw["kubeconfig"] and not raw["appImage"]:
        words = "an image in a registry, because an existing cluster can't be given a built one"
        yield _Mistake("appImage", "", words)
    if raw["kubeconfig"] and not raw["gitUrl"]:
        words = "a repository that the existing cluster can reach: the embedded Git server is on this host alone"
        yield _Mistake("gitUrl", "", words)
    if raw["kubeContext"] and not raw["kubeconfig"]:
        yield _Mistake("kubeconfig", "", "a kubeconfig, because kubeContext is set")
    # Node ports of an existing cluster answer at its nodes; ours are published at an address of this host.
    key = "nodeHost" if raw["kubeconfig"] else "bindAddress"
    if not cluster.allow_plain_http and not _is_loopback(raw[key]):
        yield _Mistake(
            key,
            raw[key],
            "this host alone (localhost, 127.0.0.1), because the passwords of Argo CD and Git are sent over plain "
            "HTTP, which anybody on the way can read",
            "keep it to this host (ssh -L reaches it from another), or accept that: "
            f"pulumi config set {PROJECT}:allowPlainHttp true",
        )


def _check_environments(settings: Settings, raw: Mapping[str, str]) -> Iterator[_Mistake]:
    if settings.environments and (raw["gitUrl"] or raw["kubeconfig"]):
        key = "gitUrl" if raw["gitUrl"] else "kubeconfig"
        words = "nothing, because the branches, users and rules of environments are made in the embedded Git server"
        yield _Mistake(key, raw[key], words, f"pulumi config rm {PROJECT}:{key}", others=("environments",))
    protected = [each.name for each in settings.environments if each.approvals]
    if len(protected) > 1:
        words = "one of them with approvals, because the protected branch has one base"
        yield _Mistake("environments", " and ".join(protected), words)
    known = {each.name: each for each in settings.clusters}
    for cluster in settings.further_clusters:
        if len(f"{settings.cluster.name}-{cluster.name}") > NAME:
            words = f"a name that has at most {NAME} characters behind {settings.cluster.name}-"
            yield _Mistake("clusters", cluster.name, words, others=("clusterName",))
        if cluster.kubeconfig and settings.image.ci:
            words = "false, because the existing cluster can't reach the registry of this host that CI pushes to"
            yield _Mistake("ci", "true", words, f"pulumi config set {PROJECT}:ci false", others=("clusters",))
        elif cluster.kubeconfig and not raw["appImage"]:
            words = "an image in a registry, because an existing cluster can't be given a built one"
            yield _Mistake("appImage", "", words, others=("clusters",))
    for each in settings.environments:
        if each.cluster and each.cluster not in known:
            words = f"one of iot:clusters ({', '.join(known) or 'there is none'}) as the cluster of {each.name}"
            yield _Mistake("environments", each.cluster, words, others=("clusters",))
        if each.name in RESERVED or each.name.startswith("kube-"):
            yield _Mistake("environments", each.name, "a name that no namespace or Application has yet")


def _check_delivery(settings: Settings) -> Iterator[_Mistake]:
    theirs = {each.name for each in settings.clusters if each.kubeconfig}
    for each in settings.environments:
        if each.progressive and each.cluster in theirs:
            words = f"deployment for {each.name}: what a {each.delivery} takes is made in clusters of k3d alone"
            fix = f"pulumi config set --path '{PROJECT}:environments.{each.name}.delivery' deployment"
            yield _Mistake("environments", each.delivery, words, fix, others=("clusters",))
        if each.delivery == "canary" and not settings.observability.wanted:
            words = f"true, because the canary of {each.name} is judged by what Prometheus sees"
            fix = f"pulumi config set {PROJECT}:monitoring true"
            yield _Mistake("monitoring", "false", words, fix, others=("environments",))


def _check_ci(settings: Settings, raw: Mapping[str, str]) -> Iterator[_Mistake]:
    if settings.image.ci and not settings.cluster.registry_port:
        words = "a port for the registry that CI pushes to"
        yield _Mistake("registryPort", 0, words, f"pulumi config set {PROJECT}:registryPort 5001", others=("ci",))
    if settings.image.ci and settings.environments and settings.environments[0].approvals:
        words = "no approvals for the first one, which CI releases to"
        yield _Mistake("environments", settings.environments[0].name, words, others=("ci",))
    for key in ("gitUrl", "kubeconfig", "appImage"):
        if settings.image.ci and raw[key]:
            words = "nothing, because CI runs beside the embedded Git server and builds the app"
            yield _Mistake(key, raw[key], words, f"pulumi config rm {PROJECT}:{key}", others=("ci",))


def _check_alerts(settings: ObservabilitySettings, raw: Mapping[str, str]) -> Iterator[_Mistake]:
    for key in ("alertWebhook", "alertSlack", "alertMail"):
        if raw[key] not in {"", "{}"} and not settings.wanted:
            words = f"true, because without it nobody is told of anything, and {key} is set"
            yield _Mistake("monitoring", raw["monitoring"], words, f"pulumi config set {PROJECT}:monitoring true")
    if settings.grafana and not settings.wanted:
        words = "true, because Grafana shows what Prometheus has"
        yield _Mistake("monitoring", raw["monitoring"], words, f"pulumi config set {PROJECT}:monitoring true")
    username = settings.mail.username if settings.mail else ""
    if settings.mail_password and not username:
        yield _Mistake("alertMail", raw["alertMail"], "a username, because alertMailPassword is set")
    if username and not settings.mail_password:
        yield _Mistake("alertMailPassword", "", f"the password of {username}, the username of alertMail")


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost" or host.endswith(".localhost")


def _check_addresses(machines: MachineSettings) -> Iterator[_Mistake]:
    network = ipaddress.IPv4Network(f"{machines.server_address}/24", strict=False)
    last = ipaddress.IPv4Address(machines.server_address) + machines.agents
    if last not in list(network.hosts()):
        words = f"room for {machines.agents} agents behind it"
        yield _Mistake("serverAddress", machines.server_address, words, others=("agents",))


def _check_apps(settings: Settings) -> Iterator[_Mistake]:
    names = [app.name for app in settings.apps]
    hosts = [app.host for app in settings.apps]
    if not names:
        yield _Mistake("apps", {}, "at least one app")
    for host in sorted({host for host in hosts if hosts.count(host) > 1}):
        yield _Mistake("apps", host, "a host of its own for every app")
    if settings.default_app and settings.default_app not in names:
        yield _Mistake("defaultApp", settings.default_app, f"one of {', '.join(names)}", others=("apps",))
