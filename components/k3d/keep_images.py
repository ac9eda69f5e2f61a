"""Keep the images that a K3s node pulled for itself in an archive that later nodes load at their start.

Environment: NODE (name of a container) and ARCHIVE (path of the file to write). Nothing is done when the archive is
there, or when the node had no need to pull any.
"""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path

from components.core.run import CommandError, run

TIMEOUT = 300  # seconds
# Who publishes the images that K3s runs: https://docs.k3s.io/installation/airgap
PUBLISHER = "docker.io/rancher/"


def main() -> None:
    """Write the archive, or say why not."""
    try:
        keep()
    except CommandError as error:
        sys.exit(
            f"K3s's images could not be kept for the next cluster: {error} Fix: look for a full disk "
            "(`df -h .`), and run again; this cluster works without."
        )


def keep() -> None:
    """Write the archive, whole or not at all."""
    node, archive = os.environ["NODE"], Path(os.environ["ARCHIVE"])
    if archive.is_file():
        print(f"{archive.name} is there already")
        return
    if not pulled(node):
        print("the node had no image of its own to pull")
        return
    images = [name for name in output(node, "ctr", "--namespace=k8s.io", "images", "ls", "-q").split() if kept(name)]
    if not images:
        print(f"the node has no image of {PUBLISHER}")
        return
    archive.parent.mkdir(parents=True, exist_ok=True)
    part = archive.with_suffix(".part")
    try:
        export = ["docker", "exec", node, "ctr", "--namespace=k8s.io", "images", "export", "-", *images]
        run(export, timeout=TIMEOUT, into=part)
        part.replace(archive)
    finally:
        part.unlink(missing_ok=True)
    print(f"kept {len(images)} images for the next cluster")


def kept(name: str) -> bool:
    """Say whether an image is one of K3s's own, by its tag rather than its digest."""
    return name.startswith(PUBLISHER) and "@" not in name


def pulled(node: str) -> bool:
    """Say whether the kubelet had to pull an image for the pods that K3s brings."""
    events = json.loads(output(node, "kubectl", "--namespace=kube-system", "get", "events", "--output=json"))["items"]
    return any(event.get("message", "").startswith("Successfully pulled") for event in events)


def output(node: str, *command: str) -> str:
    """Run a program in the node and return what it printed."""
    return run(["docker", "exec", node, *command], timeout=TIMEOUT)


if __name__ == "__main__":
    main()
