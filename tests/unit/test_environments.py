"""Environments as data: what the settings make of them, in the cluster, in Git, and of who may do what."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest
import yaml

from components.core import kube
from components.core.errors import LabError
from components.gitops import git_provider, manifests
from components.gitops.environments import policy
from components.gitops.git_content import Content
from devtools import graph
from lab.commands import promote
from lab.host import paths
from lab.live import environments
from tests.unit import fakes, repositories

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

pytestmark = pytest.mark.unit

DEV = {"port": 30001}
STAGING = {"port": 30011, "after": "dev"}
PROD = {"port": 30021, "after": "staging", "sync": "manual", "approvals": 1}


def refused(**settings: Any) -> str:  # noqa: ANN401 - any JSON
    with pytest.raises(LabError) as error:
        graph.build("platform", paths.ROOT, settings)
    return str(error.value)


@pytest.fixture(scope="module")
def made(build: Callable[..., graph.Graph]) -> graph.Graph:
    return build("platform")


def inputs_of(made: graph.Graph, kind: str, name: str) -> dict[str, Any]:
    (found,) = [
        each.inputs
        for each in made.nodes
        if each.inputs.get("kind") == kind and each.inputs["metadata"]["name"] == name
    ]
    return found


# --- settings --------------------------------------------------------------------------------------------------------


def test_their_order_is_said_by_what_comes_after_what() -> None:
    # As the engine hands it over: Go sorts the keys.
    found = fakes.outputs("platform", environments={"a-prod": {**PROD, "after": "dev"}, "dev": DEV})
    assert [each["name"] for each in found["environments"]] == ["dev", "a-prod"]


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"dev": {**DEV, "port": 80}}, "environments.dev.port' -- VALUE"),
        ({"dev": {**DEV, "sync": "sometimes"}}, "expected auto or manual"),
        ({"dev": {**DEV, "approvals": 2}}, "expected 0 or 1 approval"),
        (
            {"dev": DEV, "staging": {**STAGING, "approvals": 1}, "prod": PROD},
            "one of them with approvals",
        ),
        ({"dev": {**DEV, "approvals": -1}}, "expected 0 or 1 approval"),
        ({"dev": {}}, "expected a port"),
        ({"dev": {**DEV, "colour": "blue"}}, "expected a port"),
        ({"Dev": DEV}, "names are of lower case letters"),
        ({"dev": DEV, "staging": {"port": 30011}}, "one environment alone without after"),
        ({"dev": DEV, "staging": {**STAGING, "after": "nowhere"}}, "after of staging to name an environment"),
        ({"a": {**STAGING, "after": "b"}, "b": {**DEV, "after": "a"}}, "after of a to name an environment"),
        ({"dev": DEV, "staging": {**STAGING, "port": 30001}}, "a port of its own"),
        ({"dev": {"port": 30002}}, "a port of its own, but iot:"),
        ({"argocd": DEV}, "a name that no namespace"),
        ({"kube-system": DEV}, "a name that no namespace"),
        ("dev", "expected environments by name"),
    ],
)
def test_what_is_wrong_with_them_is_said_before_anything_is_made(given: object, words: str) -> None:
    said = refused(environments=given)
    assert said.startswith("iot:environments is ")
    assert words in said
    assert "Fix: pulumi config set" in said


def test_they_are_made_in_the_embedded_git_server_alone() -> None:
    said = refused(gitUrl="https://example.org/me/iot")
    assert "iot:gitUrl is 'https://example.org/me/iot'" in said
    assert "pulumi config rm iot:gitUrl" in said


@pytest.mark.parametrize(
    ("says", "words"),
    [
        ("The connection to the server 127.0.0.1:6551 was refused", r"the cluster does not answer \(.* Fix: make up, "),
        (fakes.OTHER_TIME, r"the cluster's certificate is not valid at .* Fix: set the clock right; "),
    ],
)
def test_what_can_not_be_run_now_stops_a_change_of_git_with_the_fix_of_what_is_in_the_way(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, says: str, words: str
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    outputs = fakes.outputs("platform")
    prod = environments.find(outputs, "prod")
    fakes.kubectl(tmp_path, {"namespace prod": says})
    outputs["clusters"] = {prod.cluster: "a-kubeconfig"}
    with pytest.raises(LabError, match=rf"^nothing was changed: prod can't run anything now\. {words}"):
        environments.require_cluster(outputs, prod)


# --- the cluster -----------------------------------------------------------------------------------------------------


# Of Rollouts also where there are none: Argo CD would leave one alone that was there before.
KINDS = {"Deployment", "Service", "SealedSecret", "Rollout", "AnalysisTemplate"}


@pytest.mark.parametrize(
    ("name", "server", "kinds"),
    [
        ("dev", "https://kubernetes.default.svc", KINDS),
        ("staging", "https://kubernetes.default.svc", KINDS),
        ("prod", "https://k3d-iot-platform-prod-server-0:6443", KINDS),
    ],
)
def test_an_environment_can_change_its_own_namespace_alone(
    made: graph.Graph, name: str, server: str, kinds: set[str]
) -> None:
    project = inputs_of(made, "AppProject", name)["spec"]
    assert project["destinations"] == [{"server": server, "namespace": name}]
    assert project["sourceRepos"] == ["http://git.iot.internal:3000/iot/gitops.git"]
    assert project["clusterResourceWhitelist"] == []
    assert {each["kind"] for each in project["namespaceResourceWhitelist"]} == kinds
    labels = inputs_of(made, "Namespace", name)["metadata"]["labels"]
    assert labels["pod-security.kubernetes.io/enforce"] == "restricted"


def test_every_environment_has_a_quota(made: graph.Graph) -> None:
    quotas = [each.inputs for each in made.nodes if each.inputs.get("kind") == "ResourceQuota"]
    assert {each["metadata"]["namespace"] for each in quotas} == {"dev", "staging", "prod"}


def test_the_root_brings_applications_and_nothing_else(made: graph.Graph) -> None:
    project = inputs_of(made, "AppProject", "environments")["spec"]
    assert project["namespaceResourceWhitelist"] == [{"group": "argoproj.io", "kind": "Application"}]
    application = inputs_of(made, "Application", "environments")["spec"]
    assert (application["source"]["targetRevision"], application["source"]["path"]) == (
        "refs/heads/main",
        "apps",
    )


def test_what_git_brings_is_in_the_project_of_its_own_name(made: graph.Graph) -> None:
    spec = inputs_of(made, "ValidatingAdmissionPolicy", "iot-applications")["spec"]
    assert spec["failurePolicy"] == "Fail"
    as_before = "(oldObject != null && object.spec == oldObject.spec)"
    assert [each["expression"] for each in spec["validations"]] == [
        f"{as_before} || object.spec.project == object.metadata.name",
        f"{as_before} || object.metadata.name in ['dev', 'staging', 'prod']",
    ]
    (rule,) = spec["matchConstraints"]["resourceRules"]
    assert rule["operations"] == ["CREATE", "UPDATE"]
    assert inputs_of(made, "ValidatingAdmissionPolicyBinding", "iot-applications")["spec"]["validationActions"] == [
        "Deny"
    ]


def test_accounts_take_the_administrators_place(made: graph.Graph, build: Callable[..., graph.Graph]) -> None:
    release = made.named("argocd-release")
    configs = release.inputs["values"]["configs"]
    assert configs["cm"]["admin.enabled"] == "false"
    assert {key: value for key, value in configs["cm"].items() if key.startswith("accounts.")} == {
        "accounts.developer": "login",
        "accounts.releaser": "login",
        "accounts.viewer": "login",
    }
    assert configs["rbac"]["policy.default"] == ""
    (plain,) = build("p3").of_type("kubernetes:helm.sh/v3:Release")
    assert plain.inputs["values"]["configs"]["cm"]["admin.enabled"] == "true"
    assert "policy.csv" not in plain.inputs["values"]["configs"]["rbac"]


def test_who_may_sync_what_needs_an_approval_may_not_sync_the_rest() -> None:
    found = environments.of(fakes.outputs("platform"))
    lines = policy(tuple(found)).splitlines()  # type: ignore[arg-type] # has the same fields
    syncs = {line for line in lines if ", sync, " in line}
    assert syncs == {
        "p, role:developer, applications, sync, dev/dev, allow",
        "p, role:developer, applications, sync, staging/staging, allow",
        "p, role:releaser, applications, sync, prod/prod, allow",
    }
    acts = {line for line in lines if ", action/" in line}
    assert acts == {
        f"p, role:{who}, applications, action/argoproj.io/Rollout/{what}, {where}/{where}, allow"
        for who, where in (("developer", "staging"), ("releaser", "prod"))
        for what in ("abort", "resume", "retry")  # and not promote-full, which skips what a version has to prove
    }
    others = {line.split(", ")[3] for line in {*lines} - acts if line.startswith("p, ")} - {"sync"}
    assert others == {"get"}


def test_one_password_is_for_both_argocd_and_git(made: graph.Graph) -> None:
    given = made.named("gitea-server").inputs["passwords"]
    assert given["developer"] == {"secret": f"{graph.STAND_IN}-value-of-accounts-developer"}
    secret = str(made.named("argocd-release").inputs["values"]["configs"]["secret"])
    assert f"{graph.STAND_IN}-bcrypt-of-accounts-developer" in secret
    assert f"{graph.STAND_IN}-value-of-accounts-developer" not in secret


# --- further clusters ------------------------------------------------------------------------------------------------


def test_argocd_has_the_rights_that_an_environment_needs_in_its_cluster_and_no_others(made: graph.Graph) -> None:
    roles = [each for each in made.nodes if each.inputs.get("kind") in {"Role", "ClusterRole", "ClusterRoleBinding"}]
    (role,) = [each for each in roles if each.inputs["metadata"]["name"] == "argocd-manager"]
    assert (role.inputs["kind"], role.inputs["metadata"]["namespace"]) == ("Role", "prod")
    assert "iot-cluster-prod-provider" in role.provider
    changes = {
        each
        for rule in role.inputs["rules"]
        if set(rule["verbs"]) - {"get", "list", "watch"}
        for each in rule["resources"]
    }
    assert changes == {"deployments", "services", "sealedsecrets", "rollouts", "rollouts/status", "analysistemplates"}
    seen = {each for rule in role.inputs["rules"] for each in rule["resources"]}
    assert not seen & {"secrets", "serviceaccounts", "pods/exec", "*"}


def test_argocd_is_told_of_a_cluster_by_a_secret_with_the_accounts_token(made: graph.Graph) -> None:
    secret = made.named("cluster-prod-cluster")
    assert "iot-cluster-provider" in secret.provider
    data = secret.inputs["stringData"]["secret"]
    assert (data["server"], data["namespaces"], data["clusterResources"]) == (
        "https://k3d-iot-platform-prod-server-0:6443",
        "prod",
        "false",
    )
    assert json.loads(data["config"])["bearerToken"] == graph.STAND_IN


def test_an_environment_in_a_further_cluster_is_published_there_alone(made: graph.Graph) -> None:
    def published(name: str) -> str:
        return str(json.loads(made.named(name).inputs["config"])["ports"])

    assert "30021" in published("iot-cluster-prod-nodes")
    assert "30021" not in published("iot-cluster-nodes")
    assert json.loads(made.named("iot-cluster-prod-nodes").inputs["config"])["network"] == "iot-platform"


def test_what_goes_to_a_further_cluster_waits_until_it_is_nowhere_else(made: graph.Graph) -> None:
    # The engine may be deleting it there, with that cluster, and would have it in its state twice.
    namespace = made.named("prod-namespace")
    assert "iot-cluster-prod-provider" in namespace.provider
    assert any(urn.endswith("::iot-cluster-provider") for urn in namespace.depends_on)
    assert namespace.urn in made.named("prod-quota").depends_on
    assert namespace.urn in made.named("prod-ingress-deny").depends_on
    assert not [each for each in made.nodes if each.name.endswith("-left")]  # goes with the cluster


@pytest.fixture
def existing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> graph.Graph:
    """Make the graph of a platform whose production is in an existing cluster."""
    monkeypatch.setattr(kube, "identity_of", lambda _path, context: f"uid of {context}")
    kubeconfig = tmp_path / "config"
    kubeconfig.write_text(graph._KUBECONFIG.replace("127.0.0.1", "192.0.2.1"), encoding="utf-8")  # noqa: SLF001 - as above
    prod = {**PROD, "after": "dev", "cluster": "prod"}
    settings = {
        "clusters": {"prod": {"kubeconfig": str(kubeconfig)}},
        "environments": {"dev": DEV, "prod": prod},
        "ci": False,
        "appImage": "registry.example/app:v1",
    }
    return graph.build("platform", paths.ROOT, settings)


def test_what_argocd_made_in_an_existing_cluster_goes_after_its_way_in(existing: graph.Graph) -> None:
    left = existing.named("cluster-prod-prod-left")
    assert left.inputs["delete"].endswith("components.gitops.leave_namespace")
    assert left.inputs["environment"]["KINDS"] == "Deployment Service SealedSecret"
    # What depends on it is deleted before it: Argo CD would otherwise make it once more.
    assert left.urn in existing.named("cluster-prod-cluster").depends_on
    assert left.urn not in existing.named("cluster-prod-prod-role").depends_on


def test_that_production_goes_to_an_existing_cluster_does_not_replace_argocds(existing: graph.Graph) -> None:
    ports = json.loads(existing.named("iot-cluster-nodes").inputs["config"])["ports"]
    assert "30021" in str(ports)
    assert any(urn.endswith("::iot-cluster-provider") for urn in existing.named("prod-namespace").depends_on)


def test_without_further_clusters_all_of_them_are_in_one() -> None:
    found = graph.build("platform", paths.ROOT, {"environments": {"dev": DEV, "prod": {**PROD, "after": "dev"}}})
    assert [each.name for each in found.of_type("pulumi-python:dynamic/k3d:Nodes")] == ["iot-cluster-nodes"]
    assert "clusters" not in found.outputs


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"clusters": {"prod": {}}}, "expected an apiPort"),
        ({"clusters": {"prod": {"apiPort": 6551, "kubeconfig": "x"}}}, "expected an apiPort"),
        ({"clusters": {"prod": {"apiPort": 6550}}}, "a port of its own, but iot:apiPort has it"),
        ({"clusters": {"other": {"apiPort": 6551}}}, "expected one of iot:clusters (other) as the cluster of prod"),
        ({"clusters": {"prod": {"kubeconfig": "/nowhere"}}}, "expected a kubeconfig"),
        ({"clusters": {"Prod": {"apiPort": 6551}}}, "expected clusters by name"),
        ({"clusterName": "a-name-that-is-nearly-too-long-x"}, "at most 32 characters behind"),
    ],
)
def test_what_is_wrong_with_clusters_is_said_before_anything_is_made(settings: dict[str, Any], words: str) -> None:
    assert words in refused(**settings)


def test_an_existing_cluster_gets_images_of_a_registry_that_it_can_reach(tmp_path: Path) -> None:
    kubeconfig = tmp_path / "config"
    kubeconfig.write_text(graph._KUBECONFIG, encoding="utf-8")  # noqa: SLF001 - the stand-in of a cluster
    clusters = {"prod": {"kubeconfig": str(kubeconfig)}}
    kept = {"clusters": clusters, "environments": {"dev": DEV, "prod": PROD | {"after": "dev", "cluster": "prod"}}}
    assert "can't reach the registry of this host" in refused(**kept)
    assert "can't be given a built one" in refused(**kept, ci=False)
    said = refused(**kept, ci=False, appImage="registry.example/app:v1")
    assert "answers at https://127.0.0.1:6443" in said
    assert "name its address on the network" in said


# --- Git -------------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def repository(made: graph.Graph) -> dict[str, Any]:
    found: dict[str, Any] = made.named("gitea-server").inputs["repositories"]["gitops"]
    return found


def test_each_branch_has_the_base_and_what_follows_it(repository: dict[str, Any]) -> None:
    base = {"base/deployment.yaml", "base/kustomization.yaml"}
    assert {branch: set(files) - base for branch, files in repository["branches"].items()} == {
        "main": {
            "overlays/prod/kustomization.yaml",
            *(f"apps/{each}.yaml" for each in ("dev", "staging", "prod")),
            *(f"delivery/canary/{each}.yaml" for each in ("analysis", "kustomization", "rollout")),
        },
        "env/dev": {"overlays/dev/kustomization.yaml"},
        "env/staging": {
            "overlays/staging/kustomization.yaml",
            *(f"delivery/blue-green/{each}.yaml" for each in ("analysis", "kustomization", "preview", "rollout")),
        },
    }
    for files in repository["branches"].values():
        assert base <= set(files)


def test_an_application_follows_its_branch_and_is_in_its_own_project(repository: dict[str, Any]) -> None:
    for name, branch in (("dev", "env/dev"), ("staging", "env/staging"), ("prod", "main")):
        found = yaml.safe_load(repository["branches"]["main"][f"apps/{name}.yaml"])
        assert (
            found["metadata"]["name"] == found["spec"]["project"] == found["spec"]["destination"]["namespace"] == name
        )
        assert (found["spec"]["source"]["targetRevision"], found["spec"]["source"]["path"]) == (
            f"refs/heads/{branch}",  # and not a tag of its name
            f"overlays/{name}",
        )
        assert ("automated" in found["spec"]["syncPolicy"]) is (name != "prod")


def test_an_overlay_says_the_version(repository: dict[str, Any]) -> None:
    text = repository["branches"]["env/staging"]["overlays/staging/kustomization.yaml"]
    found = yaml.safe_load(text)
    assert found["images"] == [{"name": "localhost:5001/flask-app", "newTag": "v1"}]
    assert "patches" not in found
    changed = manifests.set_tag(text, "kustomization.yaml", "localhost:5001/flask-app", "1234567")
    # A commit's ID of digits alone stays a text.
    assert yaml.safe_load(changed)["images"][0]["newTag"] == "1234567"
    assert [a for a, b in zip(text.splitlines(), changed.splitlines(), strict=True) if a != b] == ['  newTag: "v1"']


def test_the_port_is_a_setting_that_no_commit_of_people_has(repository: dict[str, Any]) -> None:
    """Otherwise an environment that gets another port, as with a move to another cluster, would not answer there."""
    application = yaml.safe_load(repository["branches"]["main"]["apps/staging.yaml"])
    (patch,) = application["spec"]["source"]["kustomize"]["patches"]
    assert patch["target"] == {"kind": "Service", "name": "flask-app"}
    (change,) = yaml.safe_load(patch["patch"])
    assert change == {"op": "replace", "path": "/spec/ports/0/nodePort", "value": 30011}


def test_a_tag_without_quotes_gets_them_where_yaml_would_take_it_for_a_number() -> None:
    text = "images:\n- name: a\n  newName: b/c\n  newTag: v1 # ours\n"
    assert manifests.images(text, "kustomization.yaml") == ["b/c:v1"]
    assert '  newTag: "1.10" # ours\n' in manifests.set_tag(text, "kustomization.yaml", "b/c", "1.10")
    assert "  newTag: v2 # ours\n" in manifests.set_tag(text, "kustomization.yaml", "b/c", "v2")
    with pytest.raises(LabError, match=r"No container in kustomization\.yaml runs the image b/d"):
        manifests.set_tag(text, "kustomization.yaml", "b/d", "v2")


def test_what_needs_an_approval_is_pushed_by_nobody(repository: dict[str, Any]) -> None:
    rules = {each["branch"]: each for each in repository["rules"]}
    assert rules["main"]["pushers"] == ["iot"]
    assert (rules["main"]["approvals"], rules["main"]["approvers"]) == (1, ["releaser"])
    assert rules["env/staging"]["pushers"] == ["developer", "iot"]
    assert rules["env/dev"]["pushers"] == ["developer", "iot", "ci"]
    assert rules["**"]["pushers"] == ["developer", "iot"]
    assert rules["**"]["force"]
    assert not rules["main"]["force"]
    assert repository["members"] == {"argocd": "read", "developer": "write", "releaser": "write", "ci": "write"}


# --- promotion -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("source", "to", "words"),
    [
        ("", "nowhere", r"there is no environment 'nowhere'.*there are dev, staging, prod"),
        ("", "", "no environment was named"),
        ("dev", "dev", "can't be promoted to itself"),
        ("dev", "prod", r"prod takes its versions from staging.*make promote TO=staging first"),
        ("staging", "dev", r"dev is the first environment.*make rollback ENV=dev"),
        ("prod", "staging", r"prod comes after staging.*make rollback ENV=staging"),
        ("", "dev", "dev is the first environment"),
    ],
)
def test_a_version_goes_one_step_forward(source: str, to: str, words: str) -> None:
    outputs = fakes.outputs("platform")
    with pytest.raises(LabError, match=words):
        promote.source_of(outputs, environments.find(outputs, to), source)


def test_a_step_may_be_named_by_its_end_alone() -> None:
    outputs = fakes.outputs("platform")
    for source in ("", "staging"):
        assert promote.source_of(outputs, environments.find(outputs, "prod"), source).name == "staging"


def test_a_stack_without_environments_says_so() -> None:
    with pytest.raises(LabError, match=r"^this stack has no environments.*STACK=platform"):
        environments.find(fakes.outputs("p3"), "dev")


# --- another branch --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("before", "after"), [(0, 1), (1, 0)])
def test_an_environment_that_gets_approvals_or_loses_them_keeps_its_version(
    before: int, after: int, build: Callable[..., graph.Graph], tmp_path: Path
) -> None:
    def repository_(approvals: int) -> dict[str, Any]:
        made = build("platform", environments={"dev": DEV, "prod": {**PROD, "after": "dev", "approvals": approvals}})
        found: dict[str, Any] = made.named("gitea-server").inputs["repositories"]["gitops"]
        return found

    def branch(approvals: int) -> str:
        return "main" if approvals else "env/prod"

    origin = tmp_path / "gitops.git"
    repositories.git(tmp_path, "init", "--quiet", "--bare", "--initial-branch=main", str(origin))
    repositories.git(origin, "config", "http.receivepack", "true")
    with repositories.served(origin, {"iot": "hush"}, writers=("iot",)) as url:
        content = Content(url, "hush")
        git_provider._fill(content, "gitops", repository_(before), "")  # noqa: SLF001
        path = "overlays/prod/kustomization.yaml"
        begun = content.files(branch(before))
        released = {**begun, path: begun[path].replace('"v1"', '"v7"')}
        content.keep(branch(before), released, "overlays/prod", "Run v7")
        # There and back: what is at the first branch from before is out of date by then.
        for approvals, version in ((after, "v7"), (before, "v8")):
            git_provider._fill(content, "gitops", repository_(approvals), "")  # noqa: SLF001
            now = branch(approvals)
            application = yaml.safe_load(content.files("main")["apps/prod.yaml"])
            assert application["spec"]["source"]["targetRevision"] == f"refs/heads/{now}"
            files = content.files(now)
            assert f'newTag: "{version}"' in files[path]
            content.keep(now, {path: files[path].replace('"v7"', '"v8"')}, "overlays/prod", "Run v8")
        git_provider._fill(content, "gitops", repository_(before), "")  # noqa: SLF001
        assert 'newTag: "v8"' in content.files(branch(before))[path]
