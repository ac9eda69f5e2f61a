"""Wait until an Argo CD Application is Synced and Healthy, and say what it is waiting for meanwhile.

Environment: KUBECONFIG_TEXT, APPLICATION and NAMESPACE (of the Application), APP_NAMESPACE (of its pods), TIMEOUT
(seconds), BY_HAND (whether people sync it: one that was never synced is synced once, and what has come to Git since is
theirs to sync). When the time is up, or Argo CD says what no waiting puts right, prints the Application's conditions,
the pods that are not ready and the last events.
"""

from __future__ import annotations

import functools
import json
import os
import sys
import time
from typing import TYPE_CHECKING, Any, Final

from components.core import kube, names, wait
from components.core.errors import LabError
from components.core.run import MissingProgramError, run
from components.gitops import application_status as status_of

if TYPE_CHECKING:
    from pathlib import Path

EVERY: Final = 0.5  # seconds between two looks
GRACE = 10.0  # seconds in which what looks hopeless may still change: Argo CD keeps what it read for a moment


def main() -> None:
    """Wait, then exit with 0, or with what is in the way."""
    timeout, by_hand = float(os.environ["TIMEOUT"]), bool(os.environ.get("BY_HAND"))
    with kube.config_file(os.environ["KUBECONFIG_TEXT"]) as kubeconfig:
        begin = hopeful = told = time.monotonic()
        said, status, fix, why = "", {}, "", f"within {timeout:.0f} s"
        while time.monotonic() < begin + timeout:
            found = get(kubeconfig, names.APPLICATION, os.environ["NAMESPACE"], os.environ["APPLICATION"])
            status = found["status"]
            current, state = status_of.is_current(found), status_of.summary(status)
            good = state == status_of.GOOD or (
                by_hand and status_of.was_synced(status) and status_of.is_healthy(status)
            )
            if current and good and not status_of.is_running(status):
                print(state)
                print(status_of.other_image(found), end="")
                return
            if by_hand and current and not status_of.was_asked(found):
                sync(kubeconfig)
            state += "" if current else ", of what it followed before"
            now = time.monotonic()
            if state != said or now > told + wait.EVERY:
                more = f", {now - begin:.0f} of at most {timeout:.0f} s{pods(kubeconfig)}" if state == said else ""
                print(f"waiting for {os.environ['APPLICATION']}: {state}{more}", flush=True)
                said, told = state, now
            fix = status_of.hopeless(status) if current else ""
            if not fix:
                hopeful = time.monotonic()
            elif time.monotonic() > hopeful + GRACE:
                why = "and will not be"
                break
            time.sleep(EVERY)
        sys.exit(
            f"The Application {os.environ['APPLICATION']} was not Synced and Healthy {why}.\n"
            + status_of.diagnosis(status, lambda kind: get(kubeconfig, kind, os.environ["APP_NAMESPACE"])["items"])
            + f"\nFix: {fix or 'what is in Git'}; then run this again. `make status` shows where it is; Argo CD keeps "
            "trying."
        )


def sync(kubeconfig: Path) -> None:
    """Ask Argo CD to sync the Application."""
    operation = {"operation": {"initiatedBy": {"username": "pulumi"}, "sync": {"syncStrategy": {"hook": {}}}}}
    what = [names.APPLICATION, os.environ["APPLICATION"], "--type=merge", f"--patch={json.dumps(operation)}"]
    where = f"--namespace={os.environ['NAMESPACE']}"
    run(kube.command(kubeconfig, where, "patch", *what), timeout=kube.ANSWER + 5)
    print(f"{os.environ['APPLICATION']} is synced for the first time", flush=True)


def pods(kubeconfig: Path) -> str:
    """Return how many of the app's pods are ready; nothing when there are none."""
    found = [kube.ready(each) for each in get(kubeconfig, "pods", os.environ["APP_NAMESPACE"])["items"]]
    return f", pods ready {sum(found)} of {len(found)}" if found else ""


def get(kubeconfig: Path, kind: str, namespace: str, name: str = "") -> dict[str, Any]:
    """Return what the cluster has of a kind, or of one object; empty when it can't say just now."""
    try:
        return {"items": [], "status": {}} | kube.get(kubeconfig, kind, namespace=namespace, name=name)
    except MissingProgramError as error:
        sys.exit(str(error))
    except LabError as error:
        say_once(error.what)
        return {"items": [], "status": {}}


@functools.cache
def say_once(text: str) -> None:
    """Print a line that was not printed before: what fails is tried twice a second."""
    print(text, flush=True)


if __name__ == "__main__":
    main()
