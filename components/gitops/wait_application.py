"""Wait until an Argo CD Application is Synced and Healthy, and say what it is waiting for meanwhile.

Environment: KUBECONFIG_TEXT, APPLICATION and NAMESPACE (of the Application), APP_NAMESPACE (of its pods), TIMEOUT
(seconds). When the time is up, prints the Application's conditions, the pods that are not ready and the last events.

Runs with a bare Python, outside the project's virtual environment.
"""

from __future__ import annotations

import functools
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

EVERY = 0.5  # seconds between two looks
EVENTS = 10  # the last ones that are shown
GRACE = 20.0  # seconds; what Git lacks then, a push or another setting has to bring
SOURCE = ("repoURL", "targetRevision", "path")


def main() -> None:
    """Wait, then exit with 0, or with what is in the way."""
    timeout = float(os.environ["TIMEOUT"])
    with tempfile.TemporaryDirectory() as folder:  # readable by its owner only
        kubeconfig = Path(folder) / "kubeconfig"
        kubeconfig.write_text(os.environ["KUBECONFIG_TEXT"], encoding="utf-8")
        start, said, status = time.monotonic(), "", {}
        missing_since = None
        while time.monotonic() < start + timeout:
            found = get(kubeconfig, "application", os.environ["NAMESPACE"], os.environ["APPLICATION"])
            status = found["status"]
            state = summary(status)
            if not is_current(found):
                state = "not compared with its source yet"
            elif state == "Synced and Healthy":
                print(state)
                return
            if state != said:
                print(f"waiting for {os.environ['APPLICATION']}: {state}", flush=True)
                said = state
            missing_since = (missing_since or time.monotonic()) if lacks_path(status) else None
            if missing_since and time.monotonic() > missing_since + GRACE:
                source = found["spec"]["source"]
                sys.exit(
                    f"{source['repoURL']} has no folder {source['path']} at {source['targetRevision']}.\n"
                    "Fix: push it there, or set iot:gitPath and iot:gitRevision to what the repository has."
                )
            time.sleep(EVERY)
        sys.exit(
            f"The Application {os.environ['APPLICATION']} was not Synced and Healthy within {timeout:.0f} s.\n"
            + diagnosis(status, kubeconfig, os.environ["APP_NAMESPACE"])
            + "\nFix: what is in Git, then run this again. `make status` shows where it is; Argo CD keeps trying."
        )


def is_current(found: dict[str, Any]) -> bool:
    """Tell whether the status is about the source that is wanted now: after a change it is the old one's at first."""
    wanted = found.get("spec", {}).get("source", {})
    compared = found["status"].get("sync", {}).get("comparedTo", {}).get("source", {})
    return all(wanted.get(key) == compared.get(key) for key in SOURCE)


def lacks_path(status: dict[str, Any]) -> bool:
    """Tell whether Argo CD says that the repository does not have the folder."""
    return any("app path does not exist" in each.get("message", "") for each in status.get("conditions", []))


def summary(status: dict[str, Any]) -> str:
    """Return where an Application is, in a few words."""
    sync = status.get("sync", {}).get("status", "Unknown")
    health = status.get("health", {}).get("status", "Unknown")
    return f"{sync} and {health}"


def diagnosis(status: dict[str, Any], kubeconfig: Path, namespace: str) -> str:
    """Return what an Application says, and the pods and events of the namespace that it fills."""
    lines = [f"Application: {summary(status)}"]
    lines += [f"condition {each['type']}: {each.get('message', '')}" for each in status.get("conditions", [])]
    operation = status.get("operationState", {})
    if operation:
        lines.append(f"last sync {operation.get('phase')}: {operation.get('message', '')}")
    lines += [
        f"{each.get('kind')} {each.get('name')}: {each['health'].get('status')} {each['health'].get('message', '')}"
        for each in status.get("resources", [])
        if each.get("health", {}).get("status") not in (None, "Healthy")
    ]
    lines += [line for pod in get(kubeconfig, "pods", namespace)["items"] for line in pod_problems(pod)]
    events = sorted(get(kubeconfig, "events", namespace)["items"], key=moment)
    lines += [
        f"event {each.get('reason')} of {each['involvedObject'].get('name')}: {each.get('message', '').strip()}"
        for each in events[-EVENTS:]
    ]
    return "\n".join(f"  {line}" for line in lines)


def pod_problems(pod: dict[str, Any]) -> list[str]:
    """Return a line for every container of a pod that is not ready."""
    name, lines = pod["metadata"]["name"], []
    for container in pod["status"].get("containerStatuses", []):
        if not container["ready"]:
            for state, detail in container["state"].items():
                reason = " ".join(str(detail[key]) for key in ("reason", "message") if detail.get(key))
                lines.append(f"pod {name}: {container['name']} is {state} {reason}".rstrip())
    if not pod["status"].get("containerStatuses"):
        lines.append(f"pod {name}: {pod['status'].get('phase')}")
    return lines


def get(kubeconfig: Path, kind: str, namespace: str, name: str = "") -> dict[str, Any]:
    """Return what kubectl has of a kind, or of one object; empty when it can't say just now."""
    command = ["kubectl", f"--kubeconfig={kubeconfig}", f"--namespace={namespace}", "get", kind, "--output=json"]
    # Without this, kubectl leaves what it learned of the cluster in the user's home.
    command.append(f"--cache-dir={kubeconfig}.cache")
    if name:
        command.append(name)
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=30, check=False)
    except FileNotFoundError:
        sys.exit("kubectl is not on PATH. Fix: `make setup`, then `. ./activate`.")
    except subprocess.TimeoutExpired:
        return {"items": [], "status": {}}
    found: dict[str, Any] = json.loads(done.stdout) if done.returncode == 0 else {}
    if done.returncode:
        say_once(f"kubectl get {kind}: {done.stderr.strip()[-300:]}")
    return {"items": [], "status": {}} | found


@functools.cache
def say_once(text: str) -> None:
    """Print a line that was not printed before: what fails is tried twice a second."""
    print(text, flush=True)


def moment(event: dict[str, Any]) -> str:
    """Return when something happened last; those who report it fill one of three fields."""
    return event.get("lastTimestamp") or event.get("eventTime") or event["metadata"].get("creationTimestamp") or ""


if __name__ == "__main__":
    main()
