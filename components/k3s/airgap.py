"""K3s's air-gap files: found on this host, and copied to a machine."""

from __future__ import annotations

import platform
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from components.core import versions
from components.core.errors import LabError
from components.machines.transfer import Stream, Transfer, TransferArgs

if TYPE_CHECKING:
    from pathlib import Path

    import pulumi

    from components.k3s.presence import K3sPresence

ARCHITECTURES: Final = {"x86_64": "amd64", "AMD64": "amd64", "aarch64": "arm64", "arm64": "arm64"}


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


def find(folder: Path, machine: str = "") -> AirgapFiles:
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


def copies(
    name: str, files: AirgapFiles | None, presence: K3sPresence, parent: pulumi.Resource, timeout: int
) -> list[pulumi.Resource]:
    """Copy the air-gap files into the home of the machine's user, where the script takes them from.

    Again when K3s was lost, with which the copies went that the script had taken.

    Not by CopyToRemote: it would read these hundreds of MB on every preview, to tell whether they are others.
    """
    if files is None:
        return []
    targets = {".iot-k3s": files.binary, ".iot-install.sh": files.install, ".iot-images": files.images}
    copies = TransferArgs(
        machine=presence.machine,
        what="K3s's air-gap files",
        streams=[Stream(source=["cat", str(path)], target=f"cat >{target}") for target, path in targets.items()],
        proof=" && ".join(f'test "$(stat -c %s {target})" = {path.stat().st_size}' for target, path in targets.items()),
        versions=[*files.versions, presence.losses.apply(str)],
        timeout=timeout,
    )
    return [Transfer(name, copies, presence.machine.on_it(parent))]
