"""Offline checks of every object that the program would create, and of the manifests: no cluster, no network."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, order=True)
class Finding:
    """A mistake.

    Attributes:
        where: the file and the line, or the resource in the program.
        what: what is wrong, and how to fix it.
    """

    where: str
    what: str

    def __str__(self) -> str:
        """Return one line."""
        return f"{self.where}: {self.what}"
