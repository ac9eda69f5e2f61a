"""Production in a cluster that was there before: the way out of one machine, and back."""

from __future__ import annotations

import json
import subprocess
from typing import TYPE_CHECKING, Any, Final

import pytest
import yaml

from components.core import versions
from components.k3d import volumes
from tests.lab import cluster
from tests.lab.lab import ROOT, Lab, answer, docker_things, eventually, left

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

pytestmark = [pytest.mark.lab, pytest.mark.k3d]

CLUSTER: Final = "iot-further-test"
THEIRS: Final = "iot-theirs"
IMAGE: Final = "iot-further-test/flask-app"
DEV, PROD = 31201, 31221
ENVIRONMENTS: Final[dict[str, dict[str, Any]]] = {
    "dev": {"port": DEV},
    "prod": {"port": PROD, "after": "dev", "sync": "manual", "approvals": 1},
}
SETTINGS: Final[dict[str, Any]] = {
    "clusterName": CLUSTER,
    "apiPort": 17560,
    "argocdPorts": [19082],
    "gitPorts": [19005],
    "registryPort": 0,
    "ci": False,
    "sealedSecrets": False,
    "monitoring": False,
    "appImage": f"{IMAGE}:v1",
    "clusters": {},
    "environments": ENVIRONMENTS,
}
VOLUME: Final = next(
    iter(volumes.of({"metadata": {"name": CLUSTER}, "image": versions.K3S_IMAGE, "servers": 1, "agents": 0}).values())
)


def docker(*arguments: str) -> str:
    return subprocess.run(["docker", *arguments], cwd=ROOT, check=True, capture_output=True, text=True).stdout.strip()


@pytest.fixture(scope="module")
def before() -> dict[str, set[str]]:
    return docker_things(CLUSTER, THEIRS, IMAGE)


@pytest.fixture(scope="module")
def lab(tmp_path_factory: pytest.TempPathFactory, before: dict[str, set[str]]) -> Iterator[Lab]:
    """Bring it up with both environments in its own cluster, with images that it does not build."""
    made = Lab(tmp_path_factory.mktemp("further"), "platform", SETTINGS)
    made.use_kept_chart()
    # As users have it who keep their state elsewhere.
    made.env["PULUMI_BACKEND_URL"] = f"file://{made.folder}/.lab/state"
    try:
        for version in ("v1", "v2"):
            docker("build", "--quiet", f"--build-arg=VERSION={version}", f"--tag={IMAGE}:{version}", "app")
        made.shell("make up")
        # It is in no registry, and the program knows of the first version alone.
        cluster.bring(made, CLUSTER, [f"{IMAGE}:v2"])
        yield made
    finally:
        made.pulumi("destroy", "--skip-preview", check=False)
        for command in (
            ["k3d", "cluster", "delete", CLUSTER, THEIRS],
            ["docker", "rm", "--force", "--volumes", f"{CLUSTER}-git"],
            ["docker", "volume", "rm", "--force", f"{CLUSTER}-git", VOLUME],
            ["docker", "network", "rm", CLUSTER],
            ["docker", "image", "rm", "--force", f"{IMAGE}:v1", f"{IMAGE}:v2"],
        ):
            made.run(*command, check=False)


@pytest.fixture(scope="module")
def kubeconfig(lab: Lab, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """Make a cluster that is not ours, which Argo CD's pods reach by its address; return its kubeconfig."""
    cluster.make_other(lab, THEIRS, network=CLUSTER, api_port=17561, images=[f"{IMAGE}:v1", f"{IMAGE}:v2"])
    address = docker("inspect", "--format", "{{range .NetworkSettings.Networks}}{{.IPAddress}}{{end}}", node())
    content = yaml.safe_load(lab.run("k3d", "kubeconfig", "get", THEIRS).stdout)
    content["clusters"][0]["cluster"]["server"] = f"https://{address}:6443"
    path = tmp_path_factory.mktemp("theirs") / "kubeconfig"
    path.touch(mode=0o600)
    path.write_text(yaml.safe_dump(content), encoding="utf-8")
    yield path
    lab.run("k3d", "cluster", "delete", THEIRS)


def node() -> str:
    return f"k3d-{THEIRS}-server-0"


def in_theirs(lab: Lab, kubeconfig: Path, *arguments: str) -> str:
    return lab.run("kubectl", f"--kubeconfig={kubeconfig}", *arguments).stdout


def version(url: str) -> str:
    code, body = answer(url)
    return str(json.loads(body)["message"]) if code == 200 else body


def test_production_moves_to_a_cluster_that_was_there_before(lab: Lab, kubeconfig: Path) -> None:
    in_theirs(lab, kubeconfig, "create", "namespace", "theirs")
    in_theirs(lab, kubeconfig, "--namespace=theirs", "create", "configmap", "mine", "--from-literal=a=b")
    lab.shell("make release VERSION=v2")
    assert version(f"http://localhost:{PROD}/") == "v1"

    lab.set("clusters", {"prod": {"kubeconfig": str(kubeconfig)}})
    lab.set("environments", {**ENVIRONMENTS, "prod": {**ENVIRONMENTS["prod"], "cluster": "prod"}})
    said = lab.shell("make up").stdout
    assert "replaced" not in "".join(line for line in said.splitlines() if "iot-cluster-nodes" in line), said
    (prod,) = [each for each in lab.outputs()["environments"] if each["name"] == "prod"]
    assert "localhost" not in prod["url"]
    eventually("it runs there", lambda: version(prod["url"]) == "v1", lambda: version(prod["url"]))
    assert answer(f"http://localhost:{PROD}/")[0] == 0
    assert "flask-app" in lab.shell("make kubectl CLUSTER=prod ARGS='-n prod get deployments'").stdout
    assert "NOT OK" not in lab.shell("make status").stdout

    said = lab.pulumi("up", "--skip-preview")
    assert not any(word in said for word in (" created", " updated", " replaced", " deleted")), said


def test_a_version_goes_there_by_promotion_and_approval(lab: Lab, kubeconfig: Path) -> None:
    lab.shell("make promote TO=prod")
    assert "says v2" in lab.shell("make approve ENV=prod").stdout
    points = lab.shell("make check").stdout
    assert "FAIL" not in points
    assert "Argo CD may not get secrets in prod" in points


def test_it_comes_back_and_leaves_what_was_there(lab: Lab, kubeconfig: Path) -> None:
    lab.set("environments", ENVIRONMENTS)
    lab.set("clusters", {})
    lab.shell("make up")
    url = f"http://localhost:{PROD}/"
    eventually("it runs here again, as Git says", lambda: version(url) == "v2", lambda: version(url))
    assert "mine" in in_theirs(lab, kubeconfig, "--namespace=theirs", "get", "configmaps", "-o", "name")
    assert not in_theirs(lab, kubeconfig, "get", "deployments", "--namespace=prod", "-o", "name")
    assert not in_theirs(lab, kubeconfig, "get", "serviceaccounts", "--all-namespaces", "-o", "name").count(
        "argocd-manager"
    )


def test_destroy_leaves_nothing(lab: Lab, kubeconfig: Path, before: dict[str, set[str]]) -> None:
    lab.run("k3d", "cluster", "delete", THEIRS)
    lab.shell("make destroy")
    docker("image", "rm", "--force", f"{IMAGE}:v1", f"{IMAGE}:v2")
    after = docker_things(CLUSTER, THEIRS, IMAGE)
    after["volumes"] -= {VOLUME}
    assert left(before, after) == {}
