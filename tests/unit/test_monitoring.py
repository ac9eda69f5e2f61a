"""What is seen of a stack, and told: rules, receivers, what Prometheus asks, and what the program makes for it."""

from __future__ import annotations

import asyncio
import contextvars
import json
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import promql_parser
import pytest
import yaml
from pulumi.runtime import set_all_config

from components.core import names, pods, project, versions
from components.core.errors import LabError
from components.gitops import sealing_key
from components.monitoring import alerting, scraping, values
from devtools import graph
from devtools.checks import invariants
from lab.host import paths

if TYPE_CHECKING:
    from components.core.settings import Settings

pytestmark = pytest.mark.unit

TESTS: Final = Path(__file__).parent / "rules"
NAMES: Final = {
    *(
        "AppOutOfSync",
        "AppSyncFailed",
        "AppDegraded",
        "RolloutAborted",
        "RolloutWaiting",
        "ErrorRateHigh",
        "LatencyHigh",
        "PodRestarts",
    ),
    *("TargetDown", "VolumeFilling", "NotificationsFailing", "SealingKeyOld"),
}
RELEASE: Final = "kubernetes:helm.sh/v3:Release"
RECEIVERS: Final = ("alertWebhook", "alertSlack", "alertMailPassword")
URL: Final = "https://chat.example/hooks/hunter2"
MAIL: Final = {"to": "ops@a.example", "from": "lab@a.example", "server": "a.example:587"}
CANARY: Final[dict[str, Any]] = {
    "dev": {"port": 30001},
    "prod": {"port": 30021, "after": "dev", "cluster": "prod", "delivery": "canary"},
}


def load(*secret: str, **changed: Any) -> Settings:  # noqa: ANN401 - any setting
    """Return the settings of the platform with some of them changed, and some of those kept as secrets."""
    config = project.stack_config("platform", paths.ROOT, changed)

    async def read() -> Settings:
        set_all_config(config, [f"iot:{key}" for key in secret])
        try:
            return project.settings("platform", paths.ROOT)
        finally:
            # A secret setting is an Output, and an Output is tasks.
            await asyncio.gather(*asyncio.all_tasks() - {asyncio.current_task()})

    return contextvars.Context().run(asyncio.run, read())


# --- the rules -------------------------------------------------------------------------------------------------------


def alerts() -> list[dict[str, Any]]:
    """Return the alerts of all files."""
    files = alerting.files("http://argo.example/").values()
    return [rule for content in files for group in content["groups"] for rule in group["rules"]]


ALERTS: Final = alerts()


def test_every_alert_that_is_promised_is_there_once() -> None:
    assert sorted(each["alert"] for each in ALERTS) == sorted(NAMES)


@pytest.mark.parametrize("alert", ALERTS, ids=lambda each: str(each["alert"]))
def test_an_alert_can_be_read_and_says_what_and_where(alert: dict[str, Any]) -> None:
    promql_parser.parse(alert["expr"])
    assert alert["labels"]["severity"] in {"warning", "critical"}
    assert {"summary", "description"} <= alert["annotations"].keys()
    # What is of an app says which, and leads to Argo CD's page.
    of_app = "environment" in alert["labels"]
    assert ("application" in alert["annotations"]) is of_app
    if of_app:
        assert alert["annotations"]["application"].startswith("http://argo.example/applications")


def test_an_expression_that_can_not_be_read_is_noticed() -> None:
    with pytest.raises(ValueError, match="invalid promql"):
        promql_parser.parse("sum by (x) (rate(a[1m])) >> 1")


@pytest.mark.parametrize("name", sorted(NAMES))
def test_of_every_alert_it_is_tried_that_it_fires_and_that_it_does_not(name: str) -> None:
    tried = [
        case
        for path in TESTS.glob("*.yaml")
        for test in yaml.safe_load(path.read_text(encoding="utf-8"))["tests"]
        for case in test["alert_rule_test"]
        if case["alertname"] == name
    ]
    assert {bool(case["exp_alerts"]) for case in tried} == {True, False}


def test_every_file_of_rules_has_one_of_tests_which_names_it() -> None:
    assert {path.name for path in alerting.FOLDER.iterdir()} == {path.name for path in TESTS.iterdir()}
    for path in TESTS.iterdir():
        (named,) = yaml.safe_load(path.read_text(encoding="utf-8"))["rule_files"]
        assert (TESTS / named).resolve() == alerting.FOLDER / path.name


def test_what_is_kept_fits_into_the_volume_twice() -> None:
    units = {"MB": 1024**2, "Gi": 1024**3}
    kept, volume = (int(text[:-2]) * units[text[-2:]] for text in (values.RETENTION_SIZE, values.VOLUME))
    assert kept * 2 <= volume


# --- who is told -----------------------------------------------------------------------------------------------------


def test_nobody_is_told_unless_somebody_is_named() -> None:
    found = load().observability
    assert alerting.config(found)["receivers"] == [{"name": "people"}]
    assert alerting.secrets(found) == {}


def test_whoever_is_named_is_told_and_their_secrets_are_in_files() -> None:
    mail = MAIL | {"username": "lab"}
    changed = {"alertWebhook": URL, "alertSlack": URL, "alertMail": mail, "alertMailPassword": "hunter2"}
    found = load(*RECEIVERS, **changed).observability
    config = alerting.config(found)
    (receiver,) = config["receivers"]
    assert config["route"]["receiver"] == receiver["name"]
    assert config["route"]["group_by"] == ["environment", "alertname"]
    assert receiver["webhook_configs"][0]["url_file"] == "/etc/receivers/webhook-url"
    assert receiver["slack_configs"][0]["api_url_file"] == "/etc/receivers/slack-url"
    told = receiver["email_configs"][0]
    assert (told["to"], told["from"], told["smarthost"]) == ("ops@a.example", "lab@a.example", "a.example:587")
    assert (told["auth_username"], told["auth_password_file"]) == ("lab", "/etc/receivers/mail-password")
    assert "hunter2" not in json.dumps(config)
    assert set(alerting.secrets(found)) == {"webhook-url", "slack-url", "mail-password"}


@pytest.mark.parametrize(
    ("secret", "changed", "words"),
    [
        ((), {"alertWebhook": URL}, "iot:alertWebhook is '(hidden)'. expected a secret, but it is kept in plain text"),
        ((), {"alertSlack": URL}, "iot:alertSlack is '(hidden)'. expected a secret, but it is kept in plain text"),
        (("alertWebhook",), {"alertWebhook": "hunter2"}, "expected a URL"),
        (("alertSlack",), {"alertSlack": "ftp://hunter2"}, "expected a URL"),
        ((), {"alertMail": {"to": "ops@a.example"}}, "expected to, from and a server"),
        ((), {"alertMail": MAIL | {"cc": "b@a.example"}}, "expected to, from and a server"),
        ((), {"alertMail": MAIL | {"to": "hunter"}}, "expected one address"),
        ((), {"alertMail": MAIL | {"from": "a@b, c@d"}}, "expected one address"),
        ((), {"alertMail": MAIL | {"server": "a.example"}}, "expected HOST:PORT"),
        ((), {"alertMail": "ops@a.example"}, "expected to, from and a server"),
        ((), {"alertMail": MAIL | {"username": "lab"}}, "iot:alertMailPassword is ''. expected the password of lab"),
        (("alertMailPassword",), {"alertMail": MAIL, "alertMailPassword": "hunter2"}, "expected a username"),
        ((), {"alertMail": MAIL, "monitoring": False}, "iot:monitoring is 'false'. expected true"),
        (("alertWebhook",), {"alertWebhook": URL, "monitoring": False}, "pulumi config set iot:monitoring true"),
        ((), {"monitoring": "on"}, "iot:monitoring is 'on'. expected true or false"),
        ((), {"grafana": "on"}, "iot:grafana is 'on'. expected true or false"),
        (
            (),
            {"grafana": True, "monitoring": False, "environments": {}},
            "true, because Grafana shows what Prometheus has",
        ),
        ((), {"grafana": True, "monitoring": False, "environments": {}}, "pulumi config set iot:monitoring true"),
        ((), {"environments": CANARY | {"dev": {"port": 30090}}}, "a port of its own, but iot:monitoring has it"),
        ((), {"environments": CANARY, "argocdNodePort": 30090}, "a port of its own, but iot:argocdNodePort has it"),
    ],
)
def test_what_is_wrong_is_said_without_the_secret(secret: tuple[str, ...], changed: dict[str, Any], words: str) -> None:
    with pytest.raises(LabError) as caught:
        load(*secret, **changed)
    # Without the place in the stack's file, which some have.
    said = re.sub(r" \(Pulumi\.platform\.yaml:\d+\)", "", str(caught.value))
    assert words in said
    assert "hunter2" not in said


def test_the_node_port_is_there_for_canaries_in_further_clusters_alone() -> None:
    assert load(environments=CANARY).prometheus_node_port == 30090
    here = {"dev": {"port": 30090, "delivery": "canary"}}
    assert load(environments=here).prometheus_node_port is None
    blue = CANARY | {"prod": CANARY["prod"] | {"delivery": "blueGreen"}}
    assert load(environments=blue).prometheus_node_port is None


# --- what Prometheus asks --------------------------------------------------------------------------------------------


def scraped(config: dict[str, Any], job: str) -> dict[str, Any]:
    (found,) = [each for each in config["scrape_configs"] if each["job_name"] == job]
    return dict(found)


def relabelled(config: dict[str, Any], labels: dict[str, str]) -> dict[str, str]:
    """Return the labels of a target as Prometheus makes them; what is not kept has none."""
    found = dict(labels)
    for step in config["relabel_configs"]:
        value = step.get("separator", ";").join(found.get(each, "") for each in step.get("source_labels", []))
        match = re.fullmatch(step.get("regex", "(.*)"), value)
        if step.get("action") == "keep":
            if not match:
                return {}
        elif match:
            found[step["target_label"]] = match.expand(step.get("replacement", "$1").replace("$", "\\"))
    return {name: value for name, value in found.items() if not name.startswith("__meta")}


def target(**changed: str) -> dict[str, str]:
    """Return what is found out about a pod of the app."""
    found = {
        "namespace": "dev",
        "pod_name": "flask-app-1",
        "pod_phase": "Running",
        "pod_container_port_number": "8080",
        "pod_label_app_kubernetes_io_name": "flask-app",
        "pod_label_pod_template_hash": "abc",
    } | changed
    return {f"__meta_kubernetes_{key}": value for key, value in found.items()} | {"__address__": "10.42.0.7:8080"}


APP: Final = scraping.app_job("flask-app", ("dev",), 8080)


def test_the_app_is_asked_often_and_says_which_cluster_namespace_and_version_it_is() -> None:
    job = scraped(scraping.config((APP,), {}, {}), "app")
    assert job["scrape_interval"] == "5s"
    assert job["kubernetes_sd_configs"] == [{"role": "pod", "namespaces": {"names": ["dev"]}}]
    assert relabelled(job, target()) == {
        "__address__": "10.42.0.7:8080",
        "cluster": "in-cluster",
        "job": "app",
        "namespace": "dev",
        "pod": "flask-app-1",
        "pod_template_hash": "abc",
    }
    both = target(pod_label_rollouts_pod_template_hash="def")
    assert relabelled(job, both)["pod_template_hash"] == "def"


@pytest.mark.parametrize(
    "changed",
    [
        {"pod_phase": "Succeeded"},
        {"pod_container_port_number": "9000"},
        {"pod_label_app_kubernetes_io_name": "other"},
    ],
)
def test_what_is_not_the_app_is_not_asked(changed: dict[str, str]) -> None:
    assert relabelled(scraped(scraping.config((APP,), {}, {}), "app"), target(**changed)) == {}


@pytest.mark.parametrize(
    ("server", "address", "before"),
    [
        ("https://k3d-iot-prod-server-0:6443", "k3d-iot-prod-server-0:6443", ""),
        ("https://api.example", "api.example:443", ""),
        ("https://rancher.example/k8s/clusters/c-1/", "rancher.example:443", "/k8s/clusters/c-1"),
    ],
)
def test_a_further_cluster_is_asked_through_its_api(server: str, address: str, before: str) -> None:
    job = scraped(scraping.config((), {"prod": (server, (APP,))}, {}), "app-prod")
    found = relabelled(job, target())
    assert found["__address__"] == address
    assert found["__metrics_path__"] == f"{before}/api/v1/namespaces/dev/pods/flask-app-1:8080/proxy/metrics"
    assert (found["cluster"], found["job"], found["instance"]) == ("prod", "app", "flask-app-1")
    access = {
        "authorization": {"credentials_file": "/etc/clusters/prod.token"},
        "tls_config": {"ca_file": "/etc/clusters/prod.crt"},
    }
    assert job["scheme"] == "https"
    assert access.items() <= job.items()
    assert access.items() <= job["kubernetes_sd_configs"][0].items()
    assert job["kubernetes_sd_configs"][0]["api_server"] == server


def test_every_series_says_its_cluster() -> None:
    jobs = (APP, *scraping.argocd_jobs(), scraping.rollouts_job())
    config = scraping.config(jobs, {"prod": ("https://a", jobs)}, {"git": "git:3000"})
    for job in config["scrape_configs"]:
        fixed = job.get("static_configs", [{}])[0].get("labels", {})
        steps = [step for step in job.get("relabel_configs", []) if step.get("target_label") == "cluster"]
        steps = [step["replacement"] for step in steps]
        assert [*fixed.values(), *steps] == ["prod" if job["job_name"].endswith("-prod") else "in-cluster"]
    names_ = [job["job_name"] for job in config["scrape_configs"]]
    assert len(names_) == len(set(names_))


# --- the program -----------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def made() -> graph.Graph:
    """Make the graph of the platform with a canary in its second cluster."""
    return graph.build("platform", paths.ROOT, {"environments": CANARY})


def test_there_is_one_release_for_all_clusters(made: graph.Graph) -> None:
    (release,) = [node for node in made.of_type(RELEASE) if node.inputs["namespace"] == names.MONITORING]
    assert (release.name, release.inputs["name"], release.inputs["atomic"]) == (
        "monitoring-release",
        "prometheus",
        True,
    )
    assert "iot-cluster-prod" not in release.provider
    assert release.inputs["version"] == versions.PROMETHEUS_CHART.version
    # It does not wait until Argo CD is ready.
    assert not [urn for urn in release.depends_on if urn.endswith("::argocd-release")]


def test_the_images_are_the_pinned_ones_and_are_brought_into_the_cluster(made: graph.Graph) -> None:
    found = made.named("monitoring-release").inputs["values"]
    server, alertmanager = found["server"]["image"], found["alertmanager"]["image"]
    assert f"{server['repository']}:{server['tag']}" == versions.PROMETHEUS_IMAGE
    assert f"{alertmanager['repository']}:{alertmanager['tag']}" == versions.ALERTMANAGER_IMAGE
    state = found["kube-state-metrics"]["image"]
    assert f"{state['registry']}/{state['repository']}:{state['tag']}" == versions.KUBE_STATE_METRICS_IMAGE
    brought = str(made.named("monitoring-images-load").inputs)
    for image in (versions.PROMETHEUS_IMAGE, versions.ALERTMANAGER_IMAGE, versions.KUBE_STATE_METRICS_IMAGE):
        assert image in brought


def test_every_pod_meets_the_restricted_standard_and_has_limits(made: graph.Graph) -> None:
    found = made.named("monitoring-release").inputs["values"]
    server, alertmanager = found["server"], found["alertmanager"]
    for pod, container in (
        (server["securityContext"], server["containerSecurityContext"]),
        (alertmanager["podSecurityContext"], alertmanager["securityContext"]),
    ):
        assert pod["seccompProfile"] == {"type": "RuntimeDefault"}
        assert pod["runAsNonRoot"] is True
        assert container["allowPrivilegeEscalation"] is False
        assert container["readOnlyRootFilesystem"] is True
        assert container["capabilities"] == {"drop": ["ALL"]}
    for each in (server, alertmanager, found["kube-state-metrics"]):
        assert each["resources"]["limits"].keys() == {"cpu", "memory"}
    for off in ("prometheus-node-exporter", "prometheus-pushgateway"):
        assert found[off] == {"enabled": False}
    assert server["extraFlags"] == []
    assert alertmanager["automountServiceAccountToken"] is False


def test_nobody_has_rights_but_to_see_pods_where_they_are_asked(made: graph.Graph) -> None:
    roles = [node for node in made.of_type("kubernetes:rbac.authorization.k8s.io/v1:Role") if "seen-" in node.name]
    rights = {node.name: [(rule["resources"], rule["verbs"]) for rule in node.inputs["rules"]] for node in roles}
    see = (["pods"], ["get", "list", "watch"])
    assert rights == {
        **{f"seen-{name}-role": [see] for name in ("argocd", "dev", "rollouts")},
        **{f"seen-prod-{name}-role": [see, (["pods/proxy"], ["get"])] for name in ("prod", "rollouts")},
    }
    assert "iot-cluster-prod" in made.named("seen-prod-prod-role").provider
    found = made.named("monitoring-release").inputs["values"]
    assert found["rbac"] == {"create": False}
    state = found["kube-state-metrics"]
    assert state["rbac"] == {"useClusterRole": False}
    assert state["namespaces"] == "argo-rollouts,argocd,dev,monitoring"
    assert "secrets" not in state["collectors"]
    kinds = {node.type.rpartition(":")[2] for node in made.nodes if node.name.startswith("monitoring")}
    assert not kinds & {"ClusterRole", "ClusterRoleBinding"}


def test_nothing_reaches_the_namespace_but_who_asks_prometheus(made: graph.Graph) -> None:
    policies = [node for node in made.nodes if node.name.startswith("monitoring-ingress-")]
    assert {node.inputs["metadata"]["name"] for node in policies} == {"ingress-deny", "ingress-allow", "ingress-among"}
    allowed, among = made.named("monitoring-ingress-allow"), made.named("monitoring-ingress-among")
    prometheus = {"matchLabels": {"app.kubernetes.io/name": "prometheus"}}
    assert allowed.inputs["spec"]["podSelector"] == prometheus
    assert allowed.inputs["spec"]["ingress"] == [{"ports": [{"port": 9090, "protocol": "TCP"}]}]
    assert among.inputs["spec"]["ingress"] == [{"from": [{"podSelector": prometheus}]}]
    for name in ("monitoring-namespace", "monitoring-prod-namespace"):
        assert pods.restricted().items() <= made.named(name).inputs["metadata"]["labels"].items()
    assert made.named("monitoring-prod-deny").inputs["spec"].get("ingress") is None


def test_the_token_of_a_further_cluster_is_a_secret_that_is_mounted(made: graph.Graph) -> None:
    secret = made.named("monitoring-clusters")
    assert set(secret.inputs["stringData"]) <= {"secret", "prod.token", "prod.crt"}
    assert "secret" in json.dumps(secret.inputs["stringData"])
    server = made.named("monitoring-release").inputs["values"]["server"]
    assert [(each["secretName"], each["mountPath"]) for each in server["extraSecretMounts"]] == [
        ("clusters", "/etc/clusters")
    ]
    assert server["service"] == {"servicePort": 9090, "type": "NodePort", "nodePort": 30090}


def test_argo_rollouts_is_asked_in_every_cluster_that_has_it() -> None:
    found = graph.build("platform", paths.ROOT)
    config = found.named("monitoring-release").inputs["values"]["serverFiles"]["prometheus.yml"]
    assert scraped(config, "argo-rollouts")["kubernetes_sd_configs"][0]["namespaces"] == {"names": ["argo-rollouts"]}
    assert scraped(config, "argo-rollouts-prod")["scheme"] == "https"
    assert found.named("seen-rollouts-role").inputs["metadata"]["namespace"] == "argo-rollouts"
    assert "iot-cluster-prod" in found.named("seen-prod-rollouts-role").provider
    # Its namespace is closed otherwise.
    spec = found.named("monitoring-rollouts").inputs["spec"]
    (rule,) = spec["ingress"]
    assert rule["ports"] == [{"port": 8090, "protocol": "TCP"}]
    (peer,) = rule["from"]
    assert peer["namespaceSelector"]["matchLabels"] == {"kubernetes.io/metadata.name": "monitoring"}
    assert spec["podSelector"]["matchLabels"] == {"app.kubernetes.io/name": "argo-rollouts"}


def test_receivers_are_in_a_secret_and_not_in_values() -> None:
    # As `pulumi config set --secret` writes it.
    found = graph.build("platform", paths.ROOT, {"alertWebhook": {"secure": "v1:AAA"}})
    secret = found.named("monitoring-receivers")
    assert secret.inputs["stringData"] == {"secret": {"webhook-url": f"https://{graph.STAND_IN}.invalid/"}}
    release = found.named("monitoring-release")
    assert graph.STAND_IN not in json.dumps(release.inputs)
    mounts = release.inputs["values"]["alertmanager"]["extraSecretMounts"]
    assert [(each["secretName"], each["mountPath"]) for each in mounts] == [("receivers", "/etc/receivers")]
    assert secret.urn in release.depends_on


def config_of(found: graph.Graph) -> str:
    """Return what Prometheus is started anew by."""
    given = found.named("monitoring-release").inputs["values"]
    return str(given["server"]["podAnnotations"]["iot/config"])


def test_another_configuration_starts_prometheus_anew(made: graph.Graph) -> None:
    assert config_of(made) != config_of(graph.build("platform", paths.ROOT))


# --- the key of sealed secrets ---------------------------------------------------------------------------------------


def of_key(found: graph.Graph) -> list[dict[str, Any]]:
    """Return the rules about the key, which are in a file of their own."""
    given = found.named("monitoring-release").inputs["values"]["serverFiles"]
    (group,) = given["sealing.rules.yml"]["groups"]
    return list(group["rules"])


def test_prometheus_is_told_when_the_newest_key_was_made(monkeypatch: pytest.MonkeyPatch, made: graph.Graph) -> None:
    _, certificate = sealing_key.make("lab-2")
    stand_in = graph._dynamic  # noqa: SLF001 - a key that is another one

    def answered(key: str, kind: str, name: str) -> Any:  # noqa: ANN401 - what the type calls for
        newest = (key, name) == ("certificate", "sealing-key-2")
        return certificate if newest else stand_in(key, kind, name)

    monkeypatch.setattr(graph, "_dynamic", answered)
    found = graph.build("platform", paths.ROOT, {"environments": CANARY, "sealingKeys": 2})
    made_at, alert = of_key(found)
    assert made_at == {"record": alerting.KEY_MADE, "expr": f"vector({sealing_key.made_at(certificate)})"}
    assert alerting.KEY_MADE in alert["expr"]
    # It is the only difference to the first key, and starts Prometheus anew.
    assert of_key(made) == [{**made_at, "expr": "vector(0)"}, alert]
    assert config_of(found) != config_of(made)
    assert found.named("sealing-key-2").urn in found.named("monitoring-release").depends_on


def test_a_preview_without_the_key_leaves_open_when_it_was_made_and_nothing_else(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    stand_in = graph._dynamic  # noqa: SLF001 - a key that is another one
    monkeypatch.setattr(
        graph, "_dynamic", lambda *about: graph.UNKNOWN if about[0] == "certificate" else stand_in(*about)
    )
    found = graph.build("platform", paths.ROOT)
    made_at, alert = of_key(found)
    assert made_at == {"record": alerting.KEY_MADE, "expr": graph.UNKNOWN}
    assert alert["alert"] == "SealingKeyOld"
    assert config_of(found) == graph.UNKNOWN


def test_without_secrets_in_git_nothing_is_said_of_their_key() -> None:
    given = graph.build("platform", paths.ROOT, {"sealedSecrets": False}).named("monitoring-release").inputs["values"]
    assert "sealing.rules.yml" not in given["serverFiles"]
    assert alerting.KEY_MADE not in json.dumps(given)


def test_git_and_the_registry_say_how_they_are(made: graph.Graph) -> None:
    assert made.named("gitea-server").inputs["environment"]["GITEA__metrics__ENABLED"] == "true"
    assert made.named("registry-server").inputs["environment"]["REGISTRY_HTTP_DEBUG_PROMETHEUS_ENABLED"] == "true"
    asked = made.named("monitoring-release").inputs["values"]["serverFiles"]["prometheus.yml"]
    addresses = {
        each["job_name"]: each["static_configs"][0]["targets"]
        for each in asked["scrape_configs"]
        if "static_configs" in each
    }
    assert addresses["git"] == ["git.iot.internal:3000"]
    assert addresses["registry"] == ["iot-platform-registry:5001"]


def test_the_outputs_say_where_they_answer(made: graph.Graph) -> None:
    assert made.outputs["monitoring"] == {
        "prometheus": {"namespace": "monitoring", "service": "prometheus", "port": 9090},
        "alertmanager": {"namespace": "monitoring", "service": "alertmanager", "port": 9093},
    }


@pytest.mark.parametrize("stack", ["p3", "platform"])
def test_without_the_setting_there_is_nothing_of_it(stack: str) -> None:
    # A canary is judged by what Prometheus sees.
    settings = {"monitoring": False, **({"environments": {"dev": {"port": 30001}}} if stack == "platform" else {})}
    found = graph.build(stack, paths.ROOT, settings)
    assert not [each.name for each in found.nodes if "monitoring" in each.name]
    assert "monitoring" not in found.outputs
    text = str([each.inputs for each in found.nodes if each.type.startswith("pulumi-python")])
    assert "GITEA__metrics" not in text
    assert "PROMETHEUS" not in text


def test_p3_is_watched_without_environments() -> None:
    found = graph.build("p3", paths.ROOT, {"monitoring": True})
    assert found.named("monitoring-release").inputs["values"]["kube-state-metrics"]["namespaces"] == (
        "argocd,dev,monitoring"
    )
    assert not [each for each in found.nodes if each.name == "monitoring-clusters"]


def test_the_rules_of_the_project_hold(made: graph.Graph) -> None:
    assert list(invariants.of_graph(made)) == []
