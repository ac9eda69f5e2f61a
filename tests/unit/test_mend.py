"""A rebuild of a lost cluster that failed in the middle is no dead end."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from lab.host import local
from lab.live import stack

pytestmark = pytest.mark.unit

# As the engine leaves it: the cluster's provider is new, the ConfigMap waits to be made again by the old one.
RESOURCES: list[dict[str, Any]] = [
    {"urn": "stack", "type": "pulumi:pulumi:Stack"},
    {"urn": "prov", "id": "new", "type": "pulumi:providers:kubernetes"},
    {"urn": "ns", "type": "kubernetes", "provider": "prov::new"},
    {"urn": "cm", "type": "kubernetes", "provider": "prov::old", "pendingReplacement": True, "dependencies": ["ns"]},
    {"urn": "kept", "type": "kubernetes", "provider": "prov::new", "pendingReplacement": True},
    {"urn": "wait", "type": "command", "dependencies": ["ns", "cm"], "propertyDependencies": {"a": ["cm"], "b": None}},
]


@pytest.fixture
def imported(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[list[dict[str, Any]]]:
    """Return what is imported into a stack with that state."""
    monkeypatch.setattr(local, "STACKS", tmp_path)
    monkeypatch.delenv("PULUMI_BACKEND_URL", raising=False)
    text = json.dumps({"checkpoint": {"latest": {"resources": RESOURCES}}})
    (tmp_path / "p3.json").write_text(text, encoding="utf-8")
    found: list[list[dict[str, Any]]] = []

    def pulumi(*args: str) -> str:
        if "import" in args:
            found.append(json.loads(Path(args[-1]).read_text(encoding="utf-8"))["deployment"]["resources"])
        return json.dumps({"deployment": {"resources": RESOURCES}})

    monkeypatch.setattr(stack, "pulumi", pulumi)
    return found


def test_what_no_provider_can_make_again_leaves_the_state_alone(imported: list[list[dict[str, Any]]]) -> None:
    stack.mend("p3")
    (found,) = imported
    assert [each["urn"] for each in found] == ["stack", "prov", "ns", "kept", "wait"]
    assert (found[-1]["dependencies"], found[-1]["propertyDependencies"]) == (["ns"], {"a": [], "b": []})


def test_a_state_without_such_is_not_touched(imported: list[list[dict[str, Any]]], tmp_path: Path) -> None:
    (tmp_path / "p3.json").write_text(json.dumps({"checkpoint": {"latest": None}}), encoding="utf-8")
    stack.mend("p3")
    stack.mend("not-there-yet")
    assert imported == []
