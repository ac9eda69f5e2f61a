"""The one kind of error that is meant for the person at the keyboard."""

from __future__ import annotations

import pytest

from components.core.errors import LabError, all_of

pytestmark = pytest.mark.unit


def test_an_error_says_what_why_and_how_to_fix_it_on_one_line() -> None:
    error = LabError("Port 80 is taken", why="nginx listens there.", fix="stop it")

    assert str(error) == "Port 80 is taken. nginx listens there. Fix: stop it."


@pytest.mark.parametrize(
    ("error", "text"),
    [
        (LabError("It is so"), "It is so."),
        (LabError("It is so.", fix="make up"), "It is so. Fix: make up."),
        (LabError("It is so", why="as always"), "It is so. as always."),
    ],
)
def test_what_is_not_known_is_left_out(error: LabError, text: str) -> None:
    assert str(error) == text


def test_one_problem_is_itself() -> None:
    only = LabError("It is so")

    assert all_of([only]) is only


def test_several_problems_are_counted_and_listed_a_line_each() -> None:
    several = all_of([LabError("One", fix="a"), LabError("Two", why="b")])

    assert str(several).splitlines() == ["2 problems", "  - One. Fix: a.", "  - Two. b."]
