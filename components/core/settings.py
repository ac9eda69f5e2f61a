"""The settings of a stack: read once, typed, checked together, and immutable from then on.

This is the only module that reads ``pulumi.Config``. Defaults and descriptions are in Pulumi.yaml.
"""

from __future__ import annotations

import difflib
import ipaddress
import json
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import pulumi
from pulumi.runtime.config import is_config_secret

from components.core import versions
from components.core.errors import LabError, all_of

PROJECT: Final = "iot"
PARTS: Final = ("p1", "p2", "p3")
EMBEDDED_BRANCH: Final = "main"  # the only one that the embedded Git server begins with
VAGRANT_PROVIDERS: Final = ("virtualbox", "libvirt", "docker")
NODE_PORTS: Final = range(30000, 32768)
HOST_PORTS: Final = range(1, 65536)

DNS_LABEL: Final = re.compile(r"[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?")
HOST_NAME: Final = re.compile(r"(?=.{1,253}$)[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*")
K3D_NAME: Final = re.compile(r"[a-z0-9]([-a-z0-9]{0,30}[a-z0-9])?")
LOGIN: Final = re.compile(r"[a-z]([-a-z0-9_]{0,30}[a-z0-9])?")
# https://pkg.go.dev/github.com/distribution/reference: registry/repository, then a tag or a digest, or both.
IMAGE: Final = re.compile(
    r"(?P<repository>(?:[A-Za-z0-9.-]+(?::[0-9]+)?/)?[a-z0-9]+(?:(?:[._]|__|-+)[a-z0-9]+)*"
    r"(?:/[a-z0-9]+(?:(?:[._]|__|-+)[a-z0-9]+)*)*)"
    r"(?::(?P<tag>[A-Za-z0-9_][A-Za-z0-9_.-]{0,127}))?(?:@(?P<digest>sha256:[0-9a-f]{64}))?"
)
GIT_URL: Final = re.compile(r"(https?://[^\s/@]+/\S+|ssh://([^\s/@:]+@)?[^\s/@]+/\S+|[\w.-]+@[\w.-]+:\S+)")
# What can be a key of a ConfigMap, between slashes: the embedded Git server is given its files in one.
GIT_PATH: Final = re.compile(r"(?!-)[A-Za-z0-9._-]+(/[A-Za-z0-9._-]+)*/?")
K3S_ARGUMENT: Final = re.compile(r"--[^\s-]\S*")
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
CREDENTIALS: Final = re.compile(r"://[^\s/@]*@")


@dataclass(frozen=True, kw_only=True)
class MachineSettings:
    """The machines of p1 and p2.

    Attributes:
        login: what the machines are named after.
        provider: one of ``VAGRANT_PROVIDERS``.
        box: a Vagrant box, or an image for the docker provider; empty means the pinned one.
        server_address: IPv4 address of the server on the private network.
        server_cpus: number of virtual CPUs.
        server_memory: MiB.
        agents: how many agents join the server.
        agent_cpus: number of virtual CPUs of each.
        agent_memory: MiB of each.
        airgap_dir: folder with K3s's air-gap files, or None to download K3s.
        k3s_args: further arguments of the K3s server, each --name or --name=value; a secret when the setting is one.
    """

    login: str
    provider: str
    box: str
    server_address: str
    server_cpus: int
    server_memory: int
    agents: int
    agent_cpus: int
    agent_memory: int
    airgap_dir: Path | None
    k3s_args: tuple[str, ...] | pulumi.Output[tuple[str, ...]]

    def agent_address(self, number: int) -> str:
        """Return the IPv4 address of agent ``number``, counted from 1."""
        return str(ipaddress.IPv4Address(self.server_address) + number)


@dataclass(frozen=True, kw_only=True)
class AppSettings:
    """One of p2's apps.

    Attributes:
        name: of the Deployment, the Service and the app.
        host: the Host header that leads to it.
        replicas: number of pods.
    """

    name: str
    host: str
    replicas: int


@dataclass(frozen=True, kw_only=True)
class ImageSettings:
    """Which image the app runs.

    Attributes:
        reference: an image in a registry, with its tag or, for an existing cluster, its digest; None means that
            app/ is built.
        built: the name of the image that is built then; every stack has one of its own, which goes with it.
        version: the version that p2 runs when app/ is built.
    """

    reference: str | None
    built: str
    version: str

    @property
    def repository(self) -> str:
        """The image's name without its tag and its digest."""
        match = IMAGE.fullmatch(self.reference or "")
        return match["repository"] if match else self.built


@dataclass(frozen=True, kw_only=True)
class ClusterSettings:
    """The k3d cluster of p3, or the existing one that takes its place.

    Attributes:
        name: of the k3d cluster.
        servers: number of control plane nodes.
        agents: number of worker nodes.
        image: of the nodes.
        images_archive: archive of K3s's own images, or None.
        api_port: host port of the Kubernetes API.
        bind_address: host address of every published port.
        allow_plain_http: whether passwords may leave this host in clear.
        node_host: where node ports answer.
        kubeconfig: path of an existing cluster's kubeconfig; None means that k3d makes one.
        context: context in that kubeconfig; None means its current one.
    """

    name: str
    servers: int
    agents: int
    image: str
    images_archive: Path | None
    api_port: int
    bind_address: str
    allow_plain_http: bool
    node_host: str
    kubeconfig: Path | None
    context: str | None


@dataclass(frozen=True, kw_only=True)
class PortSettings:
    """How one service of the cluster is reached.

    Attributes:
        node_port: in 30000 to 32767.
        host_ports: ports of this host that lead to it; the first one is shown to people.
    """

    node_port: int
    host_ports: tuple[int, ...]


@dataclass(frozen=True, kw_only=True)
class GitSettings:
    """Where the desired state lives.

    Attributes:
        url: of the repository; None means the embedded Git server.
        revision: branch, tag or commit.
        path: folder in the repository, relative to its root.
        username: for a private repository over HTTPS, or empty.
        password: for a private repository over HTTPS, as a secret, or None.
        ssh_key: for a private repository over SSH, as a secret, or None.
    """

    url: str | None
    revision: str
    path: str
    username: str
    password: pulumi.Output[str] | None
    ssh_key: pulumi.Output[str] | None


@dataclass(frozen=True, kw_only=True)
class Settings:
    """Everything that a stack can be told.

    Attributes:
        stack: the stack's name.
        part: one of ``PARTS``.
        timeout: seconds that one wait may take.
        machines: for p1 and p2.
        apps: p2's apps, in the order of the settings file.
        default_app: name of the app that answers for every other host; empty without apps.
        image: the app's image, for p2 and p3.
        cluster: for p3.
        app_port, argocd_port, git_port: for p3.
        git: for p3.
        argocd_chart: a local chart for p3, or None.
        poll_interval: seconds between Argo CD's looks at Git.
    """

    stack: str
    part: str
    timeout: int
    machines: MachineSettings
    apps: tuple[AppSettings, ...]
    default_app: str
    image: ImageSettings
    cluster: ClusterSettings
    app_port: PortSettings
    argocd_port: PortSettings
    git_port: PortSettings
    git: GitSettings
    argocd_chart: Path | None
    poll_interval: int


class _Reader:
    """Reads one key at a time and remembers what was wrong with it, so that all mistakes are shown at once."""

    def __init__(self, config: pulumi.Config, root: Path, places: Mapping[str, str]) -> None:
        self._config = config
        self._root = root
        self._places = places
        self.problems: list[LabError] = []
        self.refused: set[str] = set()

    def refuse(self, key: str, value: object, expected: str, fix: str = "") -> None:
        self.refused.add(key)
        if is_config_secret(f"{PROJECT}:{key}"):
            value = "(hidden)"
        self.problems.append(
            LabError(
                f"{PROJECT}:{key} is {CREDENTIALS.sub('://(hidden)@', repr(value))}{_at(self._places, key)}",
                why=f"expected {expected}",
                fix=fix or f"pulumi config set {PROJECT}:{key} VALUE",
            )
        )

    def text(self, key: str, expected: str = "", allowed: re.Pattern[str] | None = None, *, empty: bool = False) -> str:
        value = (self._config.get(key) or "").strip()
        if allowed and not (empty and not value) and not allowed.fullmatch(value):
            self.refuse(key, value, expected)
        return value

    def choice(self, key: str, choices: tuple[str, ...]) -> str:
        value = self.text(key)
        if value not in choices:
            self.refuse(key, value, f"one of {', '.join(choices)}")
        return value

    def number(self, key: str, lowest: int, highest: int) -> int:
        raw = self._config.get(key) or ""
        if not re.fullmatch(r"-?\d+", raw) or not lowest <= int(raw) <= highest:
            self.refuse(key, raw, f"a whole number from {lowest} to {highest}")
            return lowest
        return int(raw)

    def flag(self, key: str) -> bool:
        value = self.text(key).lower()
        if value not in ("true", "false"):
            self.refuse(key, value, "true or false")
        return value == "true"

    def json(self, key: str, kind: type, expected: str) -> Any:  # noqa: ANN401 - any JSON; the caller checks it
        raw = self._config.get(key) or json.dumps(kind())
        try:
            value = json.loads(raw)
        except ValueError:
            value = None
        if not isinstance(value, kind):
            self.refuse(key, raw, expected)
            return kind()
        return value

    def path(self, key: str, expected: str, good: Callable[[Path], bool]) -> Path | None:
        """Return an existing path; a relative one is relative to the project."""
        raw = self.text(key)
        if not raw:
            return None
        path = self._root / Path(raw).expanduser()
        if not good(path):
            self.refuse(key, raw, f"{expected}; there is none at {path}")
        return path

    def address(self, key: str) -> str:
        value = self.text(key)
        try:
            ipaddress.IPv4Address(value)
        except ValueError:
            self.refuse(key, value, "an IPv4 address")
            return "127.0.0.1"
        return value

    def port(self, node_port: str, host_ports: str) -> PortSettings:
        listed = self.json(host_ports, list, "a list of ports")
        for port in listed:
            if not isinstance(port, int) or isinstance(port, bool) or port not in HOST_PORTS:
                self.refuse(host_ports, port, f"ports from {HOST_PORTS.start} to {HOST_PORTS.stop - 1}")
        if not listed and host_ports not in self.refused:
            self.refuse(host_ports, listed, "at least one port")
        ports = tuple(port for port in listed if isinstance(port, int)) or (1,)
        return PortSettings(
            node_port=self.number(node_port, NODE_PORTS.start, NODE_PORTS.stop - 1),
            host_ports=ports,
        )

    def secret(self, key: str) -> pulumi.Output[str] | None:
        if not self._config.get(key):
            return None
        if not is_config_secret(f"{PROJECT}:{key}"):
            self.refuse(
                key, "(hidden)", "a secret, but it is kept in plain text", f"pulumi config set --secret {PROJECT}:{key}"
            )
        return self._config.get_secret(key)

    def image(self, key: str, *, digest: bool = False) -> str | None:
        value = self.text(key)
        if not value:
            return None
        match = IMAGE.fullmatch(value)
        if not match or match["tag"] == "latest" or not (match["tag"] or match["digest"]):
            self.refuse(key, value, "an image with a tag that is not latest, such as registry.example/flask-app:v1")
        elif match["digest"] and not digest:
            self.refuse(
                key,
                value,
                "an image without a digest: Docker saves one that is named by it without its tag, so that it can't be "
                f"brought into a node (an existing cluster, {PROJECT}:kubeconfig, pulls it itself)",
            )
        return value


def load(
    stack: str,
    declared: Iterable[str],
    set_keys: Iterable[str],
    root: Path,
    places: Mapping[str, str] | None = None,
) -> Settings:
    """Read and check the settings of a stack.

    Args:
        stack: the stack's name.
        declared: the keys that Pulumi.yaml declares, without a namespace.
        set_keys: the keys that are set, with their namespaces.
        root: the project's folder, which relative paths are relative to.
        places: the file and the line where a key is set, for messages; keys without a namespace.

    Returns:
        The settings; all of them are valid.

    Raises:
        LabError: lists every mistake that was found.
    """
    reader = _Reader(pulumi.Config(PROJECT), root, places or {})
    reader.problems += _unknown_keys(set(declared), set_keys, places or {})
    settings = Settings(
        stack=stack,
        part=_part(reader, stack),
        timeout=reader.number("timeout", 60, 7200),
        machines=_machines(reader),
        apps=_apps(reader),
        default_app=reader.text("defaultApp"),
        image=_image(reader, stack),
        cluster=_cluster(reader),
        app_port=reader.port("appNodePort", "appPorts"),
        argocd_port=reader.port("argocdNodePort", "argocdPorts"),
        git_port=reader.port("gitNodePort", "gitPorts"),
        git=_git(reader),
        argocd_chart=reader.path("argocdChart", "a chart, a folder or a .tgz", Path.exists),
        poll_interval=reader.number("pollInterval", 10, 3600),
    )
    _check_together(reader, settings)
    if reader.problems:
        raise all_of(reader.problems)
    return settings


def _at(places: Mapping[str, str], key: str) -> str:
    return f" ({places[key]})" if key in places else ""


def _unknown_keys(declared: set[str], set_keys: Iterable[str], places: Mapping[str, str]) -> list[LabError]:
    problems = []
    for key in set_keys:
        namespace, _, name = key.partition(":")
        if namespace != PROJECT or name in declared:
            continue
        near = difflib.get_close_matches(name, declared, n=1)
        hint = f"did you mean {PROJECT}:{near[0]}?" if near else "docs/settings.md lists those there are"
        problems.append(
            LabError(
                f"There is no setting {key}{_at(places, name)}",
                why=hint,
                fix=f"pulumi config rm {key}, and set the right one",
            )
        )
    return problems


def _part(reader: _Reader, stack: str) -> str:
    part = reader.text("part") or stack
    if part in PARTS:
        return part
    reader.problems.append(
        LabError(
            f"Nothing is known of a stack named {stack!r}" if part == stack else f"{PROJECT}:part is {part!r}",
            why=f"the parts are {', '.join(PARTS)}",
            fix=f"pulumi stack select p3, or pulumi config set {PROJECT}:part p3",
        )
    )
    return PARTS[0]


def _machines(reader: _Reader) -> MachineSettings:
    return MachineSettings(
        login=reader.text("login", "a login: lower case letters, digits, - and _, beginning with a letter", LOGIN),
        provider=reader.choice("vagrantProvider", VAGRANT_PROVIDERS),
        box=reader.text("vagrantBox"),
        server_address=reader.address("serverAddress"),
        server_cpus=reader.number("serverCpus", 1, 64),
        server_memory=reader.number("serverMemory", 512, 1 << 20),
        agents=reader.number("agents", 0, 20),
        agent_cpus=reader.number("agentCpus", 1, 64),
        agent_memory=reader.number("agentMemory", 512, 1 << 20),
        airgap_dir=reader.path("k3sAirgapDir", "a folder", Path.is_dir),
        k3s_args=_k3s_args(reader),
    )


def _k3s_args(reader: _Reader) -> tuple[str, ...] | pulumi.Output[tuple[str, ...]]:
    arguments = tuple(str(each) for each in reader.json("k3sArgs", list, "a list of arguments"))
    secret = is_config_secret(f"{PROJECT}:k3sArgs")
    for number, argument in enumerate(arguments):
        name = argument.partition("=")[0]
        fix = f"pulumi config set --path '{PROJECT}:k3sArgs[{number}]' -- "
        if not K3S_ARGUMENT.fullmatch(name):
            reader.refuse("k3sArgs", argument, "--name or --name=value", f"{fix}--disable=metrics-server")
        elif name.removeprefix("--") in K3S_SECRETS and not secret:
            # Without a value the CLI asks for it, and no shell remembers it.
            fix = f"pulumi config set --secret --path '{PROJECT}:k3sArgs[{number}]', and enter {name}=..."
            reader.refuse("k3sArgs", f"{name}=(hidden)", "a secret, but it is kept in plain text", fix)
    return pulumi.Output.secret(arguments) if secret else arguments


def _apps(reader: _Reader) -> tuple[AppSettings, ...]:
    apps = []
    for name, app in reader.json("apps", dict, "apps by name").items():
        if not DNS_LABEL.fullmatch(name):
            reader.refuse("apps", name, "names of lower case letters, digits and -")
        if not isinstance(app, Mapping) or not set(app) <= {"host", "replicas"} or "host" not in app:
            reader.refuse("apps", {name: app}, 'a host and replicas, such as {"host": "app1.com", "replicas": 1}')
            continue
        host, replicas = app["host"], app.get("replicas", 1)
        if not isinstance(host, str) or not HOST_NAME.fullmatch(host):
            reader.refuse("apps", host, f"a host name for {name}, such as {name}.com")
        if not isinstance(replicas, int) or isinstance(replicas, bool) or not 1 <= replicas <= 50:  # noqa: PLR2004 - said in the message
            reader.refuse("apps", replicas, f"1 to 50 replicas of {name}")
            continue
        apps.append(AppSettings(name=name, host=str(host), replicas=replicas))
    return tuple(apps)


def _image(reader: _Reader, stack: str) -> ImageSettings:
    # manifests/p3 names the image of the stack p3.
    own = versions.APP_REPOSITORY if stack == "p3" else f"{versions.APP_REPOSITORY}-{stack.lower()}"
    image = ImageSettings(
        reference=reader.image("appImage", digest=bool(reader.text("kubeconfig"))),
        built=own,
        version=reader.text("appVersion"),
    )
    if not image.reference and image.version not in versions.APP_VERSIONS:
        reader.refuse("appVersion", image.version, f"one of {', '.join(versions.APP_VERSIONS)}")
    return image


def _cluster(reader: _Reader) -> ClusterSettings:
    servers = reader.number("servers", 1, 9)
    if servers % 2 == 0:
        reader.refuse("servers", servers, "an odd number, which etcd needs to agree")
    return ClusterSettings(
        # k3d allows 32 characters.
        name=reader.text("clusterName", "a name of at most 32 lower case letters, digits and -", K3D_NAME),
        servers=servers,
        agents=reader.number("agentNodes", 0, 20),
        image=reader.image("k3sImage") or versions.K3S_IMAGE,
        images_archive=reader.path("k3sImages", "an archive of images", Path.is_file),
        api_port=reader.number("apiPort", HOST_PORTS.start, HOST_PORTS.stop - 1),
        bind_address=reader.address("bindAddress"),
        allow_plain_http=reader.flag("allowPlainHttp"),
        node_host=reader.text("nodeHost", "a host name or an address", HOST_NAME),
        kubeconfig=reader.path("kubeconfig", "a kubeconfig", Path.is_file),
        context=reader.text("kubeContext") or None,
    )


def _git(reader: _Reader) -> GitSettings:
    path = reader.text("gitPath")
    if not GIT_PATH.fullmatch(path) or ".." in Path(path).parts:
        reader.refuse("gitPath", path, "a folder inside the repository, relative to its root, without spaces")
    return GitSettings(
        url=reader.text(
            "gitUrl", "https://..., ssh://... or user@host:path, without a password in it", GIT_URL, empty=True
        )
        or None,
        revision=reader.text("gitRevision", "a branch, tag or commit", re.compile(r"[\w./-]+")),
        path=path,
        username=reader.text("gitUsername"),
        password=reader.secret("gitPassword"),
        ssh_key=reader.secret("gitSshKey"),
    )


def _check_together(reader: _Reader, settings: Settings) -> None:
    """Check what no setting shows alone, of the part that the stack is."""
    if settings.part == "p3":
        _check_ports(reader, settings)
        _check_git(reader, settings)
        _check_existing_cluster(reader, settings)
        _check_plain_http(reader, settings.cluster)
    else:
        _check_addresses(reader, settings.machines)
    if settings.part == "p2":
        _check_apps(reader, settings)


def _check_ports(reader: _Reader, settings: Settings) -> None:
    services = {"app": settings.app_port, "argocd": settings.argocd_port}
    if not settings.git.url:
        services["git"] = settings.git_port
    node_ports = [(port.node_port, f"{name}NodePort") for name, port in services.items()]
    host_ports = [(settings.cluster.api_port, "apiPort")]
    host_ports += [(number, f"{name}Ports") for name, port in services.items() for number in port.host_ports]
    _check_distinct(reader, node_ports)
    # An existing cluster is reached at its node ports alone.
    _check_distinct(reader, [] if settings.cluster.kubeconfig else host_ports)


def _check_distinct(reader: _Reader, ports: list[tuple[int, str]]) -> None:
    """Refuse a port that another setting has; a setting that was refused already has none."""
    taken: dict[int, str] = {}
    for port, key in [each for each in ports if each[1] not in reader.refused]:
        if port in taken:
            reader.refuse(key, port, f"a port of its own, but {PROJECT}:{taken[port]} has it")
        taken[port] = key


def _check_git(reader: _Reader, settings: Settings) -> None:
    git = settings.git
    if git.url is None and (git.username or git.password or git.ssh_key):
        reader.refuse("gitUrl", "", "the repository that the Git credentials are for")
    if git.url is None and "__" in git.path:
        reader.refuse("gitPath", git.path, "no __ in it, which stands for / on the way into the embedded Git server")
    # With another one, Argo CD would wait for a branch that nobody makes.
    if git.url is None and git.revision != EMBEDDED_BRANCH and "gitRevision" not in reader.refused:
        reader.refuse(
            "gitRevision",
            git.revision,
            f"{EMBEDDED_BRANCH}, the only branch of the embedded Git server",
            f"pulumi config set {PROJECT}:gitRevision {EMBEDDED_BRANCH}, "
            f"or set {PROJECT}:gitUrl to the repository that has it",
        )
    if git.password and not git.username:
        reader.refuse("gitUsername", "", "the user that gitPassword belongs to (any name with a token of GitHub)")
    if git.username and not git.password:
        reader.refuse(
            "gitPassword", "", "the password of gitUsername", f"pulumi config set --secret {PROJECT}:gitPassword"
        )
    if git.ssh_key and git.url and git.url.startswith("http"):
        reader.refuse("gitUrl", git.url, "an SSH URL, because gitSshKey is set")
    if git.password and git.url and not git.url.startswith("http"):
        reader.refuse("gitUrl", git.url, "an HTTPS URL, because gitPassword is set")


def _check_existing_cluster(reader: _Reader, settings: Settings) -> None:
    if settings.cluster.kubeconfig and not settings.image.reference:
        reader.refuse("appImage", "", "an image in a registry, because an existing cluster can't be given a built one")
    if settings.cluster.context and not settings.cluster.kubeconfig:
        reader.refuse("kubeconfig", "", "a kubeconfig, because kubeContext is set")


def _check_plain_http(reader: _Reader, cluster: ClusterSettings) -> None:
    """Refuse that passwords leave this host in clear, unless that is said to be all right."""
    # Node ports of an existing cluster answer at its nodes; ours are published at an address of this host.
    key, host = ("nodeHost", cluster.node_host) if cluster.kubeconfig else ("bindAddress", cluster.bind_address)
    if not cluster.allow_plain_http and not _is_loopback(host) and key not in reader.refused:
        reader.refuse(
            key,
            host,
            "this host alone (localhost, 127.0.0.1), because the passwords of Argo CD and Git are sent over plain "
            "HTTP, which anybody on the way can read",
            "keep it to this host (ssh -L reaches it from another), or accept that: "
            f"pulumi config set {PROJECT}:allowPlainHttp true",
        )


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost" or host.endswith(".localhost")


def _check_addresses(reader: _Reader, machines: MachineSettings) -> None:
    network = ipaddress.ip_network(f"{machines.server_address}/24", strict=False)
    last = ipaddress.IPv4Address(machines.server_address) + machines.agents
    if last not in list(network.hosts()):
        reader.refuse("serverAddress", machines.server_address, f"room for {machines.agents} agents behind it")


def _check_apps(reader: _Reader, settings: Settings) -> None:
    names = [app.name for app in settings.apps]
    if "apps" in reader.refused:
        return
    if not names:
        reader.refuse("apps", {}, "at least one app")
    hosts = [app.host for app in settings.apps]
    for host in sorted({host for host in hosts if hosts.count(host) > 1}):
        reader.refuse("apps", host, "a host of its own for every app")
    if settings.default_app and settings.default_app not in names:
        reader.refuse("defaultApp", settings.default_app, f"one of {', '.join(names)}")
