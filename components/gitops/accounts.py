"""The people of a platform: each has one password, for Argo CD and for Git."""

from __future__ import annotations

import pulumi

from components.core.random_secret import RandomSecret


class Accounts(pulumi.ComponentResource):
    """Accounts with random passwords.

    Type token ``iot:gitops:Accounts``. Makes a random secret named ``{name}-WHO`` for each.

    Attributes:
        passwords: by account, secrets.
        hashes: their bcrypt hashes, secrets as well.
    """

    def __init__(self, name: str, who: tuple[str, ...], opts: pulumi.ResourceOptions | None = None) -> None:
        """Make them.

        Args:
            name: of the component.
            who: names of the accounts.
            opts: of the component.
        """
        super().__init__("iot:gitops:Accounts", name, {"who": list(who)}, opts)
        made = {each: RandomSecret(f"{name}-{each}", pulumi.ResourceOptions(parent=self)) for each in who}
        self.passwords = {each: secret.value for each, secret in made.items()}
        self.hashes = {each: secret.bcrypt for each, secret in made.items()}
        self.register_outputs({"who": list(who)})
