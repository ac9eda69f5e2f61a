"""K3s on machines, installed over SSH: the server and its cluster, its agents, and images without a registry."""

from __future__ import annotations

import base64
import json
import platform
import shlex
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import pulumi
import pulumi_command as command
import yaml

from components.core import versions
from components.core.errors import LabError
from components.core.run import MODULE
from components.machines.machine import node_name
from components.machines.transfer import Stream, Transfer, TransferArgs

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from components.machines.machine import VagrantMachine

SCRIPT: Final = Path(__file__).parent / "k3s.sh"
API_PORT: Final = 6443
ARCHITECTURES: Final = {"x86_64": "amd64", "AMD64": "amd64", "aarch64": "arm64", "arm64": "arm64"}
RELATED_MACHINE: Final = "iot/machine"
CTR: Final = "sudo -n k3s ctr --namespace k8s.io images"


@dataclass(frozen=True, kw_only=True)
class AirgapFiles:
    """What K3s's air-gap documentation asks for, on this host.

    Attributes:
        binary: the k3s of this host's architecture.
        install: K3s's install.sh.
        images: the archive of its images.
    """

    binary: Path
    install: Path
    images: Path

    @property
    def versions(self) -> list[str]:
        """Values that change when a file does, without reading hundreds of MB."""
        stats = [(path.name, path.stat()) for path in (self.binary, self.install, self.images)]
        return [f"{name} {stat.st_size} {stat.st_mtime_ns}" for name, stat in stats]


def airgap_files(folder: Path, machine: str = "") -> AirgapFiles:
    """Find the air-gap files in a folder.

    Args:
        folder: as https://docs.k3s.io/installation/airgap lays it out.
        machine: the architecture as ``uname -m`` has it; empty means this host's, which the machines share.

    Raises:
        LabError: lists what is missing.
    """
    arch = ARCHITECTURES.get(machine or platform.machine(), "amd64")
    binaries = [folder / f"k3s-{arch}", folder / "k3s"]
    images = sorted(folder.glob(f"k3s-airgap-images-{arch}.tar*"))
    found = {
        "k3s": next((path for path in binaries if path.is_file()), None),
        "install.sh": next((path for path in [folder / "install.sh"] if path.is_file()), None),
        f"k3s-airgap-images-{arch}.tar.zst": images[0] if images else None,
    }
    binary, install, archive = found.values()
    if binary is None or install is None or archive is None:
        raise LabError(
            f"The air-gap folder {folder} lacks {', '.join(name for name, path in found.items() if path is None)}",
            why="K3s's air-gap installation needs the binary, install.sh and the images",
            fix=f"get them from {versions.K3S_RELEASE_URL}, or empty iot:k3sAirgapDir to let the machines download K3s",
        )
    return AirgapFiles(binary=binary, install=install, images=archive)


def server_config(machine: str, address: str, arguments: Sequence[str]) -> dict[str, Any]:
    """Return the server's config.yaml (https://docs.k3s.io/installation/configuration#configuration-file).

    Args:
        machine: the machine's name.
        address: its IPv4 address on the private network.
        arguments: further ones, as on K3s's command line.
    """
    config: dict[str, Any] = {
        "node-name": node_name(machine),
        "node-ip": address,
        "tls-san": [address],
        "write-kubeconfig-mode": "0600",
        "agent-token-file": "/etc/rancher/k3s/agent-token",
    }
    for argument in arguments:
        name, given, value = argument.removeprefix("--").partition("=")
        _add(config, name, value if given else True)
    return config


def _add(config: dict[str, Any], name: str, value: str | bool) -> None:  # noqa: FBT001 - a flag's value, not a switch
    """Add an argument; one that is given again makes a list, as on the command line."""
    if name not in config:
        config[name] = value
    elif isinstance(config[name], list):
        config[name] = [*config[name], value]
    else:
        config[name] = [config[name], value]


def agent_config(machine: str, address: str, server: str, identity: str) -> dict[str, Any]:
    """Return an agent's config.yaml.

    Args:
        machine: the machine's name.
        address: its IPv4 address on the private network.
        server: the server's.
        identity: of the machine; the node carries it as a label, so that a new machine's node is told from the old.
    """
    return {
        "server": f"https://{server}:{API_PORT}",
        "node-name": node_name(machine),
        "node-ip": address,
        "node-label": [f"{RELATED_MACHINE}={identity}"],
    }


def script_input(values: Mapping[str, str]) -> str:
    """Return what ``bash -s`` reads: the values as quoted variables, then the script.

    Standard input shows in no list of processes and in no file on the machine, unlike arguments and copied scripts.
    """
    lines = "".join(f"{name}={shlex.quote(value)}\n" for name, value in values.items())
    return lines + SCRIPT.read_text(encoding="utf-8")


def host_kubeconfig(text: str, address: str, name: str) -> str:
    """Return a server's own kubeconfig as this host needs it.

    Args:
        text: what K3s wrote, which names 127.0.0.1.
        address: the server's IPv4 address on the private network.
        name: what cluster, user and context are called.
    """
    content = yaml.safe_load(text)
    content["clusters"][0]["cluster"]["server"] = f"https://{address}:{API_PORT}"
    for kind in ("clusters", "users", "contexts"):
        content[kind][0]["name"] = name
    content["contexts"][0]["context"].update(cluster=name, user=name)
    content["current-context"] = name
    result: str = yaml.safe_dump(content)
    return result


def _joined(values: Sequence[object]) -> str:
    return " ".join(map(str, values))


def _download() -> dict[str, str]:
    """Return the script's variables for what K3s is and where it comes from."""
    return {
        "K3S_VERSION": versions.K3S,
        "RELEASE_URL": versions.K3S_RELEASE_URL,
        "SHA256_AMD64": versions.K3S_SHA256["amd64"],
        "SHA256_ARM64": versions.K3S_SHA256["arm64"],
        "INSTALL_URL": versions.K3S_INSTALL_URL,
        "INSTALL_SHA256": versions.K3S_INSTALL_SHA256,
    }


def _copies(
    name: str, files: AirgapFiles | None, machine: VagrantMachine, parent: pulumi.Resource, timeout: int
) -> list[pulumi.Resource]:
    """Copy the air-gap files into the home of the machine's user, where the script takes them from.

    Not by CopyToRemote: it would read these hundreds of MB on every preview, to tell whether they are others.
    """
    if files is None:
        return []
    targets = {".iot-k3s": files.binary, ".iot-install.sh": files.install, ".iot-images": files.images}
    copies = TransferArgs(
        machine=machine,
        what="K3s's air-gap files",
        streams=[Stream(source=["cat", str(path)], target=f"cat >{target}") for target, path in targets.items()],
        proof=" && ".join(f'test "$(stat -c %s {target})" = {path.stat().st_size}' for target, path in targets.items()),
        versions=list(files.versions),
        timeout=timeout,
    )
    return [Transfer(name, copies, machine.on_it(parent))]


def _run(  # noqa: PLR0913 - what a Command is made of
    name: str,
    machine: VagrantMachine,
    action: str,
    values: Mapping[str, pulumi.Input[str]],
    opts: pulumi.ResourceOptions,
    *,
    undo: str,
    again: Sequence[pulumi.Input[Any]],
) -> command.remote.Command:
    """Run an action of the script; when a value, or one of ``again``, is another it runs again and makes it so.

    Not by the Command's own triggers: they replace it, and the old one's ``delete`` would undo what the new one did.
    """
    return command.remote.Command(
        name,
        connection=machine.connection,
        create=f"sudo -n bash -s {action}",
        update=f"sudo -n bash -s {action}",
        delete=f"sudo -n bash -s {undo}",
        stdin=pulumi.Output.all(**values, RUN_AGAIN=pulumi.Output.all(*again).apply(_joined)).apply(script_input),
        # What the script says to people is on standard error; what it hands back is secret. Its input is secret when
        # one of the values is.
        logging=command.remote.Logging.STDERR,
        add_previous_output_in_env=False,
        opts=pulumi.ResourceOptions.merge(opts, pulumi.ResourceOptions(additional_secret_outputs=["stdout"])),
    )


@dataclass(frozen=True, kw_only=True)
class K3sServerArgs:
    """A K3s server.

    Attributes:
        machine: what it runs on.
        arguments: further ones of ``k3s server``; may be a secret.
        airgap: K3s's files on this host; None means that the machine downloads them.
        timeout: seconds that one wait may take.
    """

    machine: VagrantMachine
    arguments: tuple[str, ...] | pulumi.Output[tuple[str, ...]]
    airgap: AirgapFiles | None
    timeout: int


class K3sServer(pulumi.ComponentResource):
    """A K3s server, which is a control plane and a node.

    Type token ``iot:k3s:K3sServer``. Makes a ``command.remote.Command`` named ``{name}-install`` and, air-gapped, a
    dynamic resource named ``{name}-files``.

    Attributes:
        machine: what it runs on.
        installed: the resource that is there once the server's node is Ready.
        agent_token: what agents join with; a secret. It lets nobody in as a server.
        kubeconfig: how this host reaches its cluster; a secret.
        cluster_id: changes when it is another cluster.
    """

    def __init__(self, name: str, args: K3sServerArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("iot:k3s:K3sServer", name, {}, opts)
        self.machine = machine = args.machine
        copies = _copies(f"{name}-files", args.airgap, machine, self, args.timeout)
        values: dict[str, pulumi.Input[str]] = {
            **_download(),
            "NODE_NAME": node_name(machine.name),
            "ADDRESS": machine.address,
            "TIMEOUT": str(args.timeout),
            "AIRGAP_IMAGES": args.airgap.images.name if args.airgap else "",
            # Secret when the arguments are, and with it the whole input of the Command.
            "K3S_CONFIG": pulumi.Output.from_input(args.arguments).apply(
                lambda given: yaml.safe_dump(server_config(machine.name, machine.address, given))
            ),
        }
        self.installed = _run(
            f"{name}-install",
            machine,
            "server",
            values,
            machine.on_it(self, *copies),
            undo="uninstall",
            again=[machine.identity, machine.boots, *(args.airgap.versions if args.airgap else [])],
        )
        stdout: pulumi.Output[str] = pulumi.Output.secret(self.installed.stdout)
        answer = stdout.apply(json.loads)
        self.agent_token = answer.apply(lambda found: str(found["agentToken"]))
        self.kubeconfig = answer.apply(
            lambda found: host_kubeconfig(
                base64.b64decode(found["kubeconfig"]).decode(), machine.address, node_name(machine.name)
            )
        )
        # The cluster's own identity, and not the machine's: of what depends on a machine that is to be replaced, the
        # engine closes the Kubernetes provider beforehand, and then fails to delete with it what was in the cluster.
        self.cluster_id = pulumi.Output.unsecret(answer.apply(lambda found: str(found["cluster"])))
        self.register_outputs({})


@dataclass(frozen=True, kw_only=True)
class K3sAgentArgs:
    """A K3s agent.

    Attributes:
        machine: what it runs on.
        server: what it joins.
        airgap: K3s's files on this host; None means that the machine downloads them.
        timeout: seconds that one wait may take.
    """

    machine: VagrantMachine
    server: K3sServer
    airgap: AirgapFiles | None
    timeout: int


class K3sAgent(pulumi.ComponentResource):
    """A K3s agent, which is a node of a server's cluster.

    Type token ``iot:k3s:K3sAgent``. Makes three ``command.remote.Command``: on the server ``{name}-admission``, which
    removes the node of a machine that is gone, on the agent ``{name}-install``, on the server ``{name}-ready``, whose
    deletion takes the node out of the cluster; and air-gapped, a dynamic resource named ``{name}-files``.

    Attributes:
        ready: the resource that is there once the node is Ready.
    """

    def __init__(self, name: str, args: K3sAgentArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("iot:k3s:K3sAgent", name, {}, opts)
        machine, server = args.machine, args.server
        about = {"NODE_NAME": node_name(machine.name), "ADDRESS": machine.address, "TIMEOUT": str(args.timeout)}
        both = [machine.identity, server.machine.identity]
        admission = _run(
            f"{name}-admission",
            server.machine,
            "forget",
            about | {"MACHINE": machine.identity},
            server.machine.on_it(self, server.installed),
            undo="remove",
            again=both,
        )
        config = machine.identity.apply(
            lambda identity: yaml.safe_dump(
                agent_config(machine.name, machine.address, server.machine.address, identity)
            )
        )
        installed = _run(
            f"{name}-install",
            machine,
            "agent",
            _download()
            | about
            | {
                "AIRGAP_IMAGES": args.airgap.images.name if args.airgap else "",
                "K3S_CONFIG": config,
                "TOKEN": server.agent_token,
            },
            machine.on_it(self, admission, *_copies(f"{name}-files", args.airgap, machine, self, args.timeout)),
            undo="uninstall",
            again=[machine.identity, machine.boots, *(args.airgap.versions if args.airgap else [])],
        )
        self.ready = _run(
            f"{name}-ready",
            server.machine,
            "ready",
            about,
            server.machine.on_it(self, installed),
            undo="remove",
            again=[*both, machine.boots],
        )
        self.register_outputs({})


@dataclass(frozen=True, kw_only=True)
class MachineImageArgs:
    """An image for a machine.

    Attributes:
        server: the K3s that runs it.
        reference: the image's name and tag in this host's Docker engine.
        image_id: Docker's digest of it, so that a rebuilt one is brought again.
        timeout: seconds that this may take.
    """

    server: K3sServer
    reference: pulumi.Output[str]
    image_id: pulumi.Output[str]
    timeout: int


class MachineImage(pulumi.ComponentResource):
    """An image of this host's Docker engine, in the containerd of a K3s machine, without a registry.

    Type token ``iot:k3s:MachineImage``. Makes a dynamic resource named ``{name}-transfer``.

    Attributes:
        there: what pods that run the image depend on.
    """

    def __init__(self, name: str, args: MachineImageArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("iot:k3s:MachineImage", name, {}, opts)
        machine = args.server.machine
        self.there = Transfer(
            f"{name}-transfer",
            TransferArgs(
                machine=machine,
                what=args.reference.apply(lambda reference: f"The image {reference}"),
                streams=[Stream(source=[*MODULE, "components.docker.save", args.reference], target=f"{CTR} import -")],
                proof=args.reference.apply(
                    lambda reference: f"{CTR} list --quiet | grep -qxF -e {reference} -e docker.io/{reference}"
                ),
                versions=[args.image_id],
                timeout=args.timeout,
            ),
            machine.on_it(self, args.server.installed),
        )
        self.register_outputs({})
