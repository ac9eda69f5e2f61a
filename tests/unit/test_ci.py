"""The steps of the app's pipeline, run as they are: what they find, what they refuse, and what they leave alone."""

from __future__ import annotations

import shutil
import subprocess
import textwrap
from typing import TYPE_CHECKING, Any, Final

import pytest

from components.core.errors import LabError
from components.core.http_client import Answer
from components.docker import container as containers
from components.gitops import gitea
from lab.commands import status
from lab.host import paths
from tests.unit import fakes, repositories

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.unit

COMMIT: Final = "0123456789abcdef0123456789abcdef01234567"
TAG: Final = "0123456789ab"
MACHINE: Final = ("sh", "awk", "cat", "dirname", "git", "grep", "mktemp", "rm", "sleep", "tail")
IMAGE: Final = "localhost:5001/flask-app"
KUSTOMIZATION: Final = f"""\
resources:
- ../../base
images:
- name: {IMAGE}  # the app's
  newTag: "v1"  # changed by CI
- name: other
  newTag: "v1"
"""
MANIFEST: Final = f"""\
kind: Deployment
spec:
  template:
    spec:
      containers:
      - name: flask-app
        image: {IMAGE}:v1  # changed by CI
      - image: other:v1
"""


class Step:
    """A step of the pipeline in a copy of what it knows, with tools that only write down what they are told."""

    def __init__(self, folder: Path) -> None:
        self.root = folder / "project"
        self.bin = folder / "bin"
        self.log = folder / "log"
        shutil.copytree(paths.ROOT / "ci", self.root / "ci")
        (self.root / "app").mkdir()
        shutil.copy(paths.ROOT / "app/requirements.txt", self.root / "app")
        self.bin.mkdir()
        for name in MACHINE:
            (self.bin / name).symlink_to(shutil.which(name) or name)
        self.log.touch()

    def tool(self, name: str, body: str = "") -> None:
        """Put a tool on PATH that logs its arguments, and then does something else."""
        path = self.bin / name
        path.unlink(missing_ok=True)
        path.write_text(f'#!/bin/sh\necho "{name} $*" >>{self.log}\n{textwrap.dedent(body)}\n', encoding="utf-8")
        path.chmod(0o755)

    def run(self, step: str, *arguments: str, **variables: str) -> subprocess.CompletedProcess[str]:
        """Run a step, with nothing on PATH but what every machine has, and the tools."""
        env = {"PATH": str(self.bin), "HOME": str(self.root), "COMMIT": COMMIT, "IMAGE": IMAGE}
        command = [str(self.root / "ci" / step), *arguments]
        return subprocess.run(command, env=env | variables, capture_output=True, text=True, check=False, timeout=60)

    def said(self) -> list[str]:
        """Return what the tools were told."""
        return self.log.read_text(encoding="utf-8").splitlines()


@pytest.fixture
def step(tmp_path: Path) -> Step:
    return Step(tmp_path)


# --- release ---------------------------------------------------------------------------------------------------------


def release(step: Step, url: str, **variables: str) -> subprocess.CompletedProcess[str]:
    step.tool("sleep")
    given = {"GITOPS_BRANCH": "main", "GITOPS_PATH": "overlays/dev", "GITOPS_USER": "ci", "GITOPS_PASSWORD": "hush-1"}
    return step.run("release", GITOPS_URL=url, **(given | variables))


@pytest.mark.parametrize(("name", "text"), [("kustomization.yaml", KUSTOMIZATION), ("deployment.yml", MANIFEST)])
def test_a_release_changes_one_value_and_leaves_the_rest(step: Step, tmp_path: Path, name: str, text: str) -> None:
    gitops = repositories.bare(tmp_path / "gitops.git", {f"overlays/dev/{name}": text})
    with repositories.served(gitops, {"ci": "hush-1"}, writers=("ci",)) as url:
        done = release(step, url)
        assert done.returncode == 0, done.stderr
        changed = repositories.show(gitops, f"overlays/dev/{name}")
        expected = text.replace(f"{IMAGE}:v1", f"{IMAGE}:{TAG}")
        if name == "kustomization.yaml":
            expected = text.replace('newTag: "v1"', f'newTag: "{TAG}"', 1)
        assert changed == expected
        assert f"Run version {TAG} of the app" in repositories.git(gitops, "log", "--format=%s", "main")

        again = release(step, url)
        assert (again.returncode, again.stdout.strip()) == (0, f"main has {TAG} already")


def test_a_release_goes_on_top_of_what_somebody_else_has_pushed_meanwhile(step: Step, tmp_path: Path) -> None:
    gitops = repositories.bare(tmp_path / "gitops.git", {"overlays/dev/kustomization.yaml": KUSTOMIZATION})
    theirs = tmp_path / "theirs"
    repositories.git(tmp_path, "clone", "--quiet", str(gitops), str(theirs))
    (theirs / "other").write_text("theirs\n", encoding="utf-8")
    repositories.git(theirs, "add", ".")
    repositories.git(theirs, "commit", "--quiet", "--message", "theirs")
    real = shutil.which("git")
    step.tool(
        "git",
        f"""
        case "$*" in
          *" push "*) [ -e {tmp_path}/once ] || {{ touch {tmp_path}/once; {real} -C {theirs} push --quiet; }} ;;
        esac
        exec {real} "$@"
        """,
    )
    with repositories.served(gitops, {"ci": "hush-1"}, writers=("ci",)) as url:
        done = release(step, url)
    assert done.returncode == 0, done.stderr
    subjects = repositories.git(gitops, "log", "--format=%s", "main").splitlines()
    assert subjects == [f"Run version {TAG} of the app", "theirs", "Begin"]
    assert TAG in repositories.show(gitops, "overlays/dev/kustomization.yaml")
    assert "hush-1" not in "\n".join(step.said())
    assert sum(" push " in each for each in step.said()) == 2


def test_a_release_that_is_not_allowed_says_so_and_pushes_nothing(step: Step, tmp_path: Path) -> None:
    gitops = repositories.bare(tmp_path / "gitops.git", {"overlays/dev/kustomization.yaml": KUSTOMIZATION})
    with repositories.served(gitops, {"ci": "hush-1"}) as url:
        done = release(step, url)
    assert done.returncode == 1
    assert f"did not take the tag {TAG}" in done.stderr
    assert repositories.show(gitops, "overlays/dev/kustomization.yaml") == KUSTOMIZATION


def test_a_release_of_what_nothing_runs_says_so(step: Step, tmp_path: Path) -> None:
    gitops = repositories.bare(tmp_path / "gitops.git", {"overlays/dev/kustomization.yaml": KUSTOMIZATION})
    with repositories.served(gitops, {"ci": "hush-1"}, writers=("ci",)) as url:
        done = release(step, url, IMAGE="localhost:5001/flask")  # a beginning of the name is not the name
    assert done.returncode == 1
    assert "runs the image localhost:5001/flask" in done.stderr
    assert repositories.show(gitops, "overlays/dev/kustomization.yaml") == KUSTOMIZATION


# --- scan ------------------------------------------------------------------------------------------------------------

KNOWN: Final = """
Name  Version ID                  Fix Versions
----- ------- ------------------- ------------
flask 0.5     PYSEC-2019-179      1.0
"""
SKIPPED: Final = """
Name    Skip Reason
------- ---------------------------------------------------------------------------
blinker Dependency not found on PyPI and could not be audited: blinker (1.9.0)
"""


def audit(step: Step, report: str, message: str, code: int) -> None:
    """Put a pip-audit on PATH that writes to --output's file as the real one does: nothing when it fails itself."""
    step.tool(
        "pip-audit",
        f"""
        while [ "$1" != --output ]; do shift; done
        printf '%s' '{report}' >"$2"
        echo '{message}' >&2
        exit {code}
        """,
    )


@pytest.mark.parametrize(
    ("report", "message", "code", "ends", "required", "words"),
    [
        ("", "No known vulnerabilities found", 0, 0, 0, "No known vulnerabilities found"),
        (KNOWN, "Found 1 known vulnerability in 1 package", 1, 1, 1, "PYSEC-2019-179"),
        (SKIPPED, "No known vulnerabilities found", 0, 0, 1, "not scanned: what is named above"),
        ("", "ConnectionError: no route", 1, 0, 1, "not scanned: app/requirements.txt, for pip-audit"),
    ],
    ids=["nothing", "found", "unknown", "unreachable"],
)
def test_a_scan_fails_for_what_is_known_and_says_what_it_could_not_look_at(  # noqa: PLR0913, PLR0917 - the table's columns
    step: Step, report: str, message: str, code: int, ends: int, required: int, words: str
) -> None:
    audit(step, report, message, code)
    step.tool("trivy")
    done = step.run("scan")
    assert (done.returncode, words in done.stdout + done.stderr) == (ends, True), done.stdout + done.stderr
    assert step.run("scan", SCAN_REQUIRED="1").returncode == required


def test_where_no_scanner_is_the_scan_says_so_and_fails_only_where_it_is_required(step: Step) -> None:
    done = step.run("scan")
    assert done.returncode == 0
    assert "pip-audit is not here" in done.stderr
    assert "app/ by Trivy, which is not here" in done.stderr
    assert step.run("scan", SCAN_REQUIRED="1").returncode == 1


def test_trivy_looks_for_vulnerabilities_and_secrets_and_ends_the_scan(step: Step) -> None:
    audit(step, "", "No known vulnerabilities found", 0)
    step.tool("trivy", "exit 1")
    assert step.run("scan").returncode == 1
    assert [each for each in step.said() if each.startswith("trivy")] == [
        "trivy fs --scanners vuln,secret app --quiet --severity HIGH,CRITICAL --ignore-unfixed --exit-code 1"
    ]


def test_trivy_in_a_container_reads_two_folders_and_has_no_engine(step: Step) -> None:
    audit(step, "", "No known vulnerabilities found", 0)
    step.tool("docker")
    assert step.run("scan", "app:v1", TRIVY_IMAGE="trivy:pinned").returncode == 0
    save, run = step.said()
    assert save.startswith("docker save --output ")
    assert save.endswith("/image.tar app:v1")
    assert f"--volume {step.root}:{step.root}:ro" in run
    assert "trivy:pinned image --input " in run
    assert "docker.sock" not in run


# --- build -----------------------------------------------------------------------------------------------------------


def test_an_image_is_scanned_before_it_is_pushed(step: Step) -> None:
    step.tool("docker")
    step.tool("trivy")
    done = step.run("build", PUSH="1", PYTHON_IMAGE="python:3", PIP_INDEX_URL="https://mirror.example/simple")
    assert done.returncode == 0, done.stderr
    said = step.said()
    assert [" ".join(each.split()[:2]) for each in said] == [
        "docker build",
        "docker save",
        "trivy image",
        "docker push",
        "docker image",
    ]
    for each in (f"VERSION={TAG}", "PYTHON_IMAGE=python:3", "PIP_INDEX_URL=https://mirror.example/simple"):
        assert f"--build-arg {each}" in said[0]
    assert f"--tag {IMAGE}:{TAG} " in said[0]
    assert said[0].endswith(" app")
    assert said[3].endswith(f"{IMAGE}:{TAG}")


def test_an_image_is_built_with_faults_where_they_are_asked_for_and_with_none_otherwise(step: Step) -> None:
    step.tool("docker")
    assert step.run("build", FAIL_PERCENT="20", DELAY_MS="700").returncode == 0
    assert "--build-arg FAIL_PERCENT=20 --build-arg DELAY_MS=700 " in step.said()[0]
    assert step.run("build").returncode == 0
    assert "FAIL_PERCENT" not in step.said()[-2]
    assert "DELAY_MS" not in step.said()[-2]


def test_an_image_in_which_something_is_found_is_not_pushed(step: Step) -> None:
    step.tool("docker")
    step.tool("trivy", "exit 1")
    assert step.run("build", PUSH="1").returncode == 1
    assert not [each for each in step.said() if "push" in each]


def test_what_is_only_tried_is_built_and_not_pushed(step: Step) -> None:
    step.tool("docker")
    done = step.run("build")
    assert done.returncode == 0
    assert f"not scanned: {IMAGE}:{TAG}, for Trivy is not here" in done.stderr
    assert not [each for each in step.said() if "push" in each]


# --- what became of it -----------------------------------------------------------------------------------------------

RUN: Final = {
    "id": 7,
    "run_number": 3,
    "display_title": "Say it otherwise",
    "head_sha": COMMIT,
    "status": "completed",
    "conclusion": "success",
    "started_at": "2026-11-27T10:00:00Z",
    "completed_at": "2026-11-27T10:00:21Z",
}


@pytest.fixture
def outputs(monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """Return the platform's outputs, with a runner that runs and a Git server that has no run yet."""
    answers_with(monkeypatch, [])
    monkeypatch.setattr(containers, "inspect", lambda *_: {"State": {"Running": True}})
    return fakes.outputs("platform")


def answers_with(monkeypatch: pytest.MonkeyPatch, runs: list[dict[str, Any]]) -> None:
    monkeypatch.setattr(gitea.Gitea, "ask", lambda *_: Answer(200, {"workflow_runs": runs}, ""))


@pytest.mark.parametrize(
    ("changes", "ok", "words"),
    [
        ({}, True, "success after 21 s: 0123456789ab 'Say it otherwise'"),
        ({"conclusion": "failure"}, False, "failure after 21 s"),
        ({"status": "running", "conclusion": None, "completed_at": None}, True, "running: 0123456789ab"),
        ({"status": "queued", "conclusion": None, "started_at": None, "completed_at": None}, True, "queued"),
    ],
)
def test_the_last_run_is_told_at_a_glance(
    outputs: dict[str, Any], monkeypatch: pytest.MonkeyPatch, changes: dict[str, Any], ok: bool, words: str
) -> None:
    answers_with(monkeypatch, [RUN | changes])
    line = status.last_run(outputs)
    assert (line.ok, words in line.found) == (ok, True), line.found
    assert line.fix == "make ci RUN=3"


def test_a_runner_that_does_not_run_is_said_whatever_became_of_the_last_push(
    outputs: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    assert "nothing was pushed to the app yet" in status.last_run(outputs).found
    monkeypatch.setattr(containers, "inspect", lambda *_: None)
    with pytest.raises(LabError, match="iot-platform-runner does not run") as caught:
        status.last_run(outputs)
    assert caught.value.fix == "make up"
