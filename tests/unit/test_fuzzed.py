"""Manifests and kubeconfigs that are wrong in ways that nobody thought of end in a finding, or in an error of ours."""

from __future__ import annotations

import tempfile
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import pytest
import yaml
from hypothesis import HealthCheck, given, strategies
from hypothesis import settings as told

from components.core import cluster
from components.core.errors import LabError
from components.gitops import manifests
from lab.commands import validate
from lab.host import paths, tools
from lab.live import sealing
from tests.unit.test_gitops_checks import ALLOWED, CANARY, SEALED

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from hypothesis.strategies import DataObject, SearchStrategy

    from devtools import graph

pytestmark = pytest.mark.unit

IMAGE: Final = "iot-lab/flask-app"
KUBECONFIG: Final[dict[str, Any]] = {
    "apiVersion": "v1",
    "kind": "Config",
    "clusters": [{"name": "theirs", "cluster": {"server": "https://192.168.1.2:6443"}}],
    "users": [{"name": "me", "user": {"token": "made-up"}}],
    "contexts": [{"name": "theirs", "context": {"cluster": "theirs", "user": "me"}}],
    "current-context": "theirs",
}
LEAF: Final = (
    strategies.none()
    | strategies.booleans()
    | strategies.integers(-1, 1 << 70)
    | strategies.floats()
    | strategies.dates()
    | strategies.sampled_from(
        [
            "",
            "theirs",
            "v1",
            "dev",
            "=",
            "Deployment",
            "Kustomization",
            "../..",
            "://",
            "a b",
            "ü",
            "x" * 300,
            "1:30",
            "1e3",
        ]
    )
)
VALUES: Final[SearchStrategy[Any]] = strategies.recursive(
    LEAF,
    lambda inner: (
        strategies.lists(inner, max_size=2)
        | strategies.dictionaries(
            strategies.sampled_from(["name", "cluster", "path", "spec", "kind", "metadata", ""]) | LEAF,
            inner,
            max_size=2,
        )
    ),
    max_leaves=4,
)
MANY: Final = told(max_examples=60, derandomize=True, deadline=None, suppress_health_check=list(HealthCheck))


def places(content: Any, at: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:  # noqa: ANN401 - any YAML
    """Yield the place of everything in a document, as keys that lead there."""
    yield at
    pairs = content.items() if isinstance(content, dict) else enumerate(content) if isinstance(content, list) else ()
    for key, value in pairs:
        yield from places(value, (*at, key))


def wrong(data: DataObject, text: str) -> str:
    """Return a YAML text with something else, or nothing, in one place; or with what is no YAML in it."""
    if data.draw(strategies.integers(0, 5)) == 0:
        start = data.draw(strategies.integers(0, len(text)))
        added = data.draw(
            strategies.sampled_from(
                [
                    "",
                    "\t",
                    "\n",
                    "[",
                    "{",
                    "'",
                    "&a ",
                    "*a",
                    "!!x ",
                    "!!bool ",
                    "!!int ",
                    "!!timestamp ",
                    "---\n",
                    "- ",
                    "\0",
                ]
            )
        )
        return text[:start] + added + text[start + data.draw(strategies.integers(0, 20)) :]
    documents = list(yaml.safe_load_all(text))
    *way, last = data.draw(strategies.sampled_from([each for each in places(documents) if each]))
    inside: Any = documents
    for key in way:
        inside = inside[key]
    if data.draw(strategies.integers(0, 3)) == 0:
        del inside[last]
    else:
        inside[last] = data.draw(VALUES)
    with suppress(yaml.YAMLError):
        return yaml.safe_dump_all(documents)
    return ""


def refused(asked: Callable[[], object]) -> str:
    """Return what a question is answered with when that is an error of ours; anything else fails."""
    try:
        asked()
    except LabError as error:
        return str(error)
    return ""


# --- kubeconfigs ------------------------------------------------------------------------------------------------------


@MANY
@given(data=strategies.data())
def test_no_kubeconfig_ends_in_anything_but_an_error_of_ours(data: DataObject) -> None:
    with folder() as made:
        path = made / "kubeconfig"
        path.write_text(wrong(data, yaml.safe_dump(KUBECONFIG)), encoding="utf-8")
        message = refused(lambda: cluster.server_of(cluster.ExistingClusterArgs(kubeconfig=path, context=None)))
        assert not message or (str(path) in message and "Fix: " in message), message


# --- manifests --------------------------------------------------------------------------------------------------------


@MANY
@given(data=strategies.data())
def test_no_manifest_of_p3_does(data: DataObject) -> None:
    file = paths.ROOT / "manifests" / "p3" / "deployment.yaml"
    text = wrong(data, file.read_text(encoding="utf-8"))
    with folder() as made:
        (made / file.name).write_text(text, encoding="utf-8")
        refused(lambda: list(validate.of_checkout(made)))
    for change in (
        lambda: manifests.set_tag(text, file.name, IMAGE, "v2"),
        lambda: manifests.set_node_port(text, file.name, 30001, 30002),
        lambda: manifests.images(text, file.name),
    ):
        refused(change)


@MANY
@given(data=strategies.data())
def test_no_file_of_the_platforms_repository_does(repository: dict[str, str], data: DataObject) -> None:
    name = data.draw(strategies.sampled_from(sorted(repository)))
    text = wrong(data, repository[name])
    with folder() as made:
        for each, content in {**repository, name: text}.items():
            (made / each).parent.mkdir(parents=True, exist_ok=True)
            (made / each).write_text(content, encoding="utf-8")
        refused(lambda: list(validate.of_checkout(made)))
        refused(lambda: sealing.write(made / "overlays" / "dev", "dev", "db", "password", "A" * 400))
    refused(lambda: manifests.set_tag(text, Path(name).name, IMAGE, "v2"))
    refused(lambda: manifests.add_resource(text, Path(name).name, "sealed-db.yaml"))


@contextmanager
def folder() -> Iterator[Path]:
    """Make a folder for one example: pytest's own are for all of a test's."""
    with tempfile.TemporaryDirectory() as made:
        yield Path(made)


@pytest.fixture(scope="module")
def repository(build: Callable[..., graph.Graph]) -> dict[str, str]:
    """Return what the platform's repository begins with, with a canary and a sealed secret, by path."""
    made: dict[str, Any] = (
        build("platform", ci=False).named("gitea-server").inputs["repositories"]["gitops"]["branches"]
    )
    apps = {name: text for name, text in made["main"].items() if name.startswith("apps/")}
    sealed = {"overlays/dev/sealed-db.yaml": SEALED.replace("prod", "dev")}
    return {name: text for name, text in {**made["env/dev"], **apps, **CANARY, **sealed}.items() if ".y" in name}


@pytest.fixture(autouse=True)
def _without_kubectl(monkeypatch: pytest.MonkeyPatch) -> None:
    """Have Kustomize make what the files of an overlay and of the base have, as they are."""

    def render(root: Path, overlay: Path, _: Path | None) -> str:
        files = (each for top in (root / "base", overlay) for each in sorted(top.glob("*.y*ml")))
        return "\n---\n".join(each.read_text(encoding="utf-8") for each in files if each.stem != "kustomization")

    monkeypatch.setattr(validate, "_allowed", lambda _: ALLOWED)
    monkeypatch.setattr(validate, "render", render)
    monkeypatch.setattr(tools, "ensure", lambda _: None)
