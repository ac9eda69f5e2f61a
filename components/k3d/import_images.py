"""Bring images into the containerd of a k3d cluster's nodes: ``python -m components.k3d.import_images``.

Environment: IMAGES (references) and NODES (names of containers), each separated by spaces, and TIMEOUT (seconds for
one import or pull). A node keeps what it has unpacked, also from one cluster to the next, so that only what it lacks
is brought: from the host's Docker engine when that has it, or else from its registry, by the node itself. An image of
the same name with other content is brought anew. docs/adr/0004-images.md says why it is done like this.
"""

from __future__ import annotations

import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from typing import IO, Final

from components.core import wait
from components.core.errors import LabError
from components.core.run import CommandError, run
from components.docker import engine

ATTEMPTS: Final = 3
QUESTION: Final = 60.0  # seconds for a question to a node
ID_LABEL: Final = "iot.docker-id"  # of an image in a node: the ID that the engine has for what was imported
# The kubelet removes images that nothing runs when the disk is 85 % full, but for those that have this label. What was
# imported nobody can pull again: https://github.com/containerd/containerd/blob/main/docs/cri/config.md
PINNED: Final = "io.cri-containerd.pinned=pinned"
COMPLETE, UNPACKED = "complete", "true"  # in the columns STATUS and UNPACKED of `ctr images check`
# What a node may keep, in KiB: the lab's images take 2 GiB, and each version of the app a few MiB more.
MOST: Final = 8 << 20
CONTAINERD: Final = "/var/lib/rancher/k3s/agent/containerd"
FIX: Final = "see whether `docker info` answers and the disk has room, and run again"


def main() -> None:
    """Bring them, or say why not."""
    images, nodes = os.environ["IMAGES"].split(), os.environ["NODES"].split()
    timeout = float(os.environ["TIMEOUT"])
    try:
        ids = dict(zip(images, map(engine.image_id, images), strict=True))
        with ThreadPoolExecutor(max_workers=len(nodes)) as pool:
            brought = list(pool.map(lambda node: bring(node, ids, timeout), nodes))
    except CommandError as error:
        error.fix = error.fix or FIX
        sys.exit(str(error))
    except LabError as error:
        sys.exit(str(error))
    kept = sum(not each for each in brought)
    print(f"{len(images)} images are in {len(nodes)} nodes" + (f", {kept} of which had them" if kept else ""))


def bring(node: str, ids: dict[str, str], timeout: float) -> list[str]:
    """Bring images into one node, see whether they have arrived, and return those that it lacked.

    Args:
        node: name of its container.
        ids: the engine's ID of each image; empty when it has none.
        timeout: seconds for one import or pull.
    """
    lacking = missing(node, ids)
    if lacking:
        make_room(node)
    problem, wanted = "", lacking
    for attempt in range(1, ATTEMPTS + 1):
        if not wanted:
            return lacking
        if attempt > 1:
            print(f"attempt {attempt} to load {' '.join(wanted)} into {node}: {problem}", flush=True)
        pulled = [each for each in wanted if not ids[each]]
        if pulled:
            with ThreadPoolExecutor(max_workers=len(pulled)) as pool:
                ids.update(zip(pulled, pool.map(lambda image: pull(node, image, timeout), pulled), strict=True))
        imported = [each for each in wanted if ids[each]]
        problem = (stream(node, imported, ids, timeout) if imported else "") or "it did not arrive"
        wanted = missing(node, ids)
    if not wanted:
        return lacking
    raise LabError(
        f"{' '.join(wanted)} can't be loaded into {node} after {ATTEMPTS} attempts",
        why=problem,
        fix=f"look for a full disk (`docker system df`), and at `docker logs {node}`",
    )


def missing(node: str, ids: dict[str, str]) -> list[str]:
    """Return those images that a node lacks, has in part, or has with other content than the engine."""
    listed = run([*_ctr(node), "ls"], timeout=QUESTION).splitlines()[1:]
    labels = {line.split()[0]: line.split()[-1].split(",") for line in listed if line.strip()}
    checked = run([*_ctr(node), "check"], timeout=QUESTION).splitlines()[1:]
    whole = {line.split()[0] for line in checked if COMPLETE in line.split() and line.split()[-1] == UNPACKED}
    lacking = []
    for image, own in ids.items():
        name = full_name(image)
        if name not in whole or (own and f"{ID_LABEL}={own}" not in labels[name]):
            lacking.append(image)
        elif own and PINNED not in labels[name]:
            run([*_ctr(node), "label", name, PINNED], timeout=QUESTION)  # an older version of this has brought it
    return lacking


def full_name(image: str) -> str:
    """Return an image's name as containerd has it, with its registry."""
    first, slash, _ = image.partition("/")
    if slash and ("." in first or ":" in first or first == "localhost"):
        return image
    return f"docker.io/{image}" if slash else f"docker.io/library/{image}"


def make_room(node: str) -> None:
    """Let a node forget the images that nothing runs, when it keeps more than it should."""
    used = int(run(["docker", "exec", node, "du", "-sk", CONTAINERD], timeout=QUESTION).split()[0])
    if used > MOST:
        print(f"{node} keeps {used >> 20} GiB of images; those that nothing runs are removed", flush=True)
        run([*_ctr(node), "prune", "--all"], timeout=QUESTION * 5)


def pull(node: str, image: str, timeout: float) -> str:
    """Let a node pull an image, or else the engine; return the engine's ID then, and nothing when the node has it."""
    print(f"{node} pulls {image} (at most {timeout:.0f} s)", flush=True)
    try:
        with wait.told(f"{node} pulls {image}", most=timeout):
            run(["docker", "exec", node, "crictl", "pull", image], timeout=timeout)
    except CommandError as error:
        print(f"{node} can't pull {image}: {error.why or error.what}; Docker is asked to", flush=True)
        engine.ensure_image(image)
        return engine.image_id(image)
    return ""


def stream(node: str, images: list[str], ids: dict[str, str], timeout: float) -> str:
    """Save images and import them without a file in between; return what went wrong, or nothing."""
    save = subprocess.Popen(engine.save(images), stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    problem = "docker save has no output"
    try:
        if save.stdout:
            problem = import_images(node, save.stdout, timeout)
    finally:
        if save.stdout:
            save.stdout.close()
        save.kill()
        said = save.communicate()[1].decode(errors="replace").strip()
    if problem:
        return f"{problem} {said}".strip()[-500:]
    try:
        for image in images:
            run([*_ctr(node), "label", full_name(image), f"{ID_LABEL}={ids[image]}", PINNED], timeout=QUESTION)
    except CommandError as error:
        return f"it did not arrive: {error.why or error.what}"
    return ""


def import_images(node: str, source: IO[bytes], timeout: float) -> str:
    """Import an archive into a node; return what went wrong, or nothing."""
    command = ["docker", "exec", "-i", *_ctr(node)[2:], "import", *local_import(node), "-"]
    try:
        with wait.told(f"importing into {node}", most=timeout):
            done = subprocess.run(command, stdin=source, capture_output=True, text=True, timeout=timeout, check=False)
    except subprocess.TimeoutExpired:
        return f"it took longer than {timeout:.0f} s"
    return "" if done.returncode == 0 else done.stderr.strip()[-500:] or f"ctr ended with {done.returncode}"


def local_import(node: str) -> list[str]:
    """Return the argument that imports in about half the time, where the node's ctr knows it (containerd 2)."""
    known = run([*_ctr(node), "import", "--help"], timeout=QUESTION)
    return ["--local"] if "--local" in known else []


def _ctr(node: str) -> list[str]:
    return ["docker", "exec", node, "ctr", "--namespace=k8s.io", "images"]


if __name__ == "__main__":
    main()
