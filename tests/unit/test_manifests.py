"""Changes of manifests: one value, and not a byte more."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from components.core.errors import LabError
from components.gitops import manifests

pytestmark = pytest.mark.unit

ROOT = Path(__file__).resolve().parents[2]
DEPLOYMENT = """\
# A comment that stays: image: app:v1
apiVersion: apps/v1
kind:   Deployment     # spaces stay
spec:
    template:
      spec:
        initContainers: [{name: init, image: "registry.example:5000/team/app:v1"}]
        containers:
        - {name: other, image: nginx:1.27}
        - name: app
          image:  registry.example:5000/team/app:v1   # and so does this
          env:
            - {name: image, value: registry.example:5000/team/app:v1}
"""
APP = "registry.example:5000/team/app"


def changed(text: str, line: str, to: str) -> str:
    assert line in text
    return text.replace(line, to)


def test_only_the_tag_changes_and_every_other_byte_stays() -> None:
    text = manifests.set_tag(DEPLOYMENT, "d.yaml", APP, "v2")

    expected = changed(DEPLOYMENT, f'image: "{APP}:v1"', f'image: "{APP}:v2"')
    assert text == changed(expected, f"image:  {APP}:v1   #", f"image:  {APP}:v2   #")


def test_a_release_and_its_revert_give_the_file_back() -> None:
    text = (ROOT / "manifests/p3/deployment.yaml").read_text(encoding="utf-8")
    released = manifests.set_tag(text, "deployment.yaml", "iot-lab/flask-app", "v2")

    assert released != text
    assert len(list(yaml.safe_load_all(released))) == 2
    assert manifests.set_tag(released, "deployment.yaml", "iot-lab/flask-app", "v1") == text


@pytest.mark.parametrize(
    ("image", "result"),
    [
        ("app:v1", "app:v2"),
        ("'app:v1'", "'app:v2'"),
        ('"app:v1"', '"app:v2"'),
        ("app", "app:v2"),
        (f"app:v1@sha256:{'0' * 64}", "app:v2"),
        ("!!str app:v1", "!!str app:v2"),
    ],
)
def test_an_image_can_be_written_in_any_way(image: str, result: str) -> None:
    text = f"kind: Pod\nspec:\n  containers:\n    - image: {image}\n      name: web\n"

    assert manifests.set_tag(text, "p.yaml", "app", "v2") == changed(text, image, result)


def test_an_image_that_is_written_once_and_used_twice_is_changed_once() -> None:
    text = "kind: Pod\nspec:\n  containers:\n    - image: &app app:v1\n    - image: *app\n"

    assert manifests.set_tag(text, "p.yaml", "app", "version-2") == changed(text, "&app app:v1", "&app app:version-2")


def test_lines_that_end_as_on_windows_stay_so() -> None:
    text = DEPLOYMENT.replace("\n", "\r\n")

    assert manifests.set_tag(text, "d.yaml", APP, "v2") == manifests.set_tag(DEPLOYMENT, "d.yaml", APP, "v2").replace(
        "\n", "\r\n"
    )


@pytest.mark.parametrize("repository", ["team/app", "registry.example", "nginx:1.27", "app"])
def test_another_image_is_left_alone_and_the_error_says_which_there_are(repository: str) -> None:
    with pytest.raises(LabError) as caught:
        manifests.set_tag(DEPLOYMENT, "d.yaml", repository, "v2")

    assert str(caught.value).startswith(f"No container in d.yaml runs the image {repository}. they run ")
    assert f"{APP}:v1, nginx:1.27, {APP}:v1" in str(caught.value)


def test_images_are_those_of_containers_only() -> None:
    text = "kind: ConfigMap\nspec:\n  containers:\n    - image: app:v1\n---\n" + DEPLOYMENT

    assert manifests.images(text, "d.yaml") == [f"{APP}:v1", "nginx:1.27", f"{APP}:v1"]


def test_images_of_a_cron_job_are_found_in_its_depth() -> None:
    text = "kind: CronJob\nspec: {jobTemplate: {spec: {template: {spec: {containers: [{image: a:1}]}}}}}\n"

    assert manifests.images(text, "c.yaml") == ["a:1"]


def test_a_whole_image_can_be_replaced() -> None:
    text = manifests.set_image(DEPLOYMENT, "d.yaml", "nginx", "caddy:2.9")

    assert text == changed(DEPLOYMENT, "nginx:1.27", "caddy:2.9")


def test_a_node_port_changes_where_it_was_the_old_one() -> None:
    service = "kind: Service\nspec:\n  ports:\n    - {nodePort: 30001, port: 80}\n    - {nodePort: 30009}\n"
    text = service + "---\nkind: Other\nspec: {ports: [{nodePort: 30001}]}\n"

    assert manifests.set_node_port(text, "s.yaml", 30001, 31000) == text.replace("30001", "31000", 1)
    assert manifests.set_node_port(text, "s.yaml", 32000, 31000) == text


@pytest.mark.parametrize(
    ("text", "line"),
    [("a: [1", 2), ("a: 1\nb: {\n", 3), ("a: b: c\n", 1), ("a: 1\n\tb: 2\n", 2), ("a: '\n\n", 3)],
)
def test_what_is_not_yaml_is_refused_with_its_file_and_line(text: str, line: int) -> None:
    with pytest.raises(LabError, match=r"^d\.yaml:\d+:\d+ is not YAML\. .*Fix: correct that line\.$") as caught:
        manifests.documents(text, "d.yaml")
    assert abs(int(str(caught.value).split(":")[1].split()[0]) - line) <= 1


def test_a_character_that_yaml_does_not_allow_is_refused_too() -> None:
    with pytest.raises(LabError, match=r"^d\.yaml.* is not YAML"):
        manifests.documents("a: \x07\n", "d.yaml")


def test_the_manifests_of_a_folder_are_read_by_name(tmp_path: Path) -> None:
    (tmp_path / "b.yaml").write_text("b: 1\n", encoding="utf-8")
    (tmp_path / "a.yml").write_text("a: 1\n", encoding="utf-8")
    (tmp_path / "README.md").write_text("no", encoding="utf-8")

    assert manifests.read(tmp_path) == {"a.yml": "a: 1\n", "b.yaml": "b: 1\n"}


def test_a_folder_without_manifests_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(LabError, match=r"There are no manifests in .*Fix: git checkout manifests"):
        manifests.read(tmp_path)


# --- what is in manifests/p3 -----------------------------------------------------------------------------------------


def of_kind(kind: str) -> dict[str, object]:
    texts = manifests.read(ROOT / "manifests/p3").values()
    (found,) = (each for text in texts for each in yaml.safe_load_all(text) if each["kind"] == kind)
    assert isinstance(found, dict)
    return found


def test_the_app_runs_once_bounded_probed_and_without_rights() -> None:
    spec = yaml.safe_load(yaml.safe_dump(of_kind("Deployment")["spec"]))
    pod = spec["template"]["spec"]
    (container,) = pod["containers"]

    assert spec["replicas"] == 1
    assert {"requests", "limits"} == set(container["resources"])
    assert container["livenessProbe"]["httpGet"]["path"] == container["readinessProbe"]["httpGet"]["path"] == "/healthz"
    assert pod["securityContext"]["runAsNonRoot"] is True
    assert container["securityContext"]["readOnlyRootFilesystem"] is True
    assert container["securityContext"]["capabilities"] == {"drop": ["ALL"]}
    # A pod can only start with what is in the node: nothing is pulled that was not pinned.
    assert container["imagePullPolicy"] == "IfNotPresent"


def test_the_service_leads_to_the_app() -> None:
    service = yaml.safe_load(yaml.safe_dump(of_kind("Service")["spec"]))
    deployment = yaml.safe_load(yaml.safe_dump(of_kind("Deployment")["spec"]))

    assert service["type"] == "NodePort"
    assert [port["nodePort"] for port in service["ports"]] == [30001]
    assert service["selector"].items() <= deployment["template"]["metadata"]["labels"].items()
    names = [port["name"] for port in deployment["template"]["spec"]["containers"][0]["ports"]]
    assert [port["targetPort"] for port in service["ports"]] == names


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("1:30", "1:30"),
        ("2026-11-29", "2026-11-29"),
        ("=", "="),
        ("1e3", 1000.0),
        ("089012345678", 89012345678.0),
        ("1.5", 1.5),
        ("017", 15),
        ("0x1F", 31),
        ("-7", -7),
        ("0", 0),
        ("1.27.3", "1.27.3"),
        ("yes", True),
        (".5", 0.5),
    ],
)
def test_yaml_is_read_as_kubernetes_reads_it(text: str, value: object) -> None:
    ((_, found),) = manifests.contents(f"a: {text}\n", "x.yaml")
    assert found == {"a": value}
    assert type(found["a"]) is type(value)


def test_keys_are_texts_as_in_json() -> None:
    ((_, found),) = manifests.contents("1: a\ntrue: b\n2026-11-29: c\n", "x.yaml")
    assert found == {"1": "a", "true": "b", "2026-11-29": "c"}


@pytest.mark.parametrize("tag", ["1e3", "089012345678", "12"])
def test_a_tag_that_kubernetes_takes_for_a_number_is_quoted(tag: str) -> None:
    text = "images:\n- name: iot-lab/flask-app\n  newTag: v1\n"
    assert f'newTag: "{tag}"' in manifests.set_tag(text, manifests.KUSTOMIZATION, "iot-lab/flask-app", tag)


WRONG = ("a: &b [*b]", "a: !!bool x", "a: !!int ''", "a: !!timestamp x", "? [a]\n: b", "[" * 2000)


@pytest.mark.parametrize("text", WRONG)
def test_what_can_not_be_made_of_it_is_refused_in_words(text: str) -> None:
    with pytest.raises(LabError, match=r"^x\.yaml.* is not YAML"):
        manifests.contents(text, "x.yaml")
