"""A version that has to prove itself: how far a Rollout has got with it, and what was found out about it.

https://argo-rollouts.readthedocs.io/en/stable/features/specification/
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from components.core import kube, names
from components.core.errors import LabError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

    from lab.live.environments import Environment

KIND: Final = ("argoproj.io", "v1alpha1", "Rollout")
ROLLOUT: Final = "rollouts.argoproj.io"
ANALYSIS: Final = "analysisruns.argoproj.io"
BAD: Final = ("Failed", "Error", "Inconclusive")  # phases of a measurement


@dataclass(frozen=True, kw_only=True)
class Progress:
    """How far a Rollout is.

    Attributes:
        found: where it is, in a few words; empty when it is done.
        tag: of the app's image that it is about.
        aborted: whether the new version was given up, and the one before goes on serving.
        paused: whether it waits for somebody, because nothing was found out about the new version.
        left: how many pods of a version that was given up are still asked.
        asking: why what is asked about it does not answer; empty while it does.
        why: what was found out, a line each.
    """

    found: str
    tag: str
    aborted: bool = False
    paused: bool = False
    left: int = 0
    asking: str = ""
    why: tuple[str, ...] = ()


DONE: Final = Progress(found="", tag="")


def look(config: Path, namespace: str, image: str, name: str = names.APP) -> Progress:
    """Return how far a Rollout is.

    Args:
        config: path of the kubeconfig of its cluster.
        namespace: where it is.
        image: the app's, without a tag.
        name: of it.

    Raises:
        LabError: the cluster does not answer.
    """
    found = kube.get(config, ROLLOUT, namespace=namespace)["items"]
    for each in found:
        if each["metadata"]["name"] == name:
            return of(each, image, lambda run: kube.get(config, ANALYSIS, namespace=namespace, name=run))
    # It is one when what it is set to be is synced.
    return Progress(found="it is no Rollout yet", tag="")


def of(rollout: Mapping[str, Any], image: str, analysis: Callable[[str], Mapping[str, Any]]) -> Progress:
    """Return how far a Rollout is.

    Args:
        rollout: it, as the cluster has it.
        image: the app's, without a tag.
        analysis: returns an AnalysisRun, by its name.

    Raises:
        LabError: the cluster does not say.
    """
    status = rollout.get("status") or {}
    strategy = rollout["spec"].get("strategy") or {}
    aborted = bool(status.get("abort"))
    paused = any(each["reason"] == "InconclusiveAnalysisRun" for each in status.get("pauseConditions") or [])
    tag = _tag(rollout["spec"], image)
    if str(status.get("observedGeneration")) != str(rollout["metadata"]["generation"]):
        return Progress(found="not looked at yet", tag=tag)
    found = _canary(strategy["canary"], status) if "canary" in strategy else _blue_green(status)
    if status.get("phase") == "Healthy":
        return Progress(found="", tag=tag)
    named = _run(status)
    lines, asking = _measured(analysis(named)) if named else ([], "")
    if aborted and not lines:
        lines = [str(status.get("message") or "it does not say why")]
    # The new version of blue-green is asked by nobody until it has taken over.
    left = int(status.get("updatedReplicas") or 0) if aborted and "canary" in strategy else 0
    return Progress(found=found, tag=tag, aborted=aborted, paused=paused, left=left, asking=asking, why=tuple(lines))


def _tag(spec: Mapping[str, Any], image: str) -> str:
    """Return the tag of the app's image; empty where none of its containers runs that."""
    containers = ((spec.get("template") or {}).get("spec") or {}).get("containers") or []
    found = (str(each.get("image", "")) for each in containers)
    return next((each.removeprefix(f"{image}:") for each in found if each.startswith(f"{image}:")), "")


def _canary(strategy: Mapping[str, Any], status: Mapping[str, Any]) -> str:
    steps = strategy.get("steps") or []
    at = int(status.get("currentStepIndex", len(steps)))
    weights = [each["setWeight"] for each in steps[: at + 1] if "setWeight" in each]
    weight = 0 if status.get("abort") else weights[-1] if weights else 0
    if at >= len(steps):
        return "canary at 100 %"
    return f"canary at {weight} %, step {at + 1} of {len(steps)}"


def _blue_green(status: Mapping[str, Any]) -> str:
    shown = status.get("blueGreen") or {}
    both = shown.get("previewSelector") != shown.get("activeSelector")
    return "the new version is beside the old one" if both else "switching over"


def _run(status: Mapping[str, Any]) -> str:
    """Return the name of the analysis that counts just now; empty when there is none."""
    canary, blue_green = status.get("canary") or {}, status.get("blueGreen") or {}
    for each in (canary.get("currentStepAnalysisRunStatus"), blue_green.get("prePromotionAnalysisRunStatus")):
        if each:
            return str(each["name"])
    return ""


def _measured(run: Mapping[str, Any]) -> tuple[list[str], str]:
    """Return what an analysis has found out that is not good, a line each, and why it can't ask just now."""
    lines, asking = [], ""
    for each in (run.get("status") or {}).get("metricResults") or []:
        last = (each.get("measurements") or [{}])[-1]
        said = last.get("message") or f"it measured {last.get('value') or 'nothing'}"
        if each.get("phase") in BAD:
            lines.append(f"{each['name']}: {each['phase']}, {said}")
        elif last.get("phase") == "Error":
            asking = f"{each['name']}: {said}"
        elif last.get("phase") == "Inconclusive":
            asking = f"{each['name']}: nothing was seen of the new version yet"
    return lines, asking


def stopped(environment: Environment, progress: Progress) -> LabError | None:
    """Return the error for a version that does not get any further by itself; None while it may.

    Args:
        environment: where it is.
        progress: how far it is.
    """
    version = progress.tag
    if progress.aborted:
        return LabError(
            f"{version} was given up in {environment.name}, and the version before goes on serving",
            why="; ".join(progress.why) or "its analysis has failed",
            fix=f"make rollback ENV={environment.name}, which brings Git back to it",
        )
    if progress.paused:
        return LabError(
            f"{version} waits in {environment.name} ({progress.found}): nothing was found out about it",
            why="; ".join(progress.why) or "its analysis is inconclusive",
            fix=f"make approve ENV={environment.name} looks once more, while somebody asks the app something; "
            f"make rollback ENV={environment.name} takes it back",
        )
    return None


def shown(progress: Progress) -> str:
    """Return where a Rollout is, in one line."""
    return ", ".join(filter(None, [progress.found, progress.asking]))
