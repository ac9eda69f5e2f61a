"""Objects, and how they are by our checks of health: for the unit tests in Lua, and for Argo CD's own runner."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

UNREADABLE: Final = "no key could decrypt secret (password)"


@dataclass(frozen=True, kw_only=True)
class Case:
    """An object, and how it is.

    Attributes:
        id: what is tried.
        content: the object, as the cluster has it.
        status: Argo CD's word for its health; empty where Argo CD says nothing of it.
        words: what its message has.
        builtin: what Argo CD says without our checks; None for the same.
    """

    id: str
    content: dict[str, Any]
    status: str
    words: str = ""
    builtin: str | None = None


def sealed(status: dict[str, Any] | None) -> dict[str, Any]:
    metadata = {"name": "database", "namespace": "dev", "generation": 2}
    content = {"apiVersion": "bitnami.com/v1alpha1", "kind": "SealedSecret", "metadata": metadata, "spec": {}}
    return content | ({"status": status} if status is not None else {})


def synced(value: str, message: str = "", **more: object) -> dict[str, Any]:
    condition = {"type": "Synced", "status": value} | ({"message": message} if message else {})
    return {"observedGeneration": 2, "conditions": [condition], **more}


def template(**spec: object) -> dict[str, Any]:
    metadata = {"name": "works", "namespace": "dev"}
    return {"apiVersion": "argoproj.io/v1alpha1", "kind": "AnalysisTemplate", "metadata": metadata, "spec": spec}


def metric(**more: object) -> dict[str, Any]:
    return {"name": "errors", "provider": {"prometheus": {"query": "up"}}, "failureCondition": "result[0] > 1"} | more


def rollout(phase: str, message: str = "") -> dict[str, Any]:
    return {
        "apiVersion": "argoproj.io/v1alpha1",
        "kind": "Rollout",
        "metadata": {"name": "flask-app", "namespace": "dev", "generation": 3},
        "spec": {"strategy": {"canary": {}}},
        "status": {"observedGeneration": "3", "phase": phase, "message": message},
    }


OURS: Final = (
    Case(id="sealed: nothing is said yet", content=sealed(None), status="Progressing"),
    Case(id="sealed: no condition yet", content=sealed({"observedGeneration": 2}), status="Progressing"),
    Case(id="sealed: read", content=sealed(synced("True")), status="Healthy", words="The Secret is there"),
    Case(
        id="sealed: no key reads it",
        content=sealed(synced("False", UNREADABLE)),
        status="Degraded",
        words=f"{UNREADABLE}; seal it anew for this namespace and name: make seal NAME=database KEY=... ENV=dev",
    ),
    Case(
        id="sealed: not read, and no reason",
        content=sealed(synced("False")),
        status="Degraded",
        words="does not say why; seal it anew",
    ),
    Case(
        id="sealed: what was read is the version before",
        content=sealed(synced("True", observedGeneration=1)),
        status="Progressing",
        builtin="Healthy",
    ),
    Case(
        id="sealed: what could not be read is the version before",
        content=sealed(synced("False", UNREADABLE, observedGeneration=1)),
        status="Progressing",
        builtin="Degraded",
    ),
    Case(
        id="template: one that can fail",
        content=template(metrics=[metric()]),
        status="Healthy",
        words="make validate",
        builtin="",
    ),
    Case(
        id="template: success is enough",
        content=template(metrics=[metric(failureCondition="", successCondition="result[0] < 1")]),
        status="Healthy",
        builtin="",
    ),
    Case(
        id="template: the second metric can't fail",
        content=template(metrics=[metric(), metric(name="latency", failureCondition="")]),
        status="Degraded",
        words="Metric latency calls everything good; give it a successCondition or a failureCondition",
        builtin="",
    ),
    Case(
        id="template: a Job says by itself how it went",
        content=template(metrics=[{"name": "probe", "provider": {"job": {}}}]),
        status="Healthy",
        builtin="",
    ),
    Case(
        id="template: no query",
        content=template(metrics=[metric(provider={"prometheus": {}})]),
        status="Degraded",
        words="asks Prometheus nothing; give it a query",
        builtin="",
    ),
    Case(id="template: nothing", content=template(), status="Degraded", words="It measures nothing", builtin=""),
    Case(
        id="template: others' metrics",
        content=template(templates=[{"templateName": "other"}]),
        status="Healthy",
        builtin="",
    ),
)
# What Argo CD judges by itself, and what the labs go by.
BUILT_IN: Final = (
    Case(id="rollout: done", content=rollout("Healthy"), status="Healthy"),
    Case(id="rollout: waits for somebody", content=rollout("Paused", "CanaryPauseStep"), status="Suspended"),
    Case(
        id="rollout: aborted",
        content=rollout("Degraded", "RolloutAborted: metric errors failed"),
        status="Degraded",
        words="RolloutAborted",
    ),
)
