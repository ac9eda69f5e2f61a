"""`make dora` shows DORA's four metrics, from a real Git and from what Argo CD remembers, and no number besides."""

from __future__ import annotations

import argparse
import json
import os
from datetime import datetime, timezone
from typing import TYPE_CHECKING, Final

import pytest

from components.core.errors import LabError
from lab.commands import dora as command
from lab.host import tools
from lab.live import dora, environments, git, stack
from tests.unit import fakes, repositories

if TYPE_CHECKING:
    from pathlib import Path

    from lab.live.dora import Metrics

pytestmark = pytest.mark.unit

IMAGE: Final = "localhost:5001/flask-app"
PATH: Final = "overlays/dev/kustomization.yaml"
NOW: Final = 1_795_000_000
DAY: Final = 86400
HOUR: Final = 3600


class Gitops:
    """The GitOps repository and the app's, and an Argo CD that remembers."""

    def __init__(self, folder: Path) -> None:
        self.bare, self.code = folder / "gitops.git", folder / "app.git"
        self.history: list[dict[str, str]] = []
        self.health = "Healthy"
        self._work = {}
        for name, path in (("gitops", self.bare), ("app", self.code)):
            path.mkdir()
            repositories.git(path, "init", "--quiet", "--bare", "--initial-branch=main", ".")
            self._work[name] = folder / name
            repositories.git(folder, "clone", "--quiet", str(path), str(folder / name))
            repositories.git(folder / name, "checkout", "-q", "-B", "main")

    def _commit(self, repository: str, at: float, files: dict[str, str], message: str) -> str:
        work = self._work[repository]
        for name, text in files.items():
            (work / name).parent.mkdir(parents=True, exist_ok=True)
            (work / name).write_text(text, encoding="utf-8")
        repositories.git(work, "add", ".")
        return self._git(repository, at, "commit", "--quiet", "--message", message)

    def _git(self, repository: str, at: float, *arguments: str) -> str:
        work = self._work[repository]
        moment = {"GIT_AUTHOR_DATE": f"{at:.0f} +0000", "GIT_COMMITTER_DATE": f"{at:.0f} +0000"}
        with pytest.MonkeyPatch.context() as patch:
            for key, value in moment.items():
                patch.setenv(key, value)
            repositories.git(work, *arguments)
        repositories.git(work, "push", "--quiet", "origin", "main")
        return repositories.git(work, "rev-parse", "HEAD")

    def release(self, version: str, at: float, title: str = "") -> str:
        text = f'images:\n- name: {IMAGE}\n  newTag: "{version}"\n'
        return self._commit("gitops", at, {PATH: text}, title or f"Run version {version} of the app")

    def other(self, at: float) -> str:
        """Commit what is none of the environment's business."""
        return self._commit("gitops", at, {"apps/dev.yaml": f"at: {at}\n"}, "Another port")

    def revert(self, commit: str, at: float) -> str:
        return self._git("gitops", at, "revert", "--no-edit", commit)

    def push(self, at: float) -> str:
        """Push a commit of the app."""
        return self._commit("app", at, {"app.py": f"at = {at}\n"}, f"Change it at {at}")

    def sync(self, commit: str, at: float) -> None:
        moment = datetime.fromtimestamp(at, tz=timezone.utc)
        self.history.append({"revision": commit, "deployedAt": f"{moment:%Y-%m-%dT%H:%M:%SZ}"})

    def measure(self, days: int = 30) -> Metrics:
        source = git.Remote(url=f"file://{self.bare}", revision="main", path="overlays/dev")
        app = environments.App(
            application="dev",
            namespace="dev",
            cluster="",
            url="",
            remote=source,
            shared="base",
        )
        status = {"history": self.history, "health": {"status": self.health}}
        code = git.Remote(url=f"file://{self.code}", revision="HEAD", path="")
        with git.cloned(source, git.WHOLE) as clone, git.cloned(code, git.WHOLE) as other:
            return dora.measure(app, status, clone, other, IMAGE, now=NOW, window=days * DAY)


@pytest.fixture
def gitops(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Gitops:
    monkeypatch.setenv("HOME", str(tmp_path))
    made = Gitops(tmp_path)
    made.push(NOW - 20 * DAY)
    made.sync(made.release("v1", NOW - 10 * DAY), NOW - 10 * DAY + 5)
    return made


def test_what_an_environment_began_with_is_no_deployment(gitops: Gitops) -> None:
    found = gitops.measure()
    assert (found.deployments, found.per_day, found.failure_rate, found.lead_time) == (0, 0, None, None)
    assert (found.young, found.seconds) == (True, 10 * DAY)


def test_without_any_sync_nothing_was_deployed(gitops: Gitops) -> None:
    gitops.release("v2", NOW - HOUR)
    gitops.history.clear()
    assert gitops.measure().deployments == 0


def test_deployments_are_syncs_that_brought_another_commit_of_the_environment(gitops: Gitops) -> None:
    gitops.sync(gitops.release("v2", NOW - 5 * DAY), NOW - 5 * DAY + 10)
    # Synced once more, and to a commit that changes another thing.
    gitops.sync(gitops.history[-1]["revision"], NOW - 4 * DAY)
    gitops.sync(gitops.other(NOW - 3 * DAY), NOW - 3 * DAY)
    gitops.sync(gitops.release("v1", NOW - 2 * DAY), NOW - 2 * DAY)
    gitops.release("v2", NOW - DAY)  # not synced
    found = gitops.measure()
    assert (found.deployments, found.by_git, found.per_day) == (2, 0, 0.2)
    assert (found.failed, found.failure_rate) == (0, 0)


def test_only_the_window_is_looked_at(gitops: Gitops) -> None:
    gitops.sync(gitops.release("v2", NOW - 5 * DAY), NOW - 5 * DAY)
    gitops.sync(gitops.release("v1", NOW - DAY), NOW - DAY)
    found = gitops.measure(days=2)
    assert (found.deployments, found.per_day, found.young) == (1, 0.5, False)


def test_before_argo_cds_memory_git_is_counted_for_how_often_and_for_no_duration(gitops: Gitops) -> None:
    bad = gitops.release("v2", NOW - 5 * DAY)
    undone = gitops.revert(bad, NOW - 5 * DAY + 60)
    gitops.history.clear()
    gitops.sync(undone, NOW - 3 * DAY)  # a cluster that was made again
    gitops.sync(gitops.release("v2", NOW - DAY), NOW - DAY)
    found = gitops.measure()
    assert (found.deployments, found.by_git, found.failed) == (3, 2, 1)
    assert (found.recovery_time, found.recovered) == (None, 0)


def test_a_revert_makes_a_deployment_a_failed_one_until_it_is_deployed(gitops: Gitops) -> None:
    bad = gitops.release("v2", NOW - 2 * DAY)
    gitops.sync(bad, NOW - 2 * DAY + 10)
    undone = gitops.revert(bad, NOW - 2 * DAY + 300)
    found = gitops.measure()
    assert (found.deployments, found.failed, found.recovery_time) == (1, 1, None)
    gitops.sync(undone, NOW - 2 * DAY + 310)
    found = gitops.measure()
    assert (found.deployments, found.failed, found.failure_rate) == (2, 1, 0.5)
    assert (found.recovery_time, found.recovered) == (300, 1)


def test_a_revert_that_a_pull_request_has_squashed_is_known_by_its_title(gitops: Gitops) -> None:
    title = "Run version v2 of the app in prod"
    gitops.sync(gitops.release("v2", NOW - 2 * DAY, f"{title} (#1)"), NOW - 2 * DAY)
    gitops.sync(gitops.release("v1", NOW - DAY, f'Revert "{title} (#1)" (#2)'), NOW - DAY)
    found = gitops.measure()
    assert (found.deployments, found.failed, found.recovery_time) == (2, 1, DAY)


def test_what_takes_a_revert_back_is_a_change_like_any_other(gitops: Gitops) -> None:
    bad = gitops.release("v2", NOW - 4 * DAY)
    gitops.sync(bad, NOW - 4 * DAY)
    undone = gitops.revert(bad, NOW - 3 * DAY)
    gitops.sync(undone, NOW - 3 * DAY)
    again = gitops.revert(undone, NOW - 2 * DAY)
    gitops.sync(again, NOW - 2 * DAY)
    assert (gitops.measure().deployments, gitops.measure().failed) == (3, 1)
    gitops.sync(gitops.revert(again, NOW - DAY), NOW - DAY)
    assert (gitops.measure().deployments, gitops.measure().failed) == (4, 2)


def test_what_was_reverted_before_it_was_deployed_has_not_failed(gitops: Gitops) -> None:
    bad = gitops.release("v2", NOW - 2 * DAY)
    gitops.sync(gitops.revert(bad, NOW - 2 * DAY + 60), NOW - DAY)
    found = gitops.measure()
    assert (found.deployments, found.failed) == (1, 0)


def test_a_last_deployment_that_does_not_work_has_failed(gitops: Gitops) -> None:
    gitops.sync(gitops.release("v2", NOW - DAY), NOW - DAY)
    gitops.health = "Degraded"
    found = gitops.measure()
    assert (found.failed, found.degraded, found.failure_rate, found.recovery_time) == (1, True, 1, None)


def test_the_lead_time_is_of_each_commit_of_the_app_from_commit_to_deployment(gitops: Gitops) -> None:
    one = gitops.push(NOW - 3 * DAY)
    gitops.sync(gitops.release(one[:12], NOW - 3 * DAY + 60), NOW - 3 * DAY + 100)
    found = gitops.measure()
    # Not of what the repository had before: nobody knows whether that was in v1.
    assert (found.lead_time, found.lead_commits) == (100, 1)
    gitops.push(NOW - 2 * DAY)
    two = gitops.push(NOW - 2 * DAY + 200)
    gitops.sync(gitops.release(two[:12], NOW - 2 * DAY + 300), NOW - 2 * DAY + 400)
    found = gitops.measure()
    assert (found.lead_time, found.lead_commits) == (200, 3)
    # Back in a version that was there already: no commit is new.
    gitops.sync(gitops.release(one[:12], NOW - DAY), NOW - DAY)
    assert gitops.measure().lead_commits == 3


def test_syncs_of_commits_that_git_does_not_have_are_told(gitops: Gitops) -> None:
    gitops.sync("0" * 40, NOW - DAY)
    found = gitops.measure()
    assert (found.deployments, found.strangers) == (0, 1)
    assert command.lines(found)[-1] == "  not counted: 1 sync of what is not in the branch"


# --- the command -----------------------------------------------------------------------------------------------------


def run(*given: str) -> int:
    parser = argparse.ArgumentParser()
    command.arguments(parser)
    return command.run(parser.parse_args(["--stack=platform", *given]))


@pytest.fixture
def platform(gitops: Gitops, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Gitops:
    """Have a stack with one environment, whose kubectl knows its Application."""
    bin_ = tmp_path / "bin"
    bin_.mkdir()
    monkeypatch.setenv("PATH", f"{bin_}{os.pathsep}{os.environ['PATH']}")
    outputs = fakes.outputs("platform") | {"kubeconfig": ""}
    outputs["environments"] = [outputs["environments"][0] | {"branch": "main"}]
    outputs["git"]["url"], outputs["ci"]["repository"] = f"file://{gitops.bare}", f"file://{gitops.code}"
    monkeypatch.setattr(stack, "outputs", lambda *_, **__: outputs)
    monkeypatch.setattr(tools, "ensure", lambda _: None)
    monkeypatch.setattr("lab.commands.dora.time.time", lambda: NOW)
    status = {"history": gitops.history, "health": {"status": "Healthy"}}

    def sync(commit: str, at: float) -> None:
        Gitops.sync(gitops, commit, at)
        fakes.kubectl(bin_, {"applications.argoproj.io dev": {"status": status}})

    monkeypatch.setattr(gitops, "sync", sync)
    return gitops


def test_it_is_shown_with_what_was_counted_from_what(platform: Gitops, capsys: pytest.CaptureFixture[str]) -> None:
    commit = platform.push(NOW - 2 * DAY)
    bad = platform.release(commit[:12], NOW - 2 * DAY)
    platform.sync(bad, NOW - 2 * DAY + 90)
    platform.sync(platform.revert(bad, NOW - DAY), NOW - DAY)
    assert run() == 0
    sources = "2 as Argo CD remembers, 0 as Git's commits have it"
    assert capsys.readouterr().out.splitlines() == [
        "dev",
        f"  deployment frequency   2 deployments in 10 d, which is all there is of it ({sources}): 0.2 a day",
        "  lead time for changes  1 min 30 s, the median of 1 commit of the app",
        "  change failure rate    50%: 1 of 2 deployments",
        "  recovery time          23 h 58 min, the median of 1 deployment",
    ]


def test_with_too_little_it_says_so_instead_of_a_number(
    platform: Gitops, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("lab.commands.dora.time.time", lambda: NOW - 10 * DAY + HOUR)
    platform.sync(platform.history[-1]["revision"], NOW - 10 * DAY + 60)
    assert run() == 0
    assert capsys.readouterr().out.splitlines() == [
        "dev",
        "  deployment frequency   0 deployments in 1 h, which is all there is of it",
        "  lead time for changes  not known: no commit of the app was deployed, as far as Argo CD remembers",
        "  change failure rate    not known: nothing was deployed",
        "  recovery time          nothing to recover from",
    ]
    assert run("--json") == 0
    said = json.loads(capsys.readouterr().out)
    (found,) = said["environments"]
    assert (said["stack"], said["days"], found["environment"]) == ("platform", 30, "dev")
    assert [found[key] for key in ("per_day", "lead_time", "failure_rate", "recovery_time")] == [None] * 4


@pytest.mark.parametrize("given", ["0", "-1", "many"])
def test_a_window_is_a_number_of_days(given: str) -> None:
    with pytest.raises(SystemExit):
        run(f"--days={given}")


def test_a_stack_without_git_is_told_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stack, "outputs", lambda *_, **__: fakes.outputs("p2"))
    monkeypatch.setattr(tools, "ensure", lambda _: None)
    with pytest.raises(LabError, match="follows no Git repository"):
        run()


@pytest.mark.parametrize(
    ("seconds", "words"),
    [(0, "0 s"), (59, "59 s"), (60, "1 min"), (90, "1 min 30 s"), (7260, "2 h 1 min"), (30 * DAY, "30 d")],
)
def test_a_time_is_said_in_its_largest_units(seconds: float, words: str) -> None:
    assert command.took(seconds) == words
