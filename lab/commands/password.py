"""Show where Argo CD, Gitea and Grafana are, and who may sign in. Nothing else of the lab ever shows a password."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from components.core.errors import LabError
from lab.live import stack

if TYPE_CHECKING:
    import argparse
    from collections.abc import Mapping


def arguments(parser: argparse.ArgumentParser) -> None:
    """Add the command's arguments."""
    stack.argument(parser)


def run(args: argparse.Namespace) -> int:
    """Print them."""
    print("\n".join(lines(stack.outputs(args.stack, show_secrets=True), args.stack)))
    return 0


def lines(outputs: Mapping[str, Any], name: str) -> list[str]:
    """Return a line for each of them.

    Args:
        outputs: the stack's outputs, with secrets.
        name: the stack's.

    Raises:
        LabError: the stack has no passwords.
    """
    if "argocdPassword" not in outputs:
        raise LabError(f"the stack {name} has no passwords", why="its machines are reached by key", fix="STACK=p3")
    if accounts := outputs.get("accounts"):
        address = urlsplit(outputs["git"]["url"])
        both = f"{outputs['argocdUrl']} and {address.scheme}://{address.netloc}/"
        found = [f"{both}  user {user}  password {password}" for user, password in accounts.items()]
        return found + _grafana(outputs, name)
    users = [("Argo CD", outputs["argocdUrl"], outputs["argocdUsername"], outputs["argocdPassword"])]
    git = outputs["git"]
    if outputs.get("gitPassword"):
        address = urlsplit(git["url"])
        users.append(("Gitea", f"{address.scheme}://{address.netloc}/", git["username"], outputs["gitPassword"]))
    found = [f"{what:8}  {url}  user {user}  password {password}" for what, url, user, password in users]
    if not outputs.get("gitPassword"):
        found.append(f"{'Git':8}  {git['url']}  with your own credentials")
    return found + _grafana(outputs, name)


def _grafana(outputs: Mapping[str, Any], name: str) -> list[str]:
    """Return how Grafana is reached, which has no port of this host, when there is one."""
    if not (at := outputs.get("grafana")):
        return []
    # The engine's JSON has every number as a float.
    port, to = int(at["port"]), f"-n {at['namespace']} port-forward service/{at['service']}"
    way = f"while this runs: make kubectl STACK={name} ARGS='{to} {port}'"
    return [f"{'Grafana':8}  http://localhost:{port}/  user {at['username']}  password {at['password']}  {way}"]
