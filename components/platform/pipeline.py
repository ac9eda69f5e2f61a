"""The app's own repository, with its pipeline: what a push of code goes through until Git has its version."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, Final

from components.core import versions
from components.core.names import EMBEDDED_BRANCH
from components.docker.image import AppImageArgs, package_index
from components.gitops.allowed import CI
from components.gitops.git_content import SKIP
from components.gitops.git_server import Repository

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

DOCKERFILE: Final = "ci/Dockerfile"  # of the image that jobs run in
CONTEXT: Final = "app"
LOCK: Final = "app/requirements-ci.txt"
FILES: Final = ("app/**/*", "ci/*", ".gitea/workflows/app.yaml", "tests/unit/test_app.py")
README: Final = """# The app

A push to main is tested, scanned, built and released: .gitea/workflows/app.yaml says in which steps, ci/ has them. The
version is the commit. What runs where is in the repository gitops.
"""


def repository(  # noqa: PLR0913 - where what it builds goes
    root: Path, *, runs: str, gitops: str, branch: str, path: str, members: Mapping[str, str]
) -> Repository:
    """Return the repository as it begins: with what this project has of the app.

    Args:
        root: the project's folder.
        runs: the app's image, without a tag.
        gitops: URL of the repository that Argo CD follows, as jobs reach it.
        branch: the one that is released to.
        path: the folder in it.
        members: read or write, by user.
    """
    paths = sorted(path for pattern in FILES for path in root.glob(pattern) if path.is_file())
    files = {
        each.relative_to(root).as_posix(): each.read_text(encoding="utf-8")
        for each in paths
        if "__pycache__" not in each.parts
    }
    variables = {
        "IMAGE": runs,
        "PYTHON_IMAGE": versions.PYTHON_IMAGE,
        "GITOPS_URL": gitops,
        "GITOPS_BRANCH": branch,
        "GITOPS_PATH": path,
        "GITOPS_USER": CI,
    }
    return Repository(
        branches={EMBEDDED_BRANCH: {"README.md": README, **files}},
        # Its version is there already, by the name v1.
        message=f"The app as it begins {SKIP}",
        members=members,
        followed=False,
        variables=variables | package_index(),
        secrets={"GITOPS_PASSWORD": CI},
    )


def image(root: Path, stack: str) -> AppImageArgs:
    """Return the image that jobs run in; its tag is another one when what it is made of is.

    Args:
        root: the project's folder.
        stack: whose it is.
    """
    made_of = [(root / each).read_bytes() for each in (DOCKERFILE, LOCK)]
    tag = hashlib.sha256(b"\0".join(made_of)).hexdigest()[:12]
    return AppImageArgs(
        context=CONTEXT,
        dockerfile=DOCKERFILE,
        repository=f"{versions.CI_REPOSITORY}-{stack.lower()}",
        versions=(tag,),
    )
