"""The life of a container beside the cluster as a Pulumi resource that notices when it is lost."""

from __future__ import annotations

import secrets
from dataclasses import fields
from typing import TYPE_CHECKING, Any, Final

from pulumi.dynamic import CreateResult, DiffResult, ReadResult, ResourceProvider, UpdateResult

from components.docker import container as containers
from components.docker import engine
from components.docker.container import ContainerSpec

if TYPE_CHECKING:
    from collections.abc import Mapping

FIELDS: Final = tuple(field.name for field in fields(ContainerSpec))


class ContainerProvider(ResourceProvider):
    """Creates, heals and deletes a container with its volume.

    Inputs: the fields of ``ContainerSpec``. Outputs: the inputs and ``made_at`` (which engine has it).
    """

    def diff(self, _id: str, _olds: dict[str, Any], _news: dict[str, Any]) -> DiffResult:
        """Compare what was asked for, and what Docker runs, with what is wanted."""
        if any(_olds.get(key) != _news.get(key) for key in ("name", "stack")):
            return DiffResult(changes=True, replaces=["name"], delete_before_replace=True)
        return DiffResult(changes=differs(_olds, _news, FIELDS), stables=["name", "stack"])

    def create(self, props: dict[str, Any]) -> CreateResult:
        """Make it, or take over what an interrupted run has left."""
        return CreateResult(id_=secrets.token_hex(8), outs=self._made(props))

    def update(self, _id: str, _olds: dict[str, Any], _news: dict[str, Any]) -> UpdateResult:
        """Make the container anew where it is lost or otherwise; its data stay."""
        return UpdateResult(outs=self._made(_news))

    def read(self, id_: str, props: dict[str, Any]) -> ReadResult:
        """Say whether its data are still there; for `pulumi refresh`. A lost container alone is healed by an update."""
        return ReadResult("", {}) if is_gone(props) else ReadResult(id_, props)

    def delete(self, _id: str, _props: dict[str, Any]) -> None:
        """Remove it."""
        containers.remove(here(_props))

    def _made(self, props: dict[str, Any]) -> dict[str, Any]:
        wanted = spec(props)
        if not containers.is_whole(wanted):
            containers.make(wanted)
        return {**props, "made_at": engine.whereabouts()}


def spec(props: Mapping[str, Any]) -> ContainerSpec:
    """Return the container that a resource's inputs or outputs describe."""
    return ContainerSpec(**{key: props[key] for key in FIELDS})


def differs(olds: Mapping[str, Any], news: Mapping[str, Any], keys: tuple[str, ...]) -> bool:
    """Say whether a container has to be made anew: other inputs, or it does not run as it should.

    Args:
        olds: the resource's outputs.
        news: its inputs.
        keys: those of the inputs that matter.
    """
    if any(olds.get(key) != news.get(key) for key in keys):
        return True
    try:
        return engine.is_at(olds["made_at"]) and not containers.is_whole(spec(news))
    except engine.UnreachableError:
        return False  # nothing is known, so nothing is planned


def is_gone(props: Mapping[str, Any]) -> bool:
    """Say whether the volume of a container is lost."""
    try:
        return engine.is_at(props["made_at"]) and containers.inspect("volume", props["name"]) is None
    except engine.UnreachableError:
        return False


def here(props: Mapping[str, Any]) -> ContainerSpec:
    """Return the container that is to be removed.

    Raises:
        LabError: it is at another engine.
    """
    engine.require_at(f"The container {props['name']}", props["made_at"])
    return spec(props)
