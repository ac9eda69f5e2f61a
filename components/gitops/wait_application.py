"""Wait until an Argo CD Application is Synced and Healthy, and say what it is waiting for meanwhile.

Environment: KUBECONFIG_TEXT, APPLICATION and NAMESPACE (of the Application), APP_NAMESPACE (of its pods), TIMEOUT
(seconds). When the time is up, or Argo CD says what no waiting puts right, prints the Application's conditions, the
pods that are not ready and the last events.

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
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable

EVERY = 0.5  # seconds between two looks
EVENTS = 10  # the last ones that are shown
GRACE = 10.0  # seconds in which what looks hopeless may still change: Argo CD keeps what it read for a moment
# What no waiting puts right, and what does.
HOPELESS = {
    "app path does not exist": "put the folder there, or name another one: `pulumi config set iot:gitPath FOLDER`",
    "unable to resolve": "push that branch, or name another one: `pulumi config set iot:gitRevision BRANCH`",
    "is not permitted in project": "take it out of Git. Only Deployments and Services are allowed there; the Namespace"
    " is Pulumi's, and `git rm` of its manifest leaves it and what is in it alone",
}


def main() -> None:
    """Wait, then exit with 0, or with what is in the way."""
    timeout = float(os.environ["TIMEOUT"])
    with tempfile.TemporaryDirectory() as folder:  # readable by its owner only
        kubeconfig = Path(folder) / "kubeconfig"
        kubeconfig.write_text(os.environ["KUBECONFIG_TEXT"], encoding="utf-8")
        begin = hopeful = time.monotonic()
        said, status, fix, why = "", {}, "", f"within {timeout:.0f} s"
        while time.monotonic() < begin + timeout:
            found = get(kubeconfig, "application", os.environ["NAMESPACE"], os.environ["APPLICATION"])
            status = found["status"]
            state = summary(status) if is_current(found) else f"{summary(status)}, of what it followed before"
            if state == "Synced and Healthy" and not is_running(status):
                print(state)
                print(other_image(found), end="")
                return
            if state != said:
                print(f"waiting for {os.environ['APPLICATION']}: {state}", flush=True)
                said = state
            fix = hopeless(status) if is_current(found) else ""
            if not fix:
                hopeful = time.monotonic()
            elif time.monotonic() > hopeful + GRACE:
                why = "and will not be"
                break
            time.sleep(EVERY)
        sys.exit(
            f"The Application {os.environ['APPLICATION']} was not Synced and Healthy {why}.\n"
            + diagnosis(status, lambda kind: get(kubeconfig, kind, os.environ["APP_NAMESPACE"])["items"])
            + f"\nFix: {fix or 'what is in Git'}; then run this again. `make status` shows where it is; Argo CD keeps "
            "trying."
        )


def is_current(application: dict[str, Any]) -> bool:
    """Tell whether an Application's status is of the source that it follows now, and not of the one before."""
    spec, compared = application.get("spec", {}), application["status"].get("sync", {}).get("comparedTo", {})
    return all(compared.get(key) == spec.get(key) for key in ("source", "sources"))


def other_image(application: dict[str, Any]) -> str:
    """Return a warning when Git runs another image than the settings name; empty otherwise."""
    wanted = application.get("metadata", {}).get("annotations", {}).get("iot/image", "")
    images = application["status"].get("summary", {}).get("images", [])
    if not wanted or not images or any(each.startswith((f"{wanted}:", f"{wanted}@")) for each in images):
        return ""
    return (
        f"warning: the settings name the image {wanted}, and Git runs {', '.join(images)}. The repository is its "
        "users': no setting changes what is in it.\nFix: `make clone`, change the image there, commit and push; or "
        "`pulumi config set iot:appImage` to the image that runs.\n"
    )


def is_running(status: dict[str, Any]) -> bool:
    """Tell whether a sync is under way."""
    return status.get("operationState", {}).get("phase") in {"Running", "Terminating"}


def problems(status: dict[str, Any]) -> list[str]:
    """Return what an Application complains about: its conditions, and why its last sync is not done."""
    found = [f"{each['type']}: {each.get('message', '')}" for each in status.get("conditions", [])]
    operation = status.get("operationState", {})
    result = operation.get("syncResult") or {}
    # What became of a commit that was replaced since is history.
    of_now = result.get("revision") in (None, status.get("sync", {}).get("revision"))
    if operation and of_now and operation.get("phase") != "Succeeded":
        found += [f"last sync {operation.get('phase')}: {operation.get('message', '')}"]
    return found


def hopeless(status: dict[str, Any]) -> str:
    """Return what to do about what no waiting puts right; empty when there is nothing of that kind."""
    said = " ".join(problems(status))
    return next((fix for words, fix in HOPELESS.items() if words in said), "")


def summary(status: dict[str, Any]) -> str:
    """Return where an Application is, in a few words."""
    sync = status.get("sync", {}).get("status", "Unknown")
    health = status.get("health", {}).get("status", "Unknown")
    return f"{sync} and {health}"


def diagnosis(status: dict[str, Any], items: Callable[[str], list[dict[str, Any]]]) -> str:
    """Return what an Application says, and the pods and events of the namespace that it fills.

    Args:
        status: the Application's.
        items: returns what that namespace has of a kind.
    """
    lines = [f"Application: {summary(status)}"]
    lines += problems(status)
    lines += [
        f"{each.get('kind')} {each.get('name')}: {each['health'].get('status')} {each['health'].get('message', '')}"
        for each in status.get("resources", [])
        if each.get("health", {}).get("status") not in (None, "Healthy")
    ]
    lines += [line for pod in items("pods") for line in pod_problems(pod)]
    events = sorted(items("events"), key=moment)
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
