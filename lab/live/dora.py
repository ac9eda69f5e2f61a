"""DORA's four metrics of an environment, from Git's history and from what Argo CD remembers of its syncs.

What they are is defined at https://dora.dev/guides/dora-metrics-four-keys/:

- deployment frequency: the number of deployments in a time
- lead time for changes: from a change's commit to its deployment
- change failure rate: the share of deployments that need something done at once, such as a rollback
- failed deployment recovery time: from such a deployment until that is done

Here:

- A deployment is a sync by which an environment got another commit of its overlay or base than it had. The commit that
  it began with is none; a revert is one.
- Argo CD keeps an Application's last ten syncs (``status.history``, ``revisionHistoryLimit``), and a rebuilt cluster
  forgets them. Its oldest one says where its memory begins: up to that, Git's commits are counted instead, each as a
  deployment at the time of its commit. They count for the frequency and the failure rate, and for no duration: when
  they were synced nobody knows.
- The lead time is of commits of the app's repository, where the version is one (the pipeline names images so): all that
  are in it and in no version before, each from its commit to its first deployment there. Of the first version that is a
  commit it is that commit alone.
- A deployment has failed when a commit that it brought was reverted (``make rollback``), or when it is the last one and
  the Application is Degraded now. What was mended by another version, and not by a revert, is not seen.
- The time to recover is from that deployment to the one that brought the revert.
"""

from __future__ import annotations

import re
import statistics
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from components.core.errors import LabError
from lab.live import git, manifest_tags, prometheus

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from lab.live.environments import App
    from lab.live.git import Clone, Commit

DAY: Final = 86400
# As `git revert` writes it. The second is what Gitea makes of it when it squashes a pull request.
REVERTS: Final = re.compile(r"This reverts commit ([0-9a-f]{40})")
REVERT: Final = re.compile(r'Revert "(.*)"(?: \(#\d+\))?')
COMMIT: Final = re.compile(r"[0-9a-f]{7,40}")
MANIFEST: Final = (".yaml", ".yml")
DEGRADED: Final = "Degraded"


@dataclass(frozen=True, kw_only=True)
class Deployment:
    """A deployment.

    Attributes:
        at: seconds since 1970.
        brought: the commits that it brought, the newest first.
        exact: whether Argo CD says when it was; otherwise it is the time of the commit.
    """

    at: float
    brought: tuple[Commit, ...]
    exact: bool


@dataclass(frozen=True, kw_only=True)
class Metrics:
    """The four metrics; None where there is too little to say one.

    Attributes:
        environment: name of its Application.
        seconds: that were looked at: the window, or less when the environment is younger.
        young: whether it is.
        deployments: how many.
        by_git: how many of them Git's commits stand for.
        per_day: deployments a day; None when less than a day was looked at.
        lead_time: seconds, the median; None without a commit of the app.
        lead_commits: of how many commits.
        failed: how many deployments.
        degraded: whether the last one is among them since it does not work now.
        failure_rate: a share; None without a deployment.
        recovery_time: seconds, the median; None when none was recovered from, as far as is known.
        recovered: of how many deployments.
        strangers: how many syncs Argo CD remembers of commits that the branch does not have.
    """

    environment: str
    seconds: float
    young: bool
    deployments: int
    by_git: int
    per_day: float | None
    lead_time: float | None
    lead_commits: int
    failed: int
    degraded: bool
    failure_rate: float | None
    recovery_time: float | None
    recovered: int
    strangers: int


def measure(  # noqa: PLR0913 - what it is taken from
    app: App, status: Mapping[str, Any], clone: Clone, code: Clone | None, image: str, *, now: float, window: float
) -> Metrics:
    """Return the metrics of an environment.

    Args:
        app: of the environment.
        status: of its Application.
        clone: of the branch that it follows, with all of its history.
        code: of the app's repository, with all of its history; None when the stack has none.
        image: the app's, without a tag.
        now: seconds since 1970.
        window: seconds before that which are looked at.
    """
    changes = clone.log(*_paths(app))
    synced, strangers = syncs(status.get("history") or [], changes, [each.id for each in clone.log()])
    made = deployments(changes, synced)
    begun = changes[-1].at if changes else now
    seconds = min(window, now - begun)
    inside = [number for number, each in enumerate(made) if each.at >= now - window]
    failures = failed(made, changes)
    degraded = len(made) - 1 in inside and status.get("health", {}).get("status") == DEGRADED
    bad = ({*failures} | ({len(made) - 1} if degraded else set())) & {*inside}
    recoveries = [
        made[end].at - made[number].at
        for number in inside
        if (end := failures.get(number)) is not None and made[number].exact and made[end].exact
    ]
    leads = _leads(made, clone, code, app, image, since=now - window) if code else []
    return Metrics(
        environment=app.application,
        seconds=seconds,
        young=now - begun < window,
        deployments=len(inside),
        by_git=sum(not made[number].exact for number in inside),
        per_day=len(inside) / (seconds / DAY) if seconds >= DAY else None,
        lead_time=statistics.median(leads) if leads else None,
        lead_commits=len(leads),
        failed=len(bad),
        degraded=degraded,
        failure_rate=len(bad) / len(inside) if inside else None,
        recovery_time=statistics.median(recoveries) if recoveries else None,
        recovered=len(recoveries),
        strangers=strangers,
    )


def syncs(
    history: Iterable[Mapping[str, Any]], changes: Sequence[Commit], branch: Sequence[str]
) -> tuple[list[tuple[float, int]], int]:
    """Return when an environment was synced, and to which of its changes; and how many syncs are of no commit here.

    Args:
        history: of the Application.
        changes: commits that change the environment, the newest first.
        branch: IDs of all commits of its branch, the newest first.

    Returns:
        Seconds since 1970 and a place in ``changes``, the oldest sync first.
    """
    places = {each.id: place for place, each in enumerate(changes)}
    changed: dict[str, int] = {}  # the last change of the environment, at each commit of the branch
    last = len(changes)
    for commit in reversed(branch):
        last = places.get(commit, last)
        if last < len(changes):
            changed[commit] = last
    found, strangers = [], 0
    for each in history:
        if each.get("revision") in changed:
            found.append((prometheus.moment(each["deployedAt"]).timestamp(), changed[each["revision"]]))
        else:
            strangers += 1
    return sorted(found, key=lambda sync: sync[0]), strangers


def deployments(changes: Sequence[Commit], synced: Sequence[tuple[float, int]]) -> list[Deployment]:
    """Return an environment's deployments, the oldest first; none when it was never synced.

    Args:
        changes: commits that change it, the newest first.
        synced: what ``syncs`` returns.
    """
    if not synced:
        return []
    known = changes[synced[0][1] :]
    found = [Deployment(at=each.at, brought=(each,), exact=False) for each in reversed(known) if not each.first]
    for (_, before), (at, after) in pairwise(synced):
        if after != before:
            # By hand an older commit can be synced: it brings nothing new, and is a deployment all the same.
            found.append(Deployment(at=at, brought=tuple(changes[after:before]) or (changes[after],), exact=True))
    return found


def failed(made: Sequence[Deployment], changes: Sequence[Commit]) -> dict[int, int | None]:
    """Return the places of the deployments that were followed by a revert.

    Args:
        made: the deployments, the oldest first.
        changes: the commits that they could bring, the newest first.

    Returns:
        With each the place of the deployment that brought the revert; None while none has.
    """
    by = {what: revert for revert, what in reverted(changes).items()}
    brought = [{commit.id for commit in each.brought} for each in made]
    found: dict[int, int | None] = {}
    for place, its in enumerate(brought):
        # What was reverted before it was ever deployed has harmed nobody.
        reverts = {by[commit] for commit in its if commit in by} - its
        if reverts:
            found[place] = next((later for later in range(place + 1, len(made)) if reverts & brought[later]), None)
    return found


def reverted(changes: Sequence[Commit]) -> dict[str, str]:
    """Return which commit each revert takes back, by their IDs. What takes a revert back is a change like any other.

    Args:
        changes: commits, the newest first.
    """
    found: dict[str, str] = {}
    ids: dict[str, str] = {}  # of the commits so far, by title: the last one of those that have the same
    seen: set[str] = set()
    for each in reversed(changes):
        named, title = REVERTS.search(each.message), REVERT.fullmatch(each.title)
        what = named[1] if named and named[1] in seen else ids.get(title[1], "") if title else ""
        if what and what not in found:
            found[each.id] = what
        ids[each.title] = each.id
        seen.add(each.id)
    return found


def _paths(app: App) -> list[str]:
    return [app.remote.path, *([app.shared] if app.shared else [])]


def _leads(  # noqa: PLR0913 - as above
    made: Sequence[Deployment], clone: Clone, code: Clone, app: App, image: str, *, since: float
) -> list[float]:
    """Return the seconds from commits of the app to their first deployment, as far as Argo CD says when that was."""
    times = {each.id: each.at for each in code.log()}
    before: list[str] = []
    found = []
    for each in made:
        version = _version(clone, each.brought[0].id, app.remote.path, image)
        commit = next((id_ for id_ in times if version and id_.startswith(version)), "")
        if commit and commit not in before:
            new = [times[commit]]
            if before:  # also what a merge has brought, but not the merge itself
                asked = ["rev-list", "--no-merges", "--timestamp", commit, "--not", *before]
                new = [int(line.split()[0]) for line in git.run(code.remote, asked, cwd=code.root).splitlines()]
            if each.exact and each.at >= since:
                found += [each.at - moment for moment in new]
            before.append(commit)
    return found


def _version(clone: Clone, commit: str, path: str, image: str) -> str:
    """Return the version of the app at a commit, when it is called as a commit is; empty otherwise."""
    listed = git.run(clone.remote, ["ls-tree", "--name-only", commit, f"{path}/"], cwd=clone.root).splitlines()
    texts = {
        Path(name): git.run(clone.remote, ["show", f"{commit}:{name}"], cwd=clone.root)
        for name in listed
        if name.endswith(MANIFEST)
    }
    try:
        found = manifest_tags.one_of(manifest_tags.tags(texts, image))
    except LabError:  # it ran something else then, of which the app's repository knows nothing
        return ""
    return found if COMMIT.fullmatch(found) else ""
