"""The workflows are valid, may no more than they need, and say the same as the rest of the project."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any, Final

import pytest
import yaml

from components.core import versions
from components.core.names import STACKS
from lab.__main__ import names
from lab.host import paths

GITHUB: Final = paths.ROOT / ".github"
WORKFLOWS: Final = sorted((GITHUB / "workflows").glob("*.yaml"))
APP: Final = GITHUB / "workflows" / "app.yaml"
PINNED: Final = re.compile(r"[\w.-]+/[\w./-]+@[0-9a-f]{40} # v\d+\.\d+\.\d+")


def parsed(path: Path) -> dict[str, Any]:
    # YAML 1.1 reads the key `on` as true.
    content: dict[Any, Any] = yaml.safe_load(path.read_text(encoding="utf-8"))
    return {"on" if key is True else key: value for key, value in content.items()}


def jobs() -> list[tuple[str, dict[str, Any]]]:
    return [(f"{path.stem} {name}", job) for path in WORKFLOWS for name, job in parsed(path)["jobs"].items()]


def steps(job: dict[str, Any], action: str) -> list[dict[str, Any]]:
    return [step for step in job["steps"] if step.get("uses", "").startswith(f"{action}@")]


def run(*command: str) -> str:
    done = subprocess.run(command, cwd=paths.ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout + done.stderr


@pytest.mark.parametrize(
    ("schema", "files"),
    [("github-workflows", WORKFLOWS), ("dependabot", [GITHUB / "dependabot.yml"])],
    ids=["workflows", "dependabot"],
)
def test_they_follow_githubs_schema(schema: str, files: list[Path]) -> None:
    run(sys.executable, "-m", "check_jsonschema", "--builtin-schema", f"vendor.{schema}", *map(str, files))


def test_a_workflow_that_is_wrong_is_found(tmp_path: Path) -> None:
    wrong = tmp_path / "wrong.yaml"
    wrong.write_text(WORKFLOWS[0].read_text(encoding="utf-8").replace("runs-on:", "runs-onn:"), encoding="utf-8")
    with pytest.raises(AssertionError, match="runs-on"):
        test_they_follow_githubs_schema("github-workflows", [wrong])


def test_zizmor_finds_nothing() -> None:
    run(str(Path(sys.executable).with_name("zizmor")), "--offline", "--no-progress", str(GITHUB))


def test_zizmor_finds_what_is_dangerous(tmp_path: Path) -> None:
    text = WORKFLOWS[0].read_text(encoding="utf-8").replace("ci/test", "ci/test ${{ github.event.pull_request.title }}")
    (tmp_path / "wrong.yaml").write_text(text, encoding="utf-8")
    with pytest.raises(AssertionError, match="template-injection"):
        run(str(Path(sys.executable).with_name("zizmor")), "--offline", "--no-progress", str(tmp_path / "wrong.yaml"))


def test_actionlint_finds_nothing_where_it_is_installed() -> None:
    if actionlint := shutil.which("actionlint"):
        run(actionlint, *map(str, WORKFLOWS))


@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.stem)
def test_every_action_is_pinned_by_its_commit(path: Path) -> None:
    used = re.findall(r"uses: (.+)", path.read_text(encoding="utf-8"))
    assert bool(used) is (path != APP)  # whose pipeline fetches nothing of a marketplace
    assert [each for each in used if not PINNED.fullmatch(each)] == []


def test_an_action_has_one_version_everywhere() -> None:
    used = {each for path in WORKFLOWS for each in re.findall(r"uses: (.+)", path.read_text(encoding="utf-8"))}
    assert len({each.partition("@")[0] for each in used}) == len(used)


@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.stem)
def test_a_workflow_may_nothing_by_itself_and_runs_once_at_a_time(path: Path) -> None:
    workflow = parsed(path)
    assert workflow["permissions"] == {}
    assert "group" in workflow["concurrency"]
    # It would run a stranger's code with this repository's rights.
    assert "pull_request_target" not in workflow["on"]


@pytest.mark.parametrize(("name", "job"), jobs())
def test_a_job_is_bounded_and_keeps_no_credentials(name: str, job: dict[str, Any]) -> None:
    assert job["timeout-minutes"] <= 90
    assert "latest" not in job["runs-on"]
    for checkout in steps(job, "actions/checkout"):
        assert checkout["with"]["persist-credentials"] is False, name


def test_writing_is_allowed_where_it_is_needed_and_nowhere_else() -> None:
    writing = {(name, what) for name, job in jobs() for what, level in job["permissions"].items() if level != "read"}
    assert writing == {
        ("pull-request preview", "pull-requests"),
        ("app build", "packages"),
        ("app release", "contents"),
    }


def test_a_pull_request_previews_every_stack_with_the_pinned_pulumi() -> None:
    job = parsed(GITHUB / "workflows" / "pull-request.yaml")["jobs"]["preview"]
    assert job["strategy"]["matrix"]["stack"] == list(STACKS)
    (preview,) = steps(job, "pulumi/actions")
    assert preview["with"]["pulumi-version"] == versions.PULUMI
    assert "head.repo.full_name == github.repository" in preview["with"]["comment-on-pr"]
    assert preview["with"]["comment-on-summary"] is True


def test_what_runs_for_a_pull_request_needs_no_secret() -> None:
    assert "secrets." not in (GITHUB / "workflows" / "pull-request.yaml").read_text(encoding="utf-8")


def test_the_apps_pipeline_never_talks_to_a_cluster() -> None:
    text = APP.read_text(encoding="utf-8").lower()
    for word in ("kubeconfig", "kubectl", "helm ", "argocd ", "pulumi up", ":latest"):
        assert word not in text


def test_the_apps_pipeline_is_the_same_scripts_on_github_and_beside_the_cluster() -> None:
    found = [
        [step["run"] for job in parsed(path)["jobs"].values() for step in job["steps"] if step["run"].startswith("ci/")]
        for path in (APP, paths.ROOT / ".gitea/workflows/app.yaml")
    ]
    assert found == [["ci/test", "ci/scan", "ci/build", "ci/release"]] * 2


def test_what_releases_on_github_gets_the_variables_that_the_script_reads() -> None:
    wanted = set(re.findall(r"\$\{?([A-Z]\w+)", (paths.ROOT / "ci/release").read_text(encoding="utf-8")))
    (release,) = [step for step in parsed(APP)["jobs"]["release"]["steps"] if step["run"] == "ci/release"]
    assert set(release["env"]) == wanted


@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.stem)
def test_the_labs_commands_exist(path: Path) -> None:
    used = re.findall(r"python -m lab (\S+)", path.read_text(encoding="utf-8"))
    assert set(used) <= set(names())
