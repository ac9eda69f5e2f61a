"""What is rendered is what the program would create, can be read by kubectl, and has no secret in it."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from typing import TYPE_CHECKING, Any

import pytest
import yaml

from components.core.errors import LabError
from devtools import graph, objects, render
from lab.commands import render as command
from lab.host import paths

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

STACKS = ("p2", "p3")


@pytest.fixture
def p3(build: Callable[..., graph.Graph]) -> dict[str, str]:
    return render.files(build("p3"))


def documents(texts: dict[str, str]) -> list[dict[str, Any]]:
    return [yaml.safe_load(text) for path, text in texts.items() if "/" in path]


@pytest.mark.parametrize("stack", STACKS)
def test_every_object_of_the_program_is_written(build: Callable[..., graph.Graph], stack: str) -> None:
    made = build(stack)
    written = [
        (each["kind"], each["metadata"].get("namespace"), each["metadata"]["name"])
        for each in documents(render.files(made))
    ]
    expected = [
        (each.content["kind"], each.content["metadata"].get("namespace"), each.content["metadata"]["name"])
        for each in objects.of_program(made)
    ]
    assert sorted(written, key=str) == sorted(expected, key=str)


@pytest.mark.parametrize("stack", STACKS)
def test_nothing_is_written_that_only_stands_in(build: Callable[..., graph.Graph], stack: str) -> None:
    text = "".join(render.files(build(stack)).values())
    assert graph.STAND_IN not in text
    assert graph.UNKNOWN not in text
    assert "sha256:0000" not in text
    assert "pulumi.com/" not in text
    assert str(paths.ROOT) not in text


@pytest.mark.parametrize("stack", STACKS)
def test_two_runs_write_the_same(stack: str) -> None:
    first, second = (render.files(graph.build(stack, paths.ROOT)) for _ in range(2))
    assert first == second


def test_secrets_are_to_be_filled_in(p3: dict[str, str]) -> None:
    for each in documents(p3):
        if each["kind"] == "Secret":
            closed = {key: value for key, value in each["stringData"].items() if key not in render.OPEN_KEYS}
            assert closed
            assert all(value.startswith(render.FILL_IN) for value in closed.values())


def test_the_same_secret_has_the_same_placeholder(p3: dict[str, str]) -> None:
    by_name = {each["metadata"]["name"]: each for each in documents(p3) if each["kind"] == "Secret"}
    assert by_name["flask-app-repository"]["stringData"]["password"] == f"{render.FILL_IN}gitea-reader"
    values = yaml.safe_load(p3["2-argocd-values.yaml"])
    assert values["configs"]["secret"]["gogsSecret"] == f"{render.FILL_IN}argocd-webhook"


def test_a_hash_of_a_password_is_not_filled_with_just_anything(p3: dict[str, str]) -> None:
    values = yaml.safe_load(p3["2-argocd-values.yaml"])
    assert values["configs"]["secret"]["argocdServerAdminPassword"] == "FILL-IN-argocd-admin-bcrypt"
    (line,) = [line for line in p3["README.md"].splitlines() if "FILL-IN-argocd-admin-bcrypt" in line]
    assert "FILL-IN-argocd-redis" not in line
    assert "htpasswd" in p3["README.md"]


def test_the_readmes_loop_fills_every_secret_in(p3: dict[str, str], tmp_path: Path) -> None:
    bash, perl, grep = (shutil.which(name) for name in ("bash", "perl", "grep"))
    if not (bash and perl and grep):
        return
    command.write(p3, tmp_path / "p3")
    (tmp_path / "bin").mkdir()
    for name, value in {"openssl": "random", "htpasswd": ":$2y$10$/a.b"}.items():
        program = tmp_path / "bin" / name
        program.write_text(f"#!/bin/sh\ncat <<'END'\n{value}\nEND\n", encoding="utf-8")
        program.chmod(0o755)
    loops = re.findall(r"^   (for SECRET.*?done)$", p3["README.md"], re.MULTILINE | re.DOTALL)
    assert len(loops) == 2
    path = f"{tmp_path / 'bin'}:/usr/bin:/bin"
    for loop in loops:
        subprocess.run([bash, "-euc", loop], cwd=tmp_path / "p3", env={"PATH": path}, check=True)
    texts = {path.name: path.read_text(encoding="utf-8") for path in (tmp_path / "p3").rglob("*.yaml")}
    # The note above them, which says that something is to be filled in, is all that is left.
    assert not [name for name, text in texts.items() if re.search(r"FILL-IN-\w", text)]
    assert "argocdServerAdminPassword: $2y$10$/a.b" in texts["2-argocd-values.yaml"]
    assert "auth: random" in next(text for name, text in texts.items() if name.endswith("-secret-argocd-redis.yaml"))


def test_a_password_of_the_user_is_not_written() -> None:
    secret = "v1:not-to-be-seen"
    made = graph.build(
        "p3",
        paths.ROOT,
        {"gitUrl": "https://example.org/me/iot", "gitPassword": {"secure": secret}, "gitUsername": "me"},
    )
    texts = render.files(made)
    assert secret not in "".join(texts.values())
    (credentials,) = [each for each in documents(texts) if each["metadata"]["name"] == "flask-app-repository"]
    assert credentials["stringData"]["username"] == "me"
    assert credentials["stringData"]["password"] == f"{render.FILL_IN}password"


def test_what_needs_the_chart_comes_after_it(p3: dict[str, str]) -> None:
    after = {each["kind"] for path, text in p3.items() if path.startswith("3/") and (each := yaml.safe_load(text))}
    assert after == {"AppProject", "Application", "Secret"}
    readme = p3["README.md"]
    steps = [readme.index(text) for text in ("apply -f 1/", "helm upgrade --install argocd", "apply -f 3/")]
    assert steps == sorted(steps)


def test_a_folder_that_others_have_filled_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "README.md").write_text("# Mine")
    with pytest.raises(LabError, match="is not empty"):
        command.write({"README.md": render.TITLE}, tmp_path)
    assert (tmp_path / "README.md").read_text() == "# Mine"


def test_a_second_run_leaves_nothing_of_the_first(tmp_path: Path) -> None:
    command.write({"README.md": f"{render.TITLE}p2", "1/old.yaml": "{}"}, tmp_path)
    command.write({"README.md": f"{render.TITLE}p2", "1/new.yaml": "{}"}, tmp_path)
    assert sorted(path.name for path in (tmp_path / "1").iterdir()) == ["new.yaml"]


def test_the_command_needs_no_tool(tmp_path: Path) -> None:
    run = [sys.executable, "-m", "lab", "render", "--stack"]
    environment = {"PATH": "/nowhere", "HOME": str(tmp_path)}
    done = subprocess.run(
        [*run, "p2", "--to", str(tmp_path / "p2")],
        cwd=paths.ROOT,
        env=environment,
        capture_output=True,
        text=True,
        check=True,
    )
    assert sorted(done.stdout.split()) == sorted(str(path) for path in (tmp_path / "p2").rglob("*") if path.is_file())
    empty = subprocess.run([*run, "p1"], cwd=paths.ROOT, env=environment, capture_output=True, text=True, check=True)
    assert "p1 creates no Kubernetes objects" in empty.stderr
    assert empty.stdout == ""
