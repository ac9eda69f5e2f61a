"""What a cluster is asked, through kubectl and the kubeconfig of the stack."""

from __future__ import annotations

import json
import subprocess
import tempfile
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from components.core.errors import LabError
from lab.host.environment import environment

if TYPE_CHECKING:
    from collections.abc import Iterator

ANSWER: Final = 10  # seconds for the API server; the process gets a few more to say that it did not answer

ALL: Final = "*"  # all namespaces


@contextmanager
def config_file(kubeconfig: str) -> Iterator[Path]:
    """Write a kubeconfig to a folder that its owner alone can read, and give its path; it is removed in the end."""
    with tempfile.TemporaryDirectory(prefix="iot-") as folder:
        path = Path(folder) / "kubeconfig"
        path.touch(mode=0o600)
        path.write_text(kubeconfig, encoding="utf-8")
        yield path


def command(config: Path, *args: str) -> list[str]:
    """Return a kubectl command.

    Args:
        config: path of the kubeconfig.
        args: what kubectl is told.
    """
    # Beside the kubeconfig, what kubectl learns of the cluster goes with it instead of staying in the user's home.
    return ["kubectl", f"--kubeconfig={config}", f"--cache-dir={config}.cache", *args]


def get(config: Path, kind: str, *, namespace: str = "", name: str = "") -> dict[str, Any]:
    """Return one object, or the list of a kind.

    Args:
        config: path of the kubeconfig.
        kind: such as nodes.
        namespace: where, or ALL; empty for what is in none.
        name: of the object; empty for all.

    Raises:
        LabError: the cluster does not answer, or has no such object.
    """
    where = {ALL: ["--all-namespaces"], "": []}.get(namespace, [f"--namespace={namespace}"])
    which = [kind, name] if name else [kind]
    args = command(config, f"--request-timeout={ANSWER}s", *where, "get", *which, "--output=json")
    try:
        done = subprocess.run(args, env=environment(), capture_output=True, text=True, timeout=ANSWER + 5, check=False)
    except FileNotFoundError as error:
        raise LabError("kubectl is not on PATH", fix="make setup") from error
    except subprocess.TimeoutExpired as error:
        raise LabError(f"the cluster does not answer within {ANSWER} s", fix="make up") from error
    if done.returncode:
        raise LabError(*_explained(done.stderr, " ".join(which)), fix="make up, which repairs what is lost")
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def _explained(said: str, what: str) -> tuple[str]:
    last = (said.strip().splitlines() or ["it said nothing"])[-1]
    if any(words in said for words in ("refused", "Unable to connect", "no such host", "timeout", "EOF")):
        return (f"the cluster does not answer ({last})",)
    return (f"the cluster does not say what it has of {what} ({last})",)


def ready(node: dict[str, Any]) -> bool:
    """Tell whether a node is Ready."""
    conditions = node.get("status", {}).get("conditions", [])
    return any(each["type"] == "Ready" and each["status"] == "True" for each in conditions)
