"""Pulumi's plugins: those on PATH are used as they are, the engine fetches the others once."""

from __future__ import annotations

import os
import platform
import shutil
from pathlib import Path
from typing import TYPE_CHECKING, Final

from components.core import versions
from components.core.run import show
from lab.host import paths
from lab.host.console import say
from lab.host.fetch import mirrored, unreachable

if TYPE_CHECKING:
    from collections.abc import Iterable

SITE: Final = "https://get.pulumi.com/releases/plugins"


def is_here(name: str) -> bool:
    """Tell whether a plugin is on PATH, or has been fetched in the right version."""
    home = Path(os.environ.get("PULUMI_HOME") or paths.PULUMI_HOME)
    fetched = home / "plugins" / f"resource-{name}-v{versions.PULUMI_PLUGINS[name]}"
    return shutil.which(f"pulumi-resource-{name}") is not None or fetched.is_dir()


def ensure(names: Iterable[str]) -> None:
    """Let the engine fetch the plugins that are not here.

    Raises:
        LabError: one can't be fetched.
    """
    failed = [name for name in names if not is_here(name) and not _fetch(name)]
    if failed:
        raise unreachable(
            [
                f"Pulumi's plugin {name} {versions.PULUMI_PLUGINS[name]} from {mirrored(_address(name))}"
                for name in failed
            ],
            "pulumi said why above",
            [f"put {' and '.join(f'pulumi-resource-{name}' for name in failed)} on PATH"],
        )


def _fetch(name: str) -> bool:
    version = versions.PULUMI_PLUGINS[name]
    say(f"fetching Pulumi's plugin {name} {version}")
    return show(["pulumi", "plugin", "install", "resource", name, f"v{version}"]) == 0


def _address(name: str) -> str:
    machine = {"x86_64": "amd64", "aarch64": "arm64"}.get(platform.machine(), platform.machine())
    version = versions.PULUMI_PLUGINS[name]
    return f"{SITE}/pulumi-resource-{name}-v{version}-{platform.system().lower()}-{machine}.tar.gz"
