"""Random passwords that are made once and kept, encrypted, in the state."""

from __future__ import annotations

import secrets
from typing import Any

import pulumi
from pulumi.dynamic import CreateResult, DiffResult, Resource, ResourceProvider, UpdateResult

from components.core.dynamic import Provider


class RandomSecretProvider(ResourceProvider):
    """Makes a value when the resource is created and never again."""

    def create(self, props: dict[str, Any]) -> CreateResult:
        """Make a URL-safe value of ``bytes`` random bytes, a number that the engine hands over as a float."""
        import bcrypt  # noqa: PLC0415 - only where one is made

        value = secrets.token_urlsafe(int(props["bytes"]))
        digest = bcrypt.hashpw(value.encode(), bcrypt.gensalt()).decode()
        return CreateResult(id_="made", outs={**props, "value": value, "bcrypt": digest})

    def diff(self, _id: str, _olds: dict[str, Any], _news: dict[str, Any]) -> DiffResult:
        """Never plan anything: without this the engine compares the inputs, and updates when one is another."""
        return DiffResult(changes=False)

    def update(self, _id: str, _olds: dict[str, Any], _news: dict[str, Any]) -> UpdateResult:
        """Keep the value; what is not handed back here is gone from the state."""
        return UpdateResult(outs={**_olds, "bytes": _news["bytes"]})


class RandomSecret(Resource, module="random", name="Secret"):
    """A random URL-safe text, secret in outputs and state; another size is for those that are still to be made.

    Attributes:
        value: the text; 4 characters for every 3 bytes.
        bcrypt: its bcrypt hash, which stays the same as well.
    """

    value: pulumi.Output[str]
    bcrypt: pulumi.Output[str]

    def __init__(self, name: str, opts: pulumi.ResourceOptions, *, size: int = 24) -> None:
        """Make the secret.

        Args:
            name: of the resource.
            opts: its options.
            size: number of random bytes.
        """
        super().__init__(
            Provider("random-secret"),
            name,
            {"bytes": size, "value": None, "bcrypt": None},
            pulumi.ResourceOptions.merge(opts, pulumi.ResourceOptions(additional_secret_outputs=["value", "bcrypt"])),
        )
