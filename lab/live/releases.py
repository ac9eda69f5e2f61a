"""Putting a version of the app live through Git: change the tag, commit, push, and wait for the app to say it."""

from __future__ import annotations

import time
from contextlib import ExitStack
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from components.core import http_client as http
from components.core import kube, versions
from components.core.errors import LabError
from components.gitops import manifests
from lab.host.console import say
from lab.live import answers, application, environments, git, manifest_tags, rollout

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

    from lab.live.environments import Environment, PullRequest

# https://github.com/opencontainers/distribution-spec/blob/main/spec.md#pulling-manifests, and Docker's own kinds
MANIFESTS: Final = ", ".join(
    f"application/vnd.{each}+json"
    for each in (
        *("oci.image.index.v1", "oci.image.manifest.v1"),
        *("docker.distribution.manifest.v2", "docker.distribution.manifest.list.v2"),
    )
)
TIMEOUT: Final = 300.0  # seconds until the app must answer: a slow network may have to pull its image
LOOK: Final = 2.0  # seconds between two looks at what a version has proved
EVERY: Final = 0.1  # seconds between two looks at the app
# Seconds in which nothing but the version has to answer: at first, the pods of the version before answer in turns with
# the new ones, and who asks just after a release would be told the old one.
STEADY: Final = 1.5
REMIND: Final = 10.0  # seconds between two lines that say what is waited for


@dataclass(frozen=True, kw_only=True)
class Target:
    """Where a release goes.

    Attributes:
        remote: the repository.
        image: the app's image without its tag.
        url: where the app answers.
        kubeconfig: of Argo CD's cluster, secret.
        of_pods: of the app's cluster, secret.
        application: name of the Application that follows it.
        namespace: where the app is.
        environment: the environment that this is; None where there are none.
    """

    remote: git.Remote
    image: str
    url: str
    kubeconfig: str
    of_pods: str
    application: str
    namespace: str
    environment: Environment | None = None


@dataclass(frozen=True, kw_only=True)
class Release:
    """A version that was pushed.

    Attributes:
        commit: the commit's ID; empty when Git had the version already.
        before: the tag that it replaced.
        started: just before the push, in seconds of ``time.monotonic``.
        pushed: when the push had ended.
    """

    commit: str
    before: str
    started: float
    pushed: float


@dataclass(frozen=True, kw_only=True)
class Times:
    """How a release went, in seconds from just before the push; None for what was not seen.

    ``first`` is the first answer with the version, ``live`` the one after which there was no other one any more.
    """

    pushed: float
    seen: float | None
    applied: float | None
    first: float
    live: float


def of(outputs: Mapping[str, Any]) -> Target:
    """Return where releases of a stack go.

    Args:
        outputs: the stack's outputs, with secrets.

    Raises:
        LabError: it is no stack with a repository.
    """
    name, namespace = application.of(outputs)
    return Target(
        remote=git.remote(outputs),
        image=outputs["image"],
        url=outputs["appUrl"],
        kubeconfig=outputs["kubeconfig"],
        of_pods=outputs["kubeconfig"],
        application=name,
        namespace=namespace,
        environment=next(iter(environments.of(outputs)), None),
    )


def at(outputs: Mapping[str, Any], environment: Environment) -> Target:
    """Return where releases of one of a stack's environments go.

    Args:
        outputs: the stack's outputs, with secrets.
        environment: the environment.
    """
    return Target(
        remote=environments.remote(outputs, environment),
        image=outputs["image"],
        url=environment.url,
        kubeconfig=outputs["kubeconfig"],
        of_pods=environments.kubeconfig(outputs, environment.cluster),
        application=environment.name,
        namespace=environment.name,
        environment=environment,
    )


def live(target: Target, version: str, timeout: float) -> None:
    """Wait until a version is live that Git has, and say how long it took.

    Args:
        target: where.
        version: the tag.
        timeout: seconds.

    Raises:
        LabError: it did not come within that time; with what the Application says.
    """
    begin = time.monotonic()
    with kube.config_file(target.kubeconfig) as config:
        _, since = wait(target, version, timeout, config)
    print(f"{target.url} says {version} after {since - begin:.1f} s")


@dataclass(frozen=True, kw_only=True)
class Change:
    """A change of an environment in Git: from which version to which, and what it is there."""

    before: str
    after: str
    what: str


def follow(
    outputs: Mapping[str, Any], environment: Environment, change: Change, request: PullRequest | None, timeout: float
) -> None:
    """Say what became of a change of an environment, and wait until it is live where nobody has to do anything.

    Args:
        outputs: the stack's, with secrets.
        environment: the one that is changed.
        change: what was pushed.
        request: the pull request that it became; None when it is on the branch.
        timeout: seconds until it has to be live.

    Raises:
        LabError: it did not come within that time; with what the Application says.
    """
    versions_ = f"{change.before} -> {change.after}"
    if request:
        print(f"{versions_} in {environment.name}: {request.url} waits for {environment.approvals} approval")
    else:
        print(f"{versions_}: {change.what} is in {environment.branch}")
        if environment.sync != "manual":
            live(at(outputs, environment), change.after, timeout)
            return
    print(f"then: make approve ENV={environment.name}")


def check_name(version: str) -> None:
    """Stop unless a version can be the tag of an image.

    Raises:
        LabError: says what a tag may be.
    """
    if not version:
        raise LabError("no version was named", why=f"there are {_built()}", fix="make release VERSION=v2")
    if not manifest_tags.TAG.fullmatch(version) or version == "latest":
        raise LabError(
            f"{version!r} is not a version",
            why="expected the tag of an image other than latest: letters, digits, '_', '.' and '-', at most 128",
            fix="make release VERSION=v2",
        )


def check_exists(version: str, image: str) -> None:
    """Stop when the cluster can't have an image of that version, because it is built here and not as that.

    What CI builds is in the registry beside the cluster.

    Raises:
        LabError: says which versions there are.
    """
    host, _, name = image.partition("/")
    if host.startswith("localhost:") and version not in versions.APP_VERSIONS:
        found = http.ask(f"http://{host}/v2/{name}/manifests/{version}", method="HEAD", headers={"Accept": MANIFESTS})
        if not http.ok(found):
            raise LabError(
                f"there is no image {image}:{version} in the registry",
                why=f"it answered {found.status}; what CI has built is there, as the commit",
                fix="make ci STACK=platform shows what was built",
            )
    # A stack of another name than p3 builds an image that is named after it.
    built = image == versions.APP_REPOSITORY or image.startswith(f"{versions.APP_REPOSITORY}-")
    if built and version not in versions.APP_VERSIONS:
        raise LabError(
            f"there is no version {version!r} of {image}",
            why=f"it is built on this machine, as {_built()}",
            fix=f"make release VERSION={versions.APP_VERSIONS[-1]}, or an image of a registry: "
            "pulumi config set iot:appImage REGISTRY/IMAGE:TAG --stack p3",
        )


def _built() -> str:
    return " and ".join(versions.APP_VERSIONS)


def release(target: Target, version: str, timeout: float) -> tuple[Times, Release]:
    """Push a version and wait until it is live.

    Args:
        target: where to.
        version: the tag.
        timeout: seconds that the app may take after the push.

    Returns:
        How long it took, and what was pushed.

    Raises:
        LabError: it could not be pushed, or was not live in time; with what the Application says.
    """
    with ExitStack() as open_things:
        config = open_things.enter_context(kube.config_file(target.kubeconfig))
        watched: list[application.Progress] = []
        # It runs when the commit is known and not yet pushed, so that nothing of what follows is missed.
        done = push(
            target,
            version,
            lambda commit: watched.append(
                open_things.enter_context(application.watched(config, target.application, commit))
            ),
        )
        say(pushed(done, version, target))
        first, live_at = wait(target, version, timeout, config)
        # A push that was rejected has left one behind, of a commit that never came to be.
        progress = watched[-1] if watched else None
        if progress and progress.problem:
            say(f"Argo CD's steps are not known: {progress.problem}")
    return _times(done, progress, first, live_at), done


def push(target: Target, version: str, before_push: Callable[[str], None] = lambda _: None) -> Release:
    """Change the tag in the repository; once more when somebody else pushes at the same time.

    Args:
        target: where to.
        version: the tag.
        before_push: is given the commit's ID just before it is pushed.

    Raises:
        LabError: it could not be pushed.
    """

    def once() -> Release:
        with git.cloned(target.remote) as clone:
            before = change(clone.root / target.remote.path, target.image, version)
            if before == version:
                now = time.monotonic()
                return Release(commit="", before=before, started=now, pushed=now)
            commit = clone.commit(f"Run version {version} of the app\n\nIt was {before}.")
            before_push(commit)
            started = time.monotonic()
            clone.push()
            return Release(commit=commit, before=before, started=started, pushed=time.monotonic())

    return git.once_more(once)


def change(folder: Path, image: str, version: str) -> str:
    """Set the tag in the manifests of a folder, and nothing else of them.

    Args:
        folder: with the manifests.
        image: the image without its tag.
        version: the tag.

    Returns:
        The tag that was there; several, when containers ran different ones.

    Raises:
        LabError: no container there runs that image.
    """
    texts = manifest_tags.read(folder)
    found = manifest_tags.tags(texts, image)
    for path in found:
        changed = manifests.set_tag(texts[path], path.name, image, version)
        if changed != texts[path]:
            path.write_bytes(changed.encode())
    return manifest_tags.one_of(found)


def wait(target: Target, version: str, timeout: float, config: Path) -> tuple[float, float]:
    """Wait until the app says that it is a version, and nothing else any more.

    Args:
        target: where the app is.
        version: the one that is expected.
        timeout: seconds.
        config: path of the cluster's kubeconfig.

    Returns:
        When it said so first, and from when on always, in seconds of ``time.monotonic``.

    Raises:
        LabError: it did not within that time, with what the Application says; or it was given up before.
    """
    with kube.config_file(target.of_pods) as pods:
        return _wait(target, version, timeout, config, pods)


def _wait(target: Target, version: str, timeout: float, config: Path, pods: Path) -> tuple[float, float]:
    begin = looked = time.monotonic()
    remind = begin + REMIND
    first = since = other = stopped = None
    proving = target.environment if target.environment and target.environment.progressive else None
    # At a quarter of the pods it is by chance alone that nothing but the new version answers for a moment.
    progress = rollout.Progress(found="it is not looked at yet", tag="") if proving else rollout.DONE
    while True:
        answer = _answer(target.url)
        now = time.monotonic()
        if proving and now > looked + LOOK:
            progress, stopped = _proving(proving, pods, target.image, version)
            looked = time.monotonic()
        if answer == version:
            first, since, other = first or now, since or now, None
            if now - since >= STEADY and not progress.found:
                return first, since
        else:
            since, other = None, other or now
        # What was given up is over when the pods that had it are gone, and nobody is answered by one.
        if stopped and (progress.paused or (not progress.left and other and now - other >= STEADY)):
            raise stopped
        if since is None or progress.found:
            if now - begin > timeout:
                raise stopped or _too_late(target, version, timeout, answer, config)
            if now > remind:
                how = f" ({rollout.shown(progress)})" if progress.found else ""
                say(f"waiting for {target.url} to say {version}, since {now - begin:.0f} s; now: {answer}{how}")
                remind += REMIND
        time.sleep(EVERY)


def _proving(
    environment: Environment, pods: Path, image: str, version: str
) -> tuple[rollout.Progress, LabError | None]:
    """Return how far a version is that has to prove itself, and why it gets no further by itself."""
    try:
        progress = rollout.look(pods, environment.name, image)
    except LabError as error:
        return rollout.Progress(found=error.what, tag=""), None
    if progress.tag != version:
        return rollout.Progress(found="it is not there yet", tag=""), None
    return progress, rollout.stopped(environment, progress)


def _too_late(target: Target, version: str, timeout: float, answer: str, config: Path) -> LabError:
    return LabError(
        f"{target.url} does not say {version} after {timeout:.0f} s, but: {answer}",
        why=f"Argo CD says\n{_diagnosis(target, config)}",
        fix="make status; to take it back, git revert (docs/p3.md)",
    )


def _answer(url: str) -> str:
    """Return the version that answers, or why none does: while pods change that is nothing to stop for."""
    try:
        return answers.version(url)
    except LabError as error:
        return f"{error.what} ({error.why})"


def _diagnosis(target: Target, config: Path) -> str:
    try:
        with kube.config_file(target.of_pods) as pods:
            return application.diagnosis(config, target.application, target.namespace, pods)
    except LabError as error:
        return f"  nothing: {error}"


def _times(done: Release, progress: application.Progress | None, first: float, live_at: float) -> Times:
    def since(moment: float | None) -> float | None:
        return None if moment is None else moment - done.started

    return Times(
        pushed=done.pushed - done.started,
        seen=since(progress.seen) if progress else None,
        applied=since(progress.applied) if progress else None,
        first=first - done.started,
        live=live_at - done.started,
    )


def pushed(done: Release, version: str, target: Target) -> str:
    """Return what there is to say about a push."""
    where = f"{target.remote.url} ({target.remote.revision})"
    if not done.commit:
        return f"{where} has {version} already: nothing to commit"
    return f"{done.before} -> {version}: commit {done.commit[:7]} is in {where}"


def report(times: Times, done: Release, version: str, target: Target) -> str:
    """Return what there is to say about a release that is live."""
    if not done.commit:
        return f"{target.url} says {version}; nothing had to be changed"
    steps = [
        ("the push has ended", times.pushed),
        ("Argo CD has seen the commit", times.seen),
        ("it is applied", times.applied),
        (f"{target.url} says {version}", times.first),
        (f"it says {version} only: the pods before are gone", times.live),
    ]
    lines = [f"{version} is live {times.live:.1f} s after the push began:"]
    lines += [f"  {seconds:6.1f} s  {what}" for what, seconds in steps if seconds is not None]
    return "\n".join(lines)
