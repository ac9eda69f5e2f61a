"""What Vagrant is asked to do with one machine, and where what it notes about it is kept."""

from __future__ import annotations

import fcntl
import ipaddress
import json
import os
import shutil
import signal
import subprocess
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from components.core import versions, wait
from components.core.errors import LabError
from components.core.names import TEMPORARY
from components.core.run import CommandError, run
from components.docker import engine as docker_engine
from components.machines import ssh

if TYPE_CHECKING:
    from collections.abc import Iterator

ROOT: Final = Path(__file__).resolve().parents[2]
RUN: Final = ROOT / ".lab" / "run"
VAGRANTFILE: Final = ROOT / "vagrant"
# In WSL2, VirtualBox is on the Windows side: on PATH, or where its installer puts it.
VIRTUALBOX: Final = ("VBoxManage", "VBoxManage.exe", "/mnt/c/Program Files/Oracle/VirtualBox/VBoxManage.exe")
RUNNING: Final = "running"
HALTED: Final = "halted"
GONE: Final = "gone"
USER: Final = "vagrant"
ANSWER: Final = 60.0  # seconds for a question; Ruby takes its time on a busy machine
DESTROY: Final = 180.0  # seconds
BUILD: Final = 1800.0  # seconds for the docker provider's image on a slow network
LOCKED: Final = "Vagrant locks each machine for access by only one process at a time"
LOCK_EVERY: Final = 2.0  # seconds between two tries at a machine that another Vagrant holds
INTERRUPT: Final = 30.0  # seconds that an interrupted Vagrant may take to tidy up
REACH: Final = 60.0  # seconds from Vagrant's "it is up" until SSH answers on the private network
SAID: Final = 10  # lines of what Vagrant said that go into a message; its longest explanation has nine
MACHINE_LABEL: Final = "iot.machine"
PROJECT_LABEL: Final = "iot.project"
NETWORK_LABEL: Final = "iot.network"


class Machine:
    """One machine: a folder with machine.json and Vagrant's notes, and the commands about it.

    Args:
        props: ``name``, ``stack``, ``provider`` (virtualbox, libvirt or docker), ``box``, ``box_version``,
            ``address``, ``cpus``, ``memory`` (MiB) and ``timeout`` (seconds).
    """

    def __init__(self, props: dict[str, Any]) -> None:
        self.props = props
        self.name: str = props["name"]
        self.provider: str = props["provider"]
        self.timeout = float(props["timeout"])
        self.folder: Path = RUN / props["stack"] / self.name
        self.label = f"iot-{props['stack']}-{self.name}"
        self._notes: Path = self.folder / "machines" / self.name / self.provider

    @property
    def known(self) -> bool:
        """Whether there is anything of it on this host."""
        return (self.folder / "machine.json").exists()

    @property
    def instance(self) -> str:
        """The provider's identity of the machine; empty when there is none."""
        path = self._notes / "id"
        return path.read_text(encoding="utf-8").strip() if path.exists() else ""

    def state(self) -> str:
        """Return ``RUNNING``, ``HALTED`` or ``GONE``.

        Raises:
            CommandError: Vagrant can't be asked.
        """
        if not self.known:
            return GONE
        lines = [line.split(",") for line in self._ask("status", "--machine-readable").splitlines()]
        states = [fields[3] for fields in lines if fields[2:3] == ["state"]]
        if not states or states[0] in {"unknown", "host_state_unknown"}:
            raise CommandError(f"Vagrant does not know the state of {self.name}")
        return {"running": RUNNING, "not_created": GONE}.get(states[0], HALTED)

    def prepare(self) -> None:
        """Write down what the machine is to be like, and bring what the docker provider needs."""
        description = dict(self.props, label=self.label, network=None, docker_args=self._docker_args())
        if self.provider == "docker":
            ensure_image(self.props["box"])
            description["network"] = network_name(self.props["address"])
        with _folders_locked():
            self.folder.mkdir(parents=True, exist_ok=True)
            text = json.dumps(description, indent=2, sort_keys=True)
            (self.folder / "machine.json").write_text(text + "\n", encoding="utf-8")
            if self.provider == "docker":
                ensure_network(self.props["address"])

    def up(self) -> None:
        """Create or start it, and wait until SSH answers on the private network."""
        self._do("up", "--no-provision", "--provider", self.provider, timeout=self.timeout)
        self._reach()

    def reload(self) -> None:
        """Give it the CPUs and the memory that are written down now; a container needs no restart for that."""
        if self.provider == "docker":
            run(["docker", "update", *self._limits(), self.instance], timeout=ANSWER)
        else:
            self._do("reload", "--no-provision", timeout=self.timeout)
        self._reach()

    def destroy(self) -> None:
        """Remove it with its network, its disk and Vagrant's notes, as far as they are still there."""
        if self.known:
            self._destroy()
        if self.provider == "docker":
            self._remove_container()
        with _folders_locked():
            if self.folder.exists():
                shutil.rmtree(self.folder)
            if self.provider == "docker":
                remove_network(self.props["address"])
            for parent in (self.folder.parent, self.folder.parent.parent):
                if parent.exists() and not any(parent.iterdir()):
                    parent.rmdir()

    def _destroy(self) -> None:
        """Let Vagrant destroy it, once another Vagrant has let go of it: one whose `up` was killed runs on."""
        wait.until(
            lambda: self._do("destroy", "--force", timeout=DESTROY),
            timeout=self.timeout,
            every=LOCK_EVERY,
            also=lambda error: LOCKED in str(error).replace(" | ", " "),
        )

    def login(self) -> ssh.Login:
        """Return the way in: Vagrant's key, and the machine's own as it was at the first connection.

        Raises:
            LabError: the machine is gone, or was never reached.
        """
        missing = [path for path in (self._key, self._known_hosts) if not path.exists()]
        if missing:
            raise LabError(
                f"There is no way into {self.name}",
                why=f"{missing[0]} is gone, and the machine most likely with it",
                fix=f"make up STACK={self.props['stack']}",
            )
        return ssh.Login(
            address=self.props["address"],
            user=USER,
            private_key=self._key.read_text(encoding="utf-8"),
            host_key=self._known_hosts.read_text(encoding="utf-8").strip().partition(" ")[2],
        )

    @property
    def _key(self) -> Path:
        return self._notes / "private_key"

    @property
    def _known_hosts(self) -> Path:
        return self.folder / "known_hosts"

    def _docker_args(self) -> list[str]:
        labels = {MACHINE_LABEL: f"{self.props['stack']}/{self.name}", PROJECT_LABEL: str(ROOT)}
        return [*(word for key, value in labels.items() for word in ("--label", f"{key}={value}")), *self._limits()]

    def _limits(self) -> list[str]:
        memory = f"{self.props['memory']}m"
        return ["--cpus", str(self.props["cpus"]), "--memory", memory, "--memory-swap", memory]

    def _reach(self) -> None:
        """Wait for SSH at the private address; whoever answers first is who has to answer from then on."""
        if not self._key.exists():
            raise LabError(
                f"Vagrant has made no key for {self.name}",
                why=f"expected {self._key}: the box has to let Vagrant in with its well-known key at first",
                fix="use a box made for Vagrant: pulumi config set iot:vagrantBox NAME",
            )
        to = [*ssh.options(self._key, self._known_hosts), "-o", "StrictHostKeyChecking=accept-new"]
        knock = [*to, f"{USER}@{self.props['address']}", "true"]
        try:
            wait.until(lambda: run(knock, timeout=ssh.CONNECT * 2), timeout=REACH, every=1)
        except CommandError as error:
            raise LabError(
                f"{self.name} is up, but SSH does not answer at {self.props['address']} within {REACH:.0f} s",
                why=str(error),
                fix="another network of this host may have that range; see docs/p1.md",
            ) from error

    def _remove_container(self) -> None:
        """Remove a container that an interrupted run left and Vagrant has lost sight of."""
        for container in docker_engine.containers(f"{MACHINE_LABEL}={self.props['stack']}/{self.name}"):
            if container.labels.get(PROJECT_LABEL) == str(ROOT):
                run(["docker", "rm", "--force", "--volumes", container.name], timeout=DESTROY)

    def _environment(self) -> dict[str, str]:
        # Pulumi's own variables (its passphrase among them) are none of Vagrant's business.
        kept = {key: value for key, value in os.environ.items() if not key.startswith("PULUMI_")}
        # VirtualBox's server outlives this, and goes on with the folder that it is told of now.
        if (own := kept.pop(TEMPORARY, None)) is not None:
            kept["TMPDIR"] = own
        return kept | {
            "VAGRANT_CWD": str(VAGRANTFILE),
            "VAGRANT_DOTFILE_PATH": str(self.folder),
            "VAGRANT_DEFAULT_PROVIDER": self.provider,
            "VAGRANT_CHECKPOINT_DISABLE": "1",
            **({"VAGRANT_WSL_ENABLE_WINDOWS_ACCESS": "1"} if any(map(shutil.which, VIRTUALBOX[1:])) else {}),
        }

    def _ask(self, *arguments: str) -> str:
        require_vagrant()
        try:
            done = subprocess.run(  # noqa: S603 - arguments, no shell
                ["vagrant", *arguments],  # noqa: S607 - found on PATH, as the user has it
                env=self._environment(),
                stdin=subprocess.DEVNULL,
                capture_output=True,
                text=True,
                timeout=ANSWER,
                check=False,
            )
        except subprocess.TimeoutExpired as error:
            raise CommandError(f"`vagrant {arguments[0]}` did not answer within {ANSWER:.0f} s") from error
        if done.returncode:
            raise CommandError(f"`vagrant {arguments[0]}` failed", why=_end(done.stderr or done.stdout))
        return done.stdout

    def _do(self, *arguments: str, timeout: float) -> None:
        """Let Vagrant do something; what it says goes to vagrant.log, for people to watch."""
        require_vagrant()
        path = self.folder / "vagrant.log"
        with path.open("ab") as log:
            start = log.tell()
            process = subprocess.Popen(  # noqa: S603 - arguments, no shell
                ["vagrant", *arguments, "--no-color"],  # noqa: S607 - found on PATH, as the user has it
                env=self._environment(),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
            )
            try:
                code = process.wait(timeout)
            except subprocess.TimeoutExpired:
                code = None
                _interrupt(process)
        said = _end(path.read_bytes()[start:].decode(errors="replace"))
        what = f"`vagrant {arguments[0]}` of {self.name}"
        if code is None:
            raise CommandError(
                f"{what} did not end within {timeout:.0f} s",
                why=f"it last said: {said}",
                fix="pulumi config set iot:timeout SECONDS on a slow network; a box that has arrived is kept",
            )
        if code:
            raise CommandError(f"{what} failed with exit code {code}", why=f"it said: {said}")


def require_vagrant() -> None:
    """Stop when there is no Vagrant.

    Raises:
        CommandError: says where to get it.
    """
    if not shutil.which("vagrant"):
        raise CommandError(
            "vagrant is not on PATH",
            why="the machines of p1 and p2 are made with it",
            fix="install it from https://developer.hashicorp.com/vagrant/install",
        )


def network_name(address: str) -> str:
    """Return the name of the Docker network that an address is in."""
    return f"iot-{_subnet(address).network_address}"


def ensure_network(address: str) -> None:
    """Make the docker provider's private network unless it is there.

    Vagrant would make one itself, and remove it while the next machine is about to join it.
    """
    name, subnet = network_name(address), _subnet(address)
    if name in _networks():
        return
    try:
        run(
            ["docker", "network", "create", "--subnet", str(subnet), "--label", f"{NETWORK_LABEL}={subnet}", name],
            timeout=ANSWER,
        )
    except CommandError as error:
        raise LabError(
            f"Docker can't make the network {subnet}",
            why=str(error),
            fix="`docker network ls` shows who has the range; remove it, or pulumi config set iot:serverAddress",
        ) from error


def remove_network(address: str) -> None:
    """Remove the docker provider's private network when no machine is on it, or about to join it."""
    name = network_name(address)
    if name not in _networks():
        return
    described = [json.loads(path.read_text(encoding="utf-8")) for path in RUN.glob("*/*/machine.json")]
    joining = any(machine["network"] == name for machine in described)
    if not joining and not run(["docker", "ps", "-aq", "--filter", f"network={name}"], timeout=ANSWER):
        run(["docker", "network", "rm", name], timeout=ANSWER)


@contextmanager
def _folders_locked() -> Iterator[None]:
    """Let no other machine, of this stack or another one, come or go meanwhile."""
    path = RUN.with_name("run.lock")
    path.parent.mkdir(exist_ok=True)
    with path.open("w", encoding="utf-8") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def ensure_image(image: str) -> None:
    """Bring the docker provider's image: build the project's own one, pull any other."""
    if image != versions.VAGRANT_DOCKER_IMAGE:
        docker_engine.ensure_image(image)
        return
    if not docker_engine.has_image(image):
        base = f"BASE={versions.VAGRANT_DOCKER_BASE}"
        run(["docker", "build", "--quiet", "--tag", image, "--build-arg", base, str(VAGRANTFILE)], timeout=BUILD)


def _subnet(address: str) -> ipaddress.IPv4Network:
    return ipaddress.IPv4Network(f"{address}/24", strict=False)


def _networks() -> list[str]:
    command = ["docker", "network", "ls", "--filter", f"label={NETWORK_LABEL}", "--format", "{{.Name}}"]
    return run(command, timeout=ANSWER).split()


def _interrupt(process: subprocess.Popen[bytes]) -> None:
    """End Vagrant the way Ctrl-C does, so that it lets go of its locks."""
    process.send_signal(signal.SIGINT)
    try:
        process.wait(INTERRUPT)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


def _end(text: str) -> str:
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    return " | ".join(lines[-SAID:]) or "nothing"
