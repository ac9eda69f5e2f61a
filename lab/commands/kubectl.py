"""Run kubectl in a stack's cluster, such as ARGS="get nodes"."""

from __future__ import annotations

import subprocess
from typing import TYPE_CHECKING

from lab.host import tools
from lab.host.environment import environment
from lab.live import kube, stack

if TYPE_CHECKING:
    import argparse


def arguments(parser: argparse.ArgumentParser) -> None:
    """Add the command's arguments."""
    stack.argument(parser)
    stack.further_arguments(parser)


def run(args: argparse.Namespace) -> int:
    """Run kubectl with the stack's kubeconfig, which is in a file of this user's only for that time."""
    kubeconfig = stack.outputs(args.stack, show_secrets=True)["kubeconfig"]
    tools.ensure(["kubectl"])
    with kube.config_file(kubeconfig) as path:
        return subprocess.run(kube.command(path, *args.arguments), env=environment(), check=False).returncode
