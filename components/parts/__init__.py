"""The parts: what is deployed, one module each, with a function ``deploy``."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pathlib import Path

    from components.core.settings import Settings


def deploy(settings: Settings, root: Path) -> dict[str, Any]:
    """Deploy the part that the settings name.

    Args:
        settings: the stack's settings.
        root: the project's folder.

    Returns:
        The stack's outputs, by name.

    Raises:
        LabError: something that the part needs is missing, busy or someone else's.
    """
    part = import_module(f"{__name__}.{settings.part}")
    outputs: dict[str, Any] = part.deploy(settings, root)
    return outputs
