"""Put a secret value into Git, sealed so that the stack's clusters alone can read it: make seal NAME=db KEY=password.

The value is asked for without being shown, or read from standard input, without the line's end.
"""

from __future__ import annotations

import getpass
import sys
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from components.core import kube
from components.core.errors import LabError
from components.gitops.allowed import SEALED
from lab.host import tools
from lab.live import application, environments, git, releases, sealing, stack

if TYPE_CHECKING:
    import argparse
    from collections.abc import Mapping

    from lab.live.environments import Environment

EVERY: Final = 0.5  # seconds between two looks
KIND: Final = f"{SEALED[1].lower()}s.{SEALED[0]}"


def arguments(parser: argparse.ArgumentParser) -> None:
    """Add the command's arguments."""
    stack.argument(parser)
    parser.add_argument("--env", default="", help="the environment, where the stack has environments")
    parser.add_argument("--timeout", type=float, default=releases.TIMEOUT, help="seconds to wait (%(default).0f)")
    parser.add_argument("name", help="of the Secret")
    parser.add_argument("key", help="in it")


@dataclass(frozen=True, kw_only=True)
class Place:
    """Where a sealed value goes.

    Attributes:
        remote: the repository at the branch and the folder.
        namespace: of the Secret.
        cluster: name of its cluster; empty for Argo CD's own.
        environment: the environment; None for the one app of a stack without environments.
    """

    remote: git.Remote
    namespace: str
    cluster: str
    environment: Environment | None


def run(args: argparse.Namespace) -> int:
    """Seal, commit, push, and wait until the cluster has read it where nobody has to approve it."""
    sealing.check_names(args.name, args.key)
    outputs = stack.outputs(args.stack, show_secrets=True)
    known = outputs.get("sealing")
    if not known:
        raise LabError(
            f"the stack {args.stack} reads no sealed secrets",
            why="iot:sealedSecrets is off, or was not on yet at its last `make up`; p1 and p2 have no Git",
            fix=f"pulumi config set iot:sealedSecrets true --stack {args.stack}; make up STACK={args.stack}",
        )
    where = place(outputs, args.env)
    tools.ensure(["kubectl"])
    if where.environment:
        environments.require_cluster(outputs, where.environment)
    sealed = sealing.seal(value(), known["certificate"], where.namespace, args.name)
    return git.once_more(lambda: put(outputs, where, args, sealed))


def place(outputs: Mapping[str, Any], named: str) -> Place:
    """Return where a sealed value goes.

    Args:
        outputs: the stack's, with secrets.
        named: the environment that was named, if any.

    Raises:
        LabError: there is no such environment.
    """
    if outputs.get("environments"):
        found = environments.find(outputs, named)
        return Place(
            remote=environments.remote(outputs, found),
            namespace=found.name,
            cluster=found.cluster,
            environment=found,
        )
    _, namespace = application.of(outputs)
    if named not in {"", namespace}:
        raise LabError(f"there is no environment {named!r}", why="this stack has none", fix="leave ENV out")
    return Place(remote=git.remote(outputs), namespace=namespace, cluster="", environment=None)


def value() -> bytes:
    """Return the value, from the terminal without showing it, or from standard input.

    Raises:
        LabError: it is empty.
    """
    if sys.stdin.isatty():
        found = getpass.getpass("value (it is not shown): ").encode()
    else:
        found = sys.stdin.buffer.read().removesuffix(b"\n")
    if not found:
        raise LabError("the value is empty", fix="type it, or pipe it: make seal NAME=db KEY=password < FILE")
    return found


def put(outputs: Mapping[str, Any], where: Place, args: argparse.Namespace, sealed: str) -> int:
    """Commit a sealed value, and return the exit code.

    Args:
        outputs: the stack's, with secrets.
        where: where it goes.
        args: the command's.
        sealed: the value.

    Raises:
        RejectedError: somebody else has pushed at the same time.
        LabError: it can't be pushed, or the cluster can't read it.
    """
    request = None
    with git.cloned(where.remote) as clone:
        sealing.write(clone.root / where.remote.path, where.namespace, args.name, args.key, sealed)
        title = f"{environments.SEAL} {args.key} of the Secret {args.name} for {where.namespace}"
        done = clone.commit(title)
        if where.environment:
            request = environments.submit(outputs, where.environment, clone, title)
        else:
            clone.push()
    if request:
        print(f"{title}: {request.url} waits for an approval")
    else:
        print(f"{title}: commit {done[:7]} is in {where.remote.revision}")
    if where.environment and (request or where.environment.sync == "manual"):
        print(f"then: make approve ENV={where.environment.name}")
        return 0
    follow(outputs, where, args.name, {args.key: sealed}, args.timeout)
    return 0


def follow(outputs: Mapping[str, Any], where: Place, name: str, sealed: dict[str, str], timeout: float) -> None:
    """Wait until the cluster has read a sealed value.

    Args:
        outputs: the stack's, with secrets.
        where: where it is.
        name: of the Secret.
        sealed: the values, by key.
        timeout: seconds.

    Raises:
        LabError: it can't, or has not within that time.
    """
    begin = time.monotonic()
    with kube.config_file(environments.kubeconfig(outputs, where.cluster)) as config:
        while True:
            try:
                found, said = kube.get(config, KIND, namespace=where.namespace, name=name), ""
            except LabError as error:
                found, said = {}, error.what
            good, problem = sealing.read_condition(found, sealed)
            if good:
                print(f"{where.namespace} has the Secret {name} after {time.monotonic() - begin:.1f} s")
                print("pods that run already read it when they are made anew")
                return
            if problem or time.monotonic() > begin + timeout:
                raise LabError(
                    f"{where.namespace} can't read the Secret {name}"
                    if problem
                    else f"{where.namespace} has not read the Secret {name} within {timeout:.0f} s",
                    why=problem or said or "Argo CD has not brought it",
                    fix="make status; what is in Git can be taken back: make rollback ENV=..., or git revert",
                )
            time.sleep(EVERY)
