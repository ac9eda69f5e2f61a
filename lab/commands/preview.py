"""Show what `up` would do: for one stack, or for all of them from an empty state.

It needs the Pulumi CLI and its plugins, but no Docker, no Vagrant and no cluster.
"""

from __future__ import annotations

import shutil
import subprocess
import tempfile
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from components.settings import PARTS
from lab import local, needs, paths, stack
from lab.commands import setup
from lab.console import say
from lab.environment import environment

if TYPE_CHECKING:
    import argparse


def arguments(parser: argparse.ArgumentParser) -> None:
    """Add the command's arguments."""
    parser.add_argument("--stack", help="the stack to compare with its state (default: all, from an empty state)")
    stack.further_arguments(parser)


def run(args: argparse.Namespace) -> int:
    """Run `pulumi preview`."""
    local.prepare()
    for name in [args.stack] if args.stack else PARTS:
        setup.fetch(replace(needs.of(name), tools=("pulumi",)))
    if args.stack:
        stack.ensure(args.stack)
        stack.become(["pulumi", "preview", "--stack", args.stack, *stack.QUIET, *args.arguments])
    codes = {name: from_nothing(name, args.arguments) for name in PARTS}
    for name, code in codes.items():
        say(f"preview of {name}: {'ok' if code == 0 else 'failed'}")
    return max(codes.values())


def from_nothing(name: str, further: list[str]) -> int:
    """Preview a stack against an empty state that is thrown away, and return the exit code.

    Args:
        name: the stack.
        further: arguments for `pulumi preview`.
    """
    say(f"preview of {name}, from an empty state")
    with tempfile.TemporaryDirectory() as folder:
        (Path(folder) / "state").mkdir()
        env = environment() | {"PULUMI_BACKEND_URL": f"file://{folder}/state"}
        # `stack init` writes to the stack's file: it gets a copy.
        for file in ("Pulumi.yaml", f"Pulumi.{name}.yaml"):
            shutil.copy(paths.ROOT / file, folder)
        create = ["pulumi", "--cwd", folder, "stack", "init", name, "--secrets-provider", "passphrase"]
        subprocess.run([*create, "--non-interactive"], env=env, check=True, timeout=stack.TIMEOUT)
        command = ["pulumi", "preview", "--stack", name, "--config-file", f"{folder}/Pulumi.{name}.yaml"]
        return subprocess.run([*command, *stack.QUIET, *further], cwd=paths.ROOT, env=env, check=False).returncode
