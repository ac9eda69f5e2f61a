"""The app's pipeline beside the cluster: its last runs, and what they said."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any, Final

from components.core.errors import LabError
from components.docker import container as containers
from components.gitops import gitea
from components.gitops.allowed import CODE, DEVELOPER
from lab.live import environments

if TYPE_CHECKING:
    from collections.abc import Mapping

API: Final = f"/repos/{gitea.OWNER}/{CODE}/actions"


@dataclass(frozen=True, kw_only=True)
class Run:
    """A run of the pipeline.

    Attributes:
        id: of it, for the API.
        number: as people count them.
        title: of the commit.
        commit: its ID.
        state: success, failure, cancelled or skipped; before its end what it does, such as running.
        seconds: that it took; None before its end.
    """

    id: int
    number: int
    title: str
    commit: str
    state: str
    seconds: float | None

    def __str__(self) -> str:
        """Return it in a few words."""
        took = "" if self.seconds is None else f" after {self.seconds:.0f} s"
        return f"{self.state}{took}: {self.commit[:12]} {self.title!r}"


def require_runner(outputs: Mapping[str, Any]) -> dict[str, Any]:
    """Return what Docker says of the container that runs the pipeline.

    Args:
        outputs: the stack's.

    Raises:
        LabError: it does not run.
    """
    name = outputs["ci"]["runner"]
    found = containers.inspect("container", name)
    if not found or not found["State"]["Running"]:
        raise LabError(f"{name} does not run", why="what is pushed to the app is not built meanwhile", fix="make up")
    return found


def runs(outputs: Mapping[str, Any], most: int) -> list[Run]:
    """Return the last runs, the newest first.

    Args:
        outputs: the stack's, with secrets.
        most: how many.

    Raises:
        LabError: the stack has no pipeline, or its Git server does not answer.
    """
    found = _server(outputs).ask("GET", f"{API}/runs?limit={most}").body["workflow_runs"]
    return [_run(each) for each in found]


def _run(answer: Mapping[str, Any]) -> Run:
    ended = answer["status"] == "completed"
    begin, end = (answer.get(key) or "" for key in ("started_at", "completed_at"))
    return Run(
        id=answer["id"],
        number=answer["run_number"],
        title=answer["display_title"],
        commit=answer["head_sha"],
        state=str(answer["conclusion"] if ended else answer["status"]),
        seconds=(_moment(end) - _moment(begin)).total_seconds() if ended and begin and end else None,
    )


def _moment(text: str) -> datetime:
    return datetime.fromisoformat(text.replace("Z", "+00:00"))


def log(outputs: Mapping[str, Any], run: Run) -> str:
    """Return what a run has said.

    Args:
        outputs: the stack's, with secrets.
        run: one of its runs.
    """
    server = _server(outputs)
    jobs = server.ask("GET", f"{API}/runs/{run.id}/jobs").body["jobs"]
    return "".join(server.ask("GET", f"{API}/jobs/{each['id']}/logs").text for each in jobs)


def _server(outputs: Mapping[str, Any]) -> gitea.Gitea:
    if "ci" not in outputs:
        raise LabError("this stack has no CI", why="iot:ci is false", fix="STACK=platform")
    if "accounts" in outputs:
        return environments.server(outputs, DEVELOPER)
    return environments.at(outputs).of(gitea.OWNER, outputs["gitPassword"])
