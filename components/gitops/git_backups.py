"""Git bundles of what users have committed to the embedded Git server, kept where ``make destroy`` does not reach.

A bundle is one file that Git clones from as from a repository (https://git-scm.com/docs/git-bundle). They are in
``.lab/backups/SERVER/OWNER/REPOSITORY/``, named by the time in UTC and a digest of their branches and tags: what has
not changed since the last time is not written twice.
"""

from __future__ import annotations

from datetime import datetime, timezone
from pathlib import Path
from typing import TYPE_CHECKING, Final

from components.gitops import gitea

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    # Runs a shell script beside the repositories, and returns what it printed, or writes that into a file.
    Shell = Callable[[str, Path | None], str]

FOLDER: Final = Path(__file__).resolve().parents[2] / ".lab" / "backups"
REPOSITORIES: Final = "/var/lib/gitea/git/repositories"
FIRST_COMMITTER: Final = gitea.EMAIL  # of the first commit, which is ours
# Prints OWNER/REPOSITORY and the digest of every repository with a commit; of those that are named, with one other than
# our first one.
LIST: Final = """
cd {repositories} || exit 0
for each in */*.git; do
  [ -d "$each" ] || continue
  name=${{each%.git}}
  commits=$(git -C "$each" log --branches --tags --format='%P %ce' 2>&1) || {{
    echo "the repository $name can't be read: $commits" >&2
    exit 1
  }}
  case " {ours} " in *" $name "*) commits=$(printf %s "$commits" | grep -vx ' {first}') ;; esac
  [ -n "$commits" ] || continue
  refs=$(git -C "$each" for-each-ref refs/heads refs/tags --format='%(objectname) %(refname)')
  echo "$name $(printf '%s' "$refs" | sha256sum | cut -c1-12)"
done
"""


def write(server: str, ours: Iterable[str], shell: Shell) -> list[Path]:
    """Write a bundle of every repository with commits of its users, and return where they are.

    Args:
        server: the name of the Git server's container.
        ours: OWNER/REPOSITORY of those that begin with a commit of ours.
        shell: a shell beside the repositories.

    Raises:
        LabError: one can't be read or written; nothing may be removed then.
    """
    written = []
    asked = LIST.format(repositories=REPOSITORIES, ours=" ".join(ours), first=FIRST_COMMITTER)
    for line in shell(asked, None).splitlines():
        name, digest = line.rsplit(" ", 1)
        folder = FOLDER / server / name
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        path = folder / f"{datetime.now(timezone.utc):%Y%m%dT%H%M%SZ}-{digest}.bundle"
        same = next(iter(folder.glob(f"*-{digest}.bundle")), None)
        if same:
            same.rename(path)  # it is the newest one again
        else:
            part = path.with_suffix(".part")
            try:
                shell(f"git -C '{REPOSITORIES}/{name}.git' bundle create --quiet - --branches --tags", part)
                part.chmod(0o600)
                part.replace(path)
            finally:
                part.unlink(missing_ok=True)
        written.append(path)
    return written


def newest(server: str, repository: str) -> Path | None:
    """Return the newest bundle of a repository, or None when there is none.

    Args:
        server: the name of the Git server's container.
        repository: OWNER/REPOSITORY.
    """
    return max((FOLDER / server / repository).glob("*.bundle"), default=None)


def kept(folder: Path) -> list[Path]:
    """Return all bundles that there are.

    Args:
        folder: where they are, which is ``FOLDER``.
    """
    return sorted(folder.rglob("*.bundle"))
