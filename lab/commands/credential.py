"""Tell Git the password of a stack's repository, as a credential helper does; `make clone` sets it up.

https://git-scm.com/docs/gitcredentials#_custom_helpers has what goes in and out.
"""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from components.core.errors import LabError
from lab.live import git, stack

if TYPE_CHECKING:
    import argparse


def arguments(parser: argparse.ArgumentParser) -> None:
    """Add the command's arguments."""
    parser.add_argument("stack", help="p3")
    parser.add_argument("action", help="get; Git's other actions, store and erase, do nothing")


def run(args: argparse.Namespace) -> int:
    """Answer Git's question, when it is about the stack's repository."""
    if args.action != "get":
        return 0
    if sys.stdout.isatty():
        raise LabError("this is for Git to ask", why="it prints a password", fix="make password")
    asked = dict(line.rstrip("\n").partition("=")[::2] for line in sys.stdin if "=" in line)
    source = git.remote(stack.outputs(args.stack, show_secrets=True))
    address = urlsplit(source.url)
    if source.password and (asked.get("protocol"), asked.get("host")) == (address.scheme, address.netloc):
        print(f"username={source.username}\npassword={source.password}")
    return 0
