"""Grafana, where it is asked for: its dashboard, what it is given, and what reaches it. It runs nowhere here."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any, Final

import promql_parser
import pytest
import yaml

from components.core import versions
from components.monitoring import grafana, grafana_dashboard, panels
from devtools import graph, render
from lab.commands import validate
from lab.commands.test import PYTHON
from lab.host import paths
from lab.live import plots
from policy import rules

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = pytest.mark.unit

DASHBOARD: Final = grafana_dashboard.dashboard("Apps", ["dev", "prod"])
SECRET: Final = re.compile(rf"{graph.STAND_IN}-value-of-grafana-(admin|key)")


# --- the dashboard ---------------------------------------------------------------------------------------------------


def parsed(dashboard: dict[str, Any]) -> dict[str, Any]:
    """Return what is left of a dashboard in Grafana's own types, which have no place for what they do not know."""
    pytest.importorskip("grafana_foundation_sdk", reason=PYTHON)
    from grafana_foundation_sdk.cog.encoder import JSONEncoder  # noqa: PLC0415
    from grafana_foundation_sdk.cog.plugins import register_default_plugins  # noqa: PLC0415
    from grafana_foundation_sdk.models.dashboard import Dashboard  # noqa: PLC0415

    register_default_plugins()
    found: dict[str, Any] = json.loads(json.dumps(Dashboard.from_json(dashboard), cls=JSONEncoder))
    return found


def lost(given: object, found: object, at: str = "") -> Iterator[str]:
    """Yield what is not as it was given."""
    if isinstance(given, dict) and isinstance(found, dict):
        for key, value in given.items():
            yield from lost(value, found[key], f"{at}.{key}") if key in found else [f"{at}.{key}"]
    elif isinstance(given, list) and isinstance(found, list) and len(given) == len(found):
        for index, value in enumerate(given):
            yield from lost(value, found[index], f"{at}[{index}]")
    elif given != found:
        yield at


def test_grafanas_own_types_know_all_of_the_dashboard() -> None:
    assert list(lost(DASHBOARD, parsed(DASHBOARD))) == []


@pytest.mark.parametrize(
    "path", ["", "time", "panels.0", "panels.0.gridPos", "panels.0.fieldConfig.defaults", "panels.0.targets.0"]
)
def test_a_field_that_grafana_does_not_know_is_noticed(path: str) -> None:
    changed: Any = json.loads(json.dumps(DASHBOARD))
    within = changed
    for key in filter(None, path.split(".")):
        within = within[int(key) if key.isdigit() else key]
    within["titel"] = "x"
    assert [each.rpartition(".")[2] for each in lost(changed, parsed(changed))] == ["titel"]


def test_every_panel_is_there_once_and_none_covers_another() -> None:
    shown = DASHBOARD["panels"]
    assert [each["title"] for each in shown] == [each.title for each in panels.PANELS]
    taken = [
        (each["gridPos"]["x"] + x, each["gridPos"]["y"] + y)
        for each in shown
        for x in range(each["gridPos"]["w"])
        for y in range(each["gridPos"]["h"])
    ]
    assert len(taken) == len(set(taken))
    assert max(x for x, _ in taken) < 24
    assert len({each["id"] for each in shown}) == len(shown)


@pytest.mark.parametrize(("panel", "shown"), [*zip(panels.PANELS, DASHBOARD["panels"], strict=True)])
def test_a_panel_asks_what_the_plot_of_make_dashboard_does(panel: panels.Panel, shown: dict[str, Any]) -> None:
    asked = [each["expr"] for each in shown["targets"]]
    for query in (*panel.queries, *panel.otherwise):
        text = plots.Span(start=0, end=3600).filled(query.text, ["dev", "prod"]).replace("60s", "$__rate_interval")
        assert [each for each in asked if text in each]
    for each in asked:
        promql_parser.parse(each.replace("$__rate_interval", "60s"))
    assert "$" not in "".join(asked).replace("$__rate_interval", "")
    assert [each["legendFormat"] for each in shown["targets"]] == [
        query.names.replace("{", "{{").replace("}", "}}") for query in panel.queries
    ]
    assert {each["datasource"]["uid"] for each in (shown, *shown["targets"])} == {"prometheus"}
    assert shown["fieldConfig"]["defaults"]["noValue"] == panel.empty


def test_what_is_asked_otherwise_counts_only_without_what_goes_before() -> None:
    def panel(*texts: str) -> panels.Panel:
        first, *rest = (panels.Query(text=text, names="{pod}") for text in texts)
        return panels.Panel(title="", unit="ms", queries=(first,), otherwise=tuple(rest), empty="")

    (two,) = grafana_dashboard._queries(panel("a", "b"))  # noqa: SLF001
    assert two == ("(a) or ((b) unless on () ((a)))", "{pod}")
    (three,) = grafana_dashboard._queries(panel("a", "b", "c"))  # noqa: SLF001
    assert three == (f"{two[0]} or ((c) unless on () ({two[0]}))", "{pod}")


# --- the program -----------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def made() -> graph.Graph:
    return graph.build("platform", paths.ROOT, {"grafana": True})


def pod(made: graph.Graph) -> dict[str, Any]:
    found: dict[str, Any] = made.named("grafana-deployment").inputs["spec"]["template"]["spec"]
    return found


def test_it_is_there_with_the_setting_alone(made: graph.Graph) -> None:
    without = graph.build("platform", paths.ROOT)
    assert not [each.name for each in without.nodes if "grafana" in each.name]
    assert "grafana" not in without.outputs
    # Nothing else is another one for it.
    rest = {each.urn: each.inputs for each in made.nodes if not each.name.startswith("grafana")}
    assert rest == {each.urn: each.inputs for each in without.nodes}


def test_p3_has_it_as_well() -> None:
    made = graph.build("p3", paths.ROOT, {"grafana": True, "monitoring": True})
    assert '"expr"' in made.named("grafana-dashboards").inputs["data"]["iot-apps.json"]


def test_its_objects_are_rendered_and_nothing_is_wrong_with_them(made: graph.Graph) -> None:
    assert list(validate.of_stack(made)) == []
    texts = render.files(made)
    kinds = {path.rpartition("/")[2].split("-", 1)[1] for path in texts if "grafana" in path}
    assert kinds == {
        "configmap-grafana-dashboards.yaml",
        "configmap-grafana-provisioning.yaml",
        "deployment-grafana.yaml",
        "networkpolicy-egress-grafana.yaml",
        "secret-grafana.yaml",
        "service-grafana.yaml",
    }
    assert not SECRET.search("".join(texts.values()))
    assert "FILL-IN-grafana-admin" in next(text for path, text in texts.items() if "secret-grafana" in path)


def test_another_image_is_not_allowed(made: graph.Graph) -> None:
    inputs = json.loads(json.dumps(made.named("grafana-deployment").inputs))
    inputs["spec"]["template"]["spec"]["containers"][0]["image"] += "-ubuntu"
    resource = rules.Resource(type="kubernetes:apps/v1:Deployment", name="x", inputs=inputs)
    context = rules.Context(node_ports=frozenset())
    assert [problem for _, problem in rules.problems(resource, context) if "an image from elsewhere" in problem]


def test_the_image_is_the_pinned_one_and_is_brought_into_the_cluster(made: graph.Graph) -> None:
    (container,) = pod(made)["containers"]
    assert container["image"] == versions.GRAFANA_IMAGE
    assert versions.GRAFANA_IMAGE in str(made.named("grafana-images-load").inputs)
    assert made.named("grafana-images-load").urn in made.named("grafana-deployment").depends_on


def test_it_may_write_its_data_and_nothing_else(made: graph.Graph) -> None:
    (container,) = pod(made)["containers"]
    volumes = {each["name"]: each for each in pod(made)["volumes"]}
    writable = [each["mountPath"] for each in container["volumeMounts"] if "emptyDir" in volumes[each["name"]]]
    assert writable == [grafana.DATA, "/tmp"]  # noqa: S108 - a folder of the pod
    assert all(each.get("readOnly") for each in container["volumeMounts"] if each["mountPath"] not in writable)
    assert container["securityContext"]["readOnlyRootFilesystem"] is True
    # Where it is told to write is there.
    environment = {each["name"]: each["value"] for each in container["env"]}
    assert environment["GF_PATHS_LOGS"].startswith(f"{grafana.DATA}/")


def test_it_signs_nobody_in_unasked_and_calls_nobody(made: graph.Graph) -> None:
    environment = {each["name"]: each["value"] for each in pod(made)["containers"][0]["env"]}
    for key in (
        "GF_ANALYTICS_CHECK_FOR_PLUGIN_UPDATES",
        "GF_ANALYTICS_CHECK_FOR_UPDATES",
        "GF_ANALYTICS_REPORTING_ENABLED",
        "GF_AUTH_ANONYMOUS_ENABLED",
        "GF_NEWS_NEWS_FEED_ENABLED",
        "GF_SNAPSHOTS_ENABLED",
        "GF_USERS_ALLOW_SIGN_UP",
    ):
        assert environment[key] == "false"
    assert environment["GF_PLUGINS_PREINSTALL_DISABLED"] == environment["GF_SECURITY_DISABLE_GRAVATAR"] == "true"


def test_its_secrets_are_in_files_and_nowhere_else(made: graph.Graph) -> None:
    secret = made.named("grafana-secret")
    assert set(secret.inputs["stringData"]) == {"secret"}
    files = secret.inputs["stringData"]["secret"]
    assert all(SECRET.fullmatch(each) for each in files.values())
    assert files["admin-password"] != files["secret-key"]
    others = [each.inputs for each in made.nodes if each.type.startswith("kubernetes:") and each != secret]
    assert not SECRET.search(json.dumps(others))
    (container,) = pod(made)["containers"]
    named = {each["value"] for each in container["env"] if each["name"].endswith("__FILE")}
    assert named == {f"{grafana.SECRETS}/{key}" for key in files}
    assert set(made.outputs["grafana"]) == {"secret"}


def test_it_reaches_prometheus_alone_and_nothing_reaches_it(made: graph.Graph) -> None:
    spec = made.named("grafana-egress").inputs["spec"]
    assert spec["policyTypes"] == ["Egress"]
    to_prometheus, for_names = spec["egress"]
    assert to_prometheus == {
        "to": [{"podSelector": {"matchLabels": {"app.kubernetes.io/name": "prometheus"}}}],
        "ports": [{"port": 9090, "protocol": "TCP"}],
    }
    assert for_names == {"ports": [{"port": 53, "protocol": "UDP"}, {"port": 53, "protocol": "TCP"}]}
    labels = made.named("grafana-deployment").inputs["spec"]["template"]["metadata"]["labels"]
    assert spec["podSelector"]["matchLabels"].items() <= labels.items()
    # The namespace lets nothing in but to Prometheus, and Grafana's pods are not there before that.
    waits = made.named("grafana-deployment").depends_on
    for name in ("monitoring-namespace", "monitoring-ingress-deny", "grafana-egress"):
        assert made.named(name).urn in waits
    open_to = made.named("monitoring-ingress-allow").inputs["spec"]["podSelector"]["matchLabels"]
    assert open_to.items() - labels.items()
    assert made.named("grafana-service").inputs["spec"].get("type") is None


def test_it_finds_prometheus_and_the_dashboard_where_they_are(made: graph.Graph) -> None:
    files = made.named("grafana-provisioning").inputs["data"]
    (source,) = yaml.safe_load(files["datasources.yaml"])["datasources"]
    assert source["url"] == "http://prometheus:9090"
    assert source["uid"] == DASHBOARD["panels"][0]["datasource"]["uid"]
    # A rate is taken over four of these at least, as `make dashboard` does.
    assert 4 * int(source["jsonData"]["timeInterval"].rstrip("s")) == plots.RATE
    (folder,) = yaml.safe_load(files["dashboards.yaml"])["providers"]
    (container,) = pod(made)["containers"]
    mounted = {each["name"]: each["mountPath"] for each in container["volumeMounts"]}
    assert mounted["dashboards"] == folder["options"]["path"]
    environment = {each["name"]: each["value"] for each in container["env"]}
    assert mounted["provisioning"] == environment["GF_PATHS_PROVISIONING"]
    volumes = {each["name"]: each for each in pod(made)["volumes"]}
    # https://grafana.com/docs/grafana/v12.4/administration/provisioning/ has a folder for each.
    assert {each["key"]: each["path"].split("/")[0] for each in volumes["provisioning"]["configMap"]["items"]} == {
        "datasources.yaml": "datasources",
        "dashboards.yaml": "dashboards",
    }
    shown = made.named("grafana-dashboards").inputs["data"]
    assert environment["GF_DASHBOARDS_DEFAULT_HOME_DASHBOARD_PATH"].rpartition("/")[2] in shown
    assert 'namespace=~\\"dev|staging|prod\\"' in shown["iot-apps.json"]


def test_another_dashboard_starts_it_anew(made: graph.Graph) -> None:
    one = graph.build("platform", paths.ROOT, {"grafana": True, "environments": {"dev": {"port": 30001}}})
    annotations = [
        each.named("grafana-deployment").inputs["spec"]["template"]["metadata"]["annotations"] for each in (made, one)
    ]
    assert annotations[0] != annotations[1]
