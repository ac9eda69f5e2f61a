"""What the host's Docker engine is asked, through its own command line, which knows about contexts."""

from __future__ import annotations

import json
import tempfile
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from components.core import host, wait
from components.core.errors import LabError
from components.core.run import CommandError, run

if TYPE_CHECKING:
    from collections.abc import Iterable

ANSWER: Final = 20.0  # seconds for a question; a busy engine takes a few
ARCHITECTURES: Final = {"x86_64": "amd64", "aarch64": "arm64"}  # as the kernel has them, as images have them
PULL: Final = 1800.0  # seconds for one image on a slow network; layers that have arrived are kept


class UnreachableError(LabError):
    """The engine can't be asked, so that nothing is known about what it runs."""


GONE: Final = "Cannot connect to the Docker daemon"
NEVER: Final = "0001-01-01T00:00:00Z"  # as Docker says it


@dataclass(frozen=True)
class Container:
    """A container of the engine.

    Attributes:
        name: its name.
        state: Docker's word for it, such as running, exited or created.
        labels: its labels.
        ports: the ports of this host that lead to it.
        started: when it was started last, by the engine's clock, such as 2026-11-28T19:00:00.123Z; empty for never.
    """

    name: str
    state: str
    labels: dict[str, str]
    ports: tuple[int, ...]
    started: str = ""


@cache
def endpoint() -> str:
    """Return the engine's URL, from DOCKER_HOST or the current context, such as unix:///var/run/docker.sock.

    Raises:
        UnreachableError: there is no Docker command line, or no engine answers.
    """
    info()
    return run(["docker", "context", "inspect", "--format", "{{.Endpoints.docker.Host}}"], timeout=ANSWER)


@cache
def info() -> dict[str, Any]:
    """Return what the engine says of itself, which is asked for once in a process.

    Raises:
        UnreachableError: no engine answers.
    """
    try:
        said: dict[str, Any] = json.loads(run(["docker", "info", "--format", "{{json .}}"], timeout=ANSWER) or "{}")
    except (CommandError, ValueError) as error:
        raise _unreachable(str(error)) from error
    if not said.get("ID"):
        # Older command lines end with success, and say only what they know of themselves.
        raise _unreachable("`docker info` says nothing of an engine")
    return said


def platform() -> str:
    """Return what the engine's containers run on, such as linux/amd64.

    Raises:
        UnreachableError: no engine answers.
    """
    said = info()
    return f"{said['OSType']}/{ARCHITECTURES.get(said['Architecture'], said['Architecture'])}"


def whereabouts() -> dict[str, str]:
    """Return what tells this engine from others: its host, its endpoint there and its ID.

    Raises:
        UnreachableError: no engine answers.
    """
    scheme, _, path = endpoint().partition("://")
    # A socket in /var/run may be a link to that of Docker Desktop, or of another engine on this host.
    at = f"unix://{Path(path).resolve()}" if scheme == "unix" else endpoint()
    return {**host.whereabouts(), "endpoint": at, "engine": str(info()["ID"])}


def is_at(then: dict[str, str]) -> bool:
    """Say whether something that was made at an engine can be expected at this one.

    It is the same place when the engine has the same ID, whichever way leads to it, and when the same way of the same
    host leads to one with another ID: then Docker was reset, and what it ran is lost. Another endpoint with another ID
    is another engine, such as Colima beside Docker Desktop, and says nothing about what the first one runs.

    Args:
        then: what ``whereabouts`` said when it was made.

    Raises:
        UnreachableError: no engine answers.
    """
    now = whereabouts()
    return then["engine"] == now["engine"] or all(then[key] == now[key] for key in ("host", "endpoint"))


def require_at(what: str, then: dict[str, str]) -> None:
    """Stop when something can't be deleted here, because it is at another engine.

    Args:
        what: such as "The cluster iot-cluster".
        then: what ``whereabouts`` said when it was made.

    Raises:
        LabError: it is at another one.
        UnreachableError: no engine answers.
    """
    if not is_at(then):
        raise LabError(
            f"{what} is at the Docker engine {then['endpoint']} of {then['name']}, not at this one",
            why="only there it can be deleted",
            fix="run `make destroy` there (`docker context use` changes the engine); if it is gone for good, "
            "`pulumi state delete URN`",
        )


def cgroup_version() -> str:
    """Return "1" or "2".

    Raises:
        UnreachableError: no engine answers.
    """
    return str(info()["CgroupVersion"])


def containers(label: str) -> list[Container]:
    """Return the containers that carry a label, running or not.

    Args:
        label: ``key=value``, or ``key`` alone.

    Raises:
        UnreachableError: no engine answers.
    """
    ids = ask("ps", "--all", "--quiet", "--filter", f"label={label}").split()
    if not ids:
        return []
    try:
        said = ask("inspect", *ids)
    except CommandError as error:
        if "no such object" not in (error.said or "").lower():
            raise
        said = error.printed  # one of them has gone since; what the others are is printed all the same
    return [
        Container(
            name=each["Name"].lstrip("/"),
            state=each["State"]["Status"],
            started=each["State"].get("StartedAt", NEVER).replace(NEVER, ""),
            labels=each["Config"].get("Labels") or {},
            ports=tuple(
                int(binding["HostPort"])
                for bindings in (each["HostConfig"].get("PortBindings") or {}).values()
                for binding in bindings or []
                if binding.get("HostPort")
            ),
        )
        for each in json.loads(said or "[]")
    ]


def image_id(reference: str) -> str:
    """Return the ID of an image's content, or an empty string when the engine has no such image.

    Args:
        reference: the image, with its tag.

    Raises:
        UnreachableError: no engine answers.
    """
    try:
        # Not `image ls`, which does not find what is named with docker.io/ in front.
        return ask("image", "inspect", "--format", "{{.Id}}", reference)
    except CommandError as error:
        if "no such image" in str(error).lower():
            return ""
        raise


def has_image(reference: str) -> bool:
    """Say whether the engine has an image, as ``image_id``."""
    return bool(image_id(reference))


def ensure_image(reference: str) -> None:
    """Pull an image unless the engine has it.

    Args:
        reference: the image, with its tag.

    Raises:
        LabError: it is not there and can't be pulled.
    """
    if has_image(reference):
        return
    print(f"pulling {reference} (at most {PULL / 60:.0f} minutes)", flush=True)
    try:
        with tempfile.TemporaryDirectory() as folder:
            said = Path(folder) / "said"
            with wait.told(f"pulling {reference}", most=PULL, left=lambda: layers(said)):
                run(["docker", "pull", reference], timeout=PULL, into=said)
    except CommandError as error:
        raise LabError(
            f"The image {reference} is not here and can't be pulled",
            why=str(error),
            fix="check the network and run again, or bring it with `docker load` (docs/offline.md)",
        ) from error


def layers(said: Path) -> str:
    """Return how many layers of an image have arrived, from what `docker pull` has said so far."""
    lines = said.read_text(encoding="utf-8", errors="replace").splitlines() if said.exists() else []
    here = sum(line.endswith((": Pull complete", ": Already exists")) for line in lines)
    known = sum(line.endswith((": Pulling fs layer", ": Already exists")) for line in lines)
    return f"{here} of {known} layers" if known else ""


def save(images: Iterable[str]) -> list[str]:
    """Return the command that writes images to standard output as an archive, of one platform where Docker knows it.

    An engine with containerd's image store saves the index of all platforms without their content, which can't be
    imported. The argument that prevents it came with version 1.48 of the API.

    Args:
        images: their references.

    Raises:
        UnreachableError: no engine answers.
    """
    major, minor = ask("version", "--format", "{{.Server.APIVersion}}").split(".")
    only = [f"--platform={platform()}"] if (int(major), int(minor)) >= (1, 48) else []
    return ["docker", "save", *only, *images]


def ask(*arguments: str, timeout: float = ANSWER) -> str:
    """Run a short command of Docker's and return what it printed.

    Args:
        arguments: of `docker`.
        timeout: seconds.

    Raises:
        UnreachableError: no engine answers.
        CommandError: it said no.
    """
    try:
        return run(["docker", *arguments], timeout=timeout)
    except CommandError:
        # Whether it said no, or nobody could be asked, is another matter.
        info.cache_clear()
        info()
        raise


def still_answers(error: LabError) -> bool:
    """Tell ``wait.until`` that what has failed by a Docker command may succeed yet, but when the engine is gone.

    Args:
        error: by which it has failed.

    Raises:
        UnreachableError: the engine is gone; who has stopped it does not want it to be waited for.
    """
    if GONE in str(error):
        raise _unreachable(str(error)) from error
    return True


def _unreachable(why: str) -> UnreachableError:
    return UnreachableError(
        "Docker does not answer",
        why=why,
        fix="start Docker (Docker Desktop, or `sudo systemctl start docker`), and try `docker info`",
    )
