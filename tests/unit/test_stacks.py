"""The stacks that unit tests look at are those that are committed; a user's own settings are in neither."""

from __future__ import annotations

from pathlib import Path

import pytest

from components.core.names import STACKS
from tests import history


@pytest.mark.parametrize("stack", STACKS)
def test_the_unit_tests_have_the_stack_as_it_is_committed(stack: str) -> None:
    name = f"Pulumi.{stack}.yaml"
    copy = Path(__file__).parent / "stacks" / name
    message = f"`git add {name}` and `cp {name} tests/unit/stacks/`, when this is meant for everybody"
    assert copy.read_text(encoding="utf-8") == history.staged(name), message
