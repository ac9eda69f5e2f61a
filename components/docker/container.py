"""A container that stands beside the cluster, with its data in a volume, on the cluster's network.

Container, volume and network carry labels: whose they are. What has their names and not their labels is somebody
else's, which is said before anything is made, and left alone.
"""

from __future__ import annotations

import fcntl
import hashlib
import json
import re
import time
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from components.core import wait
from components.core.errors import LabError
from components.core.run import CommandError, run
from components.docker import engine

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

STACK_LABEL: Final = "iot.stack"  # which stack made it
PROJECT_LABEL: Final = "iot.project"  # the folder of the project that made it
PROJECT: Final = str(Path(__file__).resolve().parents[2])
KEPT_LABEL: Final = "iot.kept"  # of a volume that outlives its container: the network that this is on
CONFIG_LABEL: Final = "iot.config"  # a digest of what it was made with
KINDS: Final = ("container", "volume", "network")
END: Final = 10  # seconds that a container is given to end by itself
LOOK: Final = 5.0  # seconds between two looks whether a container still runs
PORT: Final = 120.0  # seconds until a port that the stack's own cluster has must be free


@dataclass(frozen=True, kw_only=True)
class ContainerSpec:
    """A container to be.

    Attributes:
        name: of the container and of its volume.
        stack: whose it is.
        image: what it runs.
        network: a Docker network, made when it is not there.
        alias: the name that it has on that network besides its own.
        ports: what this host publishes, such as 127.0.0.1:30003:3000.
        environment: its variables; nothing secret, as ``docker inspect`` shows them.
        mount: where its volume is.
        script: what its shell runs instead of the image's entry point.
        temporary: folders that are lost when it ends; the rest of its file system can't be written.
        memory: at most, such as 512m.
        keeps: whether its volume outlives it, until `make clean`.
        docker_socket: whether it may use the Docker engine that it runs on, which makes it root on this host.
    """

    name: str
    stack: str
    image: str
    network: str
    alias: str
    ports: list[str]
    mount: str
    script: str
    environment: dict[str, str] = field(default_factory=dict)
    temporary: list[str] = field(default_factory=list)
    memory: str
    keeps: bool = False
    docker_socket: bool = False

    @property
    def config(self) -> str:
        """A digest of all of it."""
        return hashlib.sha256(json.dumps(asdict(self), sort_keys=True).encode()).hexdigest()[:16]

    def command(self) -> list[str]:
        """Return the command that makes and starts it."""
        labels = {STACK_LABEL: self.stack, PROJECT_LABEL: PROJECT, CONFIG_LABEL: self.config}
        return [
            *("docker", "run", "--detach", f"--name={self.name}", f"--hostname={self.alias}"),
            *(f"--label={key}={value}" for key, value in labels.items()),
            *(f"--network={self.network}", f"--network-alias={self.alias}"),
            *(f"--publish={each}" for each in self.ports),
            *(f"--env={key}={value}" for key, value in self.environment.items()),
            f"--volume={self.name}:{self.mount}",
            *(self._socket() if self.docker_socket else ()),
            *(f"--tmpfs={each}" for each in self.temporary),
            # It comes back with Docker, unless somebody has stopped it.
            *("--restart=unless-stopped", f"--stop-timeout={END}"),
            *("--read-only", "--cap-drop=ALL", "--security-opt=no-new-privileges", f"--memory={self.memory}"),
            *("--entrypoint=/bin/sh", self.image, "-c", self.script),
        ]

    @staticmethod
    def _socket() -> tuple[str, ...]:
        scheme, _, path = engine.endpoint().partition("://")
        # That of a desktop's engine is in the machine that it runs in, where it has the usual name.
        there = path if scheme == "unix" and path.startswith(("/run/", "/var/run/")) else "/var/run/docker.sock"
        return f"--volume={there}:{there}", f"--env=DOCKER_HOST=unix://{there}"


def refuse_foreign(kind: str, name: str, stack: str, *, kept: bool = False) -> None:
    """Stop when something of this name is here that the stack did not make, or the same stack of another clone.

    Args:
        kind: one of ``KINDS``.
        name: of the container, volume or network.
        stack: the stack's name.
        kept: whether it outlives the lab that made it.

    Raises:
        LabError: says whose it seems to be.
        UnreachableError: Docker can't be asked.
    """
    there = labels(kind, name)
    if there is None:
        return
    owner, clone = there.get(STACK_LABEL), there.get(PROJECT_LABEL, PROJECT)
    # What a lab that is gone has left serves the next one, whoever made it. A clone that is not there has moved here.
    if owner == stack and (kept or clone == PROJECT or not (Path(clone) / "Pulumi.yaml").exists()):
        return
    seems = f"it belongs to the stack {owner}" if owner else "this project did not make it"
    raise LabError(
        f"A Docker {kind} {name} is here already, and "
        + (f"the clone of this project in {clone} made it" if owner == stack else seems),
        why="it is left alone",
        fix=f"`docker {kind} rm {name}` if it is not needed, or `pulumi config set iot:clusterName OTHER-NAME`",
    )


def is_ours(kind: str, name: str, stack: str) -> bool:
    """Say whether Docker has something of this name that the stack made.

    Args:
        kind: one of ``KINDS``.
        name: of the container, volume or network.
        stack: the stack's name.

    Raises:
        UnreachableError: Docker can't be asked.
    """
    return (labels(kind, name) or {}).get(STACK_LABEL) == stack


def labels(kind: str, name: str) -> dict[str, str] | None:
    """Return the labels of something that Docker has, or None when it has no such thing.

    Args:
        kind: one of ``KINDS``.
        name: of the container, volume or network.

    Raises:
        UnreachableError: Docker can't be asked.
    """
    found = inspect(kind, name)
    if found is None:
        return None
    return dict((found["Config"] if kind == "container" else found).get("Labels") or {})


def inspect(kind: str, name: str) -> dict[str, Any] | None:
    """Return what Docker says of something, or None when it has no such thing.

    Args:
        kind: one of ``KINDS``.
        name: of the container, volume or network.

    Raises:
        UnreachableError: Docker can't be asked.
    """
    try:
        # The name as a whole: Docker would take the beginning of an ID, too.
        found: list[dict[str, Any]] = json.loads(engine.ask(kind, "inspect", name))
    except CommandError as error:
        if "no such" in str(error).lower() or "not found" in str(error).lower():
            return None
        raise
    return next((each for each in found if each["Name"].lstrip("/") == name), None)


def still_runs(*names: str) -> Callable[[LabError | None], bool]:
    """Return what tells ``wait.until`` to go on as long as containers run, which it looks at now and then.

    Args:
        names: of the containers.

    Raises:
        LabError: by what is returned; one does not run.
        UnreachableError: by what is returned; the engine is gone.
    """
    looked = time.monotonic()

    def goes_on(_error: LabError | None) -> bool:
        nonlocal looked
        if time.monotonic() > looked + LOOK:
            for name in names:
                try:
                    found = inspect("container", name)
                except CommandError:
                    continue  # Docker is slow: whether it runs is not known
                # Docker starts again what has ended.
                if not found or found["State"]["Status"] not in {"running", "restarting"}:
                    raise LabError(
                        f"The container {name} does not run any more",
                        fix=f"make up; `docker logs {name}` may say why" if found else "make up",
                    )
            looked = time.monotonic()
        return True

    return goes_on


def ensure_volume(name: str, **labels: str) -> None:
    """Make a volume unless it is there.

    Args:
        name: of the volume.
        labels: besides that of the project, with "iot." in front.
    """
    if inspect("volume", name) is None:
        given = [f"--label=iot.{key}={value}" for key, value in labels.items()]
        engine.ask("volume", "create", *given, f"--label={PROJECT_LABEL}={PROJECT}", name)


def volumes(*filters: str) -> list[str]:
    """Return the names of the volumes with these labels.

    Args:
        filters: each ``key`` or ``key=value``.

    Raises:
        UnreachableError: Docker can't be asked.
    """
    wanted = [f"--filter=label={each}" for each in filters]
    return sorted(engine.ask("volume", "ls", "--quiet", *wanted).split())


def other_clones() -> bool:
    """Say whether this engine runs something of another clone of the project, which names what it builds alike."""
    found = engine.containers(PROJECT_LABEL)
    return any(each.labels[PROJECT_LABEL] != PROJECT for each in found)


def ensure_network(name: str, stack: str) -> None:
    """Make a network unless it is there.

    Args:
        name: of the network.
        stack: whose it is.
    """
    # All that is on it is made at the same time, and Docker makes two of one name for two who ask at once.
    with _alone():
        if not inspect("network", name):
            given = [f"--label={STACK_LABEL}={stack}", f"--label={PROJECT_LABEL}={PROJECT}"]
            engine.ask("network", "create", *given, name)


@contextmanager
def _alone() -> Iterator[None]:
    """Wait until no other process of this project is here."""
    folder = Path(PROJECT) / ".lab"
    folder.mkdir(exist_ok=True)
    with (folder / "network.lock").open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)  # until it is closed
        yield


def leave_network(name: str, stack: str) -> None:
    """Remove a network of the stack's when nothing is on it any more; whoever leaves last does it."""
    found = inspect("network", name)
    if not found or (found.get("Labels") or {}).get(STACK_LABEL) != stack:
        return
    try:
        engine.ask("network", "rm", name)
    except CommandError as error:
        if inspect("network", name) and "active endpoints" not in str(error):
            raise


def is_whole(wanted: ContainerSpec) -> bool:
    """Say whether a container runs as it was asked for, with its volume."""
    found = inspect("container", wanted.name)
    return (
        found is not None
        and found["State"]["Status"] == "running"
        and (found["Config"].get("Labels") or {}).get(CONFIG_LABEL) == wanted.config
        and inspect("volume", wanted.name) is not None
    )


def make(wanted: ContainerSpec) -> None:
    """Make and start a container, in the place of one that is otherwise; its volume stays as it is.

    Raises:
        LabError: its image can't be had, something of its name is not ours, or it can't be started.
    """
    for kind, name in (("container", wanted.name), ("volume", wanted.name), ("network", wanted.network)):
        refuse_foreign(kind, name, wanted.stack, kept=kind == "volume" and wanted.keeps)
    engine.ensure_image(wanted.image)
    if inspect("container", wanted.name):
        engine.ask("container", "rm", "--force", wanted.name)
    ensure_volume(wanted.name, stack=wanted.stack, **({"kept": wanted.network} if wanted.keeps else {}))
    # A cluster of the stack's that has a port of it goes at the same time, and may take the network along.
    wait.until(lambda: _start(wanted), timeout=PORT, every=1, also=lambda error: _is_held(error, wanted))


def _start(wanted: ContainerSpec) -> None:
    ensure_network(wanted.network, wanted.stack)
    try:
        run(wanted.command(), timeout=engine.PULL)
    except CommandError as error:
        # One that is made and can't be started is in the way of nothing, but nobody knows of it.
        with suppress(CommandError):
            engine.ask("container", "rm", "--force", wanted.name)
        raise LabError(
            f"The container {wanted.name} can't be started",
            why=error.why,
            fix="see whether its port is free and `docker info` answers, and run again",
        ) from error


def _is_held(error: LabError, wanted: ContainerSpec) -> bool:
    """Say whether a container can't be started for what another one of the stack's has, or has just taken along."""
    if f"network {wanted.network} not found" in str(error):
        return True
    port = re.search(r":(\d+) failed: port is already allocated", str(error))
    ours = engine.containers(f"{STACK_LABEL}={wanted.stack}") if port else []
    return any(port and int(port[1]) in each.ports for each in ours)


def remove(wanted: ContainerSpec) -> None:
    """Remove the container, its volume, and the network when it is the last one there. What is gone is no error.

    A volume that outlives its container stays.
    """
    if stop(wanted):
        # What the image declares as a volume, and we do not use, goes with it.
        engine.ask("container", "rm", "--force", "--volumes", wanted.name)
    if not wanted.keeps and is_ours("volume", wanted.name, wanted.stack):
        engine.ask("volume", "rm", wanted.name)
    leave_network(wanted.network, wanted.stack)


def stop(wanted: ContainerSpec) -> bool:
    """Stop the container, and tell whether there is one that is the stack's."""
    ours = is_ours("container", wanted.name, wanted.stack)
    if ours:
        engine.ask("container", "stop", f"--time={END}", wanted.name)
    return ours


def inside(wanted: ContainerSpec, script: str, *, timeout: float, into: Path | None = None) -> str:
    """Run a shell script beside a container's data, whether the container runs or not, and return what it printed.

    Args:
        wanted: the container; its volume has to be there.
        script: for ``sh``; it may read the data.
        timeout: seconds.
        into: a file for what it prints.

    Raises:
        CommandError: it failed.
    """
    found = inspect("container", wanted.name)
    if found and found["State"]["Status"] == "running":
        command = ["docker", "exec", "--interactive", wanted.name, "sh", "-s"]
    else:
        command = [
            *("docker", "run", "--rm", "--interactive", f"--label={STACK_LABEL}={wanted.stack}", "--network=none"),
            *(f"--volume={wanted.name}:{wanted.mount}", "--entrypoint=/bin/sh", wanted.image, "-s"),
        ]
    return run(command, timeout=timeout, given=script, into=into)
