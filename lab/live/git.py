"""The repository that Argo CD follows, through Git's own command line and a clone that is thrown away.

A password goes to Git through a credential helper that reads it from the environment: it is in no argument, no URL
and no file, and no other host than the repository's is told it. Where nobody is there to answer, nothing asks.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import tempfile
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, TypeVar
from urllib.parse import urlsplit

from components.core.errors import LabError
from components.core.run import CommandError
from components.core.run import run as run_program
from components.gitops import git_content
from lab.host.console import say

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

T = TypeVar("T")
TIMEOUT: Final = 120.0  # seconds for one Git command; a shallow clone of a folder of manifests takes a few
WHOLE: Final = 2**31 - 1  # the depth that Git takes for all of the history
_END: Final = "\0"  # of a commit in a log; other control characters count as white space
NOBODY: Final = ("iot", "iot@localhost.localdomain")  # who commits where Git knows no name of the user
# What Git and the servers behind it say, in lower case, of each kind of failure.
CREDENTIALS: Final = (
    "authentication failed",
    "could not read username",
    "could not read password",
    "invalid credentials",
    "permission denied (publickey",
    "host key verification failed",
    "error: 401",
)
FORBIDDEN: Final = ("error: 403", "permission to", "permission denied", "not allowed to push", "protected", "read-only")
REJECTED: Final = ("fetch first", "non-fast-forward", "cannot lock ref", "failed to update ref", "stale info")
UNREACHABLE: Final = (
    "could not resolve host",
    "failed to connect",
    "couldn't connect",
    "connection refused",
    "connection timed out",
    "connection reset",
    "empty reply",
    "error: 50",
)
NO_BRANCH: Final = ("remote branch", "not found in upstream")
NO_REPOSITORY: Final = ("not found", "does not exist", "does not appear to be a git repository")


class RejectedError(LabError):
    """Somebody else has pushed since the clone was made."""


@dataclass(frozen=True, kw_only=True)
class Remote:
    """The repository, as the stack's outputs describe it.

    Attributes:
        url: as this host reaches it.
        revision: the branch that Argo CD follows, or HEAD.
        path: the folder with the manifests, relative to the repository's root.
        username: who may push; empty when Git's own credentials are used.
        password: of that user.
        may_ask: whether Git may ask on the terminal, where there is one and no password is known.
        container: of the embedded server; empty when it is another one.
    """

    url: str
    revision: str
    path: str
    username: str = ""
    password: str = ""
    may_ask: bool = True
    container: str = ""

    def __repr__(self) -> str:
        """Leave the password out, wherever this is shown."""
        return f"Remote({self.url}, {self.revision}, {self.path})"


def remote(outputs: Mapping[str, Any]) -> Remote:
    """Return the repository of a stack, as who may write it.

    Args:
        outputs: the stack's outputs, with secrets.

    Raises:
        LabError: the stack has no repository.
    """
    if "git" not in outputs:
        raise LabError("this stack follows no Git repository", why="only p3 does", fix="name p3: STACK=p3")
    found = outputs["git"]
    return Remote(
        url=found["url"],
        revision=found["revision"],
        path=found["path"],
        username=found.get("username") or "",
        password=outputs.get("gitPassword") or "",
        container=found.get("container") or "",
    )


def readable(outputs: Mapping[str, Any]) -> Remote:
    """Return the repository of a stack, as Argo CD reads it: a look at it asks nobody for a password.

    Args:
        outputs: the stack's outputs, with secrets.

    Raises:
        LabError: the stack has no repository.
    """
    return replace(remote(outputs), may_ask=False, **(outputs.get("gitReader") or {}))


@dataclass(frozen=True, kw_only=True)
class Commit:
    """A commit.

    Attributes:
        id: of it.
        at: when it was made, in seconds since 1970.
        first: whether it has none before it.
        title: the first line of its message.
        message: the rest of that.
    """

    id: str
    at: int
    first: bool
    title: str
    message: str


class Clone:
    """A clone of the branch that Argo CD follows.

    Attributes:
        root: its folder.
        remote: where it comes from.
        branch: the branch that is checked out.
    """

    def __init__(self, source: Remote, root: Path, depth: int = 1) -> None:
        """Clone the last commits into an empty folder.

        Raises:
            LabError: it can't be read, or what Argo CD follows is no branch.
        """
        self.root, self.remote = root, source
        branch = [] if source.revision == "HEAD" else ["--branch", source.revision]
        run(source, ["clone", "--quiet", f"--depth={depth}", "--single-branch", *branch, "--", source.url, str(root)])
        self.branch = run(source, ["branch", "--show-current"], cwd=root)
        if not self.branch:
            raise _no_branch(source)

    @property
    def head(self) -> str:
        """The ID of the commit that is checked out."""
        return run(self.remote, ["rev-parse", "HEAD"], cwd=self.root)

    def commit(self, message: str) -> str:
        """Commit all changes, also of new files, and return the commit's ID."""
        run(self.remote, ["add", "--all", "."], cwd=self.root)
        run(self.remote, ["commit", "--quiet", "--message", message], cwd=self.root)
        return self.head

    @property
    def changed(self) -> bool:
        """Whether anything in it is otherwise than in its last commit."""
        return bool(run(self.remote, ["status", "--porcelain"], cwd=self.root))

    def revert(self, paths: list[str]) -> str:
        """Take the last commit that changed some paths back, by another commit, and return the title of that.

        What the program has committed of itself, by what is set, is not taken back.

        Args:
            paths: relative to its folder.

        Raises:
            LabError: none of the commits that were cloned can be taken back, or later ones are in the way.
        """
        theirs = ["--invert-grep", f"--grep=^{git_content.KEPT.format('.*')}$"]
        last = ["log", "--max-count=1", *theirs, "--format=%H %P", "--", *paths]
        found = run(self.remote, last, cwd=self.root).split()
        if len(found) <= 1:
            raise LabError(
                f"there is nothing to take back in {self.branch}",
                why="its first commit is the one that it is at",
                fix=f"git log {self.branch} in `make clone`",
            )
        try:
            run(self.remote, ["revert", "--no-edit", found[0]], cwd=self.root)
        except LabError as error:
            raise LabError(
                f"commit {found[0][:7]} of {self.branch} can't be taken back",
                why=error.why,
                fix="make clone, and revert it there by hand",
            ) from error
        return run(self.remote, ["log", "--max-count=1", "--format=%s"], cwd=self.root)

    def log(self, *paths: str) -> list[Commit]:
        """Return the branch's commits, the newest first; what was merged into it counts as one.

        Args:
            paths: those alone that have changed one of these; none for all.
        """
        shape = "--format=%H%x1f%ct%x1f%P%x1f%s%x1f%b%x00"
        text = run(self.remote, ["log", "--first-parent", shape, "--", *paths], cwd=self.root)
        found = []
        for each in text.split(_END)[:-1]:
            id_, at, parents, title, message = each.lstrip("\n").split("\x1f", 4)
            found.append(Commit(id=id_, at=int(at), first=not parents, title=title, message=message))
        return found

    def push(self, branch: str = "") -> None:
        """Push what is checked out.

        Args:
            branch: another one, whatever is there; empty for the one that was cloned.

        Raises:
            RejectedError: somebody else has pushed since the clone was made.
            LabError: it can't be written.
        """
        force = ["--force"] if branch else []
        to = f"HEAD:refs/heads/{branch or self.branch}"
        run(self.remote, ["push", "--quiet", *force, "origin", to], cwd=self.root)


def once_more(work: Callable[[], T]) -> T:
    """Do something that ends in a push, and do it again when somebody else has pushed at the same time.

    Args:
        work: begins with a clone of its own.

    Raises:
        RejectedError: somebody has, twice.
    """
    try:
        return work()
    except RejectedError:
        say("somebody else has pushed at the same time: once more, on top of that")
        return work()


@contextmanager
def cloned(source: Remote, depth: int = 1) -> Iterator[Clone]:
    """Clone into a temporary folder, which is removed in the end.

    Args:
        source: the repository.
        depth: how many commits.

    Raises:
        LabError: as ``Clone``.
    """
    with tempfile.TemporaryDirectory(prefix="iot-git-") as folder:
        yield Clone(source, Path(folder) / "repository", depth)


def run(source: Remote, args: list[str], *, cwd: Path | None = None, timeout: float = TIMEOUT) -> str:
    """Run a Git command and return what it prints, without the white space around it.

    Args:
        source: the repository that it is about, for its credentials.
        args: the command and its arguments.
        cwd: the folder that it runs in.
        timeout: seconds until it is ended.

    Raises:
        LabError: it failed; says what that means for this repository and what to do.
    """
    interactive = source.may_ask and not source.password and sys.stdin.isatty() and sys.stderr.isatty()
    # Files instead of pipes: helpers that Git starts keep a pipe open after Git itself has been ended.
    with tempfile.TemporaryFile() as out, tempfile.TemporaryFile() as err:
        try:
            process = subprocess.Popen(
                ["git", *_options(source, args[0]), *args],
                cwd=cwd,
                env=_environment(source, interactive=interactive),
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=err,
                # Without a terminal of its own, neither Git nor ssh can ask and wait for ever.
                start_new_session=not interactive,
            )
        except FileNotFoundError as error:
            raise LabError("git is not on PATH", fix="install it, for instance with apt-get install git") from error
        code = _wait(process, timeout, own_session=not interactive)
        texts = []
        for file in (out, err):
            file.seek(0)
            texts.append(file.read().decode(errors="replace").strip())
    if code is None:
        raise LabError(
            f"`git {args[0]}` of {source.url} did not end within {timeout:.0f} s", fix=f"try git ls-remote {source.url}"
        )
    if code:
        raise _explained(source, args[0], texts[1] or texts[0])
    return texts[0]


def _wait(process: subprocess.Popen[bytes], timeout: float, *, own_session: bool) -> int | None:
    """Return the exit code, or None when the process, and what it has started, had to be ended."""
    try:
        return process.wait(timeout)
    except subprocess.TimeoutExpired:
        return None
    finally:
        if process.returncode is None:
            with suppress(ProcessLookupError):  # it has ended in this very moment
                if own_session:
                    os.killpg(process.pid, signal.SIGKILL)
                else:
                    process.kill()
            process.wait()


def _options(source: Remote, command: str) -> list[str]:
    options = []
    if source.password:
        # The empty one switches the user's own helpers off, which might write the password to a file. Ours is for the
        # repository's host alone: it may send Git to another one, and so may what the repository says.
        options += ["-c", "credential.helper=", "-c", git_content.credentials(source.url)]
    if command in {"commit", "revert"} and not _knows_user():
        name, email = NOBODY
        options += ["-c", f"user.name={name}", "-c", f"user.email={email}"]
    if source.container:
        # The lab's own server knows no keys; a hook, or a signature that asks for a password, is meant for others.
        options += ["-c", "commit.gpgSign=false", "-c", "push.gpgSign=false", "-c", f"core.hooksPath={os.devnull}"]
    return options


def _knows_user() -> bool:
    if os.environ.get("GIT_AUTHOR_EMAIL") and os.environ.get("GIT_COMMITTER_EMAIL"):
        return True
    try:
        return bool(run_program(["git", "config", "user.email"], timeout=TIMEOUT))
    except CommandError:
        return False


def _environment(source: Remote, *, interactive: bool) -> dict[str, str]:
    env = os.environ | {"LC_ALL": "C"}
    for name in git_content.FOREIGN:
        env.pop(name, None)
    if not interactive:
        env |= {"GIT_TERMINAL_PROMPT": "0", "GIT_ASKPASS": "", "SSH_ASKPASS_REQUIRE": "never"}
    if source.password:
        env |= {"IOT_GIT_USERNAME": source.username, "IOT_GIT_PASSWORD": source.password}
    if source.container:
        # The embedded server is on this host: a proxy for the outside world does not know it.
        env |= git_content.past_proxy(urlsplit(source.url).hostname or "")
    return env


def _explained(source: Remote, command: str, said: str) -> LabError:  # noqa: PLR0911 - one return for each kind of failure
    """Return what a failed command means."""
    lower, last = said.lower(), " | ".join(said.splitlines()[-4:])
    why = f"Git said: {last}"

    def has(words: tuple[str, ...]) -> bool:
        return any(each in lower for each in words)

    if command == "push" and has(REJECTED):
        return RejectedError(f"{source.url} has changed since it was cloned", why=why, fix="run the same again")
    if has(CREDENTIALS):
        return LabError(f"{source.url} does not accept the credentials", why=why, fix=_credentials_fix(source))
    if command == "push" and (has(FORBIDDEN) or "[remote rejected]" in lower):
        return LabError(
            f"{source.url} does not let you push to {source.revision}",
            why=why,
            fix="use credentials that may write, or change the tag through a pull request",
        )
    if has(UNREACHABLE):
        return LabError(f"{source.url} can't be reached", why=why, fix="make status; with your own host, the network")
    if all(each in lower for each in NO_BRANCH):
        return _no_branch(source)
    if has(NO_REPOSITORY):
        return LabError(
            f"there is no repository {source.url}, or it is hidden from you", why=why, fix=_credentials_fix(source)
        )
    return LabError(f"`git {command}` failed for {source.url}", why=why)


def _credentials_fix(source: Remote) -> str:
    if source.container:
        return f"set it to what the stack knows: docker rm --force {source.container}, then make up; no commit is lost"
    if source.password:
        return "give the stack a token that may read it: pulumi config set --secret iot:gitPassword --stack p3; make up"
    return f"make `git push` to {source.url} work by hand first (gh auth login, an SSH key, or a credential helper)"


def _no_branch(source: Remote) -> LabError:
    return LabError(
        f"{source.revision} is not a branch of {source.url}",
        why="a commit can only be pushed to a branch, and Argo CD follows this revision",
        fix="pulumi config set iot:gitRevision BRANCH --stack p3, then make up",
    )
