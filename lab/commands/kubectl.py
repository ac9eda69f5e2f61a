"""Run kubectl in a stack's cluster, such as ARGS="get nodes"."""

from __future__ import annotations

from typing import TYPE_CHECKING

from components.core import kube
from components.core.run import show
from lab.host import tools
from lab.live import environments, stack

if TYPE_CHECKING:
    import argparse


def arguments(parser: argparse.ArgumentParser) -> None:
    """Add the command's arguments."""
    stack.argument(parser)
    parser.add_argument("--cluster", default="", help="one besides Argo CD's own, by its name in iot:clusters")
    stack.further_arguments(parser)


def run(args: argparse.Namespace) -> int:
    """Run kubectl with the stack's kubeconfig, which is in a file of this user's only for that time."""
    kubeconfig = environments.kubeconfig(stack.outputs(args.stack, show_secrets=True), args.cluster)
    tools.ensure(["kubectl"])
    with kube.config_file(kubeconfig) as path:
        return show(kube.command(path, *args.arguments))
