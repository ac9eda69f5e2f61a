"""`make test`: which tiers run, what counts as a failure, and that every test belongs to a tier."""

from __future__ import annotations

import argparse
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Final

import pytest

from lab.commands import lint, test
from lab.host import needs, paths

ROOT: Final = Path(__file__).parents[2]
PASSING: Final = "def test_one():\n    assert 1\n"


class Project:
    """A project with nothing but tests and pytest's settings."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        (folder / "pyproject.toml").write_text((ROOT / "pyproject.toml").read_text(encoding="utf-8"), encoding="utf-8")
        (folder / "tests").mkdir()
        for name in ("conftest.py", "site.py"):
            shutil.copy(ROOT / "tests" / name, folder / "tests")

    def add(self, path: str, text: str = PASSING) -> None:
        (self.folder / path).parent.mkdir(parents=True, exist_ok=True)
        (self.folder / path).write_text(text, encoding="utf-8")

    def pytest(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", "-q", *arguments]
        return subprocess.run(command, cwd=self.folder, capture_output=True, text=True, check=False, timeout=100)


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Project:
    monkeypatch.setattr(paths, "ROOT", tmp_path)
    monkeypatch.setattr(lint, "linters", lambda: {"a linter": ["true"]})
    return Project(tmp_path)


def tier(marks: str = "unit", *, name: str = "preview", missing: list[str] | None = None, time: int = 100) -> test.Tier:
    return test.Tier(name, marks, time, lambda: missing or [])


def run(tier: test.Tier, *, required: bool = False) -> tuple[str, str]:
    result = test.run_tier(tier, required=required)
    return result.outcome, result.details


# What becomes of a tier


def test_a_tier_that_passes_says_how_many_tests_ran(project: Project, capfd: pytest.CaptureFixture[str]) -> None:
    project.add("tests/unit/test_it.py", "def test_one(): assert 1\ndef test_two(): assert 1\n")
    outcome, details = run(tier())
    assert outcome == "passed"
    assert details.startswith("2 passed; ")
    assert "2 passed in" in capfd.readouterr().out, "pytest's own closing line is to be seen"


def test_a_failing_test_fails_its_tier(project: Project) -> None:
    project.add("tests/unit/test_it.py", PASSING + "def test_two():\n    assert 0\n")
    outcome, details = run(tier())
    assert outcome == "failed"
    assert "1 failed" in details
    assert "1 passed" in details


def test_a_broken_module_fails_its_tier(project: Project) -> None:
    project.add("tests/unit/test_it.py", "import no_such_module\n")
    assert run(tier())[0] == "failed"


def test_a_broken_fixture_fails_its_tier(project: Project) -> None:
    text = "import pytest\n@pytest.fixture\ndef f(): raise RuntimeError\ndef test_one(f): pass\n"
    project.add("tests/unit/test_it.py", text)
    assert run(tier())[0] == "failed"


def test_a_tier_without_tests_fails(project: Project) -> None:
    project.add("tests/unit/test_it.py")
    outcome, details = run(tier("preview"))
    assert outcome == "failed"
    assert "it has no tests" in details


def test_a_test_that_skips_itself_fails_its_tier_and_is_named(project: Project) -> None:
    text = "import pytest\ndef test_one():\n    pytest.skip('no mood')\n"
    project.add("tests/unit/test_it.py", PASSING + text.replace("test_one", "test_two"))
    outcome, details = run(tier())
    assert outcome == "failed"
    assert "test_two" in details
    assert "1 passed" in details


def test_a_test_that_needs_the_projects_history_may_skip_itself_and_is_counted(project: Project) -> None:
    text = f"import pytest\ndef test_two():\n    pytest.skip({test.HISTORY + ': a shallow clone'!r})\n"
    project.add("tests/unit/test_it.py", PASSING + text)
    outcome, details = run(tier())
    assert outcome == "passed"
    assert details.startswith(f"1 passed, 1 left out: {test.HISTORY}; ")


def test_an_expected_failure_is_no_skip(project: Project) -> None:
    text = "import pytest\n@pytest.mark.xfail(reason='known')\ndef test_one():\n    assert 0\n"
    project.add("tests/unit/test_it.py", text)
    assert run(tier())[0] == "passed"


def test_the_tests_of_a_lab_run_in_one_process_and_in_their_order(project: Project) -> None:
    text = "RAN = []\n" + "".join(
        f"def test_{n}():\n    RAN.append({n})\n    assert RAN == {list(range(n + 1))}\n" for n in range(6)
    )
    for name in ("one", "two"):
        project.add(f"tests/unit/test_{name}.py", text)
    result = test.run_tier(test.Tier("lab-k3d", "unit", 100, list, test.TWO_LABS), required=False)
    assert (result.outcome, result.details.partition(";")[0]) == ("passed", "12 passed")


def test_a_warning_is_a_failure(project: Project) -> None:
    project.add("tests/unit/test_it.py", "import warnings\ndef test_one():\n    warnings.warn('old', stacklevel=1)\n")
    assert run(tier())[0] == "failed"


def test_a_tier_that_does_not_end_is_ended(project: Project) -> None:
    project.add("tests/unit/test_it.py", "import time\ndef test_one():\n    time.sleep(60)\n")
    outcome, details = run(tier(time=3))
    assert outcome == "failed"
    assert "ended after 3 s" in details


def test_a_tier_whose_tools_are_missing_is_skipped_and_says_why(project: Project) -> None:
    assert run(tier(missing=["k3d 5.9.0 (missing)"])) == ("skipped", "needs k3d 5.9.0 (missing)")


def test_a_tier_that_was_asked_for_has_to_run(project: Project) -> None:
    assert run(tier(missing=["k3d 5.9.0 (missing)"]), required=True)[0] == "failed"


def test_a_linter_that_finds_something_fails_the_unit_tier(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    project.add("tests/unit/test_it.py")
    assert run(tier(name="unit"))[0] == "passed"
    monkeypatch.setattr(lint, "linters", lambda: {"a linter": ["true"], "another": ["false"]})
    outcome, details = run(tier(name="unit"))
    assert outcome == "failed"
    assert "another found something" in details
    assert "a linter found" not in details


@pytest.mark.parametrize(("outcomes", "code"), [("ps", 0), ("pp", 0), ("pf", 1), ("fs", 1)])
def test_the_exit_code_is_that_of_the_worst_tier(
    outcomes: str, code: int, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    words = {"p": "passed", "s": "skipped", "f": "failed"}
    results = iter(outcomes)
    monkeypatch.setattr(test, "TIERS", (tier(name="one"), tier(name="two")))
    monkeypatch.setattr(test, "run_tier", lambda each, **_: test.Result(each.name, words[next(results)], "..."))
    assert test.run(argparse.Namespace(tier=None)) == code
    lines = capsys.readouterr().out.split("\n")
    assert [line.split()[0] for line in lines if line] == ["one", "two"], "a line per tier"


def test_only_the_tier_that_was_asked_for_runs(monkeypatch: pytest.MonkeyPatch) -> None:
    ran = []

    def run_tier(tier: test.Tier, *, required: bool) -> test.Result:
        ran.append((tier.name, required))
        return test.Result(tier.name, "passed", "")

    monkeypatch.setattr(test, "run_tier", run_tier)
    test.run(argparse.Namespace(tier="preview"))
    assert ran == [("preview", True)]


# What each tier needs


def test_without_any_tool_only_the_unit_tier_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    for name, path in {"BIN": tmp_path, "VENV": tmp_path, "PULUMI_HOME": tmp_path}.items():
        monkeypatch.setattr(paths, name, path)
    monkeypatch.setattr(paths, "OFFLINE_DEFAULT", tmp_path / "none")
    missing = {each.name: each.missing() for each in test.TIERS}
    assert missing.pop("unit") == []
    for name, lines in missing.items():
        assert any(line.startswith("pulumi 3.") and line.endswith("(missing)") for line in lines), (name, lines)
    assert any(line.startswith("docker") for line in missing["lab-k3d"])
    assert not any(line.startswith("docker") for line in missing["preview"])
    assert any(line.startswith("vagrant") for line in missing["lab-vagrant"])
    assert any("provider" in line for line in missing["lab-vagrant"])


@pytest.mark.parametrize("provider", ["VBoxManage", "virsh", "docker"])
def test_any_provider_of_vagrant_will_do(provider: str, monkeypatch: pytest.MonkeyPatch) -> None:
    def ok(name: str, **_: str) -> needs.Check:
        return needs.Check(name=name, fix="" if name in {provider, "vagrant", "git", "curl"} else "get it")

    monkeypatch.setattr(needs, "program", ok)
    monkeypatch.setattr(needs, "engine", lambda: ok("docker"))
    monkeypatch.setattr(needs, "tool", lambda _: needs.Check(name="pulumi"))
    monkeypatch.setattr(needs, "plugin", lambda _: needs.Check(name="plugin"))
    assert test.missing_for_vagrant() == []


# To which tier a test belongs


def test_a_test_belongs_to_the_tier_of_its_folder(project: Project) -> None:
    project.add("tests/unit/test_u.py")
    project.add("tests/preview/test_p.py")
    project.add("tests/lab/test_l.py", "import pytest\npytestmark = pytest.mark.k3d\n" + PASSING)
    project.add("tests/lab/test_v.py", "import pytest\npytestmark = pytest.mark.vagrant\n" + PASSING)
    for each, expected in {
        "unit": "test_u.py",
        "preview": "test_p.py",
        "lab and k3d": "test_l.py",
        "lab and vagrant": "test_v.py",
    }.items():
        listed = project.pytest("--collect-only", "-m", each).stdout
        assert expected in listed
        assert "1/4 tests collected" in listed


@pytest.mark.parametrize(
    ("path", "text", "message"),
    [
        ("tests/test_it.py", PASSING, "tests are in tests/unit"),
        ("tests/other/test_it.py", PASSING, "tests are in tests/unit"),
        ("tests/lab/test_it.py", PASSING, "does not say what it needs: mark it k3d or vagrant"),
        (
            "tests/unit/test_it.py",
            "import pytest\n@pytest.mark.lab\n" + PASSING,
            "is in tests/unit and marked lab",
        ),
        ("tests/unit/test_it.py", "import pytest\n@pytest.mark.slow\n" + PASSING, "'slow' not found in `markers`"),
    ],
)
def test_a_test_without_a_clear_tier_is_refused(project: Project, path: str, text: str, message: str) -> None:
    project.add(path, text)
    done = project.pytest("--collect-only")
    assert done.returncode
    assert message in done.stdout + done.stderr


def test_every_test_has_a_time_and_may_set_its_own(project: Project) -> None:
    text = "def test_one(request):\n    assert request.node.get_closest_marker('timeout').args == (120,)\n"
    project.add("tests/unit/test_default.py", text)
    own = text.replace("120", "7")
    project.add("tests/unit/test_own.py", f"import pytest\npytestmark = pytest.mark.timeout(7)\n{own}")
    done = project.pytest("-m", "unit")
    assert done.returncode == 0, done.stdout


def test_a_hanging_test_is_ended(project: Project) -> None:
    text = "import pytest, time\n@pytest.mark.timeout(1)\ndef test_one():\n    time.sleep(60)\n"
    project.add("tests/unit/test_it.py", text)
    done = project.pytest()
    assert done.returncode
    assert "Timeout" in done.stdout + done.stderr


def test_unit_tests_do_not_see_what_the_user_has_set(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("IOT_MIRROR", "PULUMI_CONFIG_PASSPHRASE", "STACK", "INSTALL_DOCKER"):
        monkeypatch.setenv(name, "x")
    text = "import os\ndef test_one():\n    assert not [n for n in os.environ if os.environ[n] == 'x']\n"
    project.add("tests/unit/test_it.py", text)
    assert project.pytest("-m", "unit").returncode == 0


# The linters


@pytest.mark.parametrize(
    ("linter", "path", "bad"),
    [
        ("ruff check", "lab/bad.py", "import os\n"),
        ("ruff format", "lab/bad.py", "x = {  'a':1 }\n"),
        ("mypy", "lab/bad.py", "def f(x):\n    return x\n"),
        ("shellcheck", "lab/bad.sh", "#!/bin/sh\ncd $1\n"),
        ("shellcheck", ".ci/bad", "#!/usr/bin/env bash\ncd $1\n"),
        ("yamllint", "manifests/bad.yaml", "a: 1\na: 2\n"),
    ],
)
def test_each_linter_finds_what_it_is_for(
    linter: str, path: str, bad: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("pyproject.toml", ".yamllint.yaml"):
        shutil.copy(ROOT / name, tmp_path)
    for name in ("components", "devtools", "lab", "policy", "tests", "manifests", ".ci", ".lab", ".venv"):
        (tmp_path / name).mkdir()
    for name in (
        "__main__.py",
        "components/__init__.py",
        "devtools/__init__.py",
        "lab/__init__.py",
        "policy/__init__.py",
        "tests/__init__.py",
    ):
        (tmp_path / name).write_text('"""A module."""\n', encoding="utf-8")
    good = {"lab/good.sh": "#!/bin/sh\ntrue\n", "manifests/good.yaml": "a: 1\n"}
    # What is not the project's own is left alone.
    foreign = {".lab/bad.py": bad, ".venv/bad.py": bad, ".lab/bad.sh": bad, ".lab/bad.yaml": bad}
    for name, text in (good | foreign).items():
        (tmp_path / name).write_text(text, encoding="utf-8")
    monkeypatch.setattr(paths, "ROOT", tmp_path)
    assert linter not in lint.failing()
    (tmp_path / path).write_text(bad, encoding="utf-8")
    assert linter in lint.failing()
