"""P3 while something around it breaks, or while two things are done at once.

The tests run in their order on one lab; each leaves it Synced and Healthy.
"""

from __future__ import annotations

import re
import threading
from typing import TYPE_CHECKING, Final

import pytest

from lab.commands.test import MACHINES, missing_for_vagrant
from tests.lab import cluster, machines
from tests.lab.cluster import CLUSTER, GIT, NODE, answers, message, wait_settled
from tests.lab.faults import by_itself, fault
from tests.lab.lab import Lab, eventually, failed, going_on, said, status

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

pytestmark = [pytest.mark.lab, pytest.mark.k3d]

DEPLOYMENT: Final = "manifests/p3/deployment.yaml"
ENDS: Final = r"\1\2\n\1command: ['false']"  # after the image, of which these are the two groups


@pytest.fixture(scope="module")
def lab(tmp_path_factory: pytest.TempPathFactory, before: dict[str, set[str]]) -> Iterator[Lab]:
    """Bring p3 up, and down again whatever has happened."""
    with cluster.lab(tmp_path_factory.mktemp("broken")) as made:
        made.command("up")
        yield made


def fails(lab: Lab, *arguments: str) -> str:
    """Run a command that has to fail, and return what it says."""
    return failed(lab.command(*arguments, check=False))


# --- what is in Git --------------------------------------------------------------------------------------------------


@pytest.fixture
def clone(lab: Lab, tmp_path: Path) -> Path:
    """Clone what Argo CD follows, as a user does."""
    lab.command("clone", str(tmp_path / "gitops"))
    return tmp_path / "gitops"


def push(lab: Lab, clone: Path, *git: str) -> None:
    """Run a git command in a clone, and push."""
    lab.run("git", "-C", str(clone), *git)
    lab.run("git", "-C", str(clone), "push", "--quiet")


@pytest.mark.parametrize(
    ("what", "swap", "words"),
    [
        pytest.param("an image that does not exist", (":v1", ":v9"), "ImagePull", id="image"),
        pytest.param(
            "an app that ends at once",
            ("( +)(image: .*)", ENDS),
            "CrashLoopBackOff",
            id="crash",
            marks=pytest.mark.long,
        ),
        pytest.param(
            "a manifest that is no YAML", ("kind: D", "kind: [D"), "YAML", id="malformed", marks=pytest.mark.long
        ),
    ],
)
@fault("world", "Git: {what}", when="is pushed", saw="NOT OK", out=by_itself("Synced and Healthy"))
def test_what_is_wrong_in_git_is_shown_and_the_app_goes_on_until_it_is_reverted(
    lab: Lab, clone: Path, what: str, swap: tuple[str, str], words: str
) -> None:
    file = clone / DEPLOYMENT
    file.write_text(re.sub(*swap, file.read_text(encoding="utf-8")), encoding="utf-8")
    push(lab, clone, "commit", "--quiet", "--all", "-m", f"Push {what}")

    try:
        eventually(words, lambda: words in status(lab), lambda: status(lab))
        assert message() == "v1"  # the pods before go on
    finally:
        push(lab, clone, "revert", "--no-edit", "HEAD")
    wait_settled(lab)
    answers("v1")
    assert "NOT OK" not in status(lab)


@pytest.mark.long
@fault(
    "world",
    "Git: the folder that Argo CD follows",
    when="is removed",
    saw="does not exist",
    out=by_itself("Synced and Healthy"),
)
def test_a_folder_that_is_gone_from_git_takes_nothing_away(lab: Lab, clone: Path) -> None:
    lab.run("git", "-C", str(clone), "rm", "-r", "--quiet", "manifests/p3")
    push(lab, clone, "commit", "--quiet", "-m", "Remove it")

    try:
        eventually("it is said", lambda: "does not exist" in status(lab), lambda: status(lab))
        assert message() == "v1"
    finally:
        push(lab, clone, "revert", "--no-edit", "HEAD")
    wait_settled(lab)
    answers("v1")


# --- what is around it -----------------------------------------------------------------------------------------------


@pytest.mark.long
@fault("world", "the Git server", when="is stopped while somebody releases", saw="can't be reached", out="make up")
def test_a_release_without_git_says_so_and_up_starts_it(lab: Lab) -> None:
    lab.run("docker", "stop", "--time=1", GIT)
    fails(lab, "release", "v2")
    assert "NOT OK" in status(lab)
    lab.command("up")
    lab.command("release", "v2")
    lab.command("release", "v1")


@fault("world", "the Application", when="is deleted by hand", saw="NOT OK", out="make up")
def test_an_application_that_was_deleted_comes_back(lab: Lab) -> None:
    lab.kubectl("-n", "argocd", "delete", "application", "flask-app", "--wait=false")
    status(lab)
    lab.command("up")
    wait_settled(lab)
    answers("v1")


@fault("world", "Argo CD's controller", when="is scaled to 0", saw="NOT OK", out="make up")
def test_a_controller_that_is_off_is_said_and_started(lab: Lab) -> None:
    lab.kubectl("-n", "argocd", "scale", "statefulset/argocd-application-controller", "--replicas=0")
    status(lab)
    lab.command("up")
    lab.command("release", "v2")
    lab.command("release", "v1")


@fault("world", "the password of Argo CD's admin", when="is changed by hand", saw="NOT OK", out="make up")
def test_argo_cds_secret_that_was_changed_is_as_it_was(lab: Lab) -> None:
    wrong = '{"stringData": {"admin.password": "$2a$10$wrongwrongwrongwrongwrongwrongwrongwrongwrongwrongwrong."}}'
    lab.kubectl("-n", "argocd", "patch", "secret", "argocd-secret", "-p", wrong)
    status(lab)
    lab.command("up")
    lab.command("check")
    assert "NOT OK" not in status(lab)


@pytest.mark.long
@fault("world", "Argo CD's Helm Release", when="is left pending by somebody's helm", saw="", out="make up")
def test_a_release_that_is_pending_is_gone_on_with(lab: Lab) -> None:
    named = "sh.helm.release.v1.argocd.v"
    listed = lab.kubectl("-n", "argocd", "get", "secrets", "-o", "name").split()
    newest = max((each for each in listed if named in each), key=lambda each: int(each.rpartition(".v")[2]))
    lab.kubectl("-n", "argocd", "label", newest, "status=pending-upgrade", "--overwrite")
    lab.set("pollInterval", 60)
    lab.command("up")
    answers("v1")


@fault("world", "the node", when="is killed while `make up` waits for Argo CD", saw="error:", out="make up")
def test_a_node_that_dies_during_an_up_is_made_again(lab: Lab) -> None:
    lab.run("k3d", "cluster", "delete", CLUSTER)
    pods = ["docker", "exec", NODE, "kubectl", "--namespace=argocd", "get", "pods", "--output=name"]
    with going_on(lab, "up") as process:
        eventually("a pod of Argo CD", lambda: bool(lab.run(*pods, check=False).stdout), lambda: "none")
        lab.run("docker", "kill", NODE)
        printed = said(process)
    assert process.returncode != 0, printed
    assert "error:" in printed
    lab.command("up")
    answers("v1")


@pytest.mark.long
@fault(
    "world",
    "Git's container",
    when="is removed while `make up` makes the cluster",
    saw="does not run any more",
    out="make up",
)
def test_a_git_server_that_goes_during_an_up_comes_back_with_what_was_pushed(lab: Lab) -> None:
    pushed = cluster.head(lab)
    lab.run("k3d", "cluster", "delete", CLUSTER)
    with going_on(lab, "up") as process:
        eventually("a node", lambda: NODE in lab.run("docker", "ps").stdout, lambda: "none")
        lab.run("docker", "rm", "--force", GIT)
        printed = said(process)
    assert process.returncode != 0, printed
    assert "does not run any more" in printed
    lab.command("up")
    assert cluster.head(lab) == pushed
    answers("v1")


@pytest.mark.long
@fault("host", "the node's memory", when="is too little", saw="for want of it", out=by_itself("all is well"))
def test_a_node_without_memory_is_told_and_gets_well_with_more(lab: Lab) -> None:
    lab.run("docker", "stop", "--time=1", NODE)
    lab.run("docker", "update", "--memory=600m", "--memory-swap=600m", NODE)
    lab.run("docker", "start", NODE)
    try:
        eventually("it is said", lambda: "for want of it" in status(lab), lambda: status(lab))
    finally:
        lab.run("docker", "update", "--memory=8g", "--memory-swap=8g", NODE)
    eventually("all is well", lambda: "NOT OK" not in status(lab), lambda: status(lab), 300)
    answers("v1")


# --- two at once -----------------------------------------------------------------------------------------------------


@fault(
    "two",
    "`make up`",
    when="beside another one, and `make destroy` beside it",
    saw="the stack is currently locked",
    out="make up",
)
def test_a_second_up_leaves_the_first_one_alone(lab: Lab) -> None:
    lab.run("k3d", "cluster", "delete", CLUSTER)
    with going_on(lab, "up") as first:
        eventually("a node", lambda: NODE in lab.run("docker", "ps").stdout, lambda: "none")
        fails(lab, "up")
        fails(lab, "destroy")
        printed = said(first)
    assert first.returncode == 0, printed
    lab.command("up")
    answers("v1")


@pytest.mark.long
@fault("two", "a push", when="while a lost cluster is made anew", saw="", out=by_itself("the app answers v2"))
def test_a_push_during_a_heal_is_what_runs_then(lab: Lab, clone: Path) -> None:
    lab.run("k3d", "cluster", "delete", CLUSTER)
    with going_on(lab, "up") as process:
        eventually("a node", lambda: NODE in lab.run("docker", "ps").stdout, lambda: "none")
        file = clone / DEPLOYMENT
        file.write_text(file.read_text(encoding="utf-8").replace(":v1", ":v2"), encoding="utf-8")
        push(lab, clone, "commit", "--quiet", "--all", "-m", "Run v2")
        printed = said(process)
    assert process.returncode == 0, printed
    answers("v2")
    assert cluster.head(lab) == cluster.application(lab)["sync"]["revision"]


@pytest.mark.long
@fault("two", "`make release`", when="beside another one", saw="", out="make release")
def test_two_releases_at_once_lose_no_commit(lab: Lab, clone: Path) -> None:
    lab.command("release", "v1")
    before = cluster.head(lab)
    codes: list[int] = []

    def release(version: str) -> None:
        codes.append(lab.command("release", version, check=False).returncode)

    both = [threading.Thread(target=release, args=(each,)) for each in ("v1", "v2")]
    for each in both:
        each.start()
    for each in both:
        each.join()
    # The one that came first is not live at its end, when the second one was quicker than Argo CD.
    assert 0 in codes
    lab.run("git", "-C", str(clone), "pull", "--quiet")
    pushed = lab.run("git", "-C", str(clone), "log", "--format=%s", f"{before}..HEAD").stdout.splitlines()
    # Git had v1: releasing that is a commit when it comes second, and none before.
    assert pushed in (["Run version v2 of the app"], ["Run version v1 of the app", "Run version v2 of the app"])
    wait_settled(lab)
    answers("v2" if len(pushed) == 1 else "v1")
    lab.command("release", "v1")


@pytest.mark.long
@fault("two", "`make up`", when="of another clone of the project", saw="is here already", out="make up")
def test_another_clone_takes_nothing_over(lab: Lab, tmp_path: Path) -> None:
    other = Lab(tmp_path, "p3", cluster.SETTINGS)
    other.use_kept_chart()
    fails(other, "up")
    other.command("destroy")
    lab.command("up")
    answers("v1")


@pytest.fixture
def machine(lab: Lab) -> Iterator[dict[str, set[str]]]:
    """Set p1 up in the same project, as one machine; return what Docker has of it before."""
    if missing := missing_for_vagrant():
        pytest.skip(f"{MACHINES}: {'; '.join(missing)}")
    before = machines.there("p1")
    lab.run("pulumi", "stack", "init", "p1")
    for key, value in {**machines.settings("p1"), "agents": 0}.items():
        lab.run("pulumi", "config", "set", "--stack", "p1", f"iot:{key}", str(value))
    yield before
    lab.command("destroy", "--stack", "p1", check=False)


@pytest.mark.long
@fault("two", "`make up STACK=p1`", when="beside `make up` of p3, in the same clone", saw="", out="make up")
def test_p1_and_p3_come_up_and_go_side_by_side(lab: Lab, machine: dict[str, set[str]]) -> None:
    lab.run("k3d", "cluster", "delete", CLUSTER)
    with going_on(lab, "up", "--stack", "p1") as process:
        lab.command("up")
        printed = said(process)
    assert process.returncode == 0, printed
    answers("v1")
    assert "Ready" in machines.on(lab, "server", "sudo k3s kubectl get nodes", stack="p1")
    with going_on(lab, "destroy", "--stack", "p1") as process:
        lab.command("release", "v2")
        printed = said(process)
    assert process.returncode == 0, printed
    assert machines.left("p1", machine) == {}
    answers("v2")
    lab.command("release", "v1")


def test_destroy_leaves_nothing(lab: Lab, before: dict[str, set[str]]) -> None:
    lab.command("destroy")
    assert cluster.left(before) == {}
