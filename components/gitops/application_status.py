"""What the status of an Argo CD Application says: where it is, what is wrong, and what puts it right."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from components.core import names

if TYPE_CHECKING:
    from collections.abc import Callable

GOOD: Final = "Synced and Healthy"
LOOK: Final = "argocd.argoproj.io/refresh"  # the annotation that asks for it
MOMENT: Final = "%Y-%m-%dT%H:%M:%SZ"  # how Kubernetes writes a time, in UTC
EVENTS: Final = 10  # the last ones that are shown
# What no waiting puts right, and what does.
HOPELESS: Final = {
    "app path does not exist": "put the folder there, or name another one: `pulumi config set iot:gitPath FOLDER`",
    "unable to resolve": "push that branch, or name another one: `pulumi config set iot:gitRevision BRANCH`",
    "is not permitted in project": "take it out of Git. Only the kinds of its AppProject are allowed there, those that"
    " an app needs; the Namespace is Pulumi's, and `git rm` of its manifest leaves it and what is in it alone",
}


def is_current(application: dict[str, Any]) -> bool:
    """Tell whether an Application's status is of the source that it follows now, and not of the one before."""
    spec, compared = application.get("spec", {}), application["status"].get("sync", {}).get("comparedTo", {})
    return all(compared.get(key) == spec.get(key) for key in ("source", "sources"))


def other_image(application: dict[str, Any]) -> str:
    """Return a warning when Git runs another image than the settings name; empty otherwise."""
    wanted = application.get("metadata", {}).get("annotations", {}).get(names.IMAGE_ANNOTATION, "")
    images = application["status"].get("summary", {}).get("images", [])
    if not wanted or not images or any(each.startswith((f"{wanted}:", f"{wanted}@")) for each in images):
        return ""
    return (
        f"warning: the settings name the image {wanted}, and Git runs {', '.join(images)}. The repository is its "
        "users': no setting changes what is in it.\nFix: `make clone`, change the image there, commit and push; or "
        "`pulumi config set iot:appImage` to the image that runs.\n"
    )


def has_nothing(application: dict[str, Any]) -> bool:
    """Tell whether the cluster has nothing of an Application, and Argo CD was not asked to change that."""
    status = application["status"]
    missing = status.get("health", {}).get("status") == "Missing"
    return missing and not application.get("operation") and not is_running(status)


def is_to_be_looked_at(application: dict[str, Any]) -> bool:
    """Tell whether Argo CD was asked to look once more, and has not done so yet."""
    return LOOK in (application.get("metadata", {}).get("annotations") or {})


def last_synced(status: dict[str, Any]) -> str:
    """Return the commit that an Application was synced to last; empty when it never was."""
    return str((status.get("history") or [{}])[-1].get("revision", ""))


def is_healthy(status: dict[str, Any]) -> bool:
    """Tell whether what an Application has made works."""
    return bool(status.get("health", {}).get("status") == "Healthy")


def is_running(status: dict[str, Any]) -> bool:
    """Tell whether a sync is under way."""
    return status.get("operationState", {}).get("phase") in {"Running", "Terminating"}


def began(status: dict[str, Any]) -> str:
    """Return when the last sync began, as Kubernetes writes it; when there was none, later than any."""
    return str(status.get("operationState", {}).get("startedAt") or "~")


def has_failed(status: dict[str, Any]) -> bool:
    """Tell whether the last sync has failed, and Argo CD does not try it once more by itself."""
    return status.get("operationState", {}).get("phase") in {"Error", "Failed"}


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


def unwell(status: dict[str, Any]) -> list[str]:
    """Return what an Application has that is not well, each with what Argo CD says of it."""
    # Argo CD says nothing of the health of what it does not look at.
    looked_at = [(each, each["health"]) for each in status.get("resources", []) if each.get("health", {}).get("status")]
    return [
        f"{each.get('kind')} {each.get('name')}: {health['status']} {health.get('message', '')}".rstrip()
        for each, health in looked_at
        if health["status"] != "Healthy"
    ]


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
    lines += [*problems(status), *unwell(status)]
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


def moment(event: dict[str, Any]) -> str:
    """Return when something happened last; those who report it fill one of three fields."""
    return event.get("lastTimestamp") or event.get("eventTime") or event["metadata"].get("creationTimestamp") or ""
