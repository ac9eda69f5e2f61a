"""What the tests of p3 share: a cluster and ports beside a user's lab, and what is asked of it."""

from __future__ import annotations

import fcntl
import json
import os
import subprocess
import sys
import tempfile
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from components.core import versions
from components.docker import engine
from tests.lab.lab import ROOT, Lab, answer, docker_things, eventually, kept
from tests.lab.lab import left as left_of

if TYPE_CHECKING:
    from collections.abc import Iterator

CLUSTER: Final = "iot-test"
OTHER: Final = "iot-other"  # one that is not ours
NODE: Final = f"k3d-{CLUSTER}-server-0"
# What the node keeps when the cluster goes.
VOLUME: Final = kept(CLUSTER)[0]
REGISTRY: Final = f"{CLUSTER}-registry"
GIT: Final = f"{CLUSTER}-git"  # the container of the embedded Git server, and its volume
APP: Final = "http://localhost:18888/"
SETTINGS: Final[dict[str, Any]] = {
    "clusterName": CLUSTER,
    "apiPort": 16550,
    "appPorts": [18888],
    "argocdPorts": [18080],
    "gitPorts": [18003],
}


PASSWORDS: Final = ("argocdPassword", "gitPassword", "gitReader")  # the outputs that have them


@contextmanager
def alone() -> Iterator[None]:
    """Be the one of the two files with tests of p3 that has a lab: they give it the same names, as users' labs have."""
    with (Path(tempfile.gettempdir()) / f"{CLUSTER}-{os.getuid()}.lock").open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def message() -> str:
    """Return the version that the live app says it is, or what it says instead."""
    status, body = answer(APP)
    return str(json.loads(body)["message"]) if status == 200 else body


def answers(version: str) -> None:
    """Wait until the live app says that it is a version."""
    eventually(f"the app answers {version}", lambda: message() == version, message)


def application(lab: Lab) -> dict[str, Any]:
    """Return the Application's status."""
    found: dict[str, Any] = lab.get("application", "argocd", "flask-app")["status"]
    return found


def wait_settled(lab: Lab) -> None:
    """Wait until the Application is Synced and Healthy."""

    def settled() -> bool:
        status = application(lab)
        return (status["sync"]["status"], status["health"]["status"]) == ("Synced", "Healthy")

    eventually("Synced and Healthy", settled, lambda: json.dumps(application(lab))[:2000])


def git_url(lab: Lab) -> str:
    """Return the URL of Git's repository, with the login in it."""
    outputs = lab.outputs()
    login = f"http://{outputs['git']['username']}:{outputs['gitPassword']}@"
    return str(outputs["git"]["url"]).replace("http://", login)


def head(lab: Lab) -> str:
    """Return the commit that Git has."""
    return lab.run("git", "ls-remote", git_url(lab), "refs/heads/main").stdout.split()[0]


def facts(lab: Lab) -> dict[str, Any]:
    """Return what no update, and no kill, may change: the passwords, and what was pushed."""
    outputs = lab.outputs()
    return {"commit": head(lab), **{name: outputs[name] for name in PASSWORDS}}


def there() -> dict[str, set[str]]:
    """Return what Docker has of the tests of p3."""
    return docker_things(CLUSTER, OTHER, versions.APP_REPOSITORY + ":")


def left(before: dict[str, set[str]]) -> dict[str, set[str]]:
    """Return what Docker has after a `destroy`, of each kind, and had not before, but for what that is to leave."""
    after = there()
    after["volumes"] -= {VOLUME, REGISTRY}
    return left_of(before, after)


@contextmanager
def lab(folder: Path, project: Path = ROOT) -> Iterator[Lab]:
    """Make a lab of p3, and remove it whatever state it is in.

    Args:
        folder: where the copy goes.
        project: the project that is copied.
    """
    made = Lab(folder, "p3", SETTINGS, project)
    made.use_kept_chart()
    try:
        yield made
    finally:
        remove(made)


def remove(lab: Lab) -> None:
    """Destroy a lab, whatever state it is in, and then what a failed destroy has left."""
    lab.pulumi("destroy", "--skip-preview", check=False)
    for command in (
        ["k3d", "cluster", "delete", CLUSTER],
        ["docker", "rm", "--force", "--volumes", GIT, REGISTRY],
        ["docker", "volume", "rm", "--force", GIT, VOLUME, REGISTRY],
        ["docker", "network", "rm", CLUSTER],
        ["docker", "image", "rm", "--force", *(f"{versions.APP_REPOSITORY}:{each}" for each in ("v1", "v2"))],
    ):
        subprocess.run(command, check=False, capture_output=True, timeout=120)


def make_other(lab: Lab, name: str, *, network: str, api_port: int, images: list[str]) -> None:
    """Make a cluster that is not ours, and bring it images of Docker's.

    Args:
        lab: whose tools are used.
        name: the cluster's.
        network: the Docker network that it is on.
        api_port: of this host, for its API.
        images: what is to run in it.
    """
    disabled = [f"--k3s-arg=--disable={each}@server:0" for each in ("traefik", "servicelb", "metrics-server")]
    cgroup = ["--k3s-arg=--kubelet-arg=fail-cgroupv1=false@server:0"] if engine.cgroup_version() == "1" else []
    create = ["k3d", "cluster", "create", name, f"--image={versions.K3S_IMAGE}", f"--network={network}", "--no-lb"]
    lab.run(*create, f"--api-port=127.0.0.1:{api_port}", "--kubeconfig-update-default=false", *disabled, *cgroup)
    bring(lab, name, images)


def bring(lab: Lab, name: str, images: list[str]) -> None:
    """Bring a cluster images of Docker's, as the program does.

    Args:
        lab: whose tools are used.
        name: the cluster's.
        images: with their tags.
    """
    node = {"NODES": f"k3d-{name}-server-0", "IMAGES": " ".join(images), "TIMEOUT": "300"}
    command = [sys.executable, "-m", "components.k3d.import_images"]
    subprocess.run(command, cwd=lab.folder, env=lab.env | node, check=True)
