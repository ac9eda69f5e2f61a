"""What has to be there before anything is created: tools, Docker, free ports, a cluster name that is ours."""

from __future__ import annotations

import errno
import shutil
import socket
from typing import TYPE_CHECKING, Final

import pulumi

from components import docker_engine, k3d_provider, versions
from components.errors import LabError, all_of
from components.shell import run

if TYPE_CHECKING:
    from collections.abc import Iterable

    from components.settings import ClusterSettings

K3D_MAJOR: Final = versions.K3D.split(".")[0]


def require_tools(tools: Iterable[str]) -> None:
    """Stop unless all programs are on PATH.

    Raises:
        LabError: lists those that are not.
    """
    missing = [tool for tool in tools if not shutil.which(tool)]
    if missing:
        raise LabError(
            f"{', '.join(missing)} not found on PATH",
            why="this stack runs them",
            fix="`make setup`, then `. ./activate`",
        )


def check_k3d(cluster: ClusterSettings, ports: Iterable[int], stack: str, *, preview: bool) -> None:
    """Stop unless a k3d cluster can be created, or is ours already.

    A preview on a machine that could not create it goes on: it only says what would be done.

    Args:
        cluster: its settings.
        ports: the ports of this host that it needs.
        stack: whose cluster it is.
        preview: whether nothing is going to be created.

    Raises:
        LabError: lists what is in the way.
    """
    try:
        require_tools(["docker", "k3d", "kubectl"])
        docker_engine.endpoint()
    except LabError as error:
        if preview:
            pulumi.log.info(f"This machine could not create the cluster: {error}")
            return
        raise
    _check_version()
    k3d_provider.refuse_foreign(cluster.name, stack)
    ours = {port for node in k3d_provider.Found(cluster.name).nodes for port in node.ports}
    busy = [port for port in ports if port not in ours and not _is_free(cluster.bind_address, port)]
    if busy:
        raise all_of([_busy(cluster.bind_address, port) for port in busy])


def _check_version() -> None:
    version = run(["k3d", "version"], timeout=docker_engine.ANSWER).split()[2].lstrip("v")
    if version.split(".")[0] != K3D_MAJOR:
        raise LabError(
            f"k3d is {version}", why=f"{versions.K3D} was tried, and other majors differ", fix="`make setup`"
        )


def _is_free(address: str, port: int) -> bool:
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as listener:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            listener.bind((address, port))
        except OSError as error:
            # A port that only the superuser may open is Docker's business, which opens it.
            return error.errno == errno.EACCES
    return True


def _busy(address: str, port: int) -> LabError:
    return LabError(
        f"Port {port} of {address} is taken",
        why="another program listens there",
        fix=f"find it with `lsof -nP -iTCP:{port}` and stop it, or choose another port (docs/settings.md)",
    )
