"""Measure p1 and p2 beside a plain Vagrantfile with shell provisioning that does the same, in turns, in one run.

    python devtools/bench/p1-p2/run.py --files FOLDER [--repetitions N]

Both sides use Vagrant's docker provider and K3s's air-gap files from FOLDER, so that no network is measured. It has
machines, addresses and a state of its own, and removes all that it makes.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import secrets
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any, Final

ROOT: Final = Path(__file__).resolve().parents[3]
HERE: Final = Path(__file__).resolve().parent
sys.path.insert(0, str(ROOT))

from components.core import versions  # noqa: E402 - found only now
from components.web import answers  # noqa: E402 - found only now
from tests.lab.lab import Lab  # noqa: E402 - found only now

SERVER: Final = "192.168.56.220"
LIMIT: Final = 900  # seconds for one step
MEMORY: Final = {"p1": 1024, "p2": 2048}
AGENTS: Final = {"p1": 1, "p2": 0}
HOSTS: Final = {"app1.com": "app1", "app2.com": "app2", "app3.com": "app3", "other.org": "app3"}
EVENT: Final = re.compile(r" [+~]+ +(\S+) (\S+) created(?: replacement)? \((\d+(?:\.\d+)?)s\)")
IMPORT: Final = "sudo k3s ctr --namespace k8s.io images import -"


class Plain:
    """The plain way: `vagrant up`, then what the README of such a lab tells to type.

    Args:
        part: p1 or p2.
        files: the folder with K3s's air-gap files.
        folder: for Vagrant's notes and rendered objects.
    """

    def __init__(self, part: str, files: Path, folder: Path) -> None:
        self.part, self.folder = part, folder
        self.steps: list[tuple[str, float]] = []
        self.env = {
            **os.environ,
            "VAGRANT_CWD": str(HERE),
            "VAGRANT_DOTFILE_PATH": str(folder / "vagrant"),
            "VAGRANT_DEFAULT_PROVIDER": "docker",
            "VAGRANT_CHECKPOINT_DISABLE": "1",
            "AGENTS": str(AGENTS[part]),
            "SERVER": SERVER,
            "FILES": str(files),
            "IMAGE": versions.VAGRANT_DOCKER_IMAGE,
            "MEMORY": str(MEMORY[part]),
            "TOKEN": secrets.token_hex(16),
        }

    def step(self, what: str, *command: str, **more: Any) -> str:  # noqa: ANN401 - subprocess.run's
        """Run one step and note how long it took."""
        begin = time.monotonic()
        done = subprocess.run(
            command, cwd=ROOT, env=self.env, capture_output=True, text=True, timeout=LIMIT, check=False, **more
        )
        if done.returncode:
            end = (done.stdout + done.stderr).strip().splitlines()[-15:]
            raise SystemExit("\n".join([f"{what} failed with exit code {done.returncode}:", *end]))
        self.steps.append((what, time.monotonic() - begin))
        return str(done.stdout)

    def up(self) -> None:
        """Bring it up, until all that the program waits for is there."""
        self.step("vagrant up with provisioning", "vagrant", "up")
        nodes = f"test $(sudo k3s kubectl get nodes --no-headers | grep -cw Ready) = {AGENTS[self.part] + 1}"
        self.on(f"until {nodes}; do sleep 0.5; done", "nodes Ready")
        if self.part == "p2":
            self.apps()

    def apps(self) -> None:
        """Build the image, bring it, apply the program's own objects, wait, and try every host."""
        tag = "iot-bench/flask-app:v1"
        base = f"PYTHON_IMAGE={versions.PYTHON_IMAGE}"
        self.step(
            "docker build", "docker", "build", "-q", "--build-arg", "VERSION=v1", "--build-arg", base, "-t", tag, "app"
        )
        line = f"docker save {tag} | vagrant ssh -c '{IMPORT}' benchS"
        self.step("image to the machine", "bash", "-c", line)
        objects = self.folder / "objects.yaml"
        rendered = sorted((self.folder / "rendered").rglob("*.yaml"))
        text = "\n---\n".join(path.read_text(encoding="utf-8") for path in rendered)
        objects.write_text(re.sub(r"image: \S*flask-app\S*", f"image: {tag}", text), encoding="utf-8")
        wait = "wait deployment --all --for=condition=Available --timeout=300s"
        for what, line in {
            "kubectl apply": "sudo k3s kubectl apply -f -",
            "deployments available": f"sudo k3s kubectl -n web {wait}",
        }.items():
            with objects.open(encoding="utf-8") as data:
                self.step(what, "vagrant", "ssh", "-c", line, "benchS", stdin=data)
        begin = time.monotonic()
        props = {"address": SERVER, "routes": {h: a for h, a in HOSTS.items() if a[-1] == h[3]}, "default": "app3"}
        while answers.wrong_routes({**props, "names_itself": True}):
            time.sleep(0.5)
        self.steps.append(("every route answers", time.monotonic() - begin))

    def on(self, line: str, what: str) -> None:
        """Run a line on the server."""
        self.step(what, "vagrant", "ssh", "-c", f"timeout 300 bash -c '{line}'", "benchS")

    def destroy(self) -> None:
        """Remove it."""
        self.step("vagrant destroy", "vagrant", "destroy", "--force")


def timed(what: Any) -> float:  # noqa: ANN401 - anything to call
    """Return how long a call took, in seconds."""
    begin = time.monotonic()
    what()
    return time.monotonic() - begin


def measure(part: str, files: Path, figures: dict[str, list[float]], steps: dict[str, list[str]]) -> None:
    """Bring a part up and down, the plain way and then the program's."""
    folder = Path(tempfile.mkdtemp(prefix="iot-bench-"))
    settings = {"login": "bench", "serverAddress": SERVER, "vagrantProvider": "docker", "k3sAirgapDir": str(files)}
    lab = Lab(folder, part, settings)
    try:
        plain = Plain(part, files, folder)
        if part == "p2":
            lab.command("render", "--stack", "p2")
            shutil.copytree(lab.folder / "rendered", folder / "rendered")
        try:
            figures.setdefault(f"{part} up, plain", []).append(timed(plain.up))
        finally:
            figures.setdefault(f"{part} destroy, plain", []).append(timed(plain.destroy))
        steps[f"{part}, plain"] = [f"{what} {took:.1f} s" for what, took in plain.steps]
        said: list[str] = []
        try:
            took = timed(lambda: said.append(lab.pulumi("up", "--skip-preview")))
            figures.setdefault(f"{part} up, program", []).append(took)
            steps[f"{part}, program"] = [
                f"{name} {took} s" for _, name, took in EVENT.findall(said[0]) if float(took) >= 1
            ]
            second = timed(lambda: lab.pulumi("up", "--skip-preview"))
            figures.setdefault(f"{part} second up, program", []).append(second)
        finally:
            figures.setdefault(f"{part} destroy, program", []).append(
                timed(lambda: lab.pulumi("destroy", "--skip-preview", check=False))
            )
    finally:
        shutil.rmtree(folder)
        subprocess.run(["docker", "image", "rm", "--force", "iot-bench/flask-app:v1"], capture_output=True, check=False)


def main() -> int:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--files", type=Path, required=True, help="folder with K3s's air-gap files")
    parser.add_argument("--repetitions", type=int, default=1, help="how often each side runs (%(default)s)")
    parser.add_argument("--parts", nargs="+", default=["p1", "p2"], choices=["p1", "p2"])
    args = parser.parse_args()
    figures: dict[str, list[float]] = {}
    steps: dict[str, list[str]] = {}
    print(f"load when it began: {os.getloadavg()[0]:.1f}, {os.cpu_count()} CPUs", flush=True)
    for _ in range(args.repetitions):
        for part in args.parts:
            measure(part, args.files.resolve(), figures, steps)
    for what, values in figures.items():
        print(f"{what:26} {statistics.median(values):6.1f} s   {json.dumps([round(each, 1) for each in values])}")
    for side, taken in steps.items():
        print(f"\n{side}: {'; '.join(taken)}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
