"""What has to be there before anything is created: tools, Docker, free ports, a cluster name that is ours."""

from __future__ import annotations

import errno
import os
import re
import shutil
import socket
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from typing import TYPE_CHECKING, Final

import pulumi

from components.core import versions
from components.core.errors import LabError, all_of
from components.core.names import BEGINS
from components.core.run import CommandError, run
from components.docker import container as containers
from components.docker import engine as docker_engine
from components.k3d import provider as k3d_provider

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from components.core.settings import ClusterSettings

FIRST: Final = ""  # of the stack's clusters, on the network of its own name
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


def check_k3d(  # noqa: PLR0913 - what is looked at, for whom
    cluster: ClusterSettings,
    ports: Iterable[int],
    stack: str,
    beside: Mapping[str, bool],
    *,
    preview: bool,
    network: str = "",
) -> bool:
    """Stop unless a k3d cluster can be created, or is ours already.

    A preview on a machine that could not create it goes on: it only says what would be done.

    Args:
        cluster: its settings.
        ports: the ports of this host that it needs.
        stack: whose cluster it is.
        beside: the containers that stand beside it, each with a volume of its name, and whether that outlives them.
        preview: whether nothing is going to be created.
        network: the Docker network that it is on, which is named after the stack's first cluster; empty for that one.

    Returns:
        Whether the stack's first cluster has one of the ports, so that this one has to wait until it has let go of it.

    Raises:
        LabError: lists what is in the way.
    """
    try:
        require_tools(["docker", "k3d", "kubectl"])
        docker_engine.endpoint()
    except LabError as error:
        if preview:
            pulumi.log.info(f"This machine could not create the cluster: {error}")
            return False
        raise
    # Every `up` waits for the answers, so that all are asked for at the same time.
    with ThreadPoolExecutor() as pool:
        version, foreign = pool.submit(_check_version), pool.submit(k3d_provider.refuse_foreign, cluster.name, stack)
        others = [pool.submit(containers.refuse_foreign, "network", cluster.name, stack)]
        others += [pool.submit(_refuse_unknown, cluster.name)] if BEGINS in os.environ and not preview else []
        for name, kept in beside.items():
            others.append(pool.submit(containers.refuse_foreign, "container", name, stack))
            others.append(pool.submit(containers.refuse_foreign, "volume", name, stack, kept=kept))
        nodes = pool.submit(docker_engine.containers, f"{k3d_provider.STACK_LABEL}={stack}")
    version.result()
    for each in (foreign, *others):
        each.result()
    # Also those of a cluster of ours with another name, which the one that is wanted takes the place of.
    ours = {port: node.labels for node in nodes.result() for port in node.ports}
    first, part = False, _part(cluster.name, network or cluster.name)
    # The same one for every port when it is about the address.
    problems: dict[str, LabError] = {}
    for port in ports:
        holder = ours.get(port, {}).get(k3d_provider.CLUSTER_LABEL, "")
        its_part = _part(holder, ours.get(port, {}).get(k3d_provider.NETWORK_LABEL, holder)) if holder else part
        if its_part == FIRST != part:
            first = True
            continue
        problem = _problem(cluster.bind_address, port) if port not in ours else None
        if its_part != part:
            problem = LabError(
                f"Port {port} is that of the cluster {holder}, which goes or gets other ports in this run",
                why=f"{cluster.name} is made before {holder} lets go of it",
                fix="give what moves another port, run this, and then give it the port that it had",
            )
        if problem:
            problems[str(problem)] = problem
    if problems:
        raise all_of([*problems.values()])
    return first


def _refuse_unknown(name: str) -> None:
    """Stop when a cluster of ours is in use, as the state knows nothing.

    The same is found when the cluster is made, but Git's server would have other passwords by then.
    """
    found = k3d_provider.Found(name)
    if found.servers and found.runs:
        with suppress(CommandError):
            k3d_provider.refuse_used(found, 0)


def _part(name: str, network: str) -> str:
    """Return which of a stack's clusters one is, by its name and its network's: FIRST, or the further one's name.

    The network of one that an older version has made is k3d's own; it is the only one of its stack.
    """
    return name.removeprefix(network) if name.startswith(network) else FIRST


def _check_version() -> None:
    said = run(["k3d", "version"], timeout=docker_engine.ANSWER)
    version = re.search(r"k3d version v(\d+)\S*", said)
    if not version or version[1] != K3D_MAJOR:
        raise LabError(
            f"`k3d version` says {said.splitlines()[:1]}",
            why=f"{versions.K3D} was tried, and other majors differ",
            fix="`make setup`",
        )


def _problem(address: str, port: int) -> LabError | None:
    """Return why a port can't be listened on, or None when it can."""
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as listener:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            listener.bind((address, port))
        except OSError as error:
            if error.errno == errno.EACCES:
                # A port that only the superuser may open is Docker's business, which opens it.
                return None
            if error.errno == errno.EADDRNOTAVAIL:
                return LabError(
                    f"iot:bindAddress is {address}",
                    why="expected an address of this host",
                    fix="pulumi config set iot:bindAddress 127.0.0.1",
                )
            return LabError(
                f"Port {port} of {address} is taken",
                why="another program listens there",
                fix=f"find it with `lsof -nP -iTCP:{port}` and stop it, or choose another port (docs/settings.md)",
            )
    return None
