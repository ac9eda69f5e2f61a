"""Settings that are wrong in ways that nobody thought of: each is told by its key, with what was expected and a fix."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, Final

import pytest
from hypothesis import HealthCheck, given, strategies
from hypothesis import settings as told

from components.core import settings
from components.core.errors import LabError
from tests.unit.test_settings import load

if TYPE_CHECKING:
    from hypothesis.strategies import SearchStrategy

pytestmark = pytest.mark.unit

SUBJECTS: Final = {"p1": ("machines",), "p2": ("apps",), "platform": ()}
# What is nothing that any setting with a form of its own takes.
WRONG: Final = (
    "-1",
    "1.5",
    "99999999",
    "no",
    "a b",
    "[",
    "[]",
    "[0]",
    '{"a": 1}',
    "null",
    "ü",
    "../..",
    "://",
    "\t\n.",
    "%s",
)
# What takes any text: a name or a message that only somebody else can judge.
FREE: Final = {"part", "vagrantBox", "appVersion", "defaultApp", "gitUsername", "kubeContext"}
NAMES: Final = strategies.sampled_from(
    [
        *("dev", "prod", "A b", "", "port", "after", "sync", "approvals", "cluster", "delivery"),
        *("apiPort", "kubeconfig", "host", "replicas", "to", "from", "server", "username"),
    ]
)
JSON: Final[SearchStrategy[Any]] = strategies.recursive(
    strategies.none() | strategies.booleans() | strategies.integers(-2, 70000) | strategies.text(max_size=8),
    lambda inner: strategies.lists(inner, max_size=3) | strategies.dictionaries(NAMES, inner, max_size=4),
    max_leaves=8,
)
VALUES: Final = strategies.text(max_size=40) | JSON.map(json.dumps) | strategies.integers().map(str)


def said(stack: str, key: str, value: str) -> str:
    """Return what is said of a value; empty when it is taken. Anything but a LabError fails the test."""
    changed: dict[str, Any] = {key: value}
    try:
        load(stack, (), **changed)
    except LabError as error:
        return str(error)
    return ""


def stack_of(key: str) -> str:
    """Return a stack that the setting is for."""
    for stack, subjects in SUBJECTS.items():
        models = [settings.Settings.model_fields[each].annotation for each in subjects]
        if key in subjects or any(field.alias == key for one in models for field in _fields(one)):
            return stack
    return "platform"


def _fields(model: Any) -> list[Any]:  # noqa: ANN401 - a model, or a type that is none
    return list(getattr(model, "model_fields", {}).values())


def complete(message: str, key: str) -> bool:
    """Tell whether a message says which key, what was expected, and how to put it right, without a traceback."""
    return f"iot:{key}" in message and "expected" in message and "Fix: " in message and "Traceback" not in message


@pytest.mark.parametrize("key", sorted(set(settings.KEYS) - FREE))
def test_of_every_setting_at_least_five_wrong_values_are_told(key: str) -> None:
    found = {value: said(stack_of(key), key, value) for value in WRONG}
    refused = {value: message for value, message in found.items() if message}
    assert len(refused) >= 5, f"taken: {sorted(set(found) - set(refused))}"
    bad = {value: message for value, message in refused.items() if not complete(message, key)}
    assert not bad


@pytest.mark.parametrize("key", sorted(settings.KEYS))
@told(max_examples=15, derandomize=True, deadline=None, suppress_health_check=list(HealthCheck))
@given(value=VALUES)
def test_no_value_of_a_setting_ends_in_anything_but_an_error_of_ours(key: str, value: str) -> None:
    message = said(stack_of(key), key, value)
    assert not message or "Fix: " in message
    assert "Traceback" not in message


@told(max_examples=300, derandomize=True, deadline=None, suppress_health_check=list(HealthCheck))
@given(value=JSON.map(json.dumps), key=strategies.sampled_from(("environments", "clusters", "apps", "alertMail")))
def test_no_object_of_any_shape_does(key: str, value: str) -> None:
    message = said("p2" if key == "apps" else "platform", key, value)
    assert not message or "Fix: " in message
