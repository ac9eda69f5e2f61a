"""What a benchmark ran on."""

from __future__ import annotations

import os
import platform
import time
from pathlib import Path
from typing import Final

from components.core import versions
from components.core.run import CommandError, run
from lab.host import paths

ANSWER: Final = 30.0  # seconds
GIB: Final = 1 << 30
ENGINE: Final = "{{.ServerVersion}}, {{.Driver}}, cgroup v{{.CgroupVersion}}"


def lines(*, helm: bool) -> list[str]:
    """Return a list item for each fact, the load among them: ask before the benchmark makes its own.

    Args:
        helm: whether its command is used, too; the program brings a library of it.
    """
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / GIB
    engine = run(["docker", "info", "--format", ENGINE], timeout=ANSWER)
    tools = f"Pulumi {versions.PULUMI}, k3d {versions.K3D}"
    if helm:
        tools += ", Helm " + run(["helm", "version", "--template", "{{.Version}}"], timeout=ANSWER)
    return [
        f"- {os.cpu_count()} CPUs ({processor()}), {memory:.0f} GiB; {platform.system()} {platform.machine()}",
        f"- load when it began: {os.getloadavg()[0]:.1f}",
        f"- Docker {engine}; {tools}; K3s {versions.K3S}, Argo CD {versions.ARGOCD}",
        f"- {time.strftime('%Y-%m-%d', time.gmtime())}, commit {commit()}",
    ]


def processor() -> str:
    """Return the processor's name."""
    if platform.system() == "Darwin":
        return run(["sysctl", "-n", "machdep.cpu.brand_string"], timeout=ANSWER)
    for line in Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines():
        key, _, value = line.partition(":")
        if key.strip() == "model name":
            return value.strip()
    return "unnamed"


def commit() -> str:
    """Return the project's commit, or that there is none."""
    try:
        return run(["git", "describe", "--always", "--dirty"], cwd=paths.ROOT, timeout=ANSWER)
    except CommandError:
        return "unknown"
