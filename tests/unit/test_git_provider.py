"""The life of the embedded Git server as Pulumi sees it, on a Docker engine that is only files."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import time
from contextlib import nullcontext
from typing import TYPE_CHECKING, Any

import pytest

from components.core.errors import LabError
from components.core.run import CommandError
from components.docker import container as containers
from components.docker.engine import UnreachableError
from components.gitops import git_backups, git_provider, rescue
from components.gitops.git_provider import GitServerProvider
from tests.unit.fake_gitea import TOKEN, FakeGitea, served
from tests.unit.programs import REAL

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from devtools.graph import Graph
    from tests.unit.programs import Engine

pytestmark = pytest.mark.unit

provider = GitServerProvider()
NAME, NETWORK = "iot-cluster-git", "iot-cluster"
PASSWORDS = ("of-the-owner", "of-the-reader", "of-the-webhook")
Wanted = dict[str, Any]


@pytest.fixture
def gitea(tmp_path: Path) -> Iterator[FakeGitea]:
    """Return what answers in the container."""
    with served(FakeGitea(tmp_path / "gitea")) as fake:
        yield fake


@pytest.fixture
def wanted(build: Callable[..., Graph], gitea: FakeGitea) -> Wanted:
    """Return the inputs that the program gives, with secrets in them, and the port of the stand-in."""
    inputs = {key: value for key, value in build("p3").named("gitea-server").inputs.items() if key != "__provider"}
    owner, reader, webhook = PASSWORDS
    inputs |= {"owner_password": owner, "passwords": {"argocd": reader}, "webhook_secret": webhook}
    assert inputs["ports"] == ["127.0.0.1:30003:3000"]
    # The engine hands over every number as a float.
    return {**inputs, "ports": [f"127.0.0.1:{gitea.port}:3000"], "timeout": float(inputs["timeout"])}


@pytest.fixture
def docker(engine: Engine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, wanted: Wanted) -> Engine:
    engine.is_so("images", wanted["image"])
    engine.is_so("token", TOKEN)
    monkeypatch.setattr(git_backups, "FOLDER", tmp_path / ".lab" / "backups")
    monkeypatch.setenv("PATH", f"{engine.folder}:/usr/bin:/bin")
    return engine


def bundle(tmp_path: Path, server: str, repository: str, text: str, name: str = "20260101T000000Z-0") -> None:
    """Keep a backup with one commit in it."""
    work = tmp_path / "work"
    work.mkdir()
    (work / "file").write_text(text, encoding="utf-8")
    path = git_backups.FOLDER / server / repository / f"{name}.bundle"
    path.parent.mkdir(parents=True, exist_ok=True)
    who = ("-c", "user.name=t", "-c", "user.email=t@localhost")
    for command in (
        ("init", "--quiet", "--initial-branch=main"),
        ("add", "."),
        (*who, "commit", "--quiet", "--message=theirs"),
        ("tag", "v1"),
        ("bundle", "create", "--quiet", str(path), "--branches", "--tags"),
    ):
        REAL(["git", "-C", str(work), *command], check=True)
    shutil.rmtree(work)


@pytest.fixture
def made(docker: Engine, wanted: Wanted) -> Wanted:
    """Create one, and return its outputs."""
    outs = provider.create(wanted).outs
    assert outs is not None
    return outs


def lose(docker: Engine) -> None:
    docker.containers = [each for each in docker.containers if each["Name"] != f"/{NAME}"]


def plans(made: Wanted, wanted: Wanted) -> tuple[bool | None, list[str]]:
    found = provider.diff("it", made, wanted)
    return found.changes, found.replaces or []


# --- create ----------------------------------------------------------------------------------------------------------


def test_it_is_a_container_of_the_stacks_with_its_data_in_a_volume_on_the_clusters_network(
    docker: Engine, made: Wanted
) -> None:
    (run,) = docker.called("docker run")

    assert docker.things("volume") == {NAME: {"iot.stack": "p3", "iot.project": containers.PROJECT}}
    assert docker.things("network") == {NETWORK: {"iot.stack": "p3", "iot.project": containers.PROJECT}}
    for word in (
        f"--network={NETWORK}",
        "--network-alias=git.iot.internal",
        f"--publish={made['ports'][0]}",
        f"--volume={NAME}:/var/lib/gitea",
        "--restart=unless-stopped",
        "--read-only",
        "--cap-drop=ALL",
        "--security-opt=no-new-privileges",
    ):
        assert f" {word} " in run
    assert made["made_at"]["engine"] == "one"


def test_no_secret_is_in_an_argument_or_in_the_containers_environment(docker: Engine, made: Wanted) -> None:
    assert made["owner_password"] == PASSWORDS[0]
    told = "\n".join([*docker.calls, *docker.given])

    assert not [secret for secret in PASSWORDS if secret in told]


def test_it_is_set_up_with_its_users_their_rights_and_a_webhook(gitea: FakeGitea, made: Wanted) -> None:
    owner, reader, webhook = PASSWORDS
    (hook,) = gitea.hooks["iot"]

    assert gitea.passwords == {"iot": owner, "argocd": reader}
    assert gitea.members == {"iot": {"argocd": "read"}}
    assert hook["config"] == {"url": made["webhook_url"], "content_type": "json", "secret": webhook}
    assert [body["restricted"] for method, path, body in gitea.requests if path == "/admin/users"] == [True]


def test_the_token_that_it_begins_with_is_gone_and_those_of_others_stay(gitea: FakeGitea, made: Wanted) -> None:
    assert made
    assert gitea.tokens == ["theirs"]


def test_the_first_commit_has_what_the_program_says(gitea: FakeGitea, made: Wanted) -> None:
    files = made["repositories"]["iot"]["branches"]["main"]

    assert gitea.git("iot/iot", "log", "--format=%s %ae", "main") == (
        "Run version v1 of the app iot@localhost.localdomain"
    )
    assert set(gitea.git("iot/iot", "ls-tree", "-r", "--name-only", "main").split()) == set(files)
    for path, text in files.items():
        assert gitea.git("iot/iot", "show", f"main:{path}") == text.strip()


def test_what_users_have_changed_stays_when_it_is_set_up_again(
    docker: Engine, gitea: FakeGitea, made: Wanted, wanted: Wanted
) -> None:
    gitea.git("iot/iot", "update-ref", "refs/heads/theirs", "main")
    gitea.hooks["iot"].append({"id": 7, "config": {"url": "http://theirs/"}})
    lose(docker)
    before = gitea.git("iot/iot", "for-each-ref")
    provider.update("it", made, wanted)

    assert gitea.git("iot/iot", "for-each-ref") == before
    assert sorted(each["config"]["url"] for each in gitea.hooks["iot"]) == [wanted["webhook_url"], "http://theirs/"]
    assert not docker.given[1:]  # it knows the owner's password


def test_the_users_own_settings_of_git_have_no_part_in_it(
    gitea: FakeGitea, docker: Engine, wanted: Wanted, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / ".gitconfig").write_text("[commit]\n gpgsign = true\n[user]\n name = me\n", encoding="utf-8")
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("GIT_DIR", str(tmp_path / "nowhere"))
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:1")
    provider.create(wanted)
    monkeypatch.delenv("GIT_DIR")

    assert docker.containers
    assert gitea.git("iot/iot", "log", "--format=%an", "main") == "iot"


def test_it_is_waited_for(gitea: FakeGitea, docker: Engine, wanted: Wanted, monkeypatch: pytest.MonkeyPatch) -> None:
    gitea.deaf = 3
    monkeypatch.setattr(git_provider, "EVERY", 0)
    provider.create(wanted)

    assert docker.containers
    assert gitea.members
    gitea.deaf = 10**6
    with pytest.raises(LabError, match=rf"^The Git server {NAME} can't be set up. Gitea does not serve yet, .*503"):
        provider.create({**wanted, "timeout": 0.1})


def test_a_container_that_has_ended_is_not_waited_for(
    gitea: FakeGitea, docker: Engine, wanted: Wanted, monkeypatch: pytest.MonkeyPatch
) -> None:
    gitea.deaf = 10**6
    docker.is_so("ends")
    monkeypatch.setattr(containers, "LOOK", 0)
    said = f"^The Git server {NAME} can't be set up. The container {NAME} does not run any more. Fix: make up; `docker"
    with pytest.raises(LabError, match=said):
        provider.create({**wanted, "timeout": 600})


def test_every_repository_begins_with_its_newest_backup(
    gitea: FakeGitea, docker: Engine, wanted: Wanted, tmp_path: Path
) -> None:
    bundle(tmp_path, NAME, "iot/iot", "old", "20260101T000000Z-1")
    bundle(tmp_path, NAME, "iot/iot", "new", "20260102T000000Z-2")
    bundle(tmp_path, NAME, "iot/app", "code")
    bundle(tmp_path, "other-git", "iot/iot", "others", "20270101T000000Z-3")
    repository = wanted["repositories"]["iot"]
    provider.create({**wanted, "repositories": {"iot": repository, "app": repository}})

    assert docker.containers
    assert gitea.git("iot/iot", "show", "main:file") == "new"
    assert gitea.git("iot/iot", "tag") == "v1"
    assert gitea.git("iot/app", "show", "main:file") == "code"


def test_code_that_was_kept_is_not_built_once_more(
    gitea: FakeGitea, docker: Engine, wanted: Wanted, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    bundle(tmp_path, NAME, "iot/app", "code")
    monkeypatch.setattr("components.gitops.gitea.ensure_workflows", lambda *_: None)
    repository = {**wanted["repositories"]["iot"], "variables": {"IMAGE": "app"}}
    provider.create({**wanted, "repositories": {"app": repository}})

    assert docker.containers
    subjects = gitea.git("iot/app", "log", "--format=%s", "main").splitlines()
    assert subjects == ["Begin with what was kept [skip ci]", "theirs"]
    assert gitea.git("iot/app", "show", "main:file") == "code"


def test_it_begins_anew_when_that_is_asked_for(
    gitea: FakeGitea, docker: Engine, wanted: Wanted, tmp_path: Path
) -> None:
    bundle(tmp_path, NAME, "iot/iot", "old")
    provider.create({**wanted, "restore": False})

    assert docker.containers
    assert "manifests/" in gitea.git("iot/iot", "ls-tree", "-r", "main")


def test_a_damaged_backup_is_said_with_what_to_do(docker: Engine, wanted: Wanted) -> None:
    path = git_backups.FOLDER / NAME / "iot/iot/1.bundle"
    path.parent.mkdir(parents=True)
    path.write_text("rubbish", encoding="utf-8")

    with pytest.raises(LabError, match=rf"{path} is no backup that Git can read.*Fix: move .*iot:gitRestore false"):
        provider.create(wanted)
    assert docker.containers


@pytest.mark.parametrize("kind", ["container", "volume", "network"])
@pytest.mark.parametrize(
    ("labels", "seems"), [({}, "this project did not make it"), ({"iot.stack": "p9"}, "belongs to the stack p9")]
)
def test_what_has_its_name_and_is_someone_elses_is_left_alone(
    docker: Engine, wanted: Wanted, kind: str, labels: dict[str, str], seems: str
) -> None:
    name = NETWORK if kind == "network" else NAME
    if kind == "container":
        docker.containers = [
            {"Id": name, "Name": f"/{name}", "State": {"Status": "running"}, "Config": {"Labels": labels}}
        ]
    else:
        docker.is_so(f"{kind}s.json", f'{{"{name}": {str(labels).replace(chr(39), chr(34))}}}')
    before = (docker.containers, docker.things("volume"), docker.things("network"))

    with pytest.raises(LabError, match=f"^A Docker {kind} {name} is here already, and .*{seems}.*`docker {kind} rm"):
        provider.create(wanted)
    assert (docker.containers, docker.things("volume"), docker.things("network")) == before


def test_what_another_clone_has_made_is_its_own_unless_that_has_moved(
    docker: Engine, made: Wanted, wanted: Wanted, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "Pulumi.yaml").touch()
    docker.is_so("volumes.json", json.dumps({NAME: {"iot.stack": "p3", "iot.project": str(tmp_path)}}))
    lose(docker)
    with pytest.raises(LabError, match=f"and the clone of this project in {tmp_path} made it"):
        provider.create(wanted)
    (tmp_path / "Pulumi.yaml").unlink()
    provider.create(wanted)

    assert docker.containers


def test_one_that_can_not_be_started_is_said_and_leaves_no_container(docker: Engine, wanted: Wanted) -> None:
    docker.is_so("refuses")

    with pytest.raises(LabError, match=rf"^The container {NAME} can't be started.*port is already allocated"):
        provider.create(wanted)
    assert docker.containers == []


def test_a_port_that_the_stacks_own_cluster_gives_up_is_waited_for(
    docker: Engine, wanted: Wanted, monkeypatch: pytest.MonkeyPatch
) -> None:
    docker.is_so("refuses")
    ports = {"3/tcp": [{"HostPort": "30003"}]}
    node = {"Id": "n", "Name": "/n", "State": {"Status": "running"}, "Config": {"Labels": {"iot.stack": "p3"}}}
    docker.containers = [{**node, "HostConfig": {"PortBindings": ports}}]

    def go(_seconds: float) -> None:
        """Let the cluster go, and with it the network, on which it was alone."""
        if (docker.state / "refuses").exists():
            (docker.state / "refuses").unlink()
            (docker.state / "networks.json").unlink()

    monkeypatch.setattr(time, "sleep", go)
    provider.create(wanted)

    assert len(docker.called("docker run")) == 2
    assert NETWORK in docker.things("network")


def test_a_network_that_goes_just_when_it_is_started_is_made_again(
    docker: Engine, wanted: Wanted, monkeypatch: pytest.MonkeyPatch
) -> None:
    make, asked = containers.ensure_network, []

    def ensure(name: str, stack: str) -> None:
        asked.append(name)
        if len(asked) > 1:  # it was there a moment ago
            make(name, stack)

    monkeypatch.setattr(containers, "ensure_network", ensure)
    monkeypatch.setattr(time, "sleep", lambda _: None)
    provider.create(wanted)

    assert len(docker.called("docker run")) == 2


def test_a_set_up_that_fails_says_why_and_where_to_look(docker: Engine, wanted: Wanted) -> None:
    docker.is_so("broken", "generate-access-token")

    with pytest.raises(LabError, match=rf"^The Git server {NAME} can't be set up.*no space left.*docker logs {NAME}"):
        provider.create(wanted)


# --- diff, update ----------------------------------------------------------------------------------------------------


def test_nothing_changes_while_it_is_as_it_should_be(made: Wanted, wanted: Wanted) -> None:
    assert plans(made, wanted) == (False, [])


@pytest.mark.parametrize(
    "key", ["image", "ports", "environment", "webhook_url", "setup", "rights", "passwords", "alias"]
)
def test_another_wish_makes_it_anew_in_its_place(made: Wanted, wanted: Wanted, key: str) -> None:
    assert plans(made, {**wanted, key: "another"}) == (True, [])


@pytest.mark.parametrize("changed", [{"repositories": {}}, {"restore": False}, {"timeout": 9.0}])
def test_what_only_matters_at_its_beginning_changes_nothing(
    made: Wanted, wanted: Wanted, changed: dict[str, Any]
) -> None:
    assert plans(made, {**wanted, **changed}) == (False, [])


def test_one_of_another_name_begins_with_what_the_one_before_had(
    docker: Engine, gitea: FakeGitea, made: Wanted, wanted: Wanted, tmp_path: Path
) -> None:
    docker.is_so("repositories", "iot/iot 0123456789ab\n")
    bundle(tmp_path, NAME, "iot/iot", "before", "20260101T000000Z-0123456789ab")
    shutil.rmtree(gitea.folder)  # it has another volume
    gitea.members.clear()
    renamed = {**wanted, "name": "other-git", "network": "other", "restore": False}
    assert plans(made, renamed) == (True, [])
    provider.update("it", made, renamed)

    assert [each["Name"] for each in docker.containers] == ["/other-git"]
    assert list(docker.things("volume")) == ["other-git"]
    assert list(docker.things("network")) == ["other"]
    assert gitea.git("iot/iot", "show", "main:file") == "before"


def test_a_lost_container_comes_back_with_its_data(docker: Engine, made: Wanted, wanted: Wanted) -> None:
    lose(docker)
    assert plans(made, wanted) == (True, [])
    provider.update("it", made, wanted)

    assert plans(made, wanted) == (False, [])
    assert len(docker.called("docker volume create")) == 1


def test_a_stopped_container_is_made_anew(docker: Engine, made: Wanted, wanted: Wanted) -> None:
    docker.containers = [{**each, "State": {"Status": "exited"}} for each in docker.containers]
    assert plans(made, wanted) == (True, [])
    provider.update("it", made, wanted)

    assert plans(made, wanted) == (False, [])


def test_a_lost_volume_is_noticed_and_filled_anew(docker: Engine, made: Wanted, wanted: Wanted) -> None:
    lose(docker)
    docker.is_so("volumes.json", "{}")
    assert plans(made, wanted) == (True, [])
    provider.update("it", made, wanted)

    assert docker.things("volume")
    assert plans(made, wanted) == (False, [])


def test_nothing_is_planned_where_docker_can_not_be_asked(docker: Engine, made: Wanted, wanted: Wanted) -> None:
    docker.is_so("unreachable")

    assert plans(made, wanted) == (False, [])
    assert provider.read("it", made).id == "it"


def test_nothing_is_planned_on_another_machine(docker: Engine, made: Wanted, wanted: Wanted) -> None:
    lose(docker)
    elsewhere = made | {"made_at": dict.fromkeys(made["made_at"], "another")}

    assert plans(elsewhere, wanted) == (False, [])
    assert provider.read("it", elsewhere).id == "it"
    with pytest.raises(LabError, match="only there it can be deleted"):
        provider.delete("it", elsewhere)


def test_a_refresh_drops_one_whose_data_are_gone(docker: Engine, made: Wanted) -> None:
    assert provider.read("it", made).id == "it"
    docker.is_so("volumes.json", "{}")
    assert provider.read("it", made).id == ""


# --- delete ----------------------------------------------------------------------------------------------------------


def bundles() -> list[str]:
    return [path.relative_to(git_backups.FOLDER).as_posix() for path in git_backups.kept(git_backups.FOLDER)]


def test_what_users_have_pushed_is_kept_before_it_goes(
    docker: Engine, made: Wanted, capsys: pytest.CaptureFixture[str]
) -> None:
    docker.is_so("repositories", "iot/iot 0123456789ab\nme/my app ba9876543210\n")
    docker.is_so("bundle", "PACK")
    provider.delete("it", made)

    assert docker.containers == []
    assert docker.things("volume") == docker.things("network") == {}
    assert [re.sub(r"\d{8}T\d{6}Z", "TIME", each) for each in bundles()] == [
        f"{NAME}/iot/iot/TIME-0123456789ab.bundle",
        f"{NAME}/me/my app/TIME-ba9876543210.bundle",
    ]
    assert git_backups.kept(git_backups.FOLDER)[0].read_text(encoding="utf-8") == "PACK"
    assert git_backups.kept(git_backups.FOLDER)[0].stat().st_mode & 0o077 == 0
    assert capsys.readouterr().out.count("kept what was pushed to Git: .lab/backups/iot-cluster-git/") == 2


def test_nothing_is_pushed_any_more_when_it_is_saved(docker: Engine, made: Wanted) -> None:
    provider.delete("it", made)
    stopped = next(number for number, call in enumerate(docker.calls) if call.startswith("docker container stop"))
    after = docker.calls[stopped:]

    assert [call for call in after if "--entrypoint=/bin/sh" in call]
    assert not [call for call in after if call.startswith("docker exec")]


def repository(path: Path, *commits: str) -> None:
    """Make a bare repository with commits by these addresses."""
    path.mkdir(parents=True)
    REAL(["git", "init", "--quiet", "--bare", str(path)], check=True)
    tree = REAL(["git", "-C", str(path), "mktree"], input="", capture_output=True, text=True, check=True).stdout.strip()
    parent: list[str] = []
    for email in commits:
        who = {f"GIT_{each}_{what}": email for each in ("AUTHOR", "COMMITTER") for what in ("NAME", "EMAIL")}
        command = ["git", "-C", str(path), "commit-tree", tree, "-m", "it", *parent]
        made = REAL(command, env={**os.environ, **who}, capture_output=True, text=True, check=True).stdout.strip()
        REAL(["git", "-C", str(path), "update-ref", "refs/heads/main", made], check=True)
        parent = ["-p", made]


def test_all_that_users_have_made_is_kept_and_what_can_not_be_read_is_said(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(git_backups, "FOLDER", tmp_path / "backups")
    monkeypatch.setattr(git_backups, "REPOSITORIES", str(tmp_path / "there"))
    ours, theirs = git_backups.FIRST_COMMITTER, "me@localhost"
    for name, commits in {
        "iot/begun": [ours],
        "iot/changed": [ours, ours],  # by the owner, in Git's page
        "iot/empty": [],
        "iot/iot": [ours, theirs],
        "iot/of their own": [ours],  # the owner's, in Git's page
        "me/app": [theirs],
    }.items():
        repository(tmp_path / "there" / f"{name}.git", *commits)

    def shell(script: str, into: Path | None) -> str:
        with into.open("w") if into else nullcontext(subprocess.PIPE) as out:
            done = REAL(["sh", "-s"], input=script, stdout=out, stderr=subprocess.PIPE, text=True, check=False)
        if done.returncode:
            raise CommandError(done.stderr)
        return done.stdout or ""

    mine = ["iot/begun", "iot/changed", "iot/empty", "iot/iot"]
    written = git_backups.write(NAME, mine, shell)
    kept = ["iot/changed", "iot/iot", "iot/of their own", "me/app"]
    assert [path.parent.relative_to(git_backups.FOLDER / NAME).as_posix() for path in written] == kept
    (tmp_path / "there/iot/begun.git/refs/heads/main").write_text("0" * 39 + "1\n", encoding="utf-8")
    with pytest.raises(CommandError, match=r"the repository iot/begun can't be read: .*bad object"):
        git_backups.write(NAME, mine, shell)


def test_one_that_was_only_begun_leaves_no_backup(docker: Engine, made: Wanted) -> None:
    provider.delete("it", made)
    provider.delete("it", made)

    assert bundles() == []
    assert docker.things("volume") == {}


def test_what_has_not_changed_is_kept_once_and_is_the_newest(docker: Engine, made: Wanted) -> None:
    for old in ("20000101T000000Z-0123456789ab", "20010101T000000Z-ffffffffffff"):
        path = git_backups.FOLDER / NAME / f"iot/iot/{old}.bundle"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(old, encoding="utf-8")
    docker.is_so("repositories", "iot/iot 0123456789ab\n")
    provider.delete("it", made)

    newest = git_backups.newest(NAME, "iot/iot")
    assert newest is not None
    assert newest.read_text(encoding="utf-8") == "20000101T000000Z-0123456789ab"
    assert len(bundles()) == 2


def test_nothing_is_removed_when_it_can_not_be_kept(docker: Engine, made: Wanted) -> None:
    docker.is_so("repositories", "iot/iot 0123456789ab\n")
    docker.is_so("broken", "bundle create")

    words = rf"^What was pushed to the Git server {NAME} can't be saved, so that it is not removed\. .*no space left"
    with pytest.raises(LabError, match=words):
        provider.delete("it", made)
    assert docker.containers
    assert docker.things("volume")
    assert bundles() == []


def test_data_without_a_container_are_kept_too(docker: Engine, made: Wanted) -> None:
    lose(docker)
    docker.is_so("repositories", "iot/iot 0123456789ab\n")
    provider.delete("it", made)

    assert len(bundles()) == 1
    assert "--network=none" in docker.called("docker run --rm")[0]


def test_a_network_that_others_are_on_stays(docker: Engine, made: Wanted) -> None:
    docker.containers = [*docker.containers, {"Id": "n", "Name": "/node", "Network": NETWORK, "Config": {}}]
    provider.delete("it", made)

    assert docker.things("network")
    assert docker.things("volume") == {}


def test_it_can_not_be_deleted_while_docker_does_not_answer(docker: Engine, made: Wanted) -> None:
    docker.is_so("unreachable")

    with pytest.raises(UnreachableError):
        provider.delete("it", made)


# --- the Git server of an earlier version, which was in the cluster --------------------------------------------------


def test_what_was_pushed_to_one_in_the_cluster_is_kept(docker: Engine) -> None:
    docker.is_so("in-cluster", "deployment.apps/gitea")
    docker.is_so("repositories", "iot/iot 0123456789ab\n")
    rescue.from_node("k3d-iot-cluster-server-0", NAME)

    assert len(bundles()) == 1


def test_a_cluster_that_does_not_answer_is_not_replaced_unsaved(docker: Engine) -> None:
    docker.is_so("broken", "")

    with pytest.raises(LabError, match=r"^The cluster of k3d-lab-server-0 is to be replaced.*`docker start"):
        rescue.from_node("k3d-lab-server-0", NAME)
