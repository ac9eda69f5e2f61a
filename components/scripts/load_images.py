"""Bring images of the host's Docker engine into the containerd of a k3d cluster's nodes.

Environment: NODES (names of containers), IMAGES (references), both separated by spaces, and TIMEOUT (seconds for
one import). Images that the engine lacks are pulled first, and stay there for the next time. `k3d image import` is
not used: it writes every image to disk twice, and can report success with nothing imported.

Runs with a bare Python, outside the project's virtual environment.
"""

from __future__ import annotations

import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor

ATTEMPTS = 3
PULL_SECONDS = 1800


def main() -> None:
    """Load all images into all nodes, or say why not."""
    try:
        load_all()
    except RuntimeError as error:
        sys.exit(f"{error}. Fix: see whether `docker info` answers, and run again.")


def load_all() -> None:
    """Load all images into all nodes, the nodes at the same time."""
    nodes, images = os.environ["NODES"].split(), os.environ["IMAGES"].split()
    timeout = float(os.environ["TIMEOUT"])
    for image in images:
        pull(image)
    with ThreadPoolExecutor(max_workers=len(nodes)) as pool:
        list(pool.map(lambda node: load(node, images, timeout), nodes))
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


def load(node: str, images: list[str], timeout: float) -> None:
    """Import images into one node and see whether they have arrived."""
    problem, wanted = "", images
    for attempt in range(1, ATTEMPTS + 1):
        if attempt > 1:
            print(f"attempt {attempt} to load {' '.join(wanted)} into {node}: {problem}", flush=True)
        # The first time all of them: a node may have an image of that name with other content.
        problem = stream(node, wanted, timeout) or "they did not arrive"
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


def stream(node: str, images: list[str], timeout: float) -> str:
    """Save images and import them without a file in between; return what went wrong, or nothing."""
    save = subprocess.Popen(["docker", "save", *platform(), *images], stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    try:
        done = subprocess.run(
            ["docker", "exec", "-i", node, "ctr", "--namespace=k8s.io", "images", "import", "-"],
            stdin=save.stdout,
            capture_output=True,
            text=True,
            timeout=timeout,
            check=False,
        )
    except subprocess.TimeoutExpired:
        return f"it took longer than {timeout:.0f} s"
    finally:
        if save.stdout:
            save.stdout.close()
        save.kill()
        said = save.communicate()[1].decode(errors="replace")
    return "" if done.returncode == 0 else (done.stderr.strip() or said.strip())[-500:]


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
