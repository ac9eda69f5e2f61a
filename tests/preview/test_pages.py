"""What the pages tell people to type, on a fresh copy, in the order in which it is read."""

from __future__ import annotations

import re
import shlex
from typing import TYPE_CHECKING

import pytest

from tests.preview.project import ROOT

if TYPE_CHECKING:
    from tests.preview.project import Project


@pytest.mark.parametrize("page", ["README.md", "docs/p1.md", "docs/p2.md", "docs/p3.md"])
def test_settings_are_set_as_the_page_says(project: Project, page: str) -> None:
    made, given = set(), 0
    for line in re.findall(r"^ {4,}(\S.*)$", (ROOT / page).read_text(encoding="utf-8"), re.MULTILINE):
        words = shlex.split(line, comments=True)
        if words[:2] in (["make", "up"], ["make", "setup"]):
            stack = next((word.removeprefix("STACK=") for word in words if word.startswith("STACK=")), "p3")
            if stack not in made:
                project.create(stack)
                made.add(stack)
        elif words[:3] == ["pulumi", "config", "set"]:
            # What asks for its value is given one.
            said = project.pulumi(*words[1:], *(["asked-for"] if "--secret" in words else []))
            assert said.code == 0, line + said.all
            given += 1
    assert given
