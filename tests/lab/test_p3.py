"""P3 for real: the engine, Docker, k3d, Argo CD and Gitea, from nothing to nothing.

The tests run in their order on one lab; each leaves it Synced and Healthy.
"""

from __future__ import annotations

import json
import shutil
import subprocess
from typing import TYPE_CHECKING, Final

import pytest

from components.core import versions
from tests.lab import cluster, reader
from tests.lab.cluster import CLUSTER, GIT, NODE, OTHER, message, wait_settled
from tests.lab.faults import by_itself, fault
from tests.lab.lab import Lab, answer, eventually

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

pytestmark = [pytest.mark.lab, pytest.mark.k3d]

# What the pages call otherwise than this lab.
NAMES: Final = {"localhost:8888": "localhost:18888", "iot-cluster": CLUSTER}


@pytest.fixture(scope="module")
def lab(tmp_path_factory: pytest.TempPathFactory, before: dict[str, set[str]]) -> Iterator[Lab]:
    """Bring p3 up, and down again whatever has happened."""
    made = Lab(tmp_path_factory.mktemp("p3"), "p3", cluster.SETTINGS)
    made.use_kept_chart()
    try:
        made.shell("make up")
        yield made
    finally:
        cluster.remove(made)


def change_in_git(lab: Lab, tmp_path: Path, change: list[str], title: str) -> None:
    """Run a git command in a clone of the tracked repository, commit what it changed, and push."""
    outputs = lab.outputs()
    git = ["git", "-c", "user.name=t", "-c", "user.email=t@localhost", "-c", f"core.askPass={tmp_path / 'ask'}"]
    ask = tmp_path / "ask"
    ask.write_text(f"#!/bin/sh\necho '{outputs['gitPassword']}'\n", encoding="utf-8")
    ask.chmod(0o700)
    url = outputs["git"]["url"].replace("http://", f"http://{outputs['git']['username']}@")
    clone = tmp_path / "clone"
    lab.run(*git, "clone", "--quiet", url, str(clone))
    lab.run(*git, "-C", str(clone), *change)
    if lab.run(*git, "-C", str(clone), "status", "--porcelain").stdout:
        lab.run(*git, "-C", str(clone), "commit", "--quiet", "--all", "-m", title)
    lab.run(*git, "-C", str(clone), "push", "--quiet")


def test_the_app_answers_with_the_version_in_git(lab: Lab) -> None:
    cluster.answers("v1")
    assert answer(cluster.APP)[1] == '{"status":"ok","message":"v1"}\n'


def test_the_namespaces_and_the_pod_are_there(lab: Lab) -> None:
    names = lab.kubectl("get", "namespaces", "-o", "jsonpath={.items[*].metadata.name}").split()
    assert {"argocd", "dev"} <= set(names)
    pods = json.loads(lab.kubectl("-n", "dev", "get", "pods", "-o", "json"))["items"]
    assert [pod["status"]["phase"] for pod in pods] == ["Running"]


def test_ports_listen_on_loopback_only(lab: Lab) -> None:
    for name in (NODE, GIT):
        inspected = lab.run("docker", "inspect", name, "--format", "{{json .HostConfig.PortBindings}}").stdout
        addresses = {binding["HostIp"] for bindings in json.loads(inspected).values() for binding in bindings}
        assert addresses == {"127.0.0.1"}, name


def test_argocd_lets_the_administrator_in_and_nobody_else(lab: Lab) -> None:
    outputs = lab.outputs()
    url = outputs["argocdUrl"]
    assert answer(f"{url}api/v1/applications")[0] == 401
    body = json.dumps({"username": "admin", "password": outputs["argocdPassword"]})
    status, session = answer(f"{url}api/v1/session", data=body, **{"Content-Type": "application/json"})
    assert status == 200
    token = json.loads(session)["token"]
    status, applications = answer(f"{url}api/v1/applications", Authorization=f"Bearer {token}")
    assert status == 200
    assert [each["metadata"]["name"] for each in json.loads(applications)["items"]] == ["flask-app"]


def test_git_lets_nobody_register_or_read_without_a_password(lab: Lab) -> None:
    url = "http://localhost:18003"
    assert answer(f"{url}/api/v1/repos/iot/iot")[0] in {401, 403, 404}
    status, page = answer(f"{url}/user/sign_up")
    assert status in {403, 404} or "disabled" in page.lower()


def test_no_secret_is_in_the_state_in_plain_text(lab: Lab) -> None:
    outputs = lab.outputs()
    state = lab.run("pulumi", "stack", "export", "--stack", "p3").stdout
    node = json.loads(lab.kubectl("config", "view", "--raw", "-o", "json"))["users"][0]["user"]
    for secret in (outputs["argocdPassword"], outputs["gitPassword"], node["client-key-data"]):
        assert secret not in state
    container = lab.run("docker", "inspect", GIT).stdout
    assert outputs["gitPassword"] not in state + container
    assert outputs["gitReader"]["password"] not in state + container


def test_a_second_up_changes_nothing(lab: Lab) -> None:
    said = lab.pulumi("up", "--skip-preview", "--diff")
    assert "unchanged" in said
    assert not any(word in said for word in (" created", " updated", " replaced", " deleted")), said


def test_what_the_readme_says_of_a_lab_that_is_up_can_be_typed(lab: Lab) -> None:
    outputs = lab.outputs()
    shown = {
        "all of it at a glance": reader.has("Synced and Healthy", "v1 answers"),
        "of Argo CD and of Git": reader.has(outputs["argocdPassword"], outputs["gitPassword"]),
        "changes the tag in Git; a few seconds later the app answers v2": lambda _: message() == "v2",
    }
    reader.read(lab, "README.md", shown, NAMES, but=("make destroy",))
    lab.command("release", "v1")


def test_what_the_page_of_p3_says_of_a_lab_that_is_up_can_be_typed(lab: Lab) -> None:
    def services(_: str = "") -> str:
        return lab.kubectl("-n", "dev", "get", "services", "-o", "name")

    shown = {
        "k3d-iot-cluster-server-0": reader.has(NODE),
        "argocd, dev": reader.has("argocd ", "dev "),
        "the app": lambda said: said.count("flask-app-") == said.count("Running") == 1,
        "Synced, Healthy": reader.has("Synced", "Healthy"),
        '{"status":"ok","message":"v1"}': reader.has('{"status":"ok","message":"v1"}'),
        "the app answers v1": lambda _: message() == "v1",
        "takes back the last change, whoever made it": reader.has("Revert", "Run version v1 of the app"),
        "the app answers v2": lambda _: message() == "v2",
        "one pod again, a moment later": lambda said: said.count("flask-app-") == 1,
        "the Service is back": reader.has('"message":"v2"'),
        "pruned; a revert brings it back": lambda _: not services(),
    }
    reader.read(lab, "docs/p3.md", shown, NAMES)
    lab.shell("git -C ../gitops revert --no-edit HEAD && git -C ../gitops push")
    cluster.answers("v2")
    lab.command("release", "v1")
    wait_settled(lab)


def test_release_changes_the_live_app_and_nothing_else_in_git(lab: Lab, tmp_path: Path) -> None:
    lab.command("release", "v2")
    assert message() == "v2"
    change_in_git(lab, tmp_path, ["diff", "--stat", "HEAD~1"], "nothing")
    changed = lab.run("git", "-C", str(tmp_path / "clone"), "diff", "--numstat", "HEAD~1").stdout.split()
    assert changed == ["1", "1", "manifests/p3/deployment.yaml"]


def test_git_revert_brings_the_earlier_version_back(lab: Lab, tmp_path: Path) -> None:
    change_in_git(lab, tmp_path, ["revert", "--no-edit", "HEAD"], "revert")
    cluster.answers("v1")
    wait_settled(lab)


@fault("world", "p3: the Deployment", when="is scaled by hand", saw="", out=by_itself("one replica again"))
def test_a_scaled_deployment_is_healed(lab: Lab) -> None:
    lab.kubectl("-n", "dev", "scale", "deployment/flask-app", "--replicas=3")

    def replicas() -> int:
        return int(lab.get("deployment", "dev", "flask-app")["spec"]["replicas"])

    eventually("one replica again", lambda: replicas() == 1, lambda: str(replicas()))
    wait_settled(lab)


@fault("world", "p3: the Service", when="is deleted by hand", saw="", out=by_itself("the app answers v1"))
def test_a_deleted_service_comes_back(lab: Lab) -> None:
    lab.kubectl("-n", "dev", "delete", "service", "flask-app")
    cluster.answers("v1")
    wait_settled(lab)


def test_what_leaves_git_is_pruned_and_what_returns_is_made(lab: Lab, tmp_path: Path) -> None:
    # All but the first document, which is the Deployment: a folder that is gone altogether empties nothing.
    cut = "!sed -i '/^---$/,$d' manifests/p3/deployment.yaml"
    change_in_git(lab, tmp_path, ["-c", f"alias.cut={cut}", "cut"], "Remove the Service")

    def services() -> str:
        return lab.kubectl("-n", "dev", "get", "services", "-o", "name")

    eventually("the Service is pruned", lambda: not services(), services)
    again = tmp_path / "again"
    again.mkdir()
    change_in_git(lab, again, ["revert", "--no-edit", "HEAD"], "revert")
    cluster.answers("v1")
    wait_settled(lab)


PRIVILEGED: Final = """\
apiVersion: v1
kind: Namespace
metadata:
  name: dev
  labels:
    pod-security.kubernetes.io/enforce: privileged
---
apiVersion: v1
kind: Pod
metadata:
  name: root
  namespace: dev
spec:
  containers:
    - name: root
      image: iot-lab/flask-app:v1
      securityContext:
        privileged: true
"""


def test_a_push_can_not_switch_pod_security_off(lab: Lab, tmp_path: Path) -> None:
    """It is refused as a whole, `make status` says so, and what ran goes on running."""

    def enforced() -> str:
        labels: dict[str, str] = lab.get("namespace", "dev", "dev")["metadata"]["labels"]
        return labels["pod-security.kubernetes.io/enforce"]

    def said() -> str:
        return lab.command("status", check=False).stdout

    (tmp_path / "evil.yaml").write_text(PRIVILEGED, encoding="utf-8")
    write = f"!cp '{tmp_path / 'evil.yaml'}' manifests/p3/evil.yaml && git add manifests"
    change_in_git(lab, tmp_path, ["-c", f"alias.evil={write}", "evil"], "Switch Pod Security off")
    refused = "Namespace is not permitted in project iot"
    eventually("the push is refused", lambda: refused in said(), said)
    assert "NOT OK  application" in said()
    assert enforced() == "restricted"
    assert "root" not in lab.kubectl("-n", "dev", "get", "pods", "-o", "name")
    assert message() == "v1"
    # What Git does not allow, the cluster does not either, whoever asks.
    (tmp_path / "pod.yaml").write_text(PRIVILEGED.partition("---\n")[2], encoding="utf-8")
    lab.kubectl("apply", "-f", str(tmp_path / "pod.yaml"), check=False)
    assert "root" not in lab.kubectl("-n", "dev", "get", "pods", "-o", "name")
    again = tmp_path / "again"
    again.mkdir()
    change_in_git(lab, again, ["revert", "--no-edit", "HEAD"], "revert")
    wait_settled(lab)
    eventually("status is well again", lambda: lab.command("status", check=False).returncode == 0, said)
    assert enforced() == "restricted"


def test_status_says_that_all_is_well_and_check_agrees(lab: Lab) -> None:
    said = lab.command("status").stdout
    assert "Synced" in said
    assert "v1" in said


@fault("world", "p3: the node", when="is stopped by hand", saw="to update", out="pulumi up")
def test_a_cluster_that_is_stopped_is_started(lab: Lab) -> None:
    lab.run("docker", "stop", "--time=1", NODE)
    lab.mend("to update")
    cluster.answers("v1")


@fault("world", "p3: the cluster", when="is deleted by hand", saw="to replace", out="pulumi up")
def test_a_cluster_that_was_deleted_behind_pulumis_back_is_rebuilt_by_one_up_in_the_version_that_git_has(
    lab: Lab,
) -> None:
    lab.command("release", "v2")
    pushed = cluster.head(lab)
    lab.run("k3d", "cluster", "delete", CLUSTER)
    said = lab.mend("to replace")
    # The node has kept what it had unpacked.
    assert said.count("images are in 1 nodes, 1 of which had them") >= 2
    cluster.answers("v2")
    assert cluster.head(lab) == pushed
    assert cluster.application(lab)["sync"]["revision"] == pushed
    assert "unchanged" in lab.pulumi("up", "--skip-preview")


@pytest.mark.long
@fault(
    "world",
    "p3: the cluster, Git's container, the app's images, and those that the node keeps",
    when="are deleted by hand or damaged",
    saw="did not come up with the images that its nodes had kept",
    out="pulumi up",
)
def test_refresh_notices_what_is_lost_too_and_up_rebuilds_although_the_nodes_images_are_damaged(lab: Lab) -> None:
    lab.command("release", "v2")
    pushed = cluster.head(lab)
    lab.run("k3d", "cluster", "delete", CLUSTER)
    lab.run("docker", "rm", "--force", GIT)
    lab.run("docker", "image", "rm", "--force", "iot-lab/flask-app:v1", "iot-lab/flask-app:v2")
    spoil = "head -c 300000 /dev/urandom >/kept/io.containerd.metadata.v1.bolt/meta.db"
    lab.run("docker", "run", "--rm", f"--volume={cluster.VOLUME}:/kept", "python:3.13-slim", "sh", "-c", spoil)
    lab.pulumi("refresh", "--skip-preview")
    said = lab.pulumi("up", "--skip-preview")
    assert f"{CLUSTER} did not come up with the images that its nodes had kept" in said
    assert "It begins without them" in said
    cluster.answers("v2")
    assert cluster.head(lab) == pushed


@pytest.mark.long
@fault("killed", "p3: the node", when="in the middle of an import", saw="", out="pulumi up")
def test_a_node_that_was_killed_in_the_middle_of_an_import_is_made_again(lab: Lab) -> None:
    lab.command("release", "v2")
    lab.run("k3d", "cluster", "delete", CLUSTER)
    lab.run("docker", "volume", "rm", cluster.VOLUME)
    up = ["pulumi", "up", "--stack", "p3", "--yes", "--skip-preview", "--non-interactive"]
    with subprocess.Popen(up, cwd=lab.folder, env=lab.env, stdout=subprocess.PIPE, stderr=subprocess.STDOUT) as process:

        def works() -> bool:
            return "images import" in lab.run("docker", "top", NODE, check=False).stdout

        eventually("an import", works, lambda: "none", seconds=180)
        lab.run("docker", "kill", "--signal=KILL", NODE)
        said = process.communicate()[0].decode()
    assert process.returncode, said
    assert "Traceback" not in said
    lab.pulumi("up", "--skip-preview")
    cluster.answers("v2")


@fault("world", "p3: Git's container", when="is deleted by hand", saw="to update", out="pulumi up")
def test_a_lost_git_container_comes_back_with_what_was_pushed(lab: Lab) -> None:
    pushed = cluster.head(lab)
    lab.run("docker", "rm", "--force", GIT)
    lab.mend("to update")
    assert cluster.head(lab) == pushed
    # Argo CD is told of a push again.
    lab.command("release", "v1")
    assert message() == "v1"


@fault(
    "world",
    "p3: Git's container and volume",
    when="are deleted by hand",
    saw="to update",
    out="pulumi up",
    lost="what was pushed since the last `make destroy` kept it",
)
def test_a_lost_volume_of_git_is_filled_anew(lab: Lab) -> None:
    lab.run("docker", "rm", "--force", GIT)
    lab.run("docker", "volume", "rm", GIT)
    lab.mend("to update")
    lab.command("release", "v2")
    assert message() == "v2"


@fault("world", "p3: the registry's container", when="is deleted by hand", saw="to update", out="pulumi up")
def test_other_ports_lose_no_commit_and_what_is_pushed_to_the_registry_of_this_host_runs(
    lab: Lab, tmp_path: Path
) -> None:
    image = "localhost:15000/team/flask-app:v3"
    pushed = cluster.head(lab)
    lab.set("registryPort", 15000)
    lab.set("argocdPorts", [18081])
    lab.set("gitPorts", [18004])
    assert "replaced" in lab.pulumi("up", "--skip-preview")
    assert cluster.head(lab) == pushed
    lab.run("docker", "tag", "iot-lab/flask-app:v1", image)
    try:
        lab.run("docker", "push", "--quiet", image)
    finally:
        lab.run("docker", "image", "rm", image)
    swap = f"!sed -i 's#iot-lab/flask-app:v2#{image}#' manifests/p3/deployment.yaml"
    change_in_git(lab, tmp_path, ["-c", f"alias.swap={swap}", "swap"], "Run what was pushed")

    def runs() -> str:
        return lab.kubectl("-n", "dev", "get", "pods", "-o", "jsonpath={.items[*].spec.containers[*].image}")

    eventually("the image of the registry runs", lambda: runs() == image, runs)
    cluster.answers("v1")
    hosting = lab.get("configmap", "kube-public", "local-registry-hosting")["data"]["localRegistryHosting.v1"]
    assert '"host": "localhost:15000"' in hosting
    # It is there after a loss, too.
    lab.run("docker", "rm", "--force", cluster.REGISTRY)
    lab.mend("to update")
    assert answer("http://localhost:15000/v2/team/flask-app/tags/list")[1].strip() == (
        '{"name":"team/flask-app","tags":["v3"]}'
    )
    again = tmp_path / "again"
    again.mkdir()
    change_in_git(lab, again, ["revert", "--no-edit", "HEAD"], "revert")
    cluster.answers("v2")
    wait_settled(lab)


@pytest.fixture
def other(lab: Lab, tmp_path: Path) -> Iterator[Path]:
    """Make a cluster that is not ours, on the network of our Git server, and return its kubeconfig."""
    images = [versions.ARGOCD_IMAGE, versions.REDIS_IMAGE, "iot-lab/flask-app:v2"]
    try:
        cluster.make_other(lab, OTHER, network=CLUSTER, api_port=16551, images=images)
        path = tmp_path / "kubeconfig"
        path.touch(mode=0o600)
        path.write_text(lab.run("k3d", "kubeconfig", "get", OTHER).stdout, encoding="utf-8")
        yield path
    finally:
        lab.run("k3d", "cluster", "delete", OTHER, check=False)


def test_an_existing_cluster_is_used_and_what_it_had_stays(
    lab: Lab, other: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    def theirs(*arguments: str) -> str:
        return lab.run("kubectl", f"--kubeconfig={other}", *arguments).stdout

    theirs("create", "namespace", "theirs")
    theirs("--namespace=theirs", "create", "configmap", "mine", "--from-literal=a=b")
    uid = theirs("--namespace=theirs", "get", "configmap", "mine", "-o", "jsonpath={.metadata.uid}")
    second = Lab(tmp_path_factory.mktemp("existing"), "p3", {"kubeconfig": str(other)})
    second.use_kept_chart()
    second.set("appImage", "iot-lab/flask-app:v2")
    # Without a repository that it reaches, it is told so before anything is made.
    assert "a repository that the existing cluster can reach" in second.pulumi("up", "--skip-preview", check=False)
    reader = lab.outputs()["gitReader"]
    second.set("gitUrl", "http://git.iot.internal:3000/iot/iot.git")
    second.set("gitUsername", reader["username"])
    second.run("pulumi", "config", "set", "--stack", "p3", "--secret", "iot:gitPassword", given=reader["password"])
    second.pulumi("up", "--skip-preview")
    assert "flask-app" in theirs("--namespace=dev", "get", "pods", "-o", "name")
    assert "unchanged" in (said := second.pulumi("up", "--skip-preview"))
    assert not any(word in said for word in (" created", " updated", " replaced", " deleted")), said
    second.pulumi("destroy", "--skip-preview")
    assert uid == theirs("--namespace=theirs", "get", "configmap", "mine", "-o", "jsonpath={.metadata.uid}")
    assert not theirs("--namespace=argocd", "get", "deployments", "-o", "name")
    assert not theirs("--namespace=dev", "get", "deployments", "-o", "name")
    # Ours never noticed.
    cluster.answers("v2")


@fault(
    "host",
    "p3: a cluster with its name",
    when="is there",
    saw="this project did not make it",
    out="docker rm",
)
def test_a_foreign_cluster_of_that_name_is_left_alone(lab: Lab) -> None:
    lab.set("registryPort", 0)
    lab.run("k3d", "cluster", "delete", CLUSTER)
    lab.run(
        "docker",
        "run",
        "--detach",
        "--name",
        NODE,
        "--label",
        f"k3d.cluster={CLUSTER}",
        "--label",
        "k3d.role=server",
        "--entrypoint",
        "sleep",
        "python:3.13-slim",
        "600",
    )
    try:
        said = lab.pulumi("up", "--skip-preview", check=False)
        assert "this project did not make it" in said
        assert "Traceback" not in said
        assert lab.run("docker", "inspect", "--format", "{{.State.Running}}", NODE).stdout.strip() == "true"
    finally:
        lab.run("docker", "rm", "--force", NODE)


@fault(
    "host",
    "p3: a container with the name of Git's",
    when="is there",
    saw="is here already, and this project did not make it",
    out="docker rm",
)
def test_a_foreign_container_with_the_name_of_git_is_left_alone(lab: Lab) -> None:
    lab.run("docker", "rm", "--force", GIT)
    lab.run("docker", "run", "--detach", "--name", GIT, "--entrypoint", "sleep", "python:3.13-slim", "600")
    try:
        said = lab.pulumi("up", "--skip-preview", check=False)
        assert f"A Docker container {GIT} is here already, and this project did not make it" in said
        assert "Traceback" not in said
        assert lab.run("docker", "inspect", "--format", "{{.State.Running}}", GIT).stdout.strip() == "true"
    finally:
        lab.run("docker", "rm", "--force", GIT)


@pytest.mark.long
@fault(
    "world",
    "p3: the state and its passphrase",
    when="are removed (`rm -r .lab`) while it is up",
    saw=f"The cluster {CLUSTER} is here and in use, and the state of the stack does not know it",
    out="make up",
    lost="what only the cluster had, by the `k3d cluster delete` that the message asks for",
)
def test_a_lab_whose_state_is_lost_is_left_alone_until_somebody_says_that_it_may_go(lab: Lab) -> None:
    lab.command("release", "v2")
    pushed = cluster.head(lab)
    lab.kubectl("create", "configmap", "mine")
    shutil.rmtree(lab.folder / ".lab" / "state")
    said = lab.shell("make up", check=False)
    assert said.returncode
    node = ("docker", "exec", NODE, "kubectl")
    assert "mine" in lab.run(*node, "get", "configmaps").stdout
    lab.run("k3d", "cluster", "delete", CLUSTER)
    lab.shell("make up")
    assert cluster.head(lab) == pushed
    cluster.answers("v2")


def bundles(lab: Lab) -> list[Path]:
    return sorted((lab.folder / ".lab" / "backups" / GIT).rglob("*.bundle"))


def test_what_was_pushed_outlives_destroy_and_nothing_stays_among_the_temporary_files(
    lab: Lab, before: dict[str, set[str]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is lost as a whole here, and has only its volume."""
    monkeypatch.setitem(lab.env, "TMPDIR", str(tmp_path))
    assert bundles(lab) == []
    said = lab.shell("make destroy")
    (kept,) = bundles(lab)
    assert f"kept what was pushed to Git: {kept.relative_to(lab.folder)}" in said.stdout + said.stderr
    assert cluster.left(before) == {}
    pushed = lab.run("git", "bundle", "list-heads", str(kept), "refs/heads/main").stdout.split()[0]
    lab.shell("make up")
    assert list(tmp_path.iterdir()) == []
    assert cluster.head(lab) == pushed
    cluster.answers("v2")


@fault("world", "p3: the cluster", when="is deleted before `make destroy`", saw="", out="make destroy")
def test_destroy_with_the_cluster_gone_leaves_nothing_and_can_be_repeated(
    lab: Lab, before: dict[str, set[str]]
) -> None:
    lab.run("k3d", "cluster", "delete", CLUSTER)
    typed = [line for line, _, _ in reader.lines("README.md") if line == "make destroy"]
    assert len(typed) == 2
    for line in typed:
        lab.shell(line)
    assert cluster.left(before) == {}
    # Nothing was pushed since the last one, which is the newest still.
    assert len(bundles(lab)) == 1
