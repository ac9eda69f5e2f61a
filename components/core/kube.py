"""What a cluster is asked, through kubectl and a kubeconfig."""

from __future__ import annotations

import json
import shlex
import tempfile
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from components.core.errors import LabError
from components.core.run import CommandError, MissingProgramError, run

if TYPE_CHECKING:
    from collections.abc import Iterator

ANSWER: Final = 10  # seconds for the API server; the process gets a few more to say that it did not answer

ALL: Final = "*"  # all namespaces
# What kubectl says when nobody answers, whatever it was to ask.
SILENT: Final = ("refused", "Unable to connect", "no such host", "timeout", "EOF")
# What it says of one that answers with a certificate for another time, to which it is "Unable to connect" as well.
OTHER_TIME: Final = "certificate has expired or is not yet valid"


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
        LabError: the cluster does not answer, has a certificate for another time, or has no such object.
    """
    where = {ALL: ["--all-namespaces"], "": []}.get(namespace, [f"--namespace={namespace}"])
    which = [kind, name] if name else [kind]
    args = command(config, f"--request-timeout={ANSWER}s", "get", *which, *where, "--output=json")
    try:
        found: dict[str, Any] = json.loads(run(args, timeout=ANSWER + 5))
    except MissingProgramError:
        raise
    except CommandError as error:
        said = f"timeout of {ANSWER} s" if error.said is None else error.said
        last = said.rpartition("\n")[2] or "it said nothing"
        if OTHER_TIME in said:
            raise LabError(
                f"the cluster's certificate is not valid at this machine's time ({last})",
                fix="set the clock right; if it was wrong when the cluster was made, or that was a year ago: make "
                "destroy, then make up (what was pushed to Git is kept)",
            ) from error
        silent = any(words in said for words in SILENT)
        what = "does not answer" if silent else f"does not say what it has of {' '.join(which)}"
        raise LabError(f"the cluster {what} ({last})", fix="make up, which repairs what is lost") from error
    return found


def ready(node: dict[str, Any]) -> bool:
    """Tell whether a node is Ready."""
    conditions = node.get("status", {}).get("conditions", [])
    return any(each["type"] == "Ready" and each["status"] == "True" for each in conditions)


def pressed(node: dict[str, Any]) -> list[str]:
    """Return what a node has too little of to take pods, such as DiskPressure: its conditions of that kind."""
    conditions = node.get("status", {}).get("conditions", [])
    return [each["type"] for each in conditions if each["type"].endswith("Pressure") and each["status"] == "True"]


def identity_of(path: Path, context: str) -> str:
    """Return what tells a cluster from all others, such as 6c5e...: the UID of its namespace kube-system.

    It stands for a UID of the cluster itself, which Kubernetes has none of:
    https://github.com/kubernetes/kubernetes/issues/44954

    Args:
        path: of a kubeconfig.
        context: in it.

    Raises:
        LabError: the cluster does not answer.
    """
    reach = [f"--kubeconfig={path}", f"--context={context}"]
    with tempfile.TemporaryDirectory() as cache:  # instead of the user's home
        ask = ["kubectl", *reach, f"--cache-dir={cache}", f"--request-timeout={ANSWER}s"]
        ask += ["get", "namespace", "kube-system", "--output=jsonpath={.metadata.uid}"]
        try:
            return run(ask, timeout=ANSWER + 5)
        except MissingProgramError:
            raise
        except CommandError as error:
            raise LabError(
                f"The cluster of {path}, context {context}, can't be asked who it is",
                # The last line: kubectl says before it what it has tried in vain.
                why=error.said.rpartition("\n")[2] if error.said else error.what,
                fix=f"see what `kubectl {shlex.join(reach)} get namespace kube-system` says",
            ) from error


def raw(config: Path, path: str) -> str:
    """Return what the API server answers at a path of its own, such as that of a Service which it is the way to.

    Args:
        config: path of the kubeconfig.
        path: such as /api/v1/namespaces/NAMESPACE/services/NAME:PORT/proxy/PATH, with its query.

    Raises:
        CommandError: nobody answers, or not with success; ``said`` has what kubectl makes of it.
    """
    # The path may be long and says little: it is last, where no message has it.
    return run(command(config, f"--request-timeout={ANSWER}s", "get", "--raw", path), timeout=ANSWER + 5)
