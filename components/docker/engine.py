"""What the host's Docker engine is asked, through its own command line, which knows about contexts."""

from __future__ import annotations

import json
import platform as host
from dataclasses import dataclass
from typing import Final

from components.core.errors import LabError
from components.core.run import CommandError, run

ANSWER: Final = 20.0  # seconds for a question; a busy engine takes a few
PULL: Final = 1800.0  # seconds for one image on a slow network; layers that have arrived are kept


class UnreachableError(LabError):
    """The engine can't be asked, so that nothing is known about what it runs."""


@dataclass(frozen=True)
class Container:
    """A container of the engine.

    Attributes:
        name: its name.
        state: Docker's word for it, such as running, exited or created.
        labels: its labels.
        ports: the ports of this host that lead to it.
    """

    name: str
    state: str
    labels: dict[str, str]
    ports: tuple[int, ...]


def endpoint() -> str:
    """Return the engine's URL, from DOCKER_HOST or the current context, such as unix:///var/run/docker.sock.

    Raises:
        UnreachableError: there is no Docker command line, or no engine answers.
    """
    _ask()
    return run(["docker", "context", "inspect", "--format", "{{.Endpoints.docker.Host}}"], timeout=ANSWER)


def platform() -> str:
    """Return what the engine's containers run on, such as linux/amd64.

    Raises:
        UnreachableError: no engine answers.
    """
    _ask()
    return run(["docker", "version", "--format", "{{.Server.Os}}/{{.Server.Arch}}"], timeout=ANSWER)


def whereabouts() -> list[str]:
    """Return what tells this engine from that of another machine: the host's name and the engine's ID.

    Either may change in the life of a laptop, with the network it is in or when Docker is reset.

    Raises:
        UnreachableError: no engine answers.
    """
    return [host.node(), _ask("--format", "{{.ID}}")]


def is_at(whereabouts_then: list[str]) -> bool:
    """Say whether something that was made at an engine can be expected at this one.

    Args:
        whereabouts_then: what ``whereabouts`` said when it was made.

    Raises:
        UnreachableError: no engine answers.
    """
    return bool(set(whereabouts_then) & set(whereabouts()))


def cgroup_version() -> str:
    """Return "1" or "2".

    Raises:
        UnreachableError: no engine answers.
    """
    return _ask("--format", "{{.CgroupVersion}}")


def containers(label: str) -> list[Container]:
    """Return the containers that carry a label, running or not.

    Args:
        label: ``key=value``.

    Raises:
        UnreachableError: no engine answers.
    """
    _ask()
    ids = run(["docker", "ps", "--all", "--quiet", "--filter", f"label={label}"], timeout=ANSWER).split()
    if not ids:
        return []
    found = json.loads(run(["docker", "inspect", *ids], timeout=ANSWER))
    return [
        Container(
            name=each["Name"].lstrip("/"),
            state=each["State"]["Status"],
            labels=each["Config"].get("Labels") or {},
            ports=tuple(
                int(binding["HostPort"])
                for bindings in (each["HostConfig"].get("PortBindings") or {}).values()
                for binding in bindings or []
                if binding.get("HostPort")
            ),
        )
        for each in found
    ]


def has_image(reference: str) -> bool:
    """Say whether the engine has an image.

    Args:
        reference: the image, with its tag.

    Raises:
        UnreachableError: no engine answers.
    """
    _ask()
    try:
        # Not `image ls`, which does not find what is named with docker.io/ in front.
        return bool(run(["docker", "image", "inspect", "--format", "{{.Id}}", reference], timeout=ANSWER))
    except CommandError as error:
        if "no such image" in str(error).lower():
            return False
        raise


def ensure_image(reference: str) -> None:
    """Pull an image unless the engine has it.

    Args:
        reference: the image, with its tag.

    Raises:
        LabError: it is not there and can't be pulled.
    """
    if has_image(reference):
        return
    try:
        run(["docker", "pull", "--quiet", reference], timeout=PULL)
    except CommandError as error:
        raise LabError(
            f"The image {reference} is not here and can't be pulled",
            why=str(error),
            fix="check the network and run again, or bring it with `docker load` (docs/offline.md)",
        ) from error


def _ask(*arguments: str) -> str:
    try:
        answer = run(["docker", "info", *(arguments or ("--format", "{{.ServerVersion}}"))], timeout=ANSWER)
    except CommandError as error:
        raise _unreachable(str(error)) from error
    if not answer:
        # Older command lines print an empty line, and end with success.
        raise _unreachable("`docker info` says nothing of an engine")
    return answer


def _unreachable(why: str) -> UnreachableError:
    return UnreachableError(
        "Docker does not answer",
        why=why,
        fix="start Docker (Docker Desktop, or `sudo systemctl start docker`), and try `docker info`",
    )
