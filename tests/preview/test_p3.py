"""The real Pulumi CLI previews p3 where nothing is installed and nothing has been brought up."""

from __future__ import annotations

import shutil
from collections import Counter
from typing import TYPE_CHECKING

import pytest
import yaml

from devtools import graph
from tests.preview.project import PASSPHRASE, ROOT, Project

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.preview

SECRET = "hunter2-of-the-test"


@pytest.fixture
def p3(project: Project, chart: Path) -> Project:
    project.create("p3")
    project.set("p3", "argocdChart", str(chart))
    return project


@pytest.mark.parametrize("tool", ["docker", "k3d", "kubectl", "helm", "vagrant", "git"])
def test_these_previews_run_on_a_machine_without_tools(project: Project, tool: str) -> None:
    assert shutil.which("pulumi", path=project.env["PATH"])
    assert shutil.which(tool, path=project.env["PATH"]) is None


def test_p3_is_previewed_from_nothing_as_its_graph_says_without_docker_and_network(p3: Project, chart: Path) -> None:
    plan = p3.plan("p3")

    expected = graph.build("p3", ROOT, {"argocdChart": str(chart)}).nodes
    made = Counter(step["newState"]["type"] for step in plan["steps"] if step["op"] == "create")
    assert made == Counter(["pulumi:pulumi:Stack", *(node.type for node in expected if not node.read)])
    assert plan["changeSummary"]["create"] == made.total() > 30
    assert set(plan["changeSummary"]) <= {"create", "read"}


def test_a_secret_is_neither_shown_nor_written(p3: Project) -> None:
    p3.set("p3", "gitUrl", "https://github.com/me/iot")
    p3.set("p3", "gitUsername", "me")
    p3.set("p3", "gitPassword", SECRET, secret=True)
    said = p3.pulumi("preview", "--diff", "--stack", "p3")

    assert said.code == 0, said.all
    assert "flask-app-repository" in said.all
    assert "This machine could not create the cluster" in said.all
    written = [path for path in [*p3.root.glob("Pulumi*"), *(p3.root / ".lab").rglob("*")] if path.is_file()]
    assert any("p3.json" in path.name for path in written)
    for secret in (SECRET, PASSPHRASE):
        assert secret not in said.all
        for path in written:
            assert secret.encode() not in path.read_bytes(), path


def test_a_preview_has_no_warning(p3: Project) -> None:
    said = p3.preview("p3")

    assert said.code == 0, said.all
    # Where plugins are is the machine's business.
    assert [line for line in said.all.splitlines() if "warning: " in line and "from $PATH" not in line] == []


def test_an_existing_cluster_that_is_not_here_is_previewed_too(p3: Project, tmp_path: Path) -> None:
    kubeconfig = tmp_path / "kubeconfig"
    kubeconfig.write_text(
        yaml.safe_dump(
            {
                "apiVersion": "v1",
                "kind": "Config",
                "current-context": "mine",
                "clusters": [{"name": "c", "cluster": {"server": "https://127.0.0.1:9"}}],
                "users": [{"name": "u", "user": {"token": SECRET}}],
                "contexts": [{"name": "mine", "context": {"cluster": "c", "user": "u"}}],
            }
        ),
        encoding="utf-8",
    )
    p3.set("p3", "kubeconfig", str(kubeconfig))
    p3.set("p3", "gitUrl", "https://github.com/me/iot")
    p3.set("p3", "appImage", "broly20/flask-app-p3:v2")
    said = p3.preview("p3")

    assert SECRET not in said.all
    assert "k3d" not in said.out
    assert said.code == 0, said.all


# --- mistakes --------------------------------------------------------------------------------------------------------


def error_of(project: Project, stack: str) -> str:
    """Preview what is wrong, and return the one thing that is said about it."""
    said = project.preview(stack)

    assert said.code != 0, said.all
    assert "Traceback" not in said.all
    diagnostics = said.all.partition("Diagnostics:")[2].splitlines()
    # The CLI itself adds that the program has ended.
    lines = [line for line in diagnostics if "error: " in line and "non-zero exit code" not in line]
    assert len(lines) == 1, said.all
    return lines[0]


@pytest.mark.parametrize(
    ("key", "value", "words"),
    [
        ("appNodePort", "8888", ["iot:appNodePort is '8888'", "from 30000 to 32767"]),
        ("argocdChart", "charts/none.tgz", ["iot:argocdChart is 'charts/none.tgz'", "there is none at"]),
        ("appPort", "8888", ["There is no setting iot:appPort", "did you mean iot:appPorts?"]),
        ("gitPassword", SECRET, ["iot:gitPassword is '(hidden)'", "config set --stack p3 --secret iot:gitPassword"]),
    ],
)
def test_a_mistake_is_one_line_without_a_traceback(p3: Project, key: str, value: str, words: list[str]) -> None:
    if key == "gitPassword":
        p3.set("p3", "gitUrl", "https://github.com/me/iot")
        p3.set("p3", "gitUsername", "me")
    p3.set("p3", key, value)
    error = error_of(p3, "p3")

    for word in words:
        assert word in error
    assert "Fix: " in error
    assert SECRET not in error


def test_several_mistakes_are_shown_at_once(p3: Project) -> None:
    p3.set("p3", "timeout", "1")
    p3.set("p3", "servers", "2")
    said = p3.preview("p3")

    assert said.code != 0
    for words in ("2 problems", "iot:timeout is '1'", "iot:servers is '2'"):
        assert words in said.all
    assert "Traceback" not in said.all


def test_an_unknown_stack_is_told_which_there_are(project: Project) -> None:
    project.create("prod")
    error = error_of(project, "prod")

    assert "Nothing is known of a stack named 'prod'" in error
    assert "p1, p2, p3" in error
    assert "pulumi stack select p3" in error
