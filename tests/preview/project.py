"""A copy of the project in which the real Pulumi CLI previews stacks: empty state, no Docker, no network."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tarfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from components.core import versions

ROOT: Final = Path(__file__).resolve().parents[2]
TIMEOUT: Final = 240  # seconds for one call of the CLI; the first one on a busy machine takes a while
# What the program reads, and what a shell does. Not the lab's commands, nor what bootstrap and setup make.
PARTS: Final = (
    "__main__.py",
    "Pulumi.yaml",
    "Pulumi.p*.yaml",
    "components",
    "app",
    "ci",
    "manifests",
    "vagrant",
    "activate",
)
# What the CLI and its plugins are, and what their scripts call. No docker, k3d or kubectl.
PULUMI: Final = ("pulumi", "pulumi-language-python", "pulumi-language-python-exec", "pulumi-resource-pulumi-python")
SYSTEM: Final = ("env", "sh", "uname", "dirname")
PASSPHRASE: Final = "preview-only-passphrase"


@dataclass(frozen=True)
class Answer:
    """What the CLI said.

    Attributes:
        code: its exit code.
        out: what it printed to stdout.
        err: what it printed to stderr.
    """

    code: int
    out: str
    err: str

    @property
    def all(self) -> str:
        """All that it printed."""
        return self.out + self.err


class Project:
    """The copy, with an environment in which nothing of this machine but Pulumi and Python can be found."""

    def __init__(self, folder: Path) -> None:
        self.root, self._home = folder / "iot", folder / "home"
        self._home.mkdir()
        for pattern in PARTS:
            for source in sorted(ROOT.glob(pattern)):
                _copy(source, self.root / source.name)
        for settings in self.root.glob("Pulumi.*.yaml"):
            # Whoever has brought the stack up here has a salt in it, which belongs to another passphrase.
            lines = settings.read_text(encoding="utf-8").splitlines(keepends=True)
            settings.write_text("".join(each for each in lines if "encryptionsalt" not in each), encoding="utf-8")
        # The environment that these tests run in is the one that the program runs in.
        (self.root / ".venv").symlink_to(sys.prefix)
        self.env = self._environment(folder / "bin")

    def _environment(self, bin_folder: Path) -> dict[str, str]:
        bin_folder.mkdir()
        plugins = [f"pulumi-resource-{name}" for name in versions.PULUMI_PLUGINS]
        for name in (*PULUMI, *plugins, *SYSTEM):
            if found := shutil.which(name):
                (bin_folder / name).symlink_to(found)
        (bin_folder / "python3").symlink_to(sys.executable)
        home = self._home / ".pulumi"
        home.mkdir()
        # Plugins that are not on PATH are where the CLI keeps them.
        kept = Path(os.environ.get("PULUMI_HOME") or Path.home() / ".pulumi") / "plugins"
        if kept.is_dir():
            (home / "plugins").symlink_to(kept)
        nowhere = "http://127.0.0.1:9"  # nothing listens on the port of the discard protocol
        return {
            "PATH": str(bin_folder),
            "HOME": str(self._home),
            "TMPDIR": os.environ.get("TMPDIR", "/tmp"),  # noqa: S108 - what programs take anyway
            "PULUMI_HOME": str(home),
            "PULUMI_CONFIG_PASSPHRASE": PASSPHRASE,
            "PULUMI_SKIP_UPDATE_CHECK": "true",
            "PULUMI_DISABLE_AUTOMATIC_PLUGIN_ACQUISITION": "true",
            "DOCKER_HOST": f"unix://{self._home}/docker.sock",
            "HTTP_PROXY": nowhere,
            "HTTPS_PROXY": nowhere,
            "NO_PROXY": "127.0.0.1,localhost",
        }

    def pulumi(self, *args: str) -> Answer:
        """Run the CLI."""
        command = ["pulumi", "--non-interactive", "--color=never", *args]
        done = subprocess.run(
            command, cwd=self.root, env=self.env, capture_output=True, text=True, timeout=TIMEOUT, check=False
        )
        return Answer(done.returncode, done.stdout, done.stderr)

    def create(self, stack: str) -> None:
        """Create a stack, which is empty."""
        made = self.pulumi("stack", "init", stack, "--secrets-provider", "passphrase")
        assert made.code == 0, made.all

    def set(self, stack: str, key: str, value: str, *, secret: bool = False) -> None:
        """Set one of the settings of a stack; an element of a list by a key such as appPorts[0]."""
        kind = "--secret" if secret else "--plaintext"
        done = self.pulumi("config", "set", "--stack", stack, "--path", f"iot:{key}", kind, "--", value)
        assert done.code == 0, done.all

    def use_charts(self, stack: str, chart: Path) -> None:
        """Have a stack use stand-ins for charts: this one for Argo CD's, and those beside it for the others."""
        for each in versions.CHARTS:
            self.set(stack, each.setting, str(chart.with_name(each.archive)))

    def preview(self, stack: str) -> Answer:
        """Preview a stack."""
        return self.pulumi("preview", "--stack", stack)

    def plan(self, stack: str) -> dict[str, Any]:
        """Preview a stack that is right, and return what the CLI says of it as JSON."""
        said = self.pulumi("preview", "--json", "--stack", stack)
        assert said.code == 0, said.all
        plan: dict[str, Any] = json.loads(said.out)
        return plan


def _copy(source: Path, target: Path) -> None:
    if source.is_dir():
        shutil.copytree(source, target, ignore=shutil.ignore_patterns("__pycache__", ".vagrant"))
    else:
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(source, target)


def stub_chart(folder: Path, wanted: versions.Chart = versions.ARGOCD_CHART) -> Path:
    """Write an archive with the name and version of a pinned chart, and one ConfigMap in it; return its path."""
    chart = folder / wanted.name
    (chart / "templates").mkdir(parents=True)
    (chart / "Chart.yaml").write_text(
        f"apiVersion: v2\nname: {wanted.name}\nversion: {wanted.version}\n", encoding="utf-8"
    )
    (chart / "templates" / "stub.yaml").write_text(
        "apiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: stub\n", encoding="utf-8"
    )
    path = folder / wanted.archive
    with tarfile.open(path, "w:gz") as archive:
        archive.add(chart, arcname=wanted.name)
    return path
