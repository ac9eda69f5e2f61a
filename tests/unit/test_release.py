"""`make release` changes one tag in the tracked repository, pushes it, and waits for the live app."""

from __future__ import annotations

import argparse
import os
import re
import subprocess
import sys
import time
from contextlib import nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from components.core import names, versions
from components.core.errors import LabError
from components.gitops import git_content
from lab.commands import clone, credential, release
from lab.live import git, releases, stack
from tests.unit import fakes, repositories

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

ROOT = Path(__file__).parents[2]
PATH = "manifests/p3"
MANIFESTS = {f"{PATH}/{file.name}": file.read_text(encoding="utf-8") for file in (ROOT / PATH).glob("*.yaml")}
DEPLOYMENT = f"{PATH}/deployment.yaml"
PASSWORD = "a-Password/with:odd$characters"


@pytest.fixture(autouse=True)
def _own_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Keep the user's Git settings and the project's tools out."""
    home = tmp_path / "home"
    home.mkdir()
    for name, value in {"HOME": str(home), "GIT_CONFIG_NOSYSTEM": "1", "XDG_CONFIG_HOME": str(home)}.items():
        monkeypatch.setenv(name, value)
    tools = tmp_path / "tools"
    tools.mkdir()
    monkeypatch.setenv("PATH", f"{tools}{os.pathsep}{os.environ['PATH']}")
    fakes.kubectl(tools, {"watch": []})
    monkeypatch.setattr(releases, "STEADY", 0.2)


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    return repositories.bare(tmp_path / "git" / "iot.git", MANIFESTS)


@pytest.fixture
def live(repository: Path) -> Iterator[str]:
    """Serve an app that says at once what is in Git, as if Argo CD took no time."""

    def says(_: str) -> tuple[int, str]:
        tag = re.search(r"image: \S+:(\S+)", repositories.show(repository, DEPLOYMENT))
        return fakes.version(tag[1] if tag else "none")

    with fakes.app(says) as url:
        yield url


@pytest.fixture
def released(monkeypatch: pytest.MonkeyPatch, repository: Path, live: str) -> Callable[..., int]:
    """Return the command, run on a stack that follows the repository."""

    def run(*args: str, **outputs: str | dict[str, str]) -> int:
        known = stack_outputs(f"file://{repository}", live) | outputs
        monkeypatch.setattr(stack, "outputs", lambda *_, **__: known)
        parser = argparse.ArgumentParser()
        release.arguments(parser)
        return release.run(parser.parse_args(list(args)))

    return run


def stack_outputs(url: str, app_url: str) -> dict[str, Any]:
    found = fakes.outputs("p3", gitUrl="https://github.com/me/iot") | {"appUrl": app_url}
    found["git"]["url"] = url
    return found


def remember_passwords() -> None:
    """Set Git up as many have it: with a helper that writes passwords to a file."""
    subprocess.run(["git", "config", "--global", "credential.helper", "store"], check=True)


def remembered(home: Path) -> bool:
    """Tell whether a password was written to that file, which has it URL-encoded."""
    return (home / ".git-credentials").exists()


def remote(url: str, *, username: str = "", password: str = "", revision: str = "main") -> git.Remote:
    return git.Remote(
        url=url,
        revision=revision,
        path=PATH,
        username=username,
        password=password,
        container="iot-cluster-git" if username else "",
    )


def test_the_labs_own_server_gets_no_signature_and_meets_no_hook_of_the_users(tmp_path: Path, repository: Path) -> None:
    """Without a terminal, nobody can type the password of a key."""
    hooks = tmp_path / "hooks"
    hooks.mkdir()
    for name in ("commit-msg", "pre-commit", "pre-push"):
        (hooks / name).write_text("#!/bin/sh\necho not so >&2\nexit 1\n", encoding="utf-8")
        (hooks / name).chmod(0o755)
    signs = {"commit.gpgSign": "true", "push.gpgSign": "true", "gpg.program": "false"}
    for key, value in {"core.hooksPath": str(hooks), **signs}.items():
        subprocess.run(["git", "config", "--global", key, value], check=True)
    url = f"file://{repository}"
    for its, stops in ((remote(url, username="iot"), False), (remote(url), True)):
        clone = git.Clone(its, tmp_path / f"clone-{stops}")
        (clone.root / DEPLOYMENT).write_text(f"{stops}", encoding="utf-8")
        with pytest.raises(LabError) if stops else nullcontext():
            clone.commit("Change it")
            clone.push()
    assert repositories.show(repository, DEPLOYMENT) == "False"


def test_only_the_tag_of_the_app_changes(released: Callable[..., int], repository: Path) -> None:
    assert released("v2") == 0
    assert repositories.show(repository, DEPLOYMENT) == MANIFESTS[DEPLOYMENT].replace("flask-app:v1", "flask-app:v2")
    changed = repositories.git(repository, "diff", "--numstat", "main~1", "main")
    assert changed == f"1\t1\t{DEPLOYMENT}"


def test_it_says_how_long_the_commit_took_to_be_live(
    released: Callable[..., int], capsys: pytest.CaptureFixture[str]
) -> None:
    released("v2")
    said = capsys.readouterr()
    assert re.search(r"^v2 is live \d+\.\d s after the push began:$", said.out, re.MULTILINE)
    assert "the push has ended" in said.out
    assert "v1 -> v2: commit" in said.err


def test_a_version_is_live_when_no_other_one_answers_any_more(
    released: Callable[..., int], capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """While pods change, both answer in turns."""
    monkeypatch.setattr(releases, "STEADY", 1.5)
    answers = iter(["v1", "v2", "v1", "v2", "v2", "v1", *["v2"] * 999])
    given: list[str] = []

    def says(_: str) -> tuple[int, str]:
        given.append(next(answers))
        return fakes.version(given[-1])

    with fakes.app(says) as url:
        assert released("v2", appUrl=url) == 0
    assert len(given) > 6 + releases.STEADY / releases.EVERY / 4
    said = capsys.readouterr().out
    live, first = (float(re.search(rf"([\d.]+) s  {words}", said)[1]) for words in ("it says v2 only", "http"))  # type: ignore[index] # a failure if there is none
    assert live > first


def test_the_steps_of_argo_cd_are_measured(
    released: Callable[..., int], tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    original = git.Clone.commit

    def commit_and_tell(self: git.Clone, message: str) -> str:
        commit = original(self, message)
        fakes.kubectl(
            tmp_path / "tools",
            {"watch": ["old|Succeeded|old", f"{commit}|Succeeded|old", f"{commit}|Succeeded|{commit}"]},
        )
        return commit

    def says(_: str) -> tuple[int, str]:
        time.sleep(1)  # kubectl is quicker
        return fakes.version("v2")

    monkeypatch.setattr(git.Clone, "commit", commit_and_tell)
    with fakes.app(says) as url:
        released("v2", appUrl=url)
    said = capsys.readouterr().out
    assert said.index("the push has ended") < said.index("Argo CD has seen the commit") < said.index("it is applied")


def test_a_version_that_git_has_is_verified_and_not_committed(
    released: Callable[..., int], repository: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    before = repositories.git(repository, "rev-parse", "main")
    assert released("v1") == 0
    assert repositories.git(repository, "rev-parse", "main") == before
    said = capsys.readouterr()
    assert "has v1 already" in said.err
    assert "says v1" in said.out


def test_a_version_that_git_has_and_that_is_not_live_is_an_error(released: Callable[..., int]) -> None:
    with fakes.app(lambda _: fakes.version("v2")) as url, pytest.raises(LabError, match="does not say v1"):
        released("--timeout", "0.3", "v1", appUrl=url)


def test_no_wait_ends_with_the_push(released: Callable[..., int], repository: Path) -> None:
    assert released("--no-wait", "v2", appUrl="http://127.0.0.1:1/") == 0
    assert "flask-app:v2" in repositories.show(repository, DEPLOYMENT)


@pytest.mark.parametrize("version", ["latest", "v 2", "-v2", "v2:v3", "", "a" * 129, "v2\n"])
def test_what_can_not_be_a_tag_is_refused_before_anything_is_asked(
    version: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(stack, "outputs", lambda *_, **__: pytest.fail("asked"))
    with pytest.raises(LabError, match="make release VERSION=v2"):
        release.run(argparse.Namespace(version=version, stack="p3", no_wait=True, timeout=1.0))


@pytest.mark.parametrize("image", [versions.APP_REPOSITORY, f"{versions.APP_REPOSITORY}-mine"])
def test_a_version_that_is_not_built_here_is_refused(
    released: Callable[..., int], repository: Path, image: str
) -> None:
    before = repositories.git(repository, "rev-parse", "main")
    with pytest.raises(LabError, match=rf"^there is no version 'v3' of {image}\. .*v1 and v2.*appImage"):
        released("v3", image=image)
    assert repositories.git(repository, "rev-parse", "main") == before


def test_an_image_of_a_registry_may_have_any_version(released: Callable[..., int], repository: Path) -> None:
    repositories.commit(
        repository,
        {DEPLOYMENT: MANIFESTS[DEPLOYMENT].replace("iot-lab/flask-app:v1", '"broly20/flask-app-p3:v1"  # the tag')},
        "use a registry",
    )
    assert released("--no-wait", "2026.1", image="broly20/flask-app-p3") == 0
    assert '"broly20/flask-app-p3:2026.1"  # the tag' in repositories.show(repository, DEPLOYMENT)


def test_an_image_that_nothing_runs_is_named_with_those_that_run(released: Callable[..., int]) -> None:
    with pytest.raises(
        LabError,
        match=r"^no container in .*deployment\.yaml.* runs the image other/app\..*iot-lab/flask-app:v1.*appImage",
    ):
        released("v2", image="other/app")


def test_a_folder_without_manifests_is_named(released: Callable[..., int], repository: Path, live: str) -> None:
    outputs = stack_outputs(f"file://{repository}", live)["git"] | {"path": "nowhere"}
    with pytest.raises(LabError, match=r"no manifests in nowhere/.*gitPath"):
        released("v2", git=outputs)


def test_a_manifest_that_is_not_yaml_is_named_with_its_line(released: Callable[..., int], repository: Path) -> None:
    repositories.commit(repository, {f"{PATH}/broken.yaml": "kind: Deployment\nspec: [\n"}, "break it")
    with pytest.raises(LabError, match=r"broken\.yaml:\d+:\d+ is not YAML"):
        released("v2")


def test_windows_line_endings_stay(released: Callable[..., int], repository: Path) -> None:
    windows = MANIFESTS[DEPLOYMENT].replace("\n", "\r\n")
    repositories.commit(repository, {DEPLOYMENT: windows}, "edit on windows")
    subprocess.run(["git", "config", "--global", "core.autocrlf", "true"], check=True)
    released("--no-wait", "v2")
    assert repositories.show(repository, DEPLOYMENT) == windows.replace("flask-app:v1", "flask-app:v2")


def test_a_push_of_somebody_else_meanwhile_is_kept(
    released: Callable[..., int], repository: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    original = git.Clone.push
    pushed: list[str] = []

    def push(self: git.Clone) -> None:
        if not pushed:
            pushed.append(repositories.commit(repository, {"README.md": "theirs"}, "push meanwhile"))
        original(self)

    monkeypatch.setattr(git.Clone, "push", push)
    assert released("v2") == 0
    assert repositories.show(repository, "README.md") == "theirs"
    assert "flask-app:v2" in repositories.show(repository, DEPLOYMENT)


def test_who_is_always_outrun_is_told_so(
    released: Callable[..., int], repository: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    original = git.Clone.push
    count = iter(range(9))

    def push(self: git.Clone, branch: str = "") -> None:
        number = next(count)
        repositories.commit(repository, {"README.md": f"{number}"}, f"push {number}")
        original(self)

    monkeypatch.setattr(git.Clone, "push", push)
    with pytest.raises(LabError, match=r"has changed since it was cloned.*run the same again"):
        released("v2")
    assert next(count) == 2


def test_a_time_out_shows_what_the_application_says(released: Callable[..., int], tmp_path: Path) -> None:
    name = f"{names.APPLICATION} {names.APP}"
    status = {
        "sync": {"status": "OutOfSync"},
        "health": {"status": "Degraded"},
        "conditions": [{"type": "SyncError", "message": "the webhook got lost"}],
    }
    empty: dict[str, Any] = {"items": []}
    fakes.kubectl(tmp_path / "tools", {"watch": [], name: {"status": status}, "pods": empty, "events": empty})
    with (
        fakes.app(lambda _: fakes.version("v1")) as url,
        pytest.raises(LabError, match=r"(?s)but: v1.*OutOfSync and Degraded.*SyncError: the webhook got lost"),
    ):
        released("--timeout", "0.3", "v2", appUrl=url)


def test_a_time_out_with_the_cluster_gone_says_so(released: Callable[..., int]) -> None:
    with pytest.raises(
        LabError, match=r"(?s) does not say v2 after 0 s, but: .*Connection refused.*the cluster does not answer"
    ):
        released("--timeout", "0.3", "v2", appUrl="http://127.0.0.1:1/")


def test_a_tag_can_not_be_released_to(repository: Path) -> None:
    repositories.git(repository, "tag", "v1.0", "main")
    for revision in ("v1.0", "nowhere"):
        url = f"file://{repository}"
        with (
            pytest.raises(LabError, match=f"{revision} is not a branch of"),
            git.cloned(remote(url, revision=revision)),
        ):
            pass


def test_the_default_branch_is_followed_by_its_name(repository: Path) -> None:
    with git.cloned(remote(f"file://{repository}", revision="HEAD")) as made:
        assert made.branch == "main"


def test_a_repository_that_is_not_there_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(LabError, match="there is no repository"), git.cloned(remote(f"file://{tmp_path}/no.git")):
        pass


def test_a_host_that_does_not_answer_is_an_error() -> None:
    with pytest.raises(LabError, match="can't be reached"), git.cloned(remote("http://127.0.0.1:1/iot.git")):
        pass


def test_the_password_works_and_is_nowhere_to_be_seen(
    repository: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The user's own helper would write it down: it must not be asked."""
    remember_passwords()
    commands: list[list[str]] = []
    original = subprocess.Popen

    class Recorded(original):  # type: ignore[valid-type,misc] # a class that is looked up
        def __init__(self, args: list[str], **more: Any) -> None:  # noqa: ANN401 - whatever Popen takes
            commands.append(args)
            super().__init__(args, **more)

    monkeypatch.setattr(subprocess, "Popen", Recorded)
    with repositories.served(repository, {"iot": PASSWORD}, writers=("iot",)) as url:
        source = remote(url, username="iot", password=PASSWORD)
        with git.cloned(source) as made:
            releases.change(made.root / PATH, versions.APP_REPOSITORY, "v2")
            made.commit("Run version v2 of the app")
            made.push()
            written = [file.read_bytes() for file in made.root.rglob("*") if file.is_file()]
    assert "flask-app:v2" in repositories.show(repository, DEPLOYMENT)
    assert commands
    assert not [each for each in commands if PASSWORD in " ".join(each)]
    assert not [each for each in written if PASSWORD.encode() in each]
    assert not remembered(tmp_path / "home")
    assert PASSWORD not in repr(source)


@pytest.mark.parametrize("by_redirect", [True, False])
def test_the_password_goes_to_no_other_host(by_redirect: bool) -> None:
    """Neither to one that the repository's own host sends Git to, nor to one that a repository names."""
    with repositories.stranger() as (other, told), repositories.stranger(sends_to=other) as (own, _):
        source = remote(own, username="iot", password=PASSWORD)
        with pytest.raises(LabError):
            git.run(source, ["ls-remote", own if by_redirect else other])
    assert told, "Git has asked there"
    assert set(told) == {""}


def test_a_wrong_password_is_an_error_that_does_not_ask(repository: Path) -> None:
    with (
        repositories.served(repository, {"iot": PASSWORD}) as url,
        pytest.raises(
            LabError, match=r"does not accept the credentials.*docker rm --force iot-cluster-git, then make up"
        ) as error,
        git.cloned(remote(url, username="iot", password="wrong-one")),
    ):
        pass
    assert "wrong-one" not in str(error.value)


def test_missing_credentials_are_an_error_that_does_not_ask(
    repository: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    window = tmp_path / "window"
    window.write_text(f"#!/bin/sh\ntouch {tmp_path}/opened\n", encoding="utf-8")
    window.chmod(0o755)
    monkeypatch.setenv("GIT_ASKPASS", str(window))
    with (
        repositories.served(repository, {"iot": PASSWORD}) as url,
        pytest.raises(LabError, match=r"does not accept the credentials.*by hand first"),
        git.cloned(remote(url)),
    ):
        pass
    assert not (tmp_path / "opened").exists()


def test_who_may_read_and_not_write_is_told_so(repository: Path) -> None:
    with (
        repositories.served(repository, {"reader": PASSWORD}) as url,
        git.cloned(remote(url, username="reader", password=PASSWORD)) as made,
    ):
        releases.change(made.root / PATH, versions.APP_REPOSITORY, "v2")
        made.commit("Run version v2 of the app")
        with pytest.raises(LabError, match="does not let you push to main"):
            made.push()


def test_a_branch_that_a_hook_protects_is_an_error(repository: Path) -> None:
    hook = repository / "hooks" / "pre-receive"
    hook.write_text("#!/bin/sh\necho 'changes go through pull requests' >&2\nexit 1\n", encoding="utf-8")
    hook.chmod(0o755)
    with git.cloned(remote(f"file://{repository}")) as made:
        releases.change(made.root / PATH, versions.APP_REPOSITORY, "v2")
        made.commit("Run version v2 of the app")
        with pytest.raises(LabError, match=r"does not let you push.*changes go through pull requests"):
            made.push()


def test_a_git_command_that_hangs_is_ended_with_all_that_it_started(tmp_path: Path) -> None:
    (tmp_path / "tools" / "git").write_text("#!/bin/sh\nsleep 60 &\nsleep 60\n", encoding="utf-8")
    (tmp_path / "tools" / "git").chmod(0o755)
    before = time.monotonic()
    with pytest.raises(LabError, match=r"`git fetch` of .* did not end within 0 s"):
        git.run(remote("https://host/iot.git"), ["fetch"], timeout=0.3)
    assert time.monotonic() - before < 10


def test_a_clone_pushes_with_the_password_that_the_lab_is_asked_for(
    repository: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """The lab's place is taken by a program that answers what `credential` does, whose own test is below."""
    remember_passwords()
    asked = tmp_path / "python"
    asked.write_text(
        f"#!/bin/sh\necho \"$*\" >>{tmp_path}/asked\nprintf 'username=iot\\npassword=%s\\n' '{PASSWORD}'\n",
        encoding="utf-8",
    )
    asked.chmod(0o755)
    monkeypatch.setattr(sys, "executable", str(asked))
    with repositories.served(repository, {"iot": PASSWORD}, writers=("iot",)) as url:
        outputs = stack_outputs(url, "") | {"gitPassword": PASSWORD}
        outputs["git"]["username"] = "iot"
        monkeypatch.setattr(stack, "outputs", lambda *_, **__: outputs)
        clone.run(argparse.Namespace(stack="p3", folder=tmp_path / "clone"))
        folder = Path(capsys.readouterr().out.strip())
        (folder / "README.md").write_text("mine", encoding="utf-8")
        repositories.git(folder, "add", ".")
        repositories.git(folder, "commit", "--quiet", "--message", "write")
        repositories.git(folder, "push", "--quiet")
        with pytest.raises(LabError, match="is there already"):
            clone.run(argparse.Namespace(stack="p3", folder=folder))
    assert repositories.show(repository, "README.md") == "mine"
    assert PASSWORD not in (folder / ".git" / "config").read_text(encoding="utf-8")
    assert not remembered(tmp_path / "home")
    assert "-m lab credential p3 get" in (tmp_path / "asked").read_text(encoding="utf-8")


@pytest.mark.parametrize(
    ("action", "host", "answered"), [("get", "localhost:30003", True), ("get", "evil:1", False), ("store", "", False)]
)
def test_the_password_is_told_for_its_own_host_only(
    action: str, host: str, *, answered: bool, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    outputs = stack_outputs("http://localhost:30003/iot/iot.git", "") | {"gitPassword": PASSWORD}
    monkeypatch.setattr(stack, "outputs", lambda *_, **__: outputs)
    monkeypatch.setattr(sys, "stdin", iter(["protocol=http\n", f"host={host}\n", "\n"]))
    assert credential.run(argparse.Namespace(stack="p3", action=action)) == 0
    assert (PASSWORD in capsys.readouterr().out) is answered


def test_what_the_program_has_committed_of_itself_is_not_taken_back(repository: Path) -> None:
    repositories.commit(repository, {"overlays/prod/more.yaml": "a: 1\n"}, "Run version v2")
    kept = {"apps/prod.yaml": "a: 1\n", "delivery/canary/analysis.yaml": "a: 1\n"}
    repositories.commit(repository, kept, git_content.KEPT.format("apps"))
    source = git.Remote(url=f"file://{repository}", revision="main", path=PATH, username="", password="")
    with git.cloned(source, 50) as cloned:
        assert cloned.revert(["overlays/prod", "delivery/canary"]) == 'Revert "Run version v2"'
        assert (cloned.root / "delivery/canary/analysis.yaml").exists()
        assert not (cloned.root / "overlays/prod/more.yaml").exists()
