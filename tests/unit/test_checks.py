"""What a cluster would refuse is found offline, with the file and the line."""

from __future__ import annotations

import subprocess
import sys
from functools import cache, partial
from typing import TYPE_CHECKING

import pytest
import yaml

from components.core.errors import LabError
from components.core.names import STACKS
from components.parts import p3
from devtools import graph, objects
from devtools.checks import references, schemas
from lab.commands import validate
from lab.host import paths

if TYPE_CHECKING:
    from pathlib import Path

built = cache(partial(graph.build, root=paths.ROOT))
MANIFESTS = paths.ROOT / p3.MANIFESTS


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Return a copy of the manifests."""
    for path in MANIFESTS.glob("*.yaml"):
        (tmp_path / path.name).write_text(path.read_text(encoding="utf-8"), encoding="utf-8")
    return tmp_path


def edit(folder: Path, old: str, new: str) -> int:
    """Replace text in deployment.yaml, and return the line of it."""
    path = folder / "deployment.yaml"
    text = path.read_text(encoding="utf-8")
    assert text.count(old) >= 1
    path.write_text(text.replace(old, new, 1), encoding="utf-8")
    return text[: text.index(old)].count("\n") + 1


def found_in(folder: Path) -> list[str]:
    return [str(each) for each in validate.of_manifests(folder, "manifests/p3")]


@pytest.mark.parametrize("stack", STACKS)
def test_nothing_is_wrong_with_a_stack(stack: str) -> None:
    assert list(validate.of_stack(built(stack))) == []


def test_nothing_is_wrong_with_the_manifests() -> None:
    assert found_in(MANIFESTS) == []


@pytest.mark.parametrize(
    ("old", "new", "told"),
    [
        ("replicas: 1", "replicaz: 1", "spec has no field replicaz; did you mean replicas?"),
        ("replicas: 1", "replicas: one", "spec.replicas: 'one' is not of type 'integer'"),
        ("containerPort: 8080", "containerPort: http", "spec.template.spec.containers.0.ports.0.containerPort"),
        ("image: iot-lab", "imagee: iot-lab", "containers.0 has no field imagee; did you mean image?"),
        ("apiVersion: apps/v1", "apiVersion: apps/v1beta1", "has no Deployment in apps/v1beta1; it is in apps/v1"),
        ("kind: Deployment", "kind: Deploymint", "has no kind Deploymint in apps/v1; did you mean Deployment?"),
        ("iot-lab/flask-app:v1", "iot-lab/flask-app:v9", "nothing builds iot-lab/flask-app:v9; use one of the tags v1"),
        ("iot-lab/flask-app:v1", "nginx:latest", "pinned-images"),
        ("nodePort: 30001", "nodePort: 30009", "declared-ports"),
        ("drop: [ALL]", "drop: []", "unprivileged"),
        ("targetPort: http", "targetPort: web", "its pods have no port web"),
        ("namespace: dev", "namespace: deb", "there is no Namespace deb"),
    ],
)
def test_a_mistake_in_a_manifest_is_named_with_its_line(folder: Path, old: str, new: str, told: str) -> None:
    line = edit(folder, old, new)
    found = [each for each in found_in(folder) if told in each]
    assert found
    assert found[0].startswith("manifests/p3/deployment.yaml:")
    assert f":{line}: " in found[0]


def test_a_manifest_that_is_no_yaml_is_named_with_its_line(folder: Path) -> None:
    line = edit(folder, "  replicas: 1\n", "  replicas: [1\n")
    with pytest.raises(LabError, match=rf"manifests/p3/deployment\.yaml:{line + 1}:\d+ is not YAML"):
        found_in(folder)


def test_a_document_that_is_no_object_is_named_with_its_line(folder: Path) -> None:
    (folder / "more.yaml").write_text("# A comment\n- a\n- list\n")
    with pytest.raises(LabError, match=r"manifests/p3/more\.yaml:2 is no object"):
        found_in(folder)


def test_a_selector_that_selects_nothing_is_found(folder: Path) -> None:
    text = (folder / "deployment.yaml").read_text(encoding="utf-8")
    head, service = text.split("kind: Service")
    changed = service.replace("selector:\n    app.kubernetes.io/name: flask-app", "selector:\n    app: other")
    (folder / "deployment.yaml").write_text(f"{head}kind: Service{changed}", encoding="utf-8")
    (found,) = found_in(folder)
    assert "no pod has the labels {'app': 'other'}" in found


def test_an_object_that_is_there_twice_is_found(folder: Path) -> None:
    (folder / "again.yaml").write_text((folder / "deployment.yaml").read_text(encoding="utf-8"))
    found = found_in(folder)
    assert "Deployment dev/flask-app is there twice" in found[0]


@pytest.mark.parametrize(
    ("kind", "keys", "value", "told"),
    [
        ("Application", ("spec", "syncPolicy", "automated", "selfHeel"), True, "did you mean selfHeal?"),
        ("Application", ("spec", "source", "path"), 3, "spec.source.path: 3 is not of type 'string'"),
        ("AppProject", ("spec", "sourceRepo"), [], "did you mean sourceRepos?"),
        ("AppProject", ("kind",), "AppProjects", "Argo CD has no AppProjects here"),
    ],
)
def test_a_mistake_in_argo_cds_own_kinds_is_found(kind: str, keys: tuple[str, ...], value: object, told: str) -> None:
    its = objects.of_program(built("p3"))
    (one,) = [each for each in its if each.content["kind"] == kind]
    place = one.content
    for key in keys[:-1]:
        place = place[key]
    place[keys[-1]] = value
    (found,) = schemas.findings([one])
    assert told in str(found)
    assert str(found).startswith("p3 ")


def test_what_a_pod_needs_has_to_be_there(folder: Path) -> None:
    image = "          image: iot-lab/flask-app:v1\n"
    edit(
        folder, image, f"{image}          envFrom: [{{configMapRef: {{name: none}}}}, {{secretRef: {{name: gone}}}}]\n"
    )
    told = " ".join(found_in(folder))
    assert "there is no ConfigMap none" in told
    assert "there is no Secret gone" in told


def test_a_route_needs_its_service() -> None:
    its = objects.of_program(built("p2"))
    without = [each for each in its if each.content["metadata"]["name"] != "app2"]
    assert "there is no Service app2" in " ".join(str(each) for each in references.findings(without))


def test_the_schemas_are_those_of_the_pinned_kubernetes() -> None:
    assert schemas.MINOR == "1.36"
    assert schemas.findings([]) is not None
    deployment = yaml.safe_load("{apiVersion: apps/v1, kind: Deployment, metadata: {name: a, nam: b}, spec: {}}")
    found = [str(each) for each in schemas.findings([objects.Object(source="a.yaml", content=deployment)])]
    assert any("metadata has no field nam" in each for each in found)
    assert any("'selector' is a required property" in each for each in found)


def run(*arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "lab", "validate", *arguments]
    return subprocess.run(command, cwd=paths.ROOT, capture_output=True, text=True, check=False)


def test_the_command_says_that_nothing_is_wrong() -> None:
    done = run()
    assert (done.stdout, done.returncode) == ("nothing wrong\n", 0)


def test_a_checkout_is_checked_with_the_same_rules(folder: Path) -> None:
    assert run("--dir", str(folder)).stdout == "nothing wrong\n"
    inside = folder / "manifests" / "p3"
    inside.mkdir(parents=True)
    (folder / ".github").mkdir()
    (folder / ".github" / "workflow.yaml").write_text("name: no manifest\n")
    for path in folder.glob("*.yaml"):
        path.rename(inside / path.name)
    line = edit(inside, "replicas: 1", "replicaz: 1")
    done = run("--dir", str(folder))
    assert done.returncode == 1
    assert f"{inside}/deployment.yaml:{line}: Deployment dev/flask-app: spec has no field replicaz" in done.stdout
    assert done.stdout.count("\n") == 1


def test_a_folder_without_a_manifest_is_refused(tmp_path: Path) -> None:
    with pytest.raises(LabError, match="there is no manifest in"):
        list(validate.of_checkout(tmp_path))


@pytest.mark.parametrize(
    ("line", "told"),
    [
        ("iot:apps2: {}", r"There is no setting iot:apps2 \(Pulumi\.p2\.yaml:4\)\. did you mean iot:apps\?"),
        ("iot:timeout: soon", r"iot:timeout is 'soon' \(Pulumi\.p2\.yaml:4\)\. expected a whole number"),
    ],
)
def test_a_mistake_in_a_stacks_settings_is_named_with_its_line(tmp_path: Path, line: str, told: str) -> None:
    for name in ("Pulumi.yaml", "Pulumi.p2.yaml"):
        (tmp_path / name).write_text((paths.ROOT / name).read_text(encoding="utf-8"), encoding="utf-8")
    file = tmp_path / "Pulumi.p2.yaml"
    first, *rest = file.read_text(encoding="utf-8").splitlines()
    file.write_text("\n".join(["# A comment", first, rest[0], f"  {line}", *rest[1:]]) + "\n", encoding="utf-8")
    with pytest.raises(LabError, match=told):
        graph.build("p2", tmp_path)
