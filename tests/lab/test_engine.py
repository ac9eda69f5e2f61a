"""P3 on a Docker engine that is stopped, and whose disk is full.

The tests run in their order on one lab, on an engine of their own: others have theirs to go on with.
"""

from __future__ import annotations

import subprocess
from typing import TYPE_CHECKING, Final

import pytest

from components.core import versions
from components.docker import engine as docker_engine
from components.docker.image import package_index
from lab.commands.test import ROOT
from tests.lab import cluster
from tests.lab import engine as engines
from tests.lab.cluster import NODE
from tests.lab.faults import by_itself, fault
from tests.lab.lab import ROOT as PROJECT
from tests.lab.lab import Lab, eventually, failed, going_on, said, status

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.lab.engine import Engine

pytestmark = [
    pytest.mark.lab,
    pytest.mark.k3d,
    pytest.mark.long,
    pytest.mark.skipif(not engines.can(), reason=ROOT),
]

APP: Final = "iot-test/flask-app:v1"  # nothing is built on that engine, which reaches no network
IMAGES: Final = [
    *(versions.K3S_IMAGE, versions.K3D_TOOLS_IMAGE, versions.GITEA_IMAGE),
    *(versions.ARGOCD_IMAGE, versions.REDIS_IMAGE),
]
WELL: Final = 300.0  # seconds until all that was driven out, or stopped, is there again


@pytest.fixture(scope="module")
def engine(tmp_path_factory: pytest.TempPathFactory, before: dict[str, set[str]]) -> Iterator[Engine]:
    """Start an engine that has all images."""
    told = [f"--build-arg={key}={value}" for key, value in {"VERSION": "v1", **package_index()}.items()]
    subprocess.run(["docker", "build", "--quiet", *told, "--tag", APP, "app"], cwd=PROJECT, check=True)
    for image in IMAGES:
        docker_engine.ensure_image(image)
    try:
        with engines.engine(tmp_path_factory.mktemp("engine"), [*IMAGES, APP]) as made:
            yield made
    finally:
        subprocess.run(["docker", "image", "rm", "--force", APP], check=False, capture_output=True)


@pytest.fixture(scope="module")
def lab(tmp_path_factory: pytest.TempPathFactory, engine: Engine) -> Lab:
    """Make a lab that has that engine; what it leaves is gone with the engine."""
    made = Lab(tmp_path_factory.mktemp("lab"), "p3", {**cluster.SETTINGS, "appImage": APP})
    made.use_kept_chart()
    made.env |= {"DOCKER_HOST": engine.url}
    made.before = engines.INSIDE
    return made


def well(lab: Lab) -> None:
    """Wait until all is well, the app's answer among it, without a command that mends anything."""
    eventually("all is well", lambda: lab.command("status", check=False).returncode == 0, lambda: status(lab), WELL)


@fault("world", "the Docker engine", when="is stopped while `make up` makes the cluster", saw="error:", out="make up")
def test_an_engine_that_stops_during_an_up_is_no_harm(lab: Lab, engine: Engine) -> None:
    with going_on(lab, "up") as process:
        eventually("a node", lambda: NODE in engine.docker("ps"), lambda: engine.docker("ps"))
        engine.stop()
        printed = said(process)
    assert process.returncode, printed
    engine.start()
    lab.command("up")
    assert "v1 answers" in lab.command("status").stdout


@fault(
    "world",
    "the Docker engine",
    when="is stopped, and started again",
    saw="the cluster does not answer",
    out=by_itself("all is well"),
)
def test_what_an_engine_has_run_comes_back_with_it(lab: Lab, engine: Engine) -> None:
    pushed = cluster.head(lab)
    engine.stop()
    assert "NOT OK" in status(lab)
    assert "can't be reached" in failed(lab.command("release", "v2", check=False))
    engine.start()
    well(lab)
    assert cluster.head(lab) == pushed


@fault("host", "Docker's disk", when="is full", saw="takes no pods: DiskPressure", out=by_itself("all is well"))
def test_a_disk_that_is_full_is_said_and_gets_well_with_room(lab: Lab, engine: Engine) -> None:
    pushed = cluster.head(lab)
    filler = engine.fill()
    try:
        eventually("it is said", lambda: "takes no pods: DiskPressure" in status(lab), lambda: status(lab))
    finally:
        filler.unlink()
    well(lab)
    assert cluster.head(lab) == pushed


@fault("world", "the Docker engine", when="is stopped before `make destroy`", saw="Docker", out="make destroy")
def test_a_destroy_without_an_engine_changes_nothing(lab: Lab, engine: Engine) -> None:
    engine.stop()
    failed(lab.command("destroy", check=False))
    engine.start()
    lab.command("destroy")
    assert not [each for each in engine.docker("ps", "--all", "--format={{.Names}}").split() if "iot-test" in each]
