"""Bring images of the host's Docker engine into the containerd of a k3d cluster's nodes, in two steps.

    python -m components.k3d.import_images save    write them to an archive, while the cluster is still being made
    python -m components.k3d.import_images load    import them into the nodes, and remove the archive

Environment: IMAGES (references, separated by spaces), ARCHIVE (path of the archive), TIMEOUT (seconds for one save or
import); to load, NODES (names of containers, separated by spaces) as well. Images that the engine lacks are pulled
first, and stay there for the next time. Without an archive, loading saves them anew. docs/adr/0004-images.md says why
it is done like this, and not by `k3d image import`.
"""

from __future__ import annotations

import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import IO

from components.core.errors import LabError
from components.core.run import CommandError, run
from components.docker import engine

ATTEMPTS = 3
QUESTION = 60.0  # seconds for a question to a node
FIX = "see whether `docker info` answers and the disk has room, and run again"


def main() -> None:
    """Save or load, or say why not."""
    images, archive = os.environ["IMAGES"].split(), Path(os.environ["ARCHIVE"])
    timeout = float(os.environ["TIMEOUT"])
    try:
        if sys.argv[1:] == ["save"]:
            save_all(images, archive, timeout)
        else:
            load_all(os.environ["NODES"].split(), images, archive, timeout)
    except CommandError as error:
        error.fix = error.fix or FIX
        sys.exit(str(error))
    except LabError as error:
        sys.exit(str(error))


def save_all(images: list[str], archive: Path, timeout: float) -> None:
    """Write the archive, whole or not at all."""
    for image in images:
        engine.ensure_image(image)
    archive.parent.mkdir(parents=True, exist_ok=True)
    part = archive.with_suffix(".part")
    try:
        run([*engine.save(images), f"--output={part}"], timeout=timeout)
        part.replace(archive)
    finally:
        part.unlink(missing_ok=True)
    print(f"saved {len(images)} images")


def load_all(nodes: list[str], images: list[str], archive: Path, timeout: float) -> None:
    """Load all images into all nodes, the nodes at the same time."""
    if not archive.is_file():
        for image in images:
            engine.ensure_image(image)
    with ThreadPoolExecutor(max_workers=len(nodes)) as pool:
        list(pool.map(lambda node: load(node, images, archive, timeout), nodes))
    archive.unlink(missing_ok=True)
    print(f"{len(images)} images are in {len(nodes)} nodes")


def load(node: str, images: list[str], archive: Path, timeout: float) -> None:
    """Import images into one node and see whether they have arrived."""
    problem, wanted = "", images
    for attempt in range(1, ATTEMPTS + 1):
        if attempt > 1:
            print(f"attempt {attempt} to load {' '.join(wanted)} into {node}: {problem}", flush=True)
        # The first time all of them: a node may have an image of that name with other content.
        if attempt == 1 and archive.is_file():
            problem = import_archive(node, archive, timeout)
        else:
            problem = stream(node, wanted, timeout)
        problem = problem or "They did not arrive"
        wanted = missing(node, images, timeout)
        if not wanted:
            return
    raise LabError(
        f"{' '.join(wanted)} can't be loaded into {node} after {ATTEMPTS} attempts",
        why=problem,
        fix=f"look for a full disk (`docker system df`), and at `docker logs {node}`",
    )


def missing(node: str, images: list[str], timeout: float) -> list[str]:
    """Return those images that a node lacks."""
    command = ["docker", "exec", node, "ctr", "--namespace=k8s.io", "images", "ls", "-q"]
    there = set(run(command, timeout=timeout).split())
    return [image for image in images if full_name(image) not in there]


def full_name(image: str) -> str:
    """Return an image's name as containerd has it, with its registry."""
    first, slash, _ = image.partition("/")
    if slash and ("." in first or ":" in first or first == "localhost"):
        return image
    return f"docker.io/{image}" if slash else f"docker.io/library/{image}"


def import_archive(node: str, archive: Path, timeout: float) -> str:
    """Import what was saved before; return what went wrong, or nothing."""
    with archive.open("rb") as file:
        return import_images(node, file, timeout)


def stream(node: str, images: list[str], timeout: float) -> str:
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
    return problem and f"{problem} {said}".strip()[-500:]


def import_images(node: str, source: IO[bytes], timeout: float) -> str:
    """Import an archive into a node; return what went wrong, or nothing."""
    command = ["docker", "exec", "-i", node, "ctr", "--namespace=k8s.io", "images", "import", *local_import(node), "-"]
    try:
        done = subprocess.run(command, stdin=source, capture_output=True, text=True, timeout=timeout, check=False)
    except subprocess.TimeoutExpired:
        return f"it took longer than {timeout:.0f} s"
    return "" if done.returncode == 0 else done.stderr.strip()[-500:] or f"ctr ended with {done.returncode}"


def local_import(node: str) -> list[str]:
    """Return the argument that imports in about half the time, where the node's ctr knows it (containerd 2)."""
    known = run(["docker", "exec", node, "ctr", "images", "import", "--help"], timeout=QUESTION)
    return ["--local"] if "--local" in known else []


if __name__ == "__main__":
    main()
