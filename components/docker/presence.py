"""Whether an image is still in the engine; apart from the image, as a look needs nothing of Pulumi's Docker package."""

from __future__ import annotations

import secrets
from typing import Any

from pulumi.dynamic import CreateResult, DiffResult, ResourceProvider, UpdateResult

from components.core.run import run
from components.docker import container as containers
from components.docker import engine as docker_engine


class PresenceProvider(ResourceProvider):
    """Notices that an image is gone from the engine, which ``docker.Image`` does not, and removes it at the end."""

    def create(self, props: dict[str, Any]) -> CreateResult:
        """Note where the image is going to be built."""
        return CreateResult(id_=props["reference"], outs=_seen(props))

    def diff(self, _id: str, _olds: dict[str, Any], _news: dict[str, Any]) -> DiffResult:
        """Say whether the image is gone."""
        if _olds["reference"] != _news["reference"]:
            return DiffResult(changes=True, replaces=["reference"])
        try:
            gone = docker_engine.is_at(_olds["made_at"]) and not docker_engine.has_image(_news["reference"])
        except docker_engine.UnreachableError:
            gone = False
        return DiffResult(changes=gone)

    def update(self, _id: str, _olds: dict[str, Any], _news: dict[str, Any]) -> UpdateResult:
        """Begin another generation, which makes it be built again."""
        return UpdateResult(outs=_seen(_news))

    def delete(self, _id: str, _props: dict[str, Any]) -> None:
        """Remove the image, unless it is at another engine, or another clone of the project runs it, too.

        What has its name at another engine is somebody else's; of several clones the last one removes it.
        """
        here = docker_engine.is_at(_props["made_at"]) and docker_engine.has_image(_props["reference"])
        if here and not containers.other_clones():
            run(["docker", "image", "rm", "--force", _props["reference"]], timeout=docker_engine.ANSWER)


def _seen(props: dict[str, Any]) -> dict[str, Any]:
    return {**props, "generation": secrets.token_hex(4), "made_at": docker_engine.whereabouts()}
