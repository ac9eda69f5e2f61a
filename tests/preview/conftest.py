"""What preview tests share: copies of the project, and a chart that needs no network."""

from __future__ import annotations

import shutil
from typing import TYPE_CHECKING

import pytest

from components.core import versions
from tests.preview.project import Project, stub_chart

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture(scope="session", autouse=True)
def _cli() -> None:
    if not shutil.which("pulumi"):
        pytest.skip("the Pulumi CLI is not on PATH: `make setup`, then `. ./activate`")


@pytest.fixture
def project(tmp_path: Path) -> Project:
    """Return a copy of the project without any stack."""
    return Project(tmp_path)


@pytest.fixture(scope="session")
def chart(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return an archive that can take the place of Argo CD's chart in a preview; those of the others are beside it."""
    folder = tmp_path_factory.mktemp("chart")
    return {each: stub_chart(folder, each) for each in versions.CHARTS}[versions.ARGOCD_CHART]
