"""What the tests of the platform share: a lab beside a user's, which is gone in the end."""

from __future__ import annotations

from contextlib import contextmanager
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final

from lab.live import git
from tests.lab import lab as labs
from tests.lab.lab import Lab

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping
    from pathlib import Path

BESIDE: Final = ("git", "runner", "registry")


def clusters(settings: Mapping[str, Any]) -> list[str]:
    """Return the names of a lab's clusters."""
    name = settings["clusterName"]
    return [name, *(f"{name}-{key}" for key in settings["clusters"])]


def kept(settings: Mapping[str, Any]) -> list[str]:
    """Return the volumes with images that the nodes keep when their clusters go."""
    return labs.kept(*clusters(settings))


@contextmanager
def lab(
    folder: Path, settings: dict[str, Any], there: Callable[[], dict[str, set[str]]], *, webhook: str = ""
) -> Iterator[Lab]:
    """Make a lab, and remove it whatever state it is in.

    Args:
        folder: where the copy goes.
        settings: the lab's, with its clusters.
        there: what Docker has of it.
        webhook: who is told of alerts; empty for nobody.
    """
    made = Lab(folder, "platform", settings)
    made.use_kept_chart()
    beside = [f"{settings['clusterName']}-{each}" for each in BESIDE]
    try:
        if webhook:
            made.run("pulumi", "config", "set", "--stack", "platform", "--secret", "iot:alertWebhook", webhook)
        yield made
    finally:
        made.pulumi("destroy", "--skip-preview", check=False)
        for command in (
            ["k3d", "cluster", "delete", *clusters(settings)],
            ["docker", "rm", "--force", "--volumes", *beside],
            ["docker", "volume", "rm", "--force", *kept(settings), *beside],
            ["docker", "network", "rm", settings["clusterName"]],
            ["docker", "image", "rm", "--force", *there()["images"]],
        ):
            made.run(*command, check=False)


def change(  # noqa: PLR0913 - who pushes what, and where
    outputs: dict[str, Any], account: str, branch: str, files: dict[str, str], tmp_path: Path, *, to: str = ""
) -> git.Clone:
    """Push files to a branch, or as another one, as one of the accounts."""
    source = git.remote(outputs)
    source = replace(source, revision=branch, username=account, password=outputs["accounts"][account])
    clone = git.Clone(source, tmp_path / "clone")
    for path, text in files.items():
        (clone.root / path).parent.mkdir(parents=True, exist_ok=True)
        (clone.root / path).write_text(text, encoding="utf-8")
    clone.commit("An attempt")
    clone.push(to)
    return clone
