"""Wait until an Argo CD Application is Synced and Healthy, and say what it is waiting for meanwhile.

Environment: KUBECONFIG_TEXT, APPLICATION and NAMESPACE (of the Application), APP_NAMESPACE (of its pods),
APP_KUBECONFIG_TEXT (of their cluster, when it is another one), TIMEOUT (seconds), BY_HAND (whether people sync it: one
of which the cluster has nothing is synced to what it was synced to last, or for the first time, and what has come to
Git since is theirs to sync), CONTAINERS (of this host, without which no waiting helps: nodes and Git). When the time
is up, or Argo CD says what no waiting puts right, prints the Application's conditions, the pods that are not ready and
the last events.
"""

from __future__ import annotations

import functools
import json
import os
import sys
import time
from contextlib import suppress
from datetime import datetime, timezone
from typing import TYPE_CHECKING, Any, Final

from components.core import kube, names, wait
from components.core.errors import LabError
from components.core.run import CommandError, MissingProgramError, run
from components.docker import container as containers
from components.gitops import application_status as status_of

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

EVERY: Final = 0.5  # seconds between two looks
GRACE = 10.0  # seconds in which what looks hopeless may still change: Argo CD keeps what it read for a moment


def main() -> None:
    """Wait, then exit with 0, or with what is in the way."""
    timeout, by_hand = float(os.environ["TIMEOUT"]), bool(os.environ.get("BY_HAND"))
    another = os.environ.get("APP_KUBECONFIG_TEXT", "")
    theirs = another or os.environ["KUBECONFIG_TEXT"]
    with kube.config_file(os.environ["KUBECONFIG_TEXT"]) as kubeconfig, kube.config_file(theirs) as of_pods:
        if by_hand:
            look_again(kubeconfig)
        since = datetime.now(timezone.utc).strftime(status_of.MOMENT)
        tried = by_hand
        begin = hopeful = told = time.monotonic()
        said, status, fix, why = "", {}, "", f"within {timeout:.0f} s"
        goes_on = containers.still_runs(*os.environ.get("CONTAINERS", "").split())
        while time.monotonic() < begin + timeout:
            require(goes_on)
            found = get(kubeconfig, names.APPLICATION, os.environ["NAMESPACE"], os.environ["APPLICATION"])
            status = found["status"]
            current, state = status_of.is_current(found), status_of.summary(status)
            current = current and not (by_hand and status_of.is_to_be_looked_at(found))
            good = state == status_of.GOOD or (by_hand and status_of.is_healthy(status))
            if current and good and not status_of.is_running(status):
                if not another or is_there(of_pods, status):
                    print(state)
                    print(status_of.other_image(found), end="")
                    return
                current = False
                look_again(kubeconfig)
            if by_hand and current and status_of.has_nothing(found):
                sync(kubeconfig, status_of.last_synced(status))
            # What was tried before may have failed for want of what is there by now: kinds, rights.
            before = status_of.began(status) < since
            if current and before and status_of.has_failed(status) and not tried:
                sync_again(kubeconfig, found)
                tried = True
            state += "" if current else ", of what there was before"
            now = time.monotonic()
            if state != said or now > told + wait.EVERY:
                more = f", {now - begin:.0f} of at most {timeout:.0f} s{pods(of_pods)}" if state == said else ""
                print(f"waiting for {os.environ['APPLICATION']}: {state}{more}", flush=True)
                said, told = state, now
            fix = status_of.hopeless(status) if current and not (before and status_of.problems(status)) else ""
            if not fix:
                hopeful = time.monotonic()
            elif time.monotonic() > hopeful + GRACE:
                why = "and will not be"
                break
            time.sleep(EVERY)
        sys.exit(
            f"The Application {os.environ['APPLICATION']} was not Synced and Healthy {why}.\n"
            + status_of.diagnosis(status, lambda kind: get(of_pods, kind, os.environ["APP_NAMESPACE"])["items"])
            + f"\nFix: {fix or 'what is in Git'}; then run this again. `make status` shows where it is; Argo CD keeps "
            "trying."
        )


def require(goes_on: Callable[[None], bool]) -> None:
    """End the wait when what it needs is gone: a node's container, Git's, or their engine."""
    try:
        goes_on(None)
    except LabError as error:
        sys.exit(f"The Application {os.environ['APPLICATION']} can't get Synced and Healthy.\n{error}")


def look_again(kubeconfig: Path) -> None:
    """Have Argo CD look at the cluster and at Git once more: the cluster may be another one than it looked at last."""
    with suppress(CommandError):  # there is no Application yet
        patch(kubeconfig, {"metadata": {"annotations": {status_of.LOOK: "hard"}}})


def is_there(kubeconfig: Path, status: dict[str, Any]) -> bool:
    """Tell whether a cluster has what Argo CD says that it has.

    What Argo CD keeps in mind of a cluster may be of one that was lost, until it has noticed that another one answers
    in its place.

    Args:
        kubeconfig: path of that cluster's.
        status: of an Application in it.
    """
    said = {(each.get("group", ""), each["kind"], each["name"]) for each in status.get("resources", [])}
    kinds = ",".join(sorted({f"{kind}.{group}" if group else kind for group, kind, _ in said}))
    has = get(kubeconfig, kinds, os.environ["APP_NAMESPACE"])["items"] if kinds else []
    return {(kind, name) for _, kind, name in said} <= {(each["kind"], each["metadata"]["name"]) for each in has}


def sync(kubeconfig: Path, revision: str) -> None:
    """Ask Argo CD to sync the Application.

    Args:
        kubeconfig: path of the cluster's.
        revision: the commit that was synced before; empty for what Git has now.
    """
    what: dict[str, Any] = {"syncStrategy": {"hook": {}}, **({"revision": revision} if revision else {})}
    patch(kubeconfig, {"operation": {"initiatedBy": {"username": "pulumi"}, "sync": what}})
    print(f"{os.environ['APPLICATION']} is synced to {revision[:7] or 'its first version'}", flush=True)


def sync_again(kubeconfig: Path, application: dict[str, Any]) -> None:
    """Ask Argo CD for the sync that it has given up.

    Args:
        kubeconfig: path of the cluster's.
        application: the Application.
    """
    options = application["spec"].get("syncPolicy", {}).get("syncOptions", [])
    what = {"prune": True, "syncStrategy": {"hook": {}}, "syncOptions": options}
    patch(kubeconfig, {"operation": {"initiatedBy": {"username": "pulumi"}, "sync": what}})
    print(f"{os.environ['APPLICATION']} is synced once more: it has failed before", flush=True)


def patch(kubeconfig: Path, change: dict[str, Any]) -> None:
    """Change the Application."""
    what = [names.APPLICATION, os.environ["APPLICATION"], "--type=merge", f"--patch={json.dumps(change)}"]
    where = f"--namespace={os.environ['NAMESPACE']}"
    run(kube.command(kubeconfig, where, "patch", *what), timeout=kube.ANSWER + 5)


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
