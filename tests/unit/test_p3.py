"""What must hold of everything that p3 asks for, whatever its settings are."""

from __future__ import annotations

import itertools
import json
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias

import pytest
import yaml

from components.core import versions
from components.core.names import IMAGE
from devtools import graph

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

pytestmark = pytest.mark.unit

ROOT = Path(__file__).resolve().parents[2]
KUBECONFIG = {
    "apiVersion": "v1",
    "kind": "Config",
    "current-context": "mine",
    "contexts": [{"name": "mine", "context": {"cluster": "c", "user": "u"}}, {"name": "other", "context": {}}],
    "users": [{"name": "u", "user": {"token": graph.STAND_IN}}],
}
GITHUB = "https://github.com/me/iot"
Build: TypeAlias = "Callable[..., graph.Graph]"


@pytest.fixture(scope="module")
def kubeconfig(tmp_path_factory: pytest.TempPathFactory) -> str:
    path = tmp_path_factory.mktemp("cluster") / "config"
    path.write_text(yaml.safe_dump(KUBECONFIG), encoding="utf-8")
    return str(path)


@pytest.fixture(scope="module")
def embedded(build: Build) -> graph.Graph:
    return build("p3")


@pytest.fixture(scope="module")
def github(build: Build) -> graph.Graph:
    return build("p3", gitUrl=GITHUB)


@pytest.fixture(scope="module")
def existing(build: Build, kubeconfig: str) -> graph.Graph:
    return build("p3", kubeconfig=kubeconfig, gitUrl=GITHUB, appImage="broly20/flask-app-p3:v2")


@pytest.fixture(scope="module", params=["embedded", "github", "existing", "registry"])
def any_p3(request: pytest.FixtureRequest, build: Build) -> graph.Graph:
    """Every way to run p3; what is asserted of this holds for all of them."""
    if request.param == "registry":
        return build("p3", appImage="registry.example:5000/team/app:1.0", servers=3, agentNodes=2)
    found: graph.Graph = request.getfixturevalue(request.param)
    return found


def in_cluster(of: graph.Graph) -> list[graph.Node]:
    return [node for node in of.nodes if node.type.startswith("kubernetes:")]


def commands(of: graph.Graph) -> list[graph.Node]:
    return of.of_type("command:local:Command")


def plain(value: Any, path: str = "") -> Iterator[tuple[str, str]]:  # noqa: ANN401 - any JSON
    """Yield every text that is not a secret, with where it is."""
    if isinstance(value, dict):
        if set(value) == {"secret"}:
            return
        for key, each in value.items():
            yield from plain(each, f"{path}.{key}")
    elif isinstance(value, (list, tuple)):
        for index, each in enumerate(value):
            yield from plain(each, f"{path}[{index}]")
    else:
        yield path, str(value)


def spec_of(of: graph.Graph, kind: str) -> dict[str, Any]:
    (node,) = (each for each in in_cluster(of) if each.inputs.get("kind") == kind)
    spec: dict[str, Any] = node.inputs["spec"]
    return spec


def images_of(node: graph.Node) -> list[str]:
    """Return the images that a resource names."""
    found = str(node.inputs.get("environment", {}).get("IMAGES", "")).split()
    found += [str(value) for path, value in plain(node.inputs) if re.search(r"\.(image|imageName|PYTHON_IMAGE)$", path)]
    found += [str(each) for each in node.inputs.get("images", [])]
    if "config" in node.inputs:
        found.append(json.loads(node.inputs["config"])["image"])
    return found


# --- where everything belongs ----------------------------------------------------------------------------------------


def test_everything_in_the_cluster_goes_through_the_one_explicit_provider(any_p3: graph.Graph) -> None:
    (provider,) = any_p3.of_type("pulumi:providers:kubernetes")

    assert in_cluster(any_p3)
    for node in in_cluster(any_p3):
        assert node.provider.startswith(f"{provider.urn}::"), node.name


@pytest.mark.parametrize("ours", ["embedded", "github"])
def test_all_that_is_made_in_our_own_cluster_goes_when_its_nodes_go(ours: str, request: pytest.FixtureRequest) -> None:
    of: graph.Graph = request.getfixturevalue(ours)
    (nodes,) = of.of_type("pulumi-python:dynamic/k3d:Nodes")
    (provider,) = of.of_type("pulumi:providers:kubernetes")

    assert provider.deleted_with == nodes.urn
    for node in [*in_cluster(of), *commands(of)]:
        if not node.read:
            # By way of the provider: see Cluster.lifetime.
            assert node.deleted_with == provider.urn, node.name


def test_images_are_brought_in_the_order_of_need(embedded: graph.Graph) -> None:
    (nodes,) = embedded.of_type("pulumi-python:dynamic/k3d:Nodes")
    loads = [embedded.named(f"{name}-images-load") for name in ("argocd", "flask-app")]

    assert all(nodes.urn in load.depends_on for load in loads)
    assert all(sooner.urn in later.depends_on for sooner, later in itertools.pairwise(loads))


def test_only_components_are_at_the_top(any_p3: graph.Graph) -> None:
    components = {node.urn for node in any_p3.nodes if not node.custom}
    top = [node for node in any_p3.nodes if node.parent not in components]

    assert all(node.type.startswith("iot:") and not node.custom for node in top)


def test_a_name_is_used_once_for_each_type_and_begins_with_its_components_name(any_p3: graph.Graph) -> None:
    names = [(node.type, node.name) for node in any_p3.nodes]
    of_component = {node.urn: node.name for node in any_p3.nodes if not node.custom}

    assert len(names) == len(set(names))
    for node in any_p3.nodes:
        if node.custom and node.parent in of_component:
            assert node.name.startswith(f"{of_component[node.parent]}-"), node.urn


def test_nothing_is_protected_or_aliased(any_p3: graph.Graph) -> None:
    for node in any_p3.nodes:
        assert "protect" not in node.options, node.name
        # Pulumi's own packages put empty ones there.
        assert not any(node.options.get("aliases", [])), node.name


# --- secrets ---------------------------------------------------------------------------------------------------------


def test_no_secret_is_plain_text_in_any_input(any_p3: graph.Graph) -> None:
    for node in any_p3.nodes:
        for path, value in plain(node.inputs):
            # How often an image was built is no secret.
            assert graph.STAND_IN not in value.replace(f"{graph.STAND_IN}-generation-of-", ""), f"{node.name}{path}"


def test_no_secret_is_plain_text_in_the_outputs(any_p3: graph.Graph) -> None:
    for path, value in plain(any_p3.outputs):
        assert graph.STAND_IN not in value, path
    for name in ("kubeconfig", "argocdPassword"):
        assert graph.STAND_IN in str(any_p3.outputs[name]["secret"]), name


def test_no_command_line_has_a_value_in_it(any_p3: graph.Graph) -> None:
    for node in commands(any_p3):
        assert re.fullmatch(r"\.venv/bin/python -m components(\.\w+){2}", node.inputs["create"]), node.name
        assert node.inputs["delete"] == ":", node.name


def test_secrets_are_found_by_these_tests_at_all(embedded: graph.Graph) -> None:
    secret = json.dumps([node.inputs for node in embedded.nodes])

    for name in ("argocd-webhook", "argocd-redis", "gitea-owner", "gitea-reader"):
        assert f"{graph.STAND_IN}-value-of-{name}" in secret
    assert dict(plain({"a": {"secret": "x"}, "b": ["y"]})) == {".b[0]": "y"}


def test_passwords_are_declared_secret_so_that_the_state_encrypts_them(any_p3: graph.Graph) -> None:
    for node in any_p3.of_type("pulumi-python:dynamic/random:Secret"):
        assert "value" in node.options["secretOutputs"], node.name
    for node in any_p3.of_type("pulumi-python:dynamic/k3d:Nodes"):
        assert node.options["secretOutputs"] == ["kubeconfig"], node.name


def test_every_password_is_another_one(embedded: graph.Graph) -> None:
    values = [node.name for node in embedded.of_type("pulumi-python:dynamic/random:Secret")]
    server = embedded.named("gitea-server").inputs
    secrets = [server["owner_password"], server["webhook_secret"], *server["passwords"].values()]
    given = {each["secret"] for each in secrets}

    assert len(set(values)) == len(values) == 5
    assert given == {f"{graph.STAND_IN}-value-of-{name}" for name in ("gitea-owner", "gitea-reader", "argocd-webhook")}


# --- images ----------------------------------------------------------------------------------------------------------


def test_no_image_is_latest_or_without_a_tag(any_p3: graph.Graph) -> None:
    named = [(node.name, image) for node in any_p3.nodes for image in images_of(node)]

    for name, image in named:
        match = IMAGE.fullmatch(image)
        assert match, (name, image)
        assert match["tag"] not in (None, "latest"), (name, image)


def test_the_word_latest_is_nowhere(any_p3: graph.Graph) -> None:
    for node in any_p3.nodes:
        for path, value in plain(node.inputs):
            assert "latest" not in value, f"{node.name}{path}"


@pytest.mark.parametrize("way", ["embedded", "github"])
def test_every_image_is_one_that_versions_names(way: str, request: pytest.FixtureRequest) -> None:
    known = {value for key, value in vars(versions).items() if key.endswith("_IMAGE")}
    known |= {f"{versions.APP_REPOSITORY}:{version}" for version in versions.APP_VERSIONS}
    of: graph.Graph = request.getfixturevalue(way)

    found = {image for node in of.nodes for image in images_of(node)}
    assert len(found) >= 6
    assert found <= known


def test_images_are_in_the_nodes_before_anything_runs_them(embedded: graph.Graph) -> None:
    waits = {
        "argocd-release": "argocd-images-load",
        "flask-app-application": "flask-app-images-load",
    }
    for name, load in waits.items():
        custom = [node for node in embedded.nodes if node.name == name and node.custom]
        assert embedded.named(load).urn in custom[0].depends_on, name


def test_every_image_that_the_lab_runs_is_brought_into_the_nodes(embedded: graph.Graph) -> None:
    brought = {image for node in commands(embedded) for image in images_of(node)}

    assert brought == {
        versions.ARGOCD_IMAGE,
        versions.REDIS_IMAGE,
        *(f"{versions.APP_REPOSITORY}:{version}" for version in versions.APP_VERSIONS),
    }


def test_a_changed_image_is_brought_again(embedded: graph.Graph) -> None:
    load = embedded.named("flask-app-images-load")

    assert sum("@sha256:" in str(trigger) for trigger in load.inputs["triggers"]) == len(versions.APP_VERSIONS)
    assert "environment" in load.options["replaceOnChanges"]


def test_what_is_independent_does_not_wait_for_each_other(embedded: graph.Graph) -> None:
    """The image's build beside the cluster's creation, and Git beside both."""
    by_urn = {node.urn: node for node in embedded.nodes}

    def before(node: graph.Node) -> set[str]:
        direct = {*node.depends_on, node.provider.rpartition("::")[0]} & set(by_urn)
        return direct.union(*(before(by_urn[urn]) for urn in direct))

    def named(name: str) -> graph.Node:
        return next(node for node in embedded.nodes if node.name == name and node.custom)

    nodes, release, server = named("iot-cluster-nodes"), named("argocd-release"), named("gitea-server")
    assert nodes.urn not in before(named("flask-app-v1"))
    assert named("flask-app-v1").urn not in before(nodes) | before(release) | before(server)
    assert not {nodes.urn, release.urn} & before(server)
    assert server.urn not in before(nodes) | before(release)


# --- commands --------------------------------------------------------------------------------------------------------


def test_every_command_says_how_it_is_created_deleted_and_when_it_runs_again(any_p3: graph.Graph) -> None:
    assert commands(any_p3)
    for node in commands(any_p3):
        assert {"create", "delete", "triggers"} <= set(node.inputs), node.name
        assert node.options["deleteBeforeReplace"] is True, node.name


def test_every_command_runs_again_when_its_script_or_its_cluster_is_another_one(any_p3: graph.Graph) -> None:
    made = any_p3.of_type("pulumi-python:dynamic/k3d:Nodes")
    (cluster,) = made or any_p3.of_type("pulumi:providers:kubernetes")
    identity = f"{cluster.name}-id"
    for node in commands(any_p3):
        assert identity in node.inputs["triggers"], node.name
        assert any(re.fullmatch(r"[0-9a-f]{16}", trigger) for trigger in node.inputs["triggers"]), node.name


def test_another_kubeconfig_of_the_same_cluster_is_no_reason_to_wait_again(any_p3: graph.Graph) -> None:
    wait = any_p3.named("flask-app-healthy")

    assert "KUBECONFIG_TEXT" in wait.inputs["environment"]
    assert wait.options["ignoreChanges"] == ["environment"]


# --- the cluster -----------------------------------------------------------------------------------------------------


def k3d_config(of: graph.Graph) -> dict[str, Any]:
    config: dict[str, Any] = json.loads(of.of_type("pulumi-python:dynamic/k3d:Nodes")[0].inputs["config"])
    return config


def test_all_ports_are_on_loopback(embedded: graph.Graph) -> None:
    config = k3d_config(embedded)

    assert config["kubeAPI"]["hostIP"] == config["kubeAPI"]["host"] == "127.0.0.1"
    assert [each["port"] for each in config["ports"]] == [
        "127.0.0.1:8888:30001",
        "127.0.0.1:30001:30001",
        "127.0.0.1:8080:30002",
        "127.0.0.1:30002:30002",
    ]
    assert embedded.named("gitea-server").inputs["ports"] == ["127.0.0.1:30003:3000"]


def test_ports_go_to_a_node_directly_because_there_is_no_load_balancer(embedded: graph.Graph) -> None:
    config = k3d_config(embedded)

    assert config["options"]["k3d"]["disableLoadbalancer"] is True
    assert all(each["nodeFilters"] == ["server:0:direct"] for each in config["ports"])


def test_what_this_part_does_not_use_is_off(embedded: graph.Graph) -> None:
    arguments = {each["arg"] for each in k3d_config(embedded)["options"]["k3s"]["extraArgs"]}

    assert {"--disable=traefik", "--disable=servicelb", "--disable=metrics-server"} <= arguments


def test_the_users_own_kubeconfig_is_left_alone(embedded: graph.Graph) -> None:
    assert k3d_config(embedded)["options"]["kubeconfig"] == {
        "updateDefaultKubeconfig": False,
        "switchCurrentContext": False,
    }


def test_settings_of_the_cluster_reach_it(build: Build) -> None:
    of = build(
        "p3",
        clusterName="mine",
        servers=3,
        agentNodes=2,
        apiPort=7000,
        bindAddress="192.168.56.1",
        allowPlainHttp=True,
        appPorts=[8000],
        argocdPorts=[8001],
        gitPorts=[8002],
        k3sImage="rancher/k3s:v1.35.1-k3s1",
        timeout=120,
    )
    config = k3d_config(of)

    assert config["metadata"]["name"] == "mine"
    assert (config["servers"], config["agents"], config["image"]) == (3, 2, "rancher/k3s:v1.35.1-k3s1")
    assert config["kubeAPI"] == {"host": "192.168.56.1", "hostIP": "192.168.56.1", "hostPort": "7000"}
    assert [each["port"] for each in config["ports"]] == [
        "192.168.56.1:8000:30001",
        "192.168.56.1:8001:30002",
    ]
    server = of.named("gitea-server").inputs
    assert (server["ports"], server["name"], server["network"]) == (["192.168.56.1:8002:3000"], "mine-git", "mine")
    assert config["network"] == "mine"
    (nodes,) = of.of_type("pulumi-python:dynamic/k3d:Nodes")
    assert (nodes.inputs["nodes"], nodes.inputs["timeout"], nodes.inputs["stack"]) == (5, 120, "p3")
    assert of.outputs["appUrl"] == "http://localhost:8000/"


def test_a_provider_survives_another_kubeconfig_and_a_lost_cluster(embedded: graph.Graph) -> None:
    (provider,) = embedded.of_type("pulumi:providers:kubernetes")

    assert provider.inputs["clusterIdentifier"] == "iot-cluster-nodes-id"
    assert provider.inputs["deleteUnreachable"] == "true"


# --- the registry ----------------------------------------------------------------------------------------------------


def test_there_is_no_registry_unless_a_port_is_set(embedded: graph.Graph) -> None:
    assert embedded.of_type("iot:k3d:Registry") == []
    assert "registries" not in k3d_config(embedded)


def test_what_is_pushed_to_this_host_the_nodes_pull_under_the_same_name(build: Build) -> None:
    of = build("p3", registryPort=5050)
    server, hosting = of.named("registry-server").inputs, of.named("registry-hosting").inputs
    config = k3d_config(of)["registries"]["config"]
    mirrors = yaml.safe_load(config)["mirrors"]
    assert "\n" in config.strip()

    assert server["ports"] == ["127.0.0.1:5050:5000"]
    assert mirrors == {"localhost:5050": {"endpoint": [f"http://{server['name']}:5000"]}}
    assert (server["alias"], server["network"]) == (server["name"], k3d_config(of)["network"])
    assert hosting["metadata"] == {"name": "local-registry-hosting", "namespace": "kube-public"}
    assert yaml.safe_load(hosting["data"]["localRegistryHosting.v1"])["host"] == "localhost:5050"
    application = next(node for node in in_cluster(of) if node.inputs.get("kind") == "Application")
    assert of.named("registry-server").urn in application.depends_on


# --- Argo CD ---------------------------------------------------------------------------------------------------------


def release(of: graph.Graph) -> dict[str, Any]:
    return of.named("argocd-release").inputs


def test_the_release_is_named_pinned_atomic_and_bounded(any_p3: graph.Graph) -> None:
    inputs = release(any_p3)

    assert (inputs["name"], inputs["namespace"], inputs["version"]) == (
        "argocd",
        "argocd",
        versions.ARGOCD_CHART.version,
    )
    assert inputs["atomic"] is True
    assert inputs["timeout"] == 600


def test_every_workload_of_argo_cd_has_requests_and_limits(embedded: graph.Graph) -> None:
    values = release(embedded)["values"]
    workloads = ["applicationSet", "controller", "redis", "repoServer", "server"]

    for resources in [
        *(values[name]["resources"] for name in workloads),
        values["repoServer"]["copyutil"]["resources"],
    ]:
        for bound in ("requests", "limits"):
            assert set(resources[bound]) == {"cpu", "memory"}


def test_only_the_parts_of_argo_cd_that_this_needs_run(embedded: graph.Graph) -> None:
    values = release(embedded)["values"]

    assert values["dex"] == {"enabled": False}
    assert values["notifications"] == {"enabled": False}
    assert values["applicationSet"]["replicas"] == 0


def test_an_anonymous_user_gets_nothing(embedded: graph.Graph) -> None:
    configs = release(embedded)["values"]["configs"]

    assert configs["cm"]["users.anonymous.enabled"] == "false"
    assert configs["rbac"]["policy.default"] == ""


def test_the_webhooks_secret_is_kept_beside_the_other_settings(embedded: graph.Graph) -> None:
    configs = release(embedded)["values"]["configs"]

    assert configs["secret"]["gogsSecret"] == {"secret": f"{graph.STAND_IN}-value-of-argocd-webhook"}
    assert set(configs) == {"cm", "rbac", "params", "secret"}


def test_the_poll_interval_and_the_node_port_are_settings(build: Build) -> None:
    values = release(build("p3", pollInterval=90, argocdNodePort=31000))["values"]

    assert values["configs"]["cm"]["timeout.reconciliation"] == "90s"
    assert values["configs"]["cm"]["timeout.reconciliation.jitter"] == "0s"
    assert values["server"]["service"]["type"] == "NodePort"
    assert values["server"]["service"]["nodePortHttp"] == 31000


def test_no_port_of_argo_cds_is_left_to_kubernetes_which_may_take_an_environments(build: Build) -> None:
    """As it did: what was to be the page of production was Argo CD's."""
    last = {"dev": {"port": 32767}, "prod": {"port": 32766, "after": "dev"}}
    for graph_, spare in ((build("platform"), 32767), (build("platform", environments=last, clusters={}), 32765)):
        service = graph_.named("argocd-release").inputs["values"]["server"]["service"]
        assert service["nodePortHttps"] == spare


def test_the_project_allows_one_repository_one_namespace_and_few_kinds(any_p3: graph.Graph) -> None:
    spec = spec_of(any_p3, "AppProject")
    source = spec_of(any_p3, "Application")["source"]

    assert spec["sourceRepos"] == [source["repoURL"]]
    assert spec["destinations"] == [{"server": "https://kubernetes.default.svc", "namespace": "dev"}]
    assert spec["clusterResourceWhitelist"] == []
    assert spec["namespaceResourceWhitelist"] == [
        {"group": "apps", "kind": "Deployment"},
        {"group": "", "kind": "Service"},
    ]
    assert "*" not in json.dumps(spec)


def test_the_project_allows_every_kind_in_the_manifests(embedded: graph.Graph) -> None:
    spec = spec_of(embedded, "AppProject")
    allowed = {(each["group"], each["kind"]) for key in spec if key.endswith("Whitelist") for each in spec[key]}
    documents = [
        document
        for path in (ROOT / "manifests/p3").glob("*.yaml")
        for document in yaml.safe_load_all(path.read_text(encoding="utf-8"))
    ]

    assert documents
    for document in documents:
        group = document["apiVersion"].rpartition("/")[0]
        assert (group, document["kind"]) in allowed
        assert document["metadata"]["namespace"] == "dev"


def test_who_may_push_can_not_change_what_pods_of_the_namespace_may_do(any_p3: graph.Graph) -> None:
    """With the Namespace among Git's, its Pod Security labels were too."""
    application = next(node for node in in_cluster(any_p3) if node.inputs.get("kind") == "Application")
    namespace = any_p3.named("iot-namespace")
    (document,) = yaml.safe_load_all((ROOT / "manifests/namespaces.yaml").read_text(encoding="utf-8"))

    assert namespace.inputs["metadata"]["name"] == "dev"
    assert namespace.inputs["metadata"]["labels"] == document["metadata"]["labels"]
    assert "syncOptions" not in application.inputs["spec"]["syncPolicy"]
    assert namespace.urn in application.depends_on


def test_a_namespace_of_a_cluster_that_is_not_ours_outlives_the_stack(
    existing: graph.Graph, embedded: graph.Graph
) -> None:
    for of, kept in ((existing, True), (embedded, False)):
        namespaces = of.of_type("kubernetes:core/v1:Namespace")
        assert len(namespaces) == 2
        assert [node.options.get("retainOnDelete", False) for node in namespaces] == [kept] * 2


def test_only_what_has_a_node_port_is_reached_from_outside_its_namespace(embedded: graph.Graph) -> None:
    found = {}
    for node in embedded.of_type("kubernetes:networking.k8s.io/v1:NetworkPolicy"):
        spec = node.inputs["spec"]
        labels = spec["podSelector"].get("matchLabels", {}).get("app.kubernetes.io/name", "all")
        ports = [port["port"] for rule in spec.get("ingress", []) for port in rule["ports"]]
        found[node.inputs["metadata"]["namespace"], labels] = (spec["policyTypes"], ports)

    assert found == {
        ("dev", "all"): (["Ingress"], []),
        ("dev", "flask-app"): (["Ingress"], [8080]),
    }
    assert release(embedded)["values"]["global"]["networkPolicy"] == {"create": True, "defaultDenyIngress": True}


def test_the_application_is_synced_pruned_healed_and_retried(any_p3: graph.Graph) -> None:
    spec = spec_of(any_p3, "Application")

    assert spec["syncPolicy"]["automated"] == {"prune": True, "selfHeal": True}
    assert spec["syncPolicy"]["retry"]["limit"] > 0
    assert spec["syncPolicy"]["retry"]["refresh"] is True
    assert set(spec["syncPolicy"]["retry"]["backoff"]) == {"duration", "factor", "maxDuration"}
    assert spec["destination"]["namespace"] == "dev"
    assert spec["project"] == next(
        node.inputs["metadata"]["name"] for node in in_cluster(any_p3) if node.inputs.get("kind") == "AppProject"
    )


def test_up_waits_for_the_application_with_a_bound(build: Build) -> None:
    of = build("p3", timeout=90)
    wait = of.named("flask-app-healthy")
    application = next(node for node in in_cluster(of) if node.inputs.get("kind") == "Application")

    assert application.urn in wait.depends_on
    assert application.inputs["metadata"]["annotations"] == {"iot/image": of.outputs["image"]}
    assert f'"{of.outputs["image"]}"' in str(wait.inputs["triggers"])
    assert wait.inputs["environment"]["TIMEOUT"] == "90"
    assert wait.inputs["environment"]["APPLICATION"] == application.inputs["metadata"]["name"]


# --- Git -------------------------------------------------------------------------------------------------------------


def test_the_embedded_server_starts_with_the_manifests_as_they_are(embedded: graph.Graph) -> None:
    files = embedded.named("gitea-server").inputs["repositories"]["iot"]["branches"]["main"]

    assert files == {
        f"manifests/p3/{path.name}": path.read_text(encoding="utf-8") for path in (ROOT / "manifests/p3").glob("*.yaml")
    }


def test_the_first_commit_has_the_image_and_the_node_port_that_are_set(build: Build) -> None:
    of = build("p3", appImage="broly20/flask-app-p3:v1", appNodePort=31001, gitPath="apps")
    manifest = of.named("gitea-server").inputs["repositories"]["iot"]["branches"]["main"]["apps/deployment.yaml"]
    deployment, service = yaml.safe_load_all(manifest)

    assert [each["image"] for each in deployment["spec"]["template"]["spec"]["containers"]] == [
        "broly20/flask-app-p3:v1"
    ]
    assert [each["nodePort"] for each in service["spec"]["ports"]] == [31001]


def test_the_embedded_server_has_no_open_registration_and_no_anonymous_reader(embedded: graph.Graph) -> None:
    settings = embedded.named("gitea-server").inputs["environment"]

    assert settings["GITEA__service__DISABLE_REGISTRATION"] == "true"
    assert settings["GITEA__service__REQUIRE_SIGNIN_VIEW"] == "true"
    assert settings["GITEA__security__INSTALL_LOCK"] == "true"


def test_webhooks_reach_argo_cd_on_the_clusters_network_and_nothing_else(embedded: graph.Graph) -> None:
    server = embedded.named("gitea-server").inputs
    port = release(embedded)["values"]["server"]["service"]["nodePortHttp"]

    assert server["webhook_url"] == f"http://k3d-iot-cluster-server-0:{port}/api/webhook"
    assert server["environment"]["GITEA__security__ALLOWED_HOST_LIST"] == "k3d-iot-cluster-server-0"
    assert server["network"] == k3d_config(embedded)["network"]


def test_argo_cd_reads_the_embedded_repository_and_can_not_write_it(embedded: graph.Graph) -> None:
    credentials = embedded.named("flask-app-repository").inputs["stringData"]["secret"]

    assert credentials["username"] == "argocd" != embedded.outputs["git"]["username"]
    assert credentials["password"] == f"{graph.STAND_IN}-value-of-gitea-reader"
    assert embedded.outputs["gitPassword"] == {"secret": f"{graph.STAND_IN}-value-of-gitea-owner"}
    assert embedded.outputs["gitReader"] == {
        "secret": {"username": "argocd", "password": f"{graph.STAND_IN}-value-of-gitea-reader"}
    }


def test_the_applications_repository_is_where_the_embedded_server_says_it_is(embedded: graph.Graph) -> None:
    """Argo CD compares the address in a webhook with the one in the Application."""
    url = spec_of(embedded, "Application")["source"]["repoURL"]
    server = embedded.named("gitea-server").inputs
    root = server["environment"]["GITEA__server__ROOT_URL"]

    assert url.startswith(root)
    assert root == f"http://{server['alias']}:3000/"
    assert embedded.outputs["git"]["url"] == "http://localhost:30003/iot/iot.git"


def test_with_another_git_host_there_is_no_embedded_server(github: graph.Graph) -> None:
    assert not [node.name for node in github.nodes if "gitea" in node.name.lower() or "iot:git:" in node.type]
    assert versions.GITEA_IMAGE not in {image for node in github.nodes for image in images_of(node)}
    assert spec_of(github, "Application")["source"] == {
        "repoURL": GITHUB,
        "targetRevision": "main",
        "path": "manifests/p3",
    }
    assert github.outputs["git"] == {
        "url": GITHUB,
        "revision": "main",
        "path": "manifests/p3",
        "username": "",
        "container": "",
    }
    assert github.outputs["gitPassword"] == ""
    assert github.outputs["gitReader"] == {}


def test_a_public_repository_needs_no_credentials(github: graph.Graph) -> None:
    assert not [node for node in github.nodes if node.name == "flask-app-repository"]


# --- instead of what the lab makes -----------------------------------------------------------------------------------


def test_in_an_existing_cluster_nothing_of_k3d_is_asked_for(existing: graph.Graph) -> None:
    types = {node.type for node in existing.nodes}

    assert not [type_ for type_ in types if "k3d" in type_ or "image" in type_.lower()]
    assert not [node.name for node in existing.nodes if node.deleted_with]
    assert {node.name for node in commands(existing)} == {"flask-app-healthy"}


def test_an_existing_cluster_is_reached_with_its_own_kubeconfig_and_context(
    existing: graph.Graph, build: Build, kubeconfig: str
) -> None:
    (provider,) = existing.of_type("pulumi:providers:kubernetes")
    other = build("p3", kubeconfig=kubeconfig, kubeContext="other", gitUrl=GITHUB, appImage="broly20/flask-app-p3:v2")

    assert provider.inputs["context"] == "mine"
    assert "deleteUnreachable" not in provider.inputs
    # The graph is that of a preview which can't ask the cluster.
    assert provider.inputs["clusterIdentifier"] == f"{kubeconfig}#mine"
    assert provider.options["ignoreChanges"] == ["clusterIdentifier"]
    assert other.of_type("pulumi:providers:kubernetes")[0].inputs["context"] == "other"
    assert yaml.safe_load(other.outputs["kubeconfig"]["secret"])["current-context"] == "other"


def test_services_of_an_existing_cluster_are_at_its_node_ports(build: Build, kubeconfig: str) -> None:
    of = build(
        "p3",
        kubeconfig=kubeconfig,
        gitUrl=GITHUB,
        appImage="broly20/flask-app-p3:v2",
        nodeHost="node1.lan",
        allowPlainHttp=True,
    )

    assert of.outputs["appUrl"] == "http://node1.lan:30001/"
    assert of.outputs["argocdUrl"] == "http://node1.lan:30002/"


def test_an_image_from_a_registry_is_not_built(build: Build) -> None:
    of = build("p3", appImage="broly20/flask-app-p3:v2")

    assert not [
        node for node in of.nodes if node.type.startswith(("docker:", "pulumi:providers:docker", "iot:image:App"))
    ]
    assert of.named("flask-app-images-load").inputs["environment"]["IMAGES"] == "broly20/flask-app-p3:v2"
    assert of.outputs["image"] == "broly20/flask-app-p3"


def test_a_built_image_is_made_for_every_version_from_the_pinned_base(embedded: graph.Graph) -> None:
    images = embedded.of_type("docker:index/image:Image")

    assert {node.inputs["imageName"] for node in images} == {"iot-lab/flask-app:v1", "iot-lab/flask-app:v2"}
    for node in images:
        assert node.inputs["skipPush"] is True
        assert node.inputs["build"]["args"]["PYTHON_IMAGE"] == versions.PYTHON_IMAGE
        assert node.inputs["imageName"].endswith(f":{node.inputs['build']['args']['VERSION']}")
        assert node.inputs["build"]["context"] == "app"


# --- outputs ---------------------------------------------------------------------------------------------------------


def test_the_outputs_say_where_everything_is_and_what_to_do_next(embedded: graph.Graph) -> None:
    assert {
        name: value for name, value in embedded.outputs.items() if name in ("part", "appUrl", "argocdUrl", "image")
    } == {
        "part": "p3",
        "appUrl": "http://localhost:8888/",
        "argocdUrl": "http://localhost:8080/",
        "image": "iot-lab/flask-app",
    }
    assert "make release VERSION=v2" in embedded.outputs["next"]
