"""Our checks of health, in a Lua that has no more than Argo CD's: what they say of an object."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from lupa.lua51 import LuaRuntime, lua_type  # type: ignore[import-untyped]  # has no types

from components.gitops import application_status, argocd
from tests import health

if TYPE_CHECKING:
    from tests.health import Case

pytestmark = pytest.mark.unit

KEY = "resource.customizations.health."
# What Argo CD leaves out of Lua (runLua in util/lua/lua.go of argoproj/argo-cd).
LEFT_OUT = ("string", "math", "io", "debug", "coroutine", "dofile", "loadfile", "require")


def judged(content: dict[str, Any]) -> dict[str, Any]:
    """Return what our check says of an object."""
    group = content["apiVersion"].rpartition("/")[0]
    script = argocd.chart_configs(60)["cm"][f"{KEY}{group}_{content['kind']}"]
    lua = LuaRuntime(register_eval=False, register_builtins=False)
    lua.execute("".join(f"{name} = nil\n" for name in LEFT_OUT))
    lua.globals().obj = lua.table_from(content, recursive=True)
    said = lua.execute(script)
    assert lua_type(said) == "table"
    return dict(said)


@pytest.mark.parametrize("case", health.OURS, ids=lambda case: case.id)
def test_what_argo_cd_says_of_an_object(case: Case) -> None:
    said = judged(case.content)
    assert said["status"] == case.status
    assert case.words in said.get("message", "")


@pytest.mark.parametrize(
    ("which", "told"),
    [
        ("sealed: no key reads it", "SealedSecret database: Degraded no key could decrypt secret (password); seal it "),
        (
            "template: the second metric can't fail",
            "AnalysisTemplate works: Degraded Metric latency calls everything good; give it ",
        ),
    ],
)
def test_what_is_not_well_is_told_in_these_words(which: str, told: str) -> None:
    """By `make status`, and by a `make up` that has waited in vain."""
    (content,) = [each.content for each in health.OURS if each.id == which]
    found = {"kind": content["kind"], "name": content["metadata"]["name"], "health": judged(content)}
    (line,) = application_status.unwell({"resources": [found]})
    assert line.startswith(told)


def test_every_check_is_tried_by_each_of_its_words() -> None:
    names = {f"{KEY}{each.content['apiVersion'].rpartition('/')[0]}_{each.content['kind']}" for each in health.OURS}
    assert set(argocd.health_checks()) == names
    assert {"Healthy", "Progressing", "Degraded"} == {each.status for each in health.OURS}


def test_argo_cds_other_settings_stay() -> None:
    settings = argocd.chart_configs(60)["cm"]
    assert settings["resource.respectRBAC"] == "normal"
    assert [key for key in settings if "ignoreDifferences" in key] == []
