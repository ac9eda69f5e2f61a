"""What must hold of everything that p2 asks for, whatever its settings are."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, TypeAlias

import pytest

from components.core import versions
from components.web import answers
from devtools import graph

if TYPE_CHECKING:
    from collections.abc import Callable

pytestmark = pytest.mark.unit

Build: TypeAlias = "Callable[..., graph.Graph]"
DEPLOYMENT = "kubernetes:apps/v1:Deployment"
SERVICE = "kubernetes:core/v1:Service"
INGRESS = "kubernetes:networking.k8s.io/v1:Ingress"
VM = "pulumi-python:dynamic/machine:Vm"
FOUR = {
    "app1": {"host": "app1.com", "replicas": 1},
    "app2": {"host": "app2.com", "replicas": 3},
    "app3": {"host": "app3.com", "replicas": 1},
    "shop": {"host": "shop.example", "replicas": 2},
}


@pytest.fixture(scope="module", params=["default", "fourth app", "registry"])
def any_p2(request: pytest.FixtureRequest, build: Build) -> graph.Graph:
    """Every way to run p2; what is asserted of this holds for all of them."""
    settings: dict[str, dict[str, Any]] = {
        "default": {},
        "fourth app": {"apps": FOUR},
        "registry": {"appImage": "registry.example:5000/team/app:1.0"},
    }
    return build("p2", **settings[request.param])


def container(deployment: graph.Node) -> dict[str, Any]:
    (found,) = deployment.inputs["spec"]["template"]["spec"]["containers"]
    result: dict[str, Any] = found
    return result


def rules(p2: graph.Graph) -> dict[str, str]:
    """Return the Service by host; the rule without a host is under an empty one."""
    (ingress,) = p2.of_type(INGRESS)
    return {
        rule.get("host", ""): rule["http"]["paths"][0]["backend"]["service"]["name"]
        for rule in ingress.inputs["spec"]["rules"]
    }


def test_the_server_is_the_one_of_p1(build: Build) -> None:
    p1, p2 = build("p1").named("server-install"), build("p2").named("server-install")
    assert p1.inputs == p2.inputs


def test_hosts_lead_to_their_apps_and_every_other_to_the_default(build: Build) -> None:
    assert rules(build("p2")) == {"app1.com": "app1", "app2.com": "app2", "app3.com": "app3", "": "app3"}


def test_the_default_is_a_rule_because_traefik_ignores_a_default_backend_beside_rules(any_p2: graph.Graph) -> None:
    (ingress,) = any_p2.of_type(INGRESS)
    assert "defaultBackend" not in ingress.inputs["spec"]
    assert ingress.inputs["spec"]["ingressClassName"] == "traefik"


def test_another_default_is_a_setting(build: Build) -> None:
    assert rules(build("p2", defaultApp="app1"))[""] == "app1"
    assert rules(build("p2", apps=FOUR, defaultApp=""))[""] == "shop"


def test_app2_has_three_replicas(build: Build) -> None:
    replicas = {
        node.inputs["metadata"]["name"]: node.inputs["spec"]["replicas"] for node in build("p2").of_type(DEPLOYMENT)
    }
    assert replicas == {"app1": 1, "app2": 3, "app3": 1}


def test_a_fourth_app_is_one_entry(build: Build) -> None:
    before, after = build("p2"), build("p2", apps=FOUR)
    added = {node.name for node in after.nodes} - {node.name for node in before.nodes}
    assert added == {"shop", "shop-deployment", "shop-service"}
    assert rules(after)["shop.example"] == "shop"


def test_everything_in_the_cluster_has_its_provider_and_goes_with_its_machine(any_p2: graph.Graph) -> None:
    (vm,) = any_p2.of_type(VM)
    provider = any_p2.named("cluster-provider")
    assert provider.deleted_with == vm.urn
    for node in any_p2.nodes:
        if node.type.startswith("kubernetes:"):
            assert node.provider.startswith(provider.urn), node.name
            # By way of the provider: see Cluster.lifetime.
            assert node.deleted_with == provider.urn, node.name


def test_the_namespace_enforces_the_restricted_standard_of_the_pinned_kubernetes(any_p2: graph.Graph) -> None:
    (namespace,) = any_p2.of_type("kubernetes:core/v1:Namespace")
    labels = namespace.inputs["metadata"]["labels"]
    assert labels["pod-security.kubernetes.io/enforce"] == "restricted"
    assert labels["pod-security.kubernetes.io/enforce-version"] == "v1.36"
    assert versions.K3S.startswith("v1.36.")


def test_pods_meet_the_restricted_standard_and_are_limited(any_p2: graph.Graph) -> None:
    for deployment in any_p2.of_type(DEPLOYMENT):
        pod, of_container = deployment.inputs["spec"]["template"]["spec"], container(deployment)
        assert pod["automountServiceAccountToken"] is False
        assert pod["securityContext"]["runAsNonRoot"] is True
        assert pod["securityContext"]["runAsUser"] == 10001
        assert pod["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
        assert of_container["securityContext"] == {
            "allowPrivilegeEscalation": False,
            "readOnlyRootFilesystem": True,
            "capabilities": {"drop": ["ALL"]},
        }
        for kind in ("requests", "limits"):
            assert set(of_container["resources"][kind]) == {"cpu", "memory"}
        assert {"readinessProbe", "livenessProbe"} <= set(of_container)


def test_a_new_version_is_ready_before_an_old_one_goes(any_p2: graph.Graph) -> None:
    for deployment in any_p2.of_type(DEPLOYMENT):
        assert deployment.inputs["spec"]["strategy"]["rollingUpdate"] == {"maxSurge": 1, "maxUnavailable": 0}
        assert container(deployment)["lifecycle"]["preStop"]["sleep"]["seconds"] > 0


def test_every_answer_can_name_its_app_and_its_pod(any_p2: graph.Graph) -> None:
    for deployment in any_p2.of_type(DEPLOYMENT):
        env = {each["name"]: each for each in container(deployment)["env"]}
        assert env["APP_NAME"]["value"] == deployment.inputs["metadata"]["name"]
        assert env["POD_NAME"]["valueFrom"]["fieldRef"]["fieldPath"] == "metadata.name"


def test_no_image_is_latest_and_all_apps_run_the_same_one(any_p2: graph.Graph) -> None:
    images = {container(deployment)["image"] for deployment in any_p2.of_type(DEPLOYMENT)}
    assert len(images) == 1
    assert not images.pop().endswith(":latest")


def test_a_built_image_is_on_the_machine_before_pods_run_it(build: Build) -> None:
    p2 = build("p2")
    transfer = p2.named("flask-app-image-transfer")
    (image,) = p2.of_type("docker:index/image:Image")
    assert transfer.inputs["streams"][0]["source"][-2:] == ["components.docker.save", image.inputs["imageName"]]
    for deployment in p2.of_type(DEPLOYMENT):
        assert transfer.urn in deployment.depends_on
        assert container(deployment)["imagePullPolicy"] == "IfNotPresent"


def test_an_image_from_a_registry_is_neither_built_nor_carried(build: Build) -> None:
    p2 = build("p2", appImage="registry.example:5000/team/app:1.0")
    assert not [node for node in p2.nodes if node.type.startswith("docker:") or "Transfer" in node.type]
    assert p2.named("hosts-answers").inputs["names_itself"] is False


def test_up_ends_when_every_route_has_answered(any_p2: graph.Graph) -> None:
    answers = any_p2.named("hosts-answers")
    (ingress,) = any_p2.of_type(INGRESS)
    assert {ingress.urn, *(node.urn for node in any_p2.of_type(DEPLOYMENT))} <= set(answers.depends_on)
    assert answers.inputs["address"] == "192.168.56.110"
    assert answers.inputs["routes"] == {host: app for host, app in rules(any_p2).items() if host}


def test_services_are_inside_the_cluster_only(any_p2: graph.Graph) -> None:
    for service in any_p2.of_type(SERVICE):
        assert service.inputs["spec"].get("type", "ClusterIP") == "ClusterIP"
        assert service.inputs["spec"]["ports"][0]["port"] == answers.SERVICE_PORT


def test_outputs_say_how_to_see_it_and_hide_the_kubeconfig(any_p2: graph.Graph) -> None:
    outputs = any_p2.outputs
    assert "secret" in outputs["kubeconfig"]
    assert outputs["hosts"].startswith("192.168.56.110 app1.com")
    assert outputs["routes"][-1]["host"] == ""
    assert graph.STAND_IN not in json.dumps({key: value for key, value in outputs.items() if key != "kubeconfig"})
