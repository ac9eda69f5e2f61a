"""What the documentation says can be found: links, commands, settings; what comes from the program is current."""

from __future__ import annotations

import itertools
import re
import shlex
from typing import TYPE_CHECKING, Final
from xml.etree import ElementTree as ET

import pytest

from components.core import project
from components.core.names import STACKS
from lab.__main__ import names
from lab.commands import docs
from lab.host import paths
from tests import pages

if TYPE_CHECKING:
    from pathlib import Path

LINK: Final = re.compile(r"\]\(([^)\s]+)\)")
SVG: Final = "{http://www.w3.org/2000/svg}"


def anchors(path: Path) -> set[str]:
    """Return the names by which a page's headings are linked to, as GitHub makes them."""
    headings = re.findall(r"^#+ (.+)$", path.read_text(encoding="utf-8"), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).strip().replace(" ", "-") for heading in headings}


@pytest.fixture(scope="module")
def generated() -> dict[str, str]:
    return docs.files()


@pytest.mark.parametrize("name", ["settings.md", "architecture.md", *(f"{stack}.svg" for stack in STACKS)])
def test_what_comes_from_the_program_is_current(generated: dict[str, str], name: str) -> None:
    path = docs.FOLDER / name
    written = path.read_text(encoding="utf-8") if path.exists() else ""
    message = f"docs/{name} is not what the program says now: run `python -m lab docs`, look at it, and commit it"
    assert written == generated[name], message


def test_there_are_pages() -> None:
    assert set(pages.TYPED) < set(pages.PAGES)
    assert len(pages.PAGES) > 5


@pytest.mark.parametrize("page", pages.PAGES)
def test_links_lead_somewhere(page: str) -> None:
    path, broken = paths.ROOT / page, []
    for link in LINK.findall(pages.prose(page)):
        if re.match(r"[a-z]+:", link):
            continue
        name, _, anchor = link.partition("#")
        target = (path.parent / name).resolve() if name else path
        if not target.exists() or (anchor and target.suffix == ".md" and anchor not in anchors(target)):
            broken.append(link)
    assert broken == []


@pytest.mark.parametrize("page", pages.PAGES)
def test_pages_that_are_named_exist(page: str) -> None:
    named = set(re.findall(r"(?<![\w/])docs/[\w./-]+\.md", pages.text(page)))
    assert [name for name in sorted(named) if not (paths.ROOT / name).exists()] == []


@pytest.mark.parametrize("page", pages.PAGES)
def test_make_has_the_targets(page: str) -> None:
    makefile = (paths.ROOT / "Makefile").read_text(encoding="utf-8")
    targets = set(re.findall(r"^([a-z-]+):", makefile, re.MULTILINE))
    used = set(re.findall(r"(?:^|[;&|(]\s*|\$ )make ([a-z][a-z-]*)\b", "\n".join(pages.lines(page)), re.MULTILINE))
    assert used - targets == set()


@pytest.mark.parametrize("page", pages.PAGES)
def test_the_lab_has_the_commands(page: str) -> None:
    used = set(re.findall(r"python -m lab ([a-z][a-z-]*)", "\n".join(pages.lines(page))))
    assert used - set(names()) == set()


@pytest.mark.parametrize("page", pages.PAGES)
def test_there_are_the_settings(page: str) -> None:
    used = set(re.findall(r"\biot:([a-z][A-Za-z0-9]*)", pages.text(page)))
    # Type tokens of components begin like settings: iot:k3d:K3dCluster.
    tokens = set(re.findall(r"\biot:([a-z0-9_]+):[A-Z]", pages.text(page)))
    assert used - tokens - set(project.declared(paths.ROOT)) == set()


@pytest.mark.parametrize("page", pages.PAGES)
def test_commands_for_a_shell_can_be_read_by_one(page: str) -> None:
    for command in pages.commands(page):
        shlex.split(command.line)


@pytest.mark.parametrize("stack", STACKS)
def test_in_a_picture_nothing_covers_another_thing(generated: dict[str, str], stack: str) -> None:
    picture = ET.fromstring(generated[f"{stack}.svg"])  # noqa: S314 - our own file
    boxes = [
        tuple(float(box.attrib[key]) for key in ("x", "y", "width", "height"))
        for box in picture.findall(f"{SVG}rect")
        if box.get("rx") == "6"
    ]
    assert len(boxes) >= 4
    for (x1, y1, w1, h1), (x2, y2, w2, h2) in itertools.combinations(boxes, 2):
        assert x1 + w1 <= x2 or x2 + w2 <= x1 or y1 + h1 <= y2 or y2 + h2 <= y1
    # A lane of an arrow is a straight line down, which passes beside every box.
    for way in (arrow.attrib["d"] for arrow in picture.findall(f"{SVG}path")):
        for x, top, bottom in straight(way):
            assert not [
                box for box in boxes if box[0] < x < box[0] + box[2] and top < box[1] + box[3] and box[1] < bottom
            ]


def straight(way: str) -> list[tuple[float, float, float]]:
    """Return the straight lines down of a path: where they are, where they begin and where they end."""
    x, y = map(float, re.findall(r"^M([\d.-]+),([\d.-]+)", way)[0])
    lines = []
    for command, numbers in re.findall(r"([VC])([^VCM]+)", way):
        values = [float(each) for each in re.findall(r"-?[\d.]+", numbers)]
        if command == "V":
            lines.append((x, y, values[0]))
            y = values[0]
        else:
            x, y = values[-2:]
    return lines


@pytest.mark.parametrize("stack", STACKS)
def test_a_picture_is_small_enough_to_be_read_on_a_page(generated: dict[str, str], stack: str) -> None:
    width = int(re.findall(r'viewBox="0 0 (\d+) ', generated[f"{stack}.svg"])[0])
    # The platform has a fourth box in a row: it is shown at three quarters of its size where 900 pixels are left.
    assert width <= (1200 if stack == "platform" else 1000)
    assert "…" not in generated[f"{stack}.svg"]


@pytest.mark.parametrize("page", pages.TYPED)
def test_of_every_command_it_is_said_which_tests_type_it_or_why_none_does(page: str) -> None:
    commands = pages.commands(page)
    assert len(commands) > 5
    for line in [each.line for each in commands]:
        assert len(pages.typed_by(line)) + (line in pages.NOT_TYPED) == 1, f"name it in tests/pages.py, once: {line}"


def test_nothing_is_said_of_commands_that_no_page_has() -> None:
    lines = {each.line for page in pages.TYPED for each in pages.commands(page)}
    assert set(pages.NOT_TYPED) <= lines
    assert [each for each in pages.TYPED_BY if not any(line.startswith(each) for line in lines)] == []


@pytest.mark.parametrize("page", pages.TYPED)
def test_a_setting_is_set_after_its_stack_was_made_and_pulumi_was_found(page: str) -> None:
    """On a fresh clone `pulumi config set` finds neither a stack nor the program."""
    made, activated = set(), False
    for line in pages.lines(page):
        if re.match(r"make (up|setup)\b", line):
            stack = re.search(r"STACK=(\w+)", line)
            made.add(stack[1] if stack else "p3")
        activated = activated or line.startswith(". ./activate")
        if re.match(r"pulumi config (set|rm)\b", line) and (stack := re.search(r"--stack (\w+)", line)):
            assert stack[1] in made, line
            assert activated, line
