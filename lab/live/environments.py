"""A stack's environments: which branch each follows, what runs there, and how a change of one gets into Git."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import quote, urlsplit

from components.core import kube, wait
from components.core.errors import LabError
from components.gitops import gitea
from components.gitops.allowed import DEVELOPER, GITOPS, RELEASER
from lab.live import application, git

if TYPE_CHECKING:
    from collections.abc import Mapping

BASE: Final = "base"  # the folder that all environments have in common
SETTLE: Final = 10.0  # seconds until it has taken in what was pushed last
EARLIER: Final = {"cluster": "", "delivery": "deployment", "ways": ""}  # what it was before there were others
MERGE: Final = 30.0  # seconds until Git knows whether something can be merged
OPEN: Final = "?state=open&limit=50"
SEAL: Final = "Seal"  # the first word of what brings a sealed secret


@dataclass(frozen=True, kw_only=True)
class Environment:
    """One environment, as the stack's outputs describe it.

    Attributes:
        name: of it, its namespace and its Application.
        branch: the one that it follows.
        path: the folder that it follows there.
        after: the environment that versions come from; empty for the first.
        sync: auto or manual.
        approvals: how many a change needs.
        cluster: the further one that it is in; empty for Argo CD's own.
        url: where the app answers.
        delivery: how a version takes the place of the one before: deployment, canary or blueGreen.
        ways: the folder that says what that means; empty for a deployment.
    """

    name: str
    branch: str
    path: str
    after: str
    sync: str
    approvals: int
    cluster: str
    url: str
    delivery: str
    ways: str

    @property
    def progressive(self) -> bool:
        """Whether a version has to prove itself before it takes the place of the one before."""
        return self.delivery != "deployment"

    @property
    def folders(self) -> list[str]:
        """What of its branch is its own, or goes to it by a promotion."""
        return [self.path, BASE, *([self.ways] if self.ways else [])]

    @property
    def request(self) -> str:
        """The branch of a pull request for it."""
        return f"promote/{self.name}"

    @property
    def by(self) -> str:
        """The account that may sync it."""
        return RELEASER if self.approvals else DEVELOPER


def of(outputs: Mapping[str, Any]) -> list[Environment]:
    """Return a stack's environments, in the order in which a version goes through them.

    Args:
        outputs: the stack's.
    """
    return [
        # The engine's JSON has every number as a float; a stack of an earlier version does not say all of it.
        Environment(**{**EARLIER, **each, "approvals": int(each["approvals"])})
        for each in outputs.get("environments") or []
    ]


def find(outputs: Mapping[str, Any], name: str) -> Environment:
    """Return one of a stack's environments.

    Args:
        outputs: the stack's.
        name: of the environment.

    Raises:
        LabError: there is none of that name.
    """
    known = {each.name: each for each in of(outputs)}
    if not known:
        raise LabError("this stack has no environments", why="iot:environments is empty", fix="STACK=platform")
    if name not in known:
        what = f"there is no environment {name!r}" if name else "no environment was named"
        raise LabError(what, why=f"there are {', '.join(known)}", fix=f"name one of them, such as {next(iter(known))}")
    return known[name]


def remote(outputs: Mapping[str, Any], environment: Environment) -> git.Remote:
    """Return the repository at the branch of an environment, as a developer.

    Args:
        outputs: the stack's, with secrets.
        environment: one of its environments.
    """
    return replace(git.remote(outputs), revision=environment.branch, path=environment.path)


def server(outputs: Mapping[str, Any], account: str) -> gitea.Gitea:
    """Return the stack's Git server, as one of its accounts.

    Args:
        outputs: the stack's, with secrets.
        account: one of those that it has passwords of.
    """
    return at(outputs).of(account, outputs["accounts"][account])


def at(outputs: Mapping[str, Any]) -> gitea.Gitea:
    """Return the stack's Git server, as nobody yet.

    Args:
        outputs: the stack's.
    """
    address = urlsplit(outputs["git"]["url"])
    return gitea.Gitea(f"{address.scheme}://{address.netloc}")


@dataclass(frozen=True, kw_only=True)
class PullRequest:
    """An open pull request.

    Attributes:
        number: in its repository.
        title: what it does.
        url: where people look at it.
        head: ID of the commit that it would merge.
    """

    number: int
    title: str
    url: str
    head: str


def pull_request(outputs: Mapping[str, Any], environment: Environment) -> PullRequest | None:
    """Return the open pull request for an environment, or None when there is none.

    Args:
        outputs: the stack's, with secrets.
        environment: one of its environments.
    """
    for each in server(outputs, DEVELOPER).ask("GET", f"{_api()}/pulls{OPEN}").json:
        ours = each["user"]["login"] == DEVELOPER and each["head"]["repo_id"] == each["base"]["repo_id"]
        if ours and each["head"]["ref"] == environment.request and each["base"]["ref"] == environment.branch:
            return _pull_request(each)
    return None


def _pull_request(answer: Mapping[str, Any]) -> PullRequest:
    return PullRequest(
        number=answer["number"], title=answer["title"], url=answer["html_url"], head=answer["head"]["sha"]
    )


def submit(outputs: Mapping[str, Any], environment: Environment, clone: git.Clone, title: str) -> PullRequest | None:
    """Push what a clone of an environment's branch has committed, or open a pull request where that is the way.

    Args:
        outputs: the stack's, with secrets.
        environment: one of its environments.
        clone: of its branch, with a commit.
        title: of the pull request.

    Returns:
        The pull request; None when the commit is on the branch.

    Raises:
        RejectedError: somebody else has pushed to the branch since the clone was made.
        LabError: it can't be pushed, or would take the place of what waits for an approval.
    """
    if not environment.approvals:
        clone.push()
        return None
    mine, there = server(outputs, DEVELOPER), pull_request(outputs, environment)
    if there and there.title != title and SEAL in (there.title.partition(" ")[0], title.partition(" ")[0]):
        # A newer promotion takes the place of one that waits. A sealed value is not in it, and would be lost.
        raise LabError(
            f"{there.title!r} waits for an approval in {environment.name}",
            why=f"one change of it waits at a time: {there.url}",
            fix=f"make approve ENV={environment.name}, or close it there, and run this again",
        )
    clone.push(environment.request)
    if there:
        return _pull_request(mine.ask("PATCH", f"{_api()}/pulls/{there.number}", {"title": title}).json)
    asked = {"head": environment.request, "base": environment.branch, "title": title}
    return _pull_request(mine.ask("POST", f"{_api()}/pulls", asked).json)


def approve(outputs: Mapping[str, Any], request: PullRequest) -> str:
    """Approve a pull request as the one who may, merge it, and return the ID of the commit.

    Args:
        outputs: the stack's, with secrets.
        request: an open one.

    Raises:
        LabError: it needs more approvals, or it conflicts with what was merged since.
    """
    theirs, path = server(outputs, RELEASER), f"{_api()}/pulls/{request.number}"

    def looked_at() -> None:
        # What is approved before that counts for nothing a moment later.
        if not theirs.ask("GET", path).body["mergeable"]:
            raise LabError("Git does not say that it can be merged", why="it conflicts with what was merged since")

    # One commit for each change, which one revert takes back.
    merge = {"Do": "squash", "head_commit_id": request.head}

    def approved_and_merged() -> None:
        theirs.ask("POST", f"{path}/reviews", {"event": "APPROVED", "commit_id": request.head})
        theirs.ask("POST", f"{path}/merge", merge)

    try:
        wait.until(looked_at, timeout=MERGE, every=0.2)
        # Gitea takes a push in after it has answered, and an approval from before that counts for nothing then.
        wait.until(
            approved_and_merged,
            timeout=SETTLE,
            every=1,
            also=lambda error: any(words in str(error) for words in ("try again later", "not have enough approvals")),
        )
    except LabError as error:
        fix = f"look at {request.url}; promote again, on top of what is there now, when it conflicts"
        raise LabError(f"{request.title!r} can't be merged", why=error.why, fix=fix) from error
    return str(theirs.ask("GET", path).json["merge_commit_sha"])


def approvers(outputs: Mapping[str, Any], environment: Environment, commit: str) -> list[str]:
    """Return who approved the pull request that brought an environment what it runs; nobody when there was none.

    Args:
        outputs: the stack's, with secrets.
        environment: one of its environments.
        commit: ID of the one that it runs; the last change of the environment is that one, or before.
    """
    mine = server(outputs, DEVELOPER)
    asked = f"sha={commit}&path={quote(environment.path)}&limit=1&stat=false&verification=false&files=false"
    changes = mine.ask("GET", f"{_api()}/commits?{asked}", also=(404,)).json
    if not isinstance(changes, list) or not changes:
        return []
    found = mine.ask("GET", f"{_api()}/commits/{changes[0]['sha']}/pull", also=(404,))
    if "number" not in found.body:
        return []
    reviews = mine.ask("GET", f"{_api()}/pulls/{found.body['number']}/reviews").json
    return sorted({each["user"]["login"] for each in reviews if each["state"] == "APPROVED" and not each["dismissed"]})


def _api() -> str:
    return f"/repos/{gitea.OWNER}/{GITOPS}"


def kubeconfig(outputs: Mapping[str, Any], cluster: str) -> str:
    """Return the kubeconfig of one of a stack's clusters.

    Args:
        outputs: the stack's, with secrets.
        cluster: a further one's name; empty for Argo CD's own.

    Raises:
        LabError: there is none of that name.
    """
    further: Mapping[str, str] = outputs.get("clusters") or {}
    if cluster and cluster not in further:
        known = ", ".join(further) or "none besides Argo CD's own"
        raise LabError(
            f"there is no cluster {cluster!r}", why=f"there is {known}", fix="leave CLUSTER out, or name one"
        )
    return further[cluster] if cluster else str(outputs["kubeconfig"])


def require_cluster(outputs: Mapping[str, Any], environment: Environment) -> None:
    """Stop, before anything is changed in Git, when what follows it could not be run.

    Args:
        outputs: the stack's, with secrets.
        environment: the one that is to be changed.

    Raises:
        LabError: its cluster does not answer, or has no such namespace.
    """
    with kube.config_file(kubeconfig(outputs, environment.cluster)) as config:
        try:
            kube.get(config, "namespace", name=environment.name)
        except LabError as error:
            why = f"{error.what} ({error.why})" if error.why else error.what
            what = f"nothing was changed: {environment.name} can't run anything now"
            raise LabError(what, why=why, fix=error.fix) from error


def look(environment: Environment) -> str:
    """Return the command that shows the pods of an environment."""
    where = f" CLUSTER={environment.cluster}" if environment.cluster else ""
    return f"make kubectl{where} ARGS='-n {environment.name} get pods,events'"


@dataclass(frozen=True, kw_only=True)
class App:
    """The app of an environment, or the one of a stack without environments, as Argo CD brings it.

    Attributes:
        application: name of its Application.
        namespace: where it runs.
        cluster: the further one that it is in; empty for Argo CD's own.
        url: where it answers.
        remote: the repository at the branch and the folder that it follows, as Argo CD reads it.
        shared: the folder that it has in common with others; empty without.
    """

    application: str
    namespace: str
    cluster: str
    url: str
    remote: git.Remote
    shared: str


def apps(outputs: Mapping[str, Any]) -> list[App]:
    """Return the apps that Argo CD brings, in the order in which a version goes through them.

    Args:
        outputs: the stack's, with secrets.

    Raises:
        LabError: the stack has no repository.
    """
    source = git.readable(outputs)
    found = [
        App(
            application=each.name,
            namespace=each.name,
            cluster=each.cluster,
            url=each.url,
            remote=replace(source, revision=each.branch, path=each.path),
            shared=BASE,
        )
        for each in of(outputs)
    ]
    if found:
        return found
    name, namespace = application.of(outputs)
    return [
        App(
            application=name,
            namespace=namespace,
            cluster="",
            url=outputs["appUrl"],
            remote=source,
            shared="",
        )
    ]
