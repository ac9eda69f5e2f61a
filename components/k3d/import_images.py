"""Bring images of the host's Docker engine into the containerd of a k3d cluster's nodes, in two steps.

    python3 import_images.py save    write them to an archive, while the cluster is still being made
    python3 import_images.py load    import them into the nodes, and remove the archive
    python3 import_images.py print IMAGE...    write an archive to standard output, for whoever else needs one

Environment: IMAGES (references, separated by spaces), ARCHIVE (path of the archive), TIMEOUT (seconds for one save or
import); to load, NODES (names of containers, separated by spaces) as well. Images that the engine lacks are pulled
first, and stay there for the next time. Without an archive, loading saves them anew. docs/adr/0004-images.md says why
it is done like this, and not by `k3d image import`.

Runs with a bare Python, outside the project's virtual environment.
"""

from __future__ import annotations

import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import IO

ATTEMPTS = 3
PULL_SECONDS = 1800


def main() -> None:
    """Save or load, or say why not."""
    try:
        if sys.argv[1:2] == ["print"]:
            # In place of this process, so that whoever ends it ends Docker's.
            os.execvp("docker", ["docker", "save", *platform(), *sys.argv[2:]])  # noqa: S606 - arguments, no shell
        images, archive = os.environ["IMAGES"].split(), Path(os.environ["ARCHIVE"])
        timeout = float(os.environ["TIMEOUT"])
        if sys.argv[1:] == ["save"]:
            save_all(images, archive, timeout)
        else:
            load_all(os.environ["NODES"].split(), images, archive, timeout)
    except RuntimeError as error:
        sys.exit(f"{error}. Fix: see whether `docker info` answers and the disk has room, and run again.")


def save_all(images: list[str], archive: Path, timeout: float) -> None:
    """Write the archive, whole or not at all."""
    for image in images:
        pull(image)
    archive.parent.mkdir(parents=True, exist_ok=True)
    part = archive.with_suffix(".part")
    try:
        output("docker", "save", *platform(), f"--output={part}", *images, timeout=timeout)
    except RuntimeError:
        part.unlink(missing_ok=True)
        raise
    part.replace(archive)
    print(f"saved {len(images)} images")


def load_all(nodes: list[str], images: list[str], archive: Path, timeout: float) -> None:
    """Load all images into all nodes, the nodes at the same time."""
    if not archive.is_file():
        for image in images:
            pull(image)
    with ThreadPoolExecutor(max_workers=len(nodes)) as pool:
        list(pool.map(lambda node: load(node, images, archive, timeout), nodes))
    archive.unlink(missing_ok=True)
    print(f"{len(images)} images are in {len(nodes)} nodes")


def pull(image: str) -> None:
    """Pull an image unless the engine has it."""
    try:
        # Not `image ls`, which does not find what is named with docker.io/ in front.
        output("docker", "image", "inspect", "--format", "{{.Id}}", image, timeout=60)
    except RuntimeError as error:
        if "no such image" not in str(error).lower():
            raise
    else:
        return
    print(f"pulling {image} (at most {PULL_SECONDS // 60} minutes)", flush=True)
    try:
        output("docker", "pull", "--quiet", image, timeout=PULL_SECONDS)
    except RuntimeError as error:
        sys.exit(
            f"The image {image} is not here and can't be pulled: {error}. Fix: check the network and run again, or "
            "bring it with `docker load` (docs/offline.md)."
        )


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
        problem = problem or "they did not arrive"
        wanted = missing(node, images, timeout)
        if not wanted:
            return
    sys.exit(
        f"{' '.join(wanted)} can't be loaded into {node} after {ATTEMPTS} attempts: {problem}. "
        f"Fix: look for a full disk (`docker system df`), and at `docker logs {node}`."
    )


def missing(node: str, images: list[str], timeout: float) -> list[str]:
    """Return those images that a node lacks."""
    there = set(
        output("docker", "exec", node, "ctr", "--namespace=k8s.io", "images", "ls", "-q", timeout=timeout).split()
    )
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
    save = subprocess.Popen(["docker", "save", *platform(), *images], stdout=subprocess.PIPE, stderr=subprocess.PIPE)
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
    known = output("docker", "exec", node, "ctr", "images", "import", "--help", timeout=60)
    return ["--local"] if "--local" in known else []


def platform() -> list[str]:
    """Return the argument that saves one platform only, where Docker knows it.

    An engine with containerd's image store saves the index of all platforms without their content, which can't be
    imported. The argument came with version 1.48 of the API.
    """
    version, system, arch = output(
        "docker", "version", "--format", "{{.Server.APIVersion}} {{.Server.Os}} {{.Server.Arch}}", timeout=60
    ).split()
    major, minor = (int(part) for part in version.split("."))
    return [f"--platform={system}/{arch}"] if (major, minor) >= (1, 48) else []


def output(*command: str, timeout: float) -> str:
    """Run a program and return what it printed."""
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=timeout, check=False)
    except subprocess.TimeoutExpired as error:
        raise RuntimeError(f"`{' '.join(command[:3])}` did not end within {timeout:.0f} s") from error
    if done.returncode:
        raise RuntimeError(f"`{' '.join(command[:3])}` failed: {done.stderr.strip()[-500:]}")
    return done.stdout.strip()


if __name__ == "__main__":
    main()
