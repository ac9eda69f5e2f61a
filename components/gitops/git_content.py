"""What our repositories begin with: first commits, or what a backup has. From then on they are their users'.

It goes through this host's Git, which is told nothing of its user's own settings: they may sign, hook or convert.
"""

from __future__ import annotations

import os
import shutil
import tempfile
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Final
from urllib.parse import urlsplit

from components.core.errors import LabError
from components.core.run import CommandError, run
from components.gitops.gitea import EMAIL, OWNER

if TYPE_CHECKING:
    from collections.abc import Mapping

# https://git-scm.com/docs/gitcredentials: what begins with "!" is a shell snippet, "get" asks for credentials.
HELPER: Final = (
    """!f() { test "$1" = get && printf 'username=%s\\npassword=%s\\n' "$IOT_GIT_USERNAME" "$IOT_GIT_PASSWORD"; }; f"""
)
# As set by a hook of a repository that this runs in.
FOREIGN: Final = ("GIT_DIR", "GIT_WORK_TREE", "GIT_INDEX_FILE")
KEPT: Final = "Make {} what the settings say"  # the message of what is kept as it is set
SKIP: Final = "[skip ci]"  # in the message of a commit: no workflow starts for its push
SECONDS: Final = 600.0  # for one Git command; a backup can be large


@dataclass(frozen=True)
class Content:
    """A repository, as its owner.

    Attributes:
        url: as this host reaches it.
        password: of the owner.
    """

    url: str
    password: str = field(repr=False)

    def restore(self, bundle: Path, *, unbuilt: str = "") -> None:
        """Push the branches and tags of a backup.

        Args:
            bundle: the backup.
            unbuilt: a branch that gets one more commit, at which no workflow starts: what it has was built before, and
                something else may have been released since. Empty for none.

        Raises:
            LabError: it is no bundle that Git can read.
        """
        with tempfile.TemporaryDirectory(prefix="iot-git-") as folder:
            try:
                self._git(Path(folder), "clone", "--quiet", "--mirror", str(bundle), "backup")
            except CommandError as error:
                raise LabError(
                    f"{bundle} is no backup that Git can read",
                    why=error.why,
                    fix=f"move {bundle} away, or `pulumi config set iot:gitRestore false` to begin without",
                ) from error
            if unbuilt:
                self._skip(Path(folder) / "backup", unbuilt)
            self._git(
                Path(folder) / "backup",
                "push",
                "--quiet",
                self.url,
                "refs/heads/*:refs/heads/*",
                "refs/tags/*:refs/tags/*",
            )

    def heads(self) -> set[str]:
        """Return the names of its branches."""
        with tempfile.TemporaryDirectory(prefix="iot-git-") as folder:
            found = self._git(Path(folder), "ls-remote", "--heads", self.url)
        return {line.partition("refs/heads/")[2] for line in found.splitlines()}

    def begin(self, branch: str, files: Mapping[str, str], message: str) -> None:
        """Push a first commit.

        Args:
            branch: a branch that is not there.
            files: their content, by path; what begins with "#!" can be run.
            message: of the commit.
        """
        with tempfile.TemporaryDirectory(prefix="iot-git-") as name:
            folder = Path(name)
            self._git(folder, "init", "--quiet", f"--initial-branch={branch}")
            _write(folder, files)
            self._commit(folder, branch, message)

    def files(self, branch: str) -> dict[str, str]:
        """Return the content of a branch that is there, by path; but for what is no text."""
        with tempfile.TemporaryDirectory(prefix="iot-git-") as name:
            root = Path(name) / "clone"
            self._git(Path(name), "clone", "--quiet", "--depth=1", f"--branch={branch}", self.url, str(root))
            found = {}
            for path in self._git(root, "ls-files", "-z").split("\0"):
                with suppress(UnicodeDecodeError, FileNotFoundError, IsADirectoryError):
                    found[path] = (root / path).read_bytes().decode()
            return found

    def keep(self, branch: str, files: Mapping[str, str], folder: str, message: str) -> None:
        """Make one folder equal to what it should be; other folders that are not there at all are begun.

        Args:
            branch: a branch that is there.
            files: the content of all of it, by path.
            folder: the one that is the project's, and not its users'.
            message: of the commit, when there is anything to commit.
        """
        with tempfile.TemporaryDirectory(prefix="iot-git-") as name:
            root = Path(name) / "clone"
            self._git(Path(name), "clone", "--quiet", "--depth=1", f"--branch={branch}", self.url, str(root))
            wanted = {path: text for path, text in files.items() if not (root / path).parent.exists()}
            shutil.rmtree(root / folder, ignore_errors=True)
            wanted |= {path: text for path, text in files.items() if path.startswith(f"{folder}/")}
            _write(root, wanted)
            if self._git(root, "status", "--porcelain"):
                self._commit(root, branch, message)

    def _skip(self, folder: Path, branch: str) -> None:
        head = f"refs/heads/{branch}"
        who = ("-c", f"user.name={OWNER}", "-c", f"user.email={EMAIL}")
        made = ("commit-tree", f"{head}^{{tree}}", "-p", head, "-m", f"Begin with what was kept {SKIP}")
        self._git(folder, "update-ref", head, self._git(folder, *who, *made).strip())

    def _commit(self, folder: Path, branch: str, message: str) -> None:
        self._git(folder, "add", "--all", ".")
        who = ("-c", f"user.name={OWNER}", "-c", f"user.email={EMAIL}")
        self._git(folder, *who, "commit", "--quiet", "--message", message)
        self._git(folder, "push", "--quiet", self.url, f"HEAD:refs/heads/{branch}")

    def _git(self, folder: Path, *arguments: str) -> str:
        env = {
            "IOT_GIT_USERNAME": OWNER,
            "IOT_GIT_PASSWORD": self.password,
            "GIT_CONFIG_GLOBAL": os.devnull,
            "GIT_CONFIG_NOSYSTEM": "1",
            "GIT_TERMINAL_PROMPT": "0",
            "LC_ALL": "C",
            **past_proxy(urlsplit(self.url).hostname or ""),
        }
        unset = [word for name in FOREIGN for word in ("-u", name)]
        return run(
            ["env", *unset, "git", "-c", credentials(self.url), *arguments], timeout=SECONDS, env=env, cwd=folder
        )


def credentials(url: str) -> str:
    """Return the setting by which Git takes a login from the environment, for one host and no other.

    Args:
        url: of a repository.
    """
    address = urlsplit(url)
    return f"credential.{address.scheme}://{address.netloc}.helper={HELPER}"


def past_proxy(host: str) -> dict[str, str]:
    """Return the variables by which a program asks a host of this machine itself, and no proxy for it."""
    return {name: ",".join(filter(None, [os.environ.get(name), host])) for name in ("no_proxy", "NO_PROXY")}


def _write(folder: Path, files: Mapping[str, str]) -> None:
    for path, text in files.items():
        file = folder / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(text.encode())
        if text.startswith("#!"):
            file.chmod(0o755)
