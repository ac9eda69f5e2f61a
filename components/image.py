"""The app's image: built once by the host's Docker engine, and brought into a cluster without a registry."""

from __future__ import annotations

import asyncio
import hashlib
import secrets
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import pulumi
import pulumi_command as command
import pulumi_docker as docker
from pulumi.dynamic import CreateResult, DiffResult, Resource, ResourceProvider, UpdateResult
from pulumi.runtime import is_dry_run

from components import docker_engine, versions
from components.shell import run

if TYPE_CHECKING:
    from components.cluster import Cluster

SCRIPTS: Final = "components/scripts"


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


@dataclass(frozen=True, kw_only=True)
class AppImageArgs:
    """An image that is built from a folder.

    Attributes:
        context: the folder with the Dockerfile, relative to the project.
        repository: the image's name without a tag.
        versions: the tags; each is built with the build argument VERSION set to it.
    """

    context: str
    repository: str
    versions: tuple[str, ...]


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
        super().__init__("iot:image:AppImage", name, {}, opts)
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
                    dockerfile=f"{args.context}/Dockerfile",
                    # Another generation after a loss makes the engine build it again.
                    args={"VERSION": version, "PYTHON_IMAGE": versions.PYTHON_IMAGE, "GENERATION": presence.generation},
                ),
                opts=pulumi.ResourceOptions(
                    parent=self, provider=provider, ignore_changes=["*"] if self.unknown else []
                ),
            )
            self.references[version] = image.image_name
            self.ids[version] = image.repo_digest  # of an image that is not pushed, the ID of its content
        self.register_outputs({})


class _PresenceProvider(ResourceProvider):
    """Notices that an image is gone from the engine, which ``docker.Image`` does not, and removes it at the end."""

    def create(self, props: dict[str, Any]) -> CreateResult:
        return CreateResult(id_=props["reference"], outs=_seen(props))

    def diff(self, _id: str, _olds: dict[str, Any], _news: dict[str, Any]) -> DiffResult:
        if _olds["reference"] != _news["reference"]:
            return DiffResult(changes=True, replaces=["reference"])
        try:
            gone = docker_engine.is_at(_olds["made_at"]) and not docker_engine.has_image(_news["reference"])
        except docker_engine.UnreachableError:
            gone = False
        return DiffResult(changes=gone)

    def update(self, _id: str, _olds: dict[str, Any], _news: dict[str, Any]) -> UpdateResult:
        return UpdateResult(outs=_seen(_news))

    def delete(self, _id: str, _props: dict[str, Any]) -> None:
        if docker_engine.has_image(_props["reference"]):
            run(["docker", "image", "rm", "--force", _props["reference"]], timeout=docker_engine.ANSWER)


def _seen(props: dict[str, Any]) -> dict[str, Any]:
    return {**props, "generation": secrets.token_hex(4), "made_at": docker_engine.whereabouts()}


class _Presence(Resource, module="image", name="Presence"):
    """Whether an image is in the engine."""

    generation: pulumi.Output[str]

    def __init__(self, name: str, reference: str, opts: pulumi.ResourceOptions) -> None:
        super().__init__(_PresenceProvider(), name, {"reference": reference, "generation": None, "made_at": None}, opts)


@dataclass(frozen=True, kw_only=True)
class NodeImagesArgs:
    """Images that a cluster's nodes are given.

    Attributes:
        cluster: a cluster whose nodes are containers on this host.
        images: their references; those that the engine lacks are pulled, once.
        triggers: values whose change brings the images again, such as the IDs of built ones.
        unknown: whether this is a preview that can't say whether those have changed.
        after: images that are wanted sooner; saving and loading are the processor's work, so these wait for them.
        timeout: seconds for one save or import.
    """

    cluster: Cluster
    images: list[pulumi.Input[str]]
    triggers: list[pulumi.Input[str]]
    unknown: bool
    after: NodeImages | None
    timeout: int


class NodeImages(pulumi.ComponentResource):
    """Images of the host's Docker engine, in the containerd of every node of a k3d cluster.

    Type token ``iot:image:NodeImages``. Makes two ``command.local.Command``: ``{name}-save``, which writes an archive
    while the cluster is still being made, and ``{name}-load``. Deleting them removes the archive and leaves the
    images, which go with the nodes.

    Attributes:
        saved: the archive is written.
        loaded: what pods that run these images depend on.
    """

    def __init__(self, name: str, args: NodeImagesArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("iot:image:NodeImages", name, {}, opts)
        self._unknown = args.unknown
        archive = f".lab/images/{name}.tar"
        script = f"{SCRIPTS}/node_images.py"
        environment: dict[str, pulumi.Input[str]] = {
            "IMAGES": pulumi.Output.all(*args.images).apply(" ".join),
            "ARCHIVE": archive,
            "TIMEOUT": str(args.timeout),
        }
        self.saved: pulumi.Resource = command.local.Command(
            f"{name}-save",
            create=f"python3 {script} save",
            delete='rm -f "$ARCHIVE"',
            environment=environment,
            triggers=[script_hash(script), *args.triggers],
            opts=self._options([args.after.saved] if args.after else [], None),
        )
        self.loaded: pulumi.Resource = command.local.Command(
            f"{name}-load",
            create=f"python3 {script} load",
            delete=":",
            environment={**environment, "NODES": args.cluster.nodes.apply(" ".join)},
            triggers=[args.cluster.identity, script_hash(script), *args.triggers],
            opts=self._options([self.saved, *([args.after.loaded] if args.after else [])], args.cluster.lifetime),
        )
        self.register_outputs({})

    def _options(self, depends_on: list[pulumi.Resource], lifetime: pulumi.Resource | None) -> pulumi.ResourceOptions:
        return pulumi.ResourceOptions(
            parent=self,
            depends_on=depends_on,
            deleted_with=lifetime,
            delete_before_replace=True,
            replace_on_changes=["environment"],
            ignore_changes=["environment", "triggers"] if self._unknown else [],
        )


def script_hash(path: str) -> str:
    """Return a digest of a script, so that a Command runs again when the script is another one.

    Args:
        path: relative to the project, which is the program's working folder.
    """
    return hashlib.sha256((Path(__file__).parents[1] / path).read_bytes()).hexdigest()[:16]
