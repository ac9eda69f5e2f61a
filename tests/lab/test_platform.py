"""The platform for real: a version goes from one environment to the next, and nobody goes further than they may.

The tests run in their order on one lab.
"""

from __future__ import annotations

import base64
import json
import re
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final

import pytest
import yaml

from components.core import versions
from components.core.errors import LabError
from components.gitops.allowed import CI, DEVELOPER, RELEASER, VIEWER
from lab.commands.test import OFFLINE
from lab.live import argocd, environments, git, pipeline, sealing
from tests.lab import platform, reader
from tests.lab.lab import answer, docker_things, eventually, left, missing, settled, state, status

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from components.gitops.gitea import Gitea
    from tests.lab.lab import Lab

pytestmark = [pytest.mark.lab, pytest.mark.k3d]

CLUSTER: Final = "iot-platform-test"
RUNNER: Final = f"{CLUSTER}-runner"
PROD: Final = f"{CLUSTER}-prod"  # the second cluster
PROD_NODE: Final = f"k3d-{PROD}-server-0"
PORTS: Final = {"dev": 31101, "staging": 31111, "prod": 31121, "qa": 31131, "other": 31141}
ENVIRONMENTS: Final[dict[str, dict[str, Any]]] = {
    "dev": {"port": PORTS["dev"]},
    "staging": {"port": PORTS["staging"], "after": "dev"},
    "prod": {"port": PORTS["prod"], "after": "staging", "sync": "manual", "approvals": 1, "cluster": "prod"},
}
SETTINGS: Final[dict[str, Any]] = {
    "clusterName": CLUSTER,
    "apiPort": 17550,
    "argocdPorts": [19080],
    "gitPorts": [19003],
    "registryPort": 19001,
    "monitoring": False,  # test_progressive.py has it
    "clusters": {"prod": {"apiPort": 17551}},
    "environments": ENVIRONMENTS,
}
DEPLOYMENT: Final = "namespace=dev&resourceName=flask-app&version=v1&kind=Deployment&group=apps"
PAGE: Final = "docs/platform.md"
API: Final = "/repos/iot/gitops"
# What runs its jobs, without which the rest is tried all the same.
NO_CI: Final = missing(versions.RUNNER_IMAGE)
needs_ci = pytest.mark.skipif(bool(NO_CI), reason=f"{OFFLINE}: {', '.join(NO_CI)}")


def there() -> dict[str, set[str]]:
    """Return what Docker has of these tests, and of the jobs that they have CI run."""
    built = f"localhost:{SETTINGS['registryPort']}/", f"{versions.APP_REPOSITORY}-platform"
    return docker_things(CLUSTER, *built, versions.CI_REPOSITORY, "GITEA-ACTIONS-TASK-", "act-")


@pytest.fixture(scope="module")
def before() -> dict[str, set[str]]:
    """Return what Docker has before anything is brought up."""
    return there()


@pytest.fixture(scope="module")
def lab(tmp_path_factory: pytest.TempPathFactory, before: dict[str, set[str]]) -> Iterator[Lab]:
    """Bring the platform up, and down again whatever has happened."""
    with platform.lab(tmp_path_factory.mktemp("platform"), SETTINGS, there) as made:
        if not sealed():
            made.set("sealedSecrets", "false")
        if NO_CI:
            made.set("ci", "false")
        made.shell("make up")
        yield made


def sealed() -> bool:
    """Tell whether what reads sealed secrets can be had: without it, the rest is tried all the same."""
    return not missing(versions.SEALED_SECRETS_IMAGE, charts=(versions.SEALED_SECRETS_CHART,))


needs_sealed = pytest.mark.skipif(not sealed(), reason=f"{OFFLINE}: {versions.SEALED_SECRETS_IMAGE} and its chart")


@pytest.fixture(scope="module")
def outputs(lab: Lab) -> dict[str, Any]:
    """Return the stack's outputs, which stay the same."""
    return lab.outputs()


def version(port: str) -> str:
    """Return the version that answers at a port, or what is answered instead."""
    code, body = answer(f"http://localhost:{PORTS[port]}/")
    return str(json.loads(body)["message"]) if code == 200 else body


def runs() -> dict[str, str]:
    """Return the version that answers in each environment, or what is answered instead."""
    return {name: version(name) for name in ENVIRONMENTS}


def run_(dev: str, staging: str, prod: str) -> None:
    """Wait until the environments run these versions."""
    wanted = {"dev": dev, "staging": staging, "prod": prod}
    eventually(f"{wanted}", lambda: runs() == wanted, lambda: str(runs()))


def fails(lab: Lab, line: str) -> str:
    """Type a line that has to fail, and return what it says."""
    done = lab.shell(line, check=False)
    assert done.returncode != 0, done.stdout
    assert "Traceback" not in done.stderr
    return done.stderr


def gitea(outputs: dict[str, Any], account: str) -> Gitea:
    return environments.server(outputs, account)


# --- the way of a version --------------------------------------------------------------------------------------------


def test_every_environment_runs_the_first_version(lab: Lab) -> None:
    run_("v1", "v1", "v1")


def test_a_second_up_changes_nothing(lab: Lab) -> None:
    said = lab.pulumi("up", "--skip-preview")
    assert "unchanged" in said
    assert not any(word in said for word in (" created", " updated", " replaced", " deleted")), said


def test_a_version_goes_from_one_environment_to_the_next(lab: Lab) -> None:
    lab.shell("make release VERSION=v2")
    assert runs() == {"dev": "v2", "staging": "v1", "prod": "v1"}
    lab.shell("make promote FROM=dev TO=staging")
    assert runs() == {"dev": "v2", "staging": "v2", "prod": "v1"}


def test_what_is_not_so_is_said_and_changes_nothing(lab: Lab) -> None:
    for line, words in (
        ("make promote TO=nowhere", "there is no environment 'nowhere'"),
        ("make promote FROM=dev TO=prod", "prod takes its versions from staging"),
        ("make promote FROM=staging TO=dev", "dev is the first environment"),
        ("make promote FROM=dev TO=dev", "dev can't be promoted to itself"),
        ("make promote TO=", "no environment was named"),
    ):
        assert words in fails(lab, line), line
    assert "has what runs in dev already: v2" in lab.shell("make promote TO=staging").stdout
    assert "nothing waits for an approval in prod" in lab.shell("make approve ENV=prod").stdout
    assert runs() == {"dev": "v2", "staging": "v2", "prod": "v1"}


def test_production_waits_for_an_approval(lab: Lab, outputs: dict[str, Any]) -> None:
    said = lab.shell("make promote TO=prod").stdout
    assert "waits for 1 approval" in said
    assert "'Run version v2 of the app in prod' waits: make approve ENV=prod" in status(lab)
    request = environments.pull_request(outputs, environments.find(outputs, "prod"))
    assert request is not None
    assert answer(request.url)[0] in {200, 303, 404}  # a page, for who is signed in
    assert runs()["prod"] == "v1"


def test_an_author_approves_nothing_of_their_own_and_merges_nothing(lab: Lab, outputs: dict[str, Any]) -> None:
    request = environments.pull_request(outputs, environments.find(outputs, "prod"))
    assert request is not None
    path = f"{API}/pulls/{request.number}"
    with pytest.raises(LabError, match="refuses"):
        gitea(outputs, DEVELOPER).ask("POST", f"{path}/reviews", {"event": "APPROVED"})
    for who in (DEVELOPER, RELEASER):  # not yet approved
        with pytest.raises(LabError, match="refuses"):
            gitea(outputs, who).ask("POST", f"{path}/merge", {"Do": "squash"})
        with pytest.raises(LabError, match="refuses"):
            gitea(outputs, who).ask("POST", f"{path}/merge", {"Do": "squash", "force_merge": True})
    assert runs()["prod"] == "v1"


def test_what_nobody_has_approved_is_not_synced_by_its_commit(outputs: dict[str, Any]) -> None:
    request = environments.pull_request(outputs, environments.find(outputs, "prod"))
    assert request is not None
    with pytest.raises(LabError, match=r"answered 403.*override"):
        argocd.signed_in(outputs, RELEASER).sync("prod", request.head)
    assert runs()["prod"] == "v1"


def test_what_is_merged_waits_until_it_is_synced(lab: Lab, outputs: dict[str, Any]) -> None:
    request = environments.pull_request(outputs, environments.find(outputs, "prod"))
    assert request is not None
    environments.approve(outputs, request)
    words = "v2 waits to be synced: make approve ENV=prod"
    eventually("prod is OutOfSync", lambda: "OutOfSync" in state(lab, "prod"), lambda: state(lab, "prod"))
    assert words in status(lab)
    assert runs()["prod"] == "v1"
    with pytest.raises(LabError, match=r"answered 403"):
        argocd.signed_in(outputs, DEVELOPER).sync("prod")
    assert "releaser has it synced" in lab.shell("make approve ENV=prod").stdout
    assert runs() == {"dev": "v2", "staging": "v2", "prod": "v2"}
    assert "approved by releaser" in lab.shell("make status").stdout


def test_a_rollback_of_production_needs_an_approval_too(lab: Lab) -> None:
    assert "waits for 1 approval" in lab.shell("make rollback ENV=prod").stdout
    assert runs()["prod"] == "v2"
    lab.shell("make approve ENV=prod")
    assert runs() == {"dev": "v2", "staging": "v2", "prod": "v1"}


def test_a_rollback_elsewhere_is_a_revert(lab: Lab) -> None:
    lab.shell("make rollback ENV=staging")
    assert runs() == {"dev": "v2", "staging": "v1", "prod": "v1"}
    lab.shell("make promote TO=staging")


def test_what_the_page_says_can_be_typed_and_holds(lab: Lab) -> None:
    shown = {
        "to dev, without CI: v1 and v2 are built here": reader.has("says v2"),
        "what runs in dev: the version, and the base": reader.has("v2"),
        "a pull request": reader.has("waits for 1 approval"),
        "approves, merges and syncs it, as releaser": reader.has("releaser has it synced", "says v2"),
        "a revert, by pull request as well": reader.has("waits for 1 approval"),
        "back in the version before": reader.has("says v1"),
        "version, commit, since when, approved by whom": reader.has("approved by releaser"),
        "all that is promised here, a line per point": reader.has("points hold"),
        "how often, how fast and how well each environment is changed": reader.has(
            "dev\n", "staging\n", "prod\n", "as Argo CD remembers", "the median of"
        ),
    }
    watched = {
        "what fires, and what is about to": reader.has("nothing fires"),
        "the last hour in plots: rendered/dashboard-platform.html": reader.has("rendered/dashboard-platform.html"),
    }
    secrets = {
        "without a pipe it is asked for": reader.has("dev has the Secret database"),
        "what the app's pods can read": reader.has("Opaque"),
    }
    pushed = {"the last runs; RUN=3 shows the log of one": reader.has("nothing was pushed to the app yet")}
    missing = (
        ({} if sealed() else secrets) | ({} if lab.outputs().get("monitoring") else watched) | (pushed if NO_CI else {})
    )
    without = tuple(line for line, _, remarks in reader.lines(PAGE) if {*remarks} & {*missing})
    there = {key: check for key, check in (shown | watched | secrets | pushed).items() if key not in missing}
    reader.read(lab, PAGE, there, {}, but=without)
    run_("v2", "v2", "v1")


def test_what_conflicts_with_what_was_merged_since_is_refused_and_can_be_promoted_again(
    lab: Lab, outputs: dict[str, Any], tmp_path: Path
) -> None:
    lab.shell("make promote TO=prod")
    path = "overlays/prod/kustomization.yaml"
    with git.cloned(environments.remote(outputs, environments.find(outputs, "prod"))) as clone:
        lines = (clone.root / path).read_text(encoding="utf-8").splitlines()
    held = [f"{line}  # by hand" if "newTag:" in line else line for line in lines]
    merge(outputs, {path: "\n".join(held) + "\n"}, tmp_path / "theirs")
    said = fails(lab, "make approve ENV=prod")
    assert "can't be merged" in said
    assert "promote again" in said
    assert runs()["prod"] == "v1"
    lab.shell("make promote TO=prod")
    lab.shell("make approve ENV=prod")
    assert runs() == {"dev": "v2", "staging": "v2", "prod": "v2"}
    lab.shell("make rollback ENV=prod")
    lab.shell("make approve ENV=prod")
    run_("v2", "v2", "v1")


# --- CI --------------------------------------------------------------------------------------------------------------


def push_code(lab: Lab, outputs: dict[str, Any], old: str, new: str, folder: Path) -> str:
    """Change the app's page as a developer, push, and return the commit."""
    source = git.Remote(
        url=outputs["ci"]["repository"],
        revision="main",
        path="app",
        username=DEVELOPER,
        password=outputs["accounts"][DEVELOPER],
    )
    clone = git.Clone(source, folder / "app")
    page = clone.root / "app/templates/index.html"
    text = page.read_text(encoding="utf-8")
    assert old in text
    page.write_text(text.replace(old, new), encoding="utf-8")
    commit = clone.commit("Say it otherwise")
    clone.push()
    return commit


def jobs() -> set[str]:
    """Return the containers of jobs that Docker has."""
    return {each for each in there()["containers"] if each.startswith("GITEA-ACTIONS-TASK-")}


def last(outputs: dict[str, Any], commit: str) -> str:
    """Return what became of a commit."""
    return next((each.state for each in pipeline.runs(outputs, 5) if each.commit == commit), "nothing yet")


@needs_ci
def test_code_that_is_pushed_is_live_in_dev_and_goes_on_from_there(
    lab: Lab, outputs: dict[str, Any], tmp_path: Path
) -> None:
    commit = push_code(lab, outputs, "which one answers next", "who answers next", tmp_path)
    version = commit[:12]
    eventually("dev runs it", lambda: runs()["dev"] == version, lambda: str(runs()) + last(outputs, commit))
    assert runs()["staging"] == "v2"
    eventually("it is done", lambda: last(outputs, commit) == "success", lambda: last(outputs, commit))
    found = gitea(outputs, DEVELOPER).ask("GET", f"/repos/iot/app/commits/{commit}/status").body
    assert found["state"] == "success"
    assert f"{version} 'Say it otherwise'" in lab.shell("make ci").stdout
    assert re.search(r"\d\d passed", lab.shell("make ci RUN=1").stdout)
    lab.shell("make promote TO=staging")
    assert runs()["staging"] == version
    lab.shell("make promote TO=prod")
    lab.shell("make approve ENV=prod")
    assert runs() == dict.fromkeys(ENVIRONMENTS, version)
    for name in ("dev", "staging", "prod"):
        lab.shell(f"make rollback ENV={name}")
    lab.shell("make approve ENV=prod")
    run_("v2", "v2", "v1")


def test_all_that_is_promised_holds(lab: Lab) -> None:
    settled(lab, *ENVIRONMENTS)
    eventually("it is settled", lambda: "NOT OK" not in status(lab), lambda: status(lab))
    said = lab.shell("make check").stdout
    assert "FAIL" not in said
    assert "points hold" in said


@needs_ci
def test_a_runner_that_does_not_run_is_named_and_comes_back(lab: Lab) -> None:
    lab.run("docker", "stop", RUNNER)
    assert f"{RUNNER} does not run" in fails_with_output(lab, "make check")
    lab.shell("make up")


@needs_ci
def test_a_build_that_fails_pushes_nothing_and_changes_nothing(
    lab: Lab, outputs: dict[str, Any], tmp_path: Path
) -> None:
    before_ = runs()
    commit = push_code(lab, outputs, "<h1>", "<h1>!", tmp_path)
    eventually("it fails", lambda: last(outputs, commit) == "failure", lambda: last(outputs, commit))
    assert "failure" in fails_with_output(lab, "make status")
    assert runs() == before_
    image = f"http://{outputs['image'].partition('/')[0]}/v2/flask-app/manifests/{commit[:12]}"
    assert answer(image)[0] == 404
    assert "there is no image" in fails(lab, f"make release VERSION={commit[:12]}")


def fails_with_output(lab: Lab, line: str) -> str:
    done = lab.shell(line, check=False)
    assert done.returncode != 0
    return done.stdout


# --- what is refused -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("account", "branch"),
    [(DEVELOPER, "main"), (RELEASER, "main"), (RELEASER, "env/dev")],
)
def test_nobody_pushes_to_a_branch_that_is_not_theirs(
    lab: Lab, outputs: dict[str, Any], tmp_path: Path, account: str, branch: str
) -> None:
    with pytest.raises(LabError, match="does not let you push"):
        platform.change(outputs, account, branch, {"overlays/prod/x.yaml": "a: b\n"}, tmp_path)


@needs_ci
@pytest.mark.parametrize("branch", ["main", "env/staging", "env/new"])
def test_ci_pushes_to_no_branch_but_that_of_the_first_environment(
    lab: Lab, outputs: dict[str, Any], tmp_path: Path, branch: str
) -> None:
    mine = with_ci(lab, outputs)
    begin = "env/dev" if branch == "env/new" else branch
    with pytest.raises(LabError, match="does not let you push"):
        platform.change(mine, CI, begin, {"overlays/dev/x.yaml": "a: b\n"}, tmp_path, to=branch)
    with pytest.raises(LabError, match="refuses"):
        gitea(mine, CI).ask("PUT", f"{API}/collaborators/{CI}", {"permission": "admin"})


def with_ci(lab: Lab, outputs: dict[str, Any]) -> dict[str, Any]:
    """Return the outputs with the password of CI's user, which its pipeline alone is told."""
    state = json.loads(lab.run("pulumi", "stack", "export", "--show-secrets", "--stack", "platform").stdout)
    (made,) = [each for each in state["deployment"]["resources"] if each["urn"].endswith("::gitea-ci")]
    return {**outputs, "accounts": {**outputs["accounts"], CI: plain(made["outputs"]["value"])}}


def plain(value: Any) -> Any:  # noqa: ANN401 - any JSON
    """Return what an export with secrets has as a secret."""
    return json.loads(value["plaintext"]) if isinstance(value, dict) else value


@needs_ci
def test_nobody_makes_a_tag_which_argocd_could_take_for_a_branch(lab: Lab, outputs: dict[str, Any]) -> None:
    mine = with_ci(lab, outputs)
    for who in (CI, DEVELOPER, RELEASER):
        for name in ("main", "env/staging", "v9"):
            with pytest.raises(LabError, match="refuses"):
                gitea(mine, who).ask("POST", f"{API}/tags", {"tag_name": name, "target": "env/dev"})


@needs_ci
def test_who_may_not_push_to_a_branch_merges_nothing_into_it(lab: Lab, outputs: dict[str, Any], tmp_path: Path) -> None:
    mine = with_ci(lab, outputs)
    platform.change(outputs, DEVELOPER, "env/staging", {"overlays/staging/x.yaml": "a: b\n"}, tmp_path, to="theirs")
    asked = {"head": "theirs", "base": "env/staging", "title": "x"}
    number = gitea(outputs, DEVELOPER).ask("POST", f"{API}/pulls", asked).body["number"]
    try:
        for who in (CI, RELEASER):
            with pytest.raises(LabError, match="refuses"):
                gitea(mine, who).ask("POST", f"{API}/pulls/{number}/merge", {"Do": "merge"})
    finally:
        gitea(outputs, DEVELOPER).ask("PATCH", f"{API}/pulls/{number}", {"state": "closed"})


def test_who_reads_writes_nothing(lab: Lab, outputs: dict[str, Any], tmp_path: Path) -> None:
    who = outputs["gitReader"]
    mine = {**outputs, "accounts": {who["username"]: who["password"]}}
    with pytest.raises(LabError, match=r"does not let you push|does not accept|no repository"):
        platform.change(mine, who["username"], "env/dev", {"overlays/dev/x.yaml": "a: b\n"}, tmp_path)
    with pytest.raises(LabError, match="refuses"):
        gitea(mine, who["username"]).ask("POST", f"{API}/branches", {"new_branch_name": "mine"})


def test_a_viewer_of_argocd_has_no_account_in_git(lab: Lab, outputs: dict[str, Any]) -> None:
    with pytest.raises(LabError, match="refuses"):
        gitea(outputs, VIEWER).ask("PUT", f"{API}/collaborators/{VIEWER}", {"permission": "write"})


@pytest.mark.parametrize(
    ("account", "method", "path", "body"),
    [
        (VIEWER, "POST", "applications/dev/sync", {}),
        (DEVELOPER, "POST", "applications/prod/sync", {}),
        (DEVELOPER, "POST", "applications/environments/sync", {}),
        (RELEASER, "POST", "applications/dev/sync", {}),
        (DEVELOPER, "DELETE", "applications/dev", None),
        (DEVELOPER, "PATCH", "applications/dev", {"patch": '{"spec":{"project":"default"}}', "patchType": "merge"}),
        (DEVELOPER, "POST", "projects", {"project": {"metadata": {"name": "mine"}, "spec": {}}}),
        (DEVELOPER, "POST", "repositories", {"repo": "https://example.org/me/mine"}),
        (RELEASER, "POST", "clusters", {"server": "https://example.org", "name": "mine"}),
        (DEVELOPER, "POST", f"applications/dev/resource/actions?{DEPLOYMENT}", "restart"),
        (RELEASER, "POST", "account/viewer/token", {}),
    ],
)
def test_argocd_refuses_what_an_account_may_not(  # noqa: PLR0913, PLR0917 - the table's columns
    lab: Lab, outputs: dict[str, Any], account: str, method: str, path: str, body: object
) -> None:
    with pytest.raises(LabError, match=r"answered 403"):
        argocd.signed_in(outputs, account).ask(method, path, body)


def test_nobody_is_the_administrator_and_nobody_opens_a_shell(lab: Lab, outputs: dict[str, Any]) -> None:
    login = json.dumps({"username": "admin", "password": outputs["argocdPassword"]})
    url = outputs["argocdUrl"]
    assert answer(f"{url}api/v1/session", data=login, **{"Content-Type": "application/json"})[0] in {401, 403}
    pod = lab.kubectl("-n", "dev", "get", "pods", "-o", "jsonpath={.items[0].metadata.name}")
    token = argocd.signed_in(outputs, DEVELOPER).token
    shell = f"{url}terminal?pod={pod}&container=flask-app&appName=dev&namespace=dev&projectName=dev&appNamespace=argocd"
    assert answer(shell, Authorization=f"Bearer {token}")[0] in {400, 401, 403, 404}


KINDS: Final[list[dict[str, Any]]] = [
    {"kind": "Namespace", "apiVersion": "v1", "metadata": {"name": "dev", "labels": {"a": "b"}}},
    {"kind": "ClusterRole", "apiVersion": "rbac.authorization.k8s.io/v1", "metadata": {"name": "mine"}, "rules": []},
    {"kind": "ResourceQuota", "apiVersion": "v1", "metadata": {"name": "quota"}, "spec": {"hard": {"pods": "1000"}}},
    {
        "kind": "AppProject",
        "apiVersion": "argoproj.io/v1alpha1",
        "metadata": {"name": "dev", "namespace": "argocd"},
        "spec": {"sourceRepos": ["*"]},
    },
]


def operation(lab: Lab, name: str) -> dict[str, Any]:
    """Return how Argo CD's last sync of an Application went."""
    found: dict[str, Any] = lab.get("application", "argocd", name)["status"].get("operationState") or {}
    return found


def results(lab: Lab, name: str) -> dict[str, str]:
    """Return what the last sync says of each object, by kind and name."""
    listed = operation(lab, name).get("syncResult", {}).get("resources") or []
    return {f"{each['kind']} {each['name']}": each.get("message", "") for each in listed}


def test_a_push_can_not_bring_other_kinds(lab: Lab, outputs: dict[str, Any], tmp_path: Path) -> None:
    with git.cloned(replace(git.remote(outputs))) as clone:
        text = (clone.root / "overlays/dev/kustomization.yaml").read_text(encoding="utf-8")
    # What Kustomize would put into dev it has to leave alone, as somebody would who tries.
    wider = text.replace("- ../../base", "- ../../base\n- evil.yaml").replace("namespace: dev\n", "")
    files = {"overlays/dev/evil.yaml": yaml.safe_dump_all(KINDS), "overlays/dev/kustomization.yaml": wider}
    clone = platform.change(outputs, DEVELOPER, "env/dev", files, tmp_path)
    tried = {f"{each['kind']} {each['metadata']['name']}" for each in KINDS}

    def refused() -> set[str]:
        words = ("not permitted in project", "do not match")
        return {each for each, said in results(lab, "dev").items() if any(word in said for word in words)}

    try:
        eventually("all are refused", lambda: refused() >= tried, lambda: str(operation(lab, "dev")))
        eventually("status says so", lambda: "not permitted in project" in status(lab), lambda: status(lab))
    finally:
        clone.revert(["overlays/dev"])
        clone.push()
    settled(lab, "dev")
    eventually("dev is as before", lambda: "NOT OK  dev" not in status(lab), lambda: status(lab))
    assert runs()["dev"] == "v2"


OUR_API: Final = "https://kubernetes.default.svc"
ELSEWHERE: Final = "https://elsewhere.example"


@pytest.mark.parametrize(
    "attempts",
    [
        {
            "dev": ("project", "prod", "may be in the one of its own name alone"),
            "staging": ("destination", {"server": OUR_API, "namespace": "argocd"}, "do not match"),
            "prod": ("source", {"repoURL": f"{ELSEWHERE}/x", "path": ".", "targetRevision": "main"}, "not permitted"),
        },
        {
            "dev": ("project", "default", "may be in the one of its own name alone"),
            "staging": ("destination", {"server": ELSEWHERE, "namespace": "staging"}, "elsewhere.example"),
        },
    ],
    ids=["each in one way", "in further ways"],
)
def test_an_application_in_git_gets_no_further_even_when_it_was_approved(
    lab: Lab, outputs: dict[str, Any], tmp_path: Path, attempts: dict[str, tuple[str, Any, str]]
) -> None:
    source = replace(git.remote(outputs), revision="main", path="apps")
    with git.cloned(source) as clone:
        good = {
            path: (clone.root / path).read_text(encoding="utf-8") for path in (f"apps/{name}.yaml" for name in attempts)
        }
    evil = {path: yaml.safe_load(text) for path, text in good.items()}
    for name, (key, value, _) in attempts.items():
        evil[f"apps/{name}.yaml"]["spec"][key] = value
    merge(outputs, {path: yaml.safe_dump(each) for path, each in evil.items()}, tmp_path / "evil")

    def said(name: str) -> str:
        found = lab.get("application", "argocd", name)["status"].get("conditions")
        return json.dumps([results(lab, "environments"), found, operation(lab, name).get("message")])

    try:
        for name, (_, _, words) in attempts.items():
            eventually(f"{name} is refused", lambda: words in said(name), lambda: said(name))  # noqa: B023 - it is asked at once
        assert runs() == {"dev": "v2", "staging": "v2", "prod": "v1"}
    finally:
        merge(outputs, good, tmp_path / "good")
    settled(lab, *attempts)
    lines = [f"NOT OK  {name}" for name in attempts]
    eventually("all is as before", lambda: not any(each in status(lab) for each in lines), lambda: status(lab))


def test_an_application_in_git_is_none_but_an_environment(lab: Lab, outputs: dict[str, Any], tmp_path: Path) -> None:
    source = replace(git.remote(outputs), revision="main", path="apps")
    with git.cloned(source) as clone:
        evil = yaml.safe_load((clone.root / "apps/dev.yaml").read_text(encoding="utf-8"))
    names = ("default", "environments")
    tried = {f"apps/{name}.yaml": named(evil, name) for name in names}
    merge(outputs, {path: yaml.safe_dump(each) for path, each in tried.items()}, tmp_path / "evil")

    def refused() -> set[str]:
        words = "is none of the environments"
        return {each for each, said in results(lab, "environments").items() if words in said}

    try:
        wanted = {f"Application {name}" for name in names}
        eventually("all are refused", lambda: refused() == wanted, lambda: str(operation(lab, "environments")))
    finally:
        merge(outputs, dict.fromkeys(tried, ""), tmp_path / "good")
    eventually("it is synced again", lambda: not refused(), lambda: str(operation(lab, "environments")))
    assert lab.get("application", "argocd", "environments")["spec"]["source"]["path"] == "apps"
    there_ = lab.kubectl("-n", "argocd", "get", "applications", "-o", "jsonpath={.items[*].metadata.name}").split()
    assert sorted(there_) == ["dev", "environments", "prod", "staging"]


def named(application: dict[str, Any], name: str) -> dict[str, Any]:
    """Return an Application by another name, in the project of that name."""
    spec = application["spec"] | {"project": name}
    return application | {"metadata": {"name": name, "namespace": "argocd"}, "spec": spec}


def merge(outputs: dict[str, Any], files: dict[str, str], folder: Path) -> None:
    """Bring files to the protected branch, with the approval of somebody who did not look."""
    folder.mkdir()
    platform.change(outputs, DEVELOPER, "main", files, folder, to="attempt")
    made = gitea(outputs, DEVELOPER).ask("POST", f"{API}/pulls", {"head": "attempt", "base": "main", "title": "x"})
    request = environments.PullRequest(
        number=made.body["number"], title="x", url=made.body["html_url"], head=made.body["head"]["sha"]
    )
    environments.approve(outputs, request)


# --- secrets in Git --------------------------------------------------------------------------------------------------


def kubectl(lab: Lab, *arguments: str, cluster: str = "") -> str:
    """Return what kubectl says in one of the clusters, or why it does not."""
    which = ["--cluster", cluster] if cluster else []
    done = lab.command("kubectl", *which, "--", *arguments, check=False)
    return (done.stdout or done.stderr).strip()


def secret(lab: Lab, environment: str, cluster: str = "") -> str:
    """Return the value that pods of an environment can read, or what kubectl says instead."""
    what = ["get", "secret", "database", f"--namespace={environment}", "--output=jsonpath={.data.password}"]
    said = kubectl(lab, *what, cluster=cluster)
    return said if "not found" in said else base64.b64decode(said).decode()


@needs_sealed
def test_a_sealed_secret_is_read_in_the_environment_that_it_is_for_alone(lab: Lab, outputs: dict[str, Any]) -> None:
    lab.shell("make seal NAME=database KEY=password ENV=dev", given="for dev\n")
    assert secret(lab, "dev") == "for dev"
    assert "not found" in secret(lab, "staging")
    staging = environments.remote(outputs, environments.find(outputs, "staging"))
    with git.cloned(environments.remote(outputs, environments.find(outputs, "dev"))) as dev:
        text = (dev.root / "overlays/dev/sealed-database.yaml").read_text(encoding="utf-8")
        assert "for dev" not in text
    with git.cloned(staging) as clone:
        sealing.write(clone.root / "overlays/staging", "staging", "database", "password", encrypted(text))
        clone.commit("Take dev's secret to staging")
        clone.push()
    eventually("staging says why", lambda: "no key could decrypt" in unsealed(lab), lambda: unsealed(lab))
    assert "not found" in secret(lab, "staging")
    lab.shell("make rollback ENV=staging")


@needs_sealed
@pytest.mark.parametrize(("namespace", "answer_"), [("dev", "yes"), ("argocd", "no"), ("kube-system", "no")])
def test_what_unseals_may_touch_the_secrets_of_environments_alone(lab: Lab, namespace: str, answer_: str) -> None:
    who = "--as=system:serviceaccount:sealed-secrets:sealed-secrets"
    assert kubectl(lab, "auth", "can-i", "create", "secrets", f"--namespace={namespace}", who) == answer_


def encrypted(text: str) -> str:
    return str(yaml.safe_load(text)["spec"]["encryptedData"]["password"])


def unsealed(lab: Lab) -> str:
    what = ["get", "sealedsecret", "database", "--namespace=staging", "--output=jsonpath={.status.conditions}"]
    return kubectl(lab, *what)


@needs_sealed
def test_a_secret_of_production_needs_an_approval_and_is_in_its_cluster_alone(lab: Lab) -> None:
    said = lab.shell("make seal NAME=database KEY=password ENV=prod", given="for prod").stdout
    assert "waits for an approval" in said
    assert "not found" in secret(lab, "prod", "prod")
    assert "waits for an approval in prod" in fails(lab, "printf x | make seal NAME=database KEY=other ENV=prod")
    lab.shell("make approve ENV=prod")
    eventually("prod has it", lambda: secret(lab, "prod", "prod") == "for prod", lambda: secret(lab, "prod", "prod"))


# --- the second cluster ----------------------------------------------------------------------------------------------


def in_prod(lab: Lab, *arguments: str) -> str:
    """Ask the second cluster, as Argo CD's account there."""
    account = "--as=system:serviceaccount:argocd:argocd-manager"
    kubeconfig = lab.folder / ".lab" / "prod"
    kubeconfig.touch(mode=0o600)
    kubeconfig.write_text(lab.outputs()["clusters"]["prod"], encoding="utf-8")
    # `auth can-i` fails when the answer is no.
    return lab.run("kubectl", f"--kubeconfig={kubeconfig}", *arguments, account, check=False).stdout.strip()


@pytest.mark.parametrize(
    ("verb", "what", "namespace", "may"),
    [
        ("patch", "deployments", "prod", "yes"),
        ("patch", "deployments", "kube-system", "no"),
        ("create", "namespaces", "prod", "no"),
        ("get", "secrets", "prod", "no"),
        ("create", "pods/exec", "prod", "no"),
        ("create", "rolebindings", "prod", "no"),
        ("get", "nodes", "prod", "no"),
    ],
)
def test_argocd_may_do_in_the_second_cluster_what_production_needs(
    lab: Lab, verb: str, what: str, namespace: str, may: str
) -> None:
    assert in_prod(lab, "auth", "can-i", verb, what, f"--namespace={namespace}") == may


def test_production_is_in_the_second_cluster_alone(lab: Lab) -> None:
    assert "flask-app" in lab.shell("make kubectl CLUSTER=prod ARGS='-n prod get deployments'").stdout
    assert "not found" in fails(lab, "make kubectl ARGS='get namespace prod'")
    assert "there is no cluster 'nowhere'" in fails(lab, "make kubectl CLUSTER=nowhere ARGS='get pods'")


def test_production_leaves_its_cluster_with_another_port_alone(lab: Lab) -> None:
    here = {key: value for key, value in ENVIRONMENTS["prod"].items() if key != "cluster"}
    lab.set("environments", ENVIRONMENTS | {"prod": here})
    try:
        said = fails_with_output(lab, "make up")
    finally:
        lab.set("environments", ENVIRONMENTS)
    assert f"Port {PORTS['prod']} is that of the cluster {PROD}" in said
    run_("v2", "v2", "v1")


def test_a_second_cluster_that_does_not_answer_changes_nothing_by_half(lab: Lab, outputs: dict[str, Any]) -> None:
    lab.shell("make promote TO=prod")
    lab.run("docker", "stop", PROD_NODE)
    for line in ("make approve ENV=prod", "make promote TO=prod", "make rollback ENV=prod"):
        assert "nothing was changed: prod can't run anything now" in fails(lab, line), line
    said = fails_with_output(lab, "make status")
    assert "NOT OK  cluster prod" in said
    assert environments.pull_request(outputs, environments.find(outputs, "prod"))
    lab.shell("make up")
    run_("v2", "v2", "v1")


def test_a_second_cluster_that_is_lost_comes_back_in_the_version_that_was_synced_last(
    lab: Lab, outputs: dict[str, Any]
) -> None:
    request = environments.pull_request(outputs, environments.find(outputs, "prod"))
    assert request is not None
    environments.approve(outputs, request)  # Git has v2 by now, and nobody has it synced
    lab.run("k3d", "cluster", "delete", PROD)
    said = lab.shell("make up").stdout
    assert "prod is synced to" in said
    run_("v2", "v2", "v1")
    assert "v2 waits to be synced: make approve ENV=prod" in status(lab)
    lab.shell("make approve ENV=prod")
    run_("v2", "v2", "v2")


# --- loss, growth and the end ----------------------------------------------------------------------------------------


def test_a_fourth_environment_is_one_entry_and_lost_clusters_come_back_in_the_versions_of_git(lab: Lab) -> None:
    run_("v2", "v2", "v2")
    lab.run("k3d", "cluster", "delete", CLUSTER, PROD)
    lab.set("sealingKeys", 2)
    more = {"qa": {"port": PORTS["qa"], "after": "dev"}, "prod": ENVIRONMENTS["prod"] | {"port": PORTS["other"]}}
    lab.set("environments", ENVIRONMENTS | more)
    lab.shell("make up")
    assert [version(each) for each in ("dev", "staging", "other", "qa")] == ["v2", "v2", "v2", "v1"]
    lab.shell("make promote TO=qa")
    assert version("qa") == "v2"


@needs_sealed
def test_lost_clusters_have_their_secrets_again_and_a_further_key_leaves_them_readable(lab: Lab) -> None:
    assert (secret(lab, "dev"), secret(lab, "prod", "prod")) == ("for dev", "for prod")
    lab.shell("make seal NAME=database KEY=password ENV=dev", given="with the second key")
    assert secret(lab, "dev") == "with the second key"


@needs_sealed
def test_no_sealing_key_is_in_the_state_in_plain_text(lab: Lab) -> None:
    state = lab.run("pulumi", "stack", "export", "--stack", "platform").stdout
    assert "BEGIN CERTIFICATE" in state
    assert "PRIVATE KEY" not in state


def test_no_password_is_in_the_state_in_plain_text(lab: Lab) -> None:
    state = lab.run("pulumi", "stack", "export", "--stack", "platform").stdout
    found = lab.outputs()["accounts"]
    assert set(found) == {DEVELOPER, RELEASER, VIEWER}
    assert not [who for who, password in found.items() if password in state]


def test_destroy_in_the_middle_of_a_job_leaves_nothing_and_keeps_what_was_pushed(
    lab: Lab, outputs: dict[str, Any], before: dict[str, set[str]], tmp_path: Path
) -> None:
    if not NO_CI:
        push_code(lab, outputs, "<h1>", "<h1> ", tmp_path)
        eventually("a job runs", lambda: bool(jobs()), lambda: str(there()["containers"]))
    said = lab.shell("make destroy")
    assert "kept what was pushed to Git" in said.stdout + said.stderr
    keys = sorted((lab.folder / ".lab" / "backups" / "sealing-keys").glob("*.pem"))
    assert [each.name.rpartition("-")[0] for each in keys] == ([f"{CLUSTER}-1", f"{CLUSTER}-2"] if sealed() else [])
    assert all("BEGIN ENCRYPTED PRIVATE KEY" in each.read_text(encoding="utf-8") for each in keys)
    after = there()
    after["volumes"] -= {*platform.kept(SETTINGS), f"{CLUSTER}-registry"}
    assert left(before, after) == {}
