"""The project's rooms: what each folder has, and whom it may import. The order is from the bottom to the top."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final


@dataclass(frozen=True)
class Room:
    """A folder.

    Attributes:
        holds: what it has.
        imports: the rooms that it may import besides itself.
    """

    holds: str
    imports: tuple[str, ...] = ()


_CORE: Final = "components/core"
_DOCKER: Final = "components/docker"
ROOMS: Final = {
    "app": Room("the app that is deployed, which knows nothing of the labs"),
    _CORE: Room("settings, pinned versions, errors, what any cluster is"),
    _DOCKER: Room("the Docker engine and the images that are built", (_CORE,)),
    "components/machines": Room("Vagrant machines and SSH", (_CORE, _DOCKER)),
    "components/k3s": Room("K3s on machines", (_CORE, _DOCKER, "components/machines")),
    "components/k3d": Room("K3s in Docker, and its images", (_CORE, _DOCKER)),
    "components/gitops": Room("Argo CD, the Git server and the manifests", (_CORE, _DOCKER)),
    "components/monitoring": Room("Prometheus, Alertmanager, their rules, and plots", (_CORE, "components/gitops")),
    "components/web": Room("web apps behind an Ingress", (_CORE,)),
    "components/platform": Room("what a platform has beyond p3, a module each", (_CORE, _DOCKER, "components/gitops")),
    "components/parts": Room("what each part is made of", ("components",)),
    "policy": Room("the rules, and the policy pack", (_CORE,)),
    "lab/host": Room("this host: tools, downloads, what a stack needs", ("components",)),
    "lab/live": Room("a stack that is up: its cluster, Git, machines", ("components", "lab/host")),
    "devtools": Room("what looks at the program without running it", ("components", "lab/host", "policy")),
    # Nobody imports a command, not even another one.
    "lab/commands": Room("a module for each command", ("components", "lab/host", "lab/live", "devtools")),
    "tests": Room("the tests, by tier", ("app", "components", "devtools", "lab", "policy")),
}
# Who may import what the table does not allow, with the reason.
EXCEPTIONS: Final = {
    ("devtools/bench", "lab/live"): "it measures a stack that is up",
    ("devtools/bench", "tests/lab"): "it brings machines up as the lab tests do, and is run by hand",
    ("lab/commands/test", "lab/commands/lint"): "the first tier runs the linters, too",
    ("lab/commands/faults", "lab/commands/test"): "what breaks something is a test, with the same needs",
}
