"""The app's image, built by the host's Docker engine."""

from __future__ import annotations

import asyncio
import os
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import pulumi
import pulumi_docker as docker
from pulumi.dynamic import Resource
from pulumi.runtime import is_dry_run

from components.core import versions
from components.core.dynamic import Provider
from components.core.errors import LabError
from components.docker import engine as docker_engine

if TYPE_CHECKING:
    from collections.abc import Mapping


def engine() -> tuple[str, str] | None:
    """Return the URL and the platform of the host's Docker engine, or None in a preview that can't ask for them.

    Raises:
        UnreachableError: this is not a preview, and no engine answers.
    """
    try:
        return docker_engine.endpoint(), docker_engine.platform()
    except docker_engine.UnreachableError:
        if is_dry_run():
            return None
        raise


def _unknown() -> pulumi.Output[str]:
    def settled(value: Any) -> asyncio.Future[Any]:  # noqa: ANN401 - a future of anything
        future: asyncio.Future[Any] = asyncio.get_event_loop().create_future()
        future.set_result(value)
        return future

    return pulumi.Output(settled(set()), settled(None), settled(False))  # noqa: FBT003 - positional in Pulumi's API


def package_index() -> dict[str, str]:
    """Return the build argument that tells pip of a mirror, when this host's pip is told of one.

    Raises:
        LabError: there is a password in its address, which the image's history and the state would show.
    """
    index = os.environ.get("PIP_INDEX_URL", "")
    if not index:
        return {}
    if urlsplit(index).password or urlsplit(index).username:
        raise LabError(
            "PIP_INDEX_URL has a login in it",
            why="the history of the app's image would show it",
            fix="set PIP_INDEX_URL to an index without one, and iot:appImage to an image that was built elsewhere",
        )
    return {"PIP_INDEX_URL": index}


@dataclass(frozen=True, kw_only=True)
class AppImageArgs:
    """An image that is built from a folder.

    Attributes:
        context: the folder with the Dockerfile, relative to the project.
        repository: the image's name without a tag.
        versions: the tags; each is built with the build argument VERSION set to it.
        dockerfile: relative to the project; empty for the one in the folder.
        arguments: further build arguments.
    """

    context: str
    repository: str
    versions: tuple[str, ...]
    dockerfile: str = ""
    arguments: Mapping[str, str] = field(default_factory=dict)


class AppImage(pulumi.ComponentResource):
    """The app's image in each of its versions.

    Type token ``iot:image:AppImage``. Makes a ``docker.Provider`` named ``{name}-engine`` and, for each version, a
    dynamic resource ``{name}-{version}-presence`` and a ``docker.Image`` ``{name}-{version}``.

    Attributes:
        references: the images, such as ``iot-lab/flask-app:v1``, by version.
        ids: their content's IDs, by version.
        unknown: whether this is a preview that can't say what they are.
    """

    def __init__(self, name: str, args: AppImageArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__(
            "iot:image:AppImage",
            name,
            {"context": args.context, "repository": args.repository, "versions": list(args.versions)},
            opts,
        )
        asked = engine()
        # The Docker provider connects as soon as it is configured, which it is not while a value is unknown. So a
        # preview works without Docker; what it can't compare then, it takes as it was.
        endpoint, platform = asked or (_unknown(), _unknown())
        self.unknown = asked is None
        provider = docker.Provider(f"{name}-engine", host=endpoint, opts=pulumi.ResourceOptions(parent=self))
        self.references: dict[str, pulumi.Output[str]] = {}
        self.ids: dict[str, pulumi.Output[str]] = {}
        for version in args.versions:
            reference = f"{args.repository}:{version}"
            presence = _Presence(f"{name}-{version}-presence", reference, pulumi.ResourceOptions(parent=self))
            image = docker.Image(
                f"{name}-{version}",
                image_name=reference,
                skip_push=True,
                build=docker.DockerBuildArgs(
                    context=args.context,
                    platform=platform,
                    dockerfile=args.dockerfile or f"{args.context}/Dockerfile",
                    # Another generation after a loss makes the engine build it again.
                    args={
                        "VERSION": version,
                        "PYTHON_IMAGE": versions.PYTHON_IMAGE,
                        "GENERATION": presence.generation,
                        **package_index(),
                        **args.arguments,
                    },
                ),
                opts=pulumi.ResourceOptions(
                    parent=self, provider=provider, ignore_changes=["*"] if self.unknown else []
                ),
            )
            self.references[version] = image.image_name
            self.ids[version] = image.repo_digest  # of an image that is not pushed, the ID of its content
        self.register_outputs({"references": self.references})


class _Presence(Resource, module="image", name="Presence"):
    """Whether an image is in the engine."""

    generation: pulumi.Output[str]

    def __init__(self, name: str, reference: str, opts: pulumi.ResourceOptions) -> None:
        super().__init__(
            Provider("image-presence"), name, {"reference": reference, "generation": None, "made_at": None}, opts
        )
