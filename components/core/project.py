"""What Pulumi.yaml and the stacks' files say, for the program and for what runs without the Pulumi CLI."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, Final

import yaml

from components.core import names
from components.core.errors import LabError, not_yaml

if TYPE_CHECKING:
    from pathlib import Path

    from components.core.settings import Settings

# The one in C takes a tenth of the time, and every command reads Pulumi.yaml; not every PyYAML was built with it.
LOADER: Final = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


def declared(root: Path) -> dict[str, dict[str, Any]]:
    """Return the settings that Pulumi.yaml declares: their type, default and description by key."""
    keys: dict[str, dict[str, Any]] = _read(root / "Pulumi.yaml")["config"]
    return keys


def defaults(root: Path) -> dict[str, str]:
    """Return the default of each setting as the engine hands it over; what is not a string is JSON."""
    return {key: _text(spec.get("default", "")) for key, spec in declared(root).items()}


def settings(stack: str, root: Path) -> Settings:
    """Return the settings of the stack that the engine runs.

    Args:
        stack: the stack's name.
        root: the project's folder.

    Raises:
        LabError: lists every mistake in them.
    """
    # What only asks what the files say need not load the engine's SDK.
    from pulumi.runtime import config as runtime_config  # noqa: PLC0415

    from components.core import settings as stack_settings  # noqa: PLC0415

    # The engine hands over all keys at once, the tests and `make render` through set_all_config.
    keys = set(runtime_config.CONFIG.get()) | set(runtime_config.get_config_env())
    return stack_settings.load(stack, defaults(root), keys, root, places(stack, root))


def stack_file(stack: str, root: Path) -> Path:
    """Return where a stack's settings are; the tests put files of their own in their place."""
    return root / f"Pulumi.{stack}.yaml"


def places(stack: str, root: Path) -> dict[str, str]:
    """Return where the stack's file sets each key, such as Pulumi.p3.yaml:4; keys without a namespace.

    Args:
        stack: the stack's name.
        root: the project's folder.
    """
    path = stack_file(stack, root)
    if not path.exists():
        return {}
    _read(path)
    node = yaml.compose(path.read_text(encoding="utf-8"), Loader=yaml.SafeLoader)
    config = next((value for key, value in node.value if key.value == "config"), None) if node else None
    return {
        key.value.removeprefix(f"{names.PROJECT}:"): f"{path.name}:{key.start_mark.line + 1}"
        for key, _ in (config.value if isinstance(config, yaml.MappingNode) else [])
    }


def stack_config(stack: str, root: Path, overrides: dict[str, Any] | None = None) -> dict[str, str]:
    """Return the configuration of a stack as the engine would hand it over: defaults, then the stack's file.

    Args:
        stack: the stack's name.
        root: the project's folder.
        overrides: values by key without a namespace, which win over both.

    Returns:
        Strings by namespaced key; what is not a string is JSON.
    """
    values: dict[str, Any] = {f"{names.PROJECT}:{key}": value for key, value in defaults(root).items()}
    path = stack_file(stack, root)
    if path.exists():
        values |= _read(path).get("config") or {}
    values |= {f"{names.PROJECT}:{key}": value for key, value in (overrides or {}).items()}
    return {key: _text(value) for key, value in values.items()}


def _text(value: object) -> str:
    return value if isinstance(value, str) else json.dumps(value)


def _read(path: Path) -> dict[str, Any]:
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise LabError(
            f"{path.name} can't be read", why=" ".join(str(error).split()), fix=f"git checkout {path.name}"
        ) from error
    try:
        content = yaml.load(text, Loader=LOADER)  # noqa: S506 - a safe one
    except yaml.YAMLError:
        try:
            content = yaml.safe_load(text)  # which says more of what is wrong
        except yaml.YAMLError as error:
            raise not_yaml(error, path.name, text) from error
    if not isinstance(content, dict):
        raise LabError(
            f"{path.name} has no settings", why="a mapping was expected", fix="begin it with a line `config:`"
        )
    if not isinstance(content.get("config") or {}, dict):
        raise LabError(
            f"config of {path.name} is no mapping",
            why="a line for each setting was expected",
            fix="write them below `config:`, such as `  iot:timeout: 600`",
        )
    return content
