"""The page of what was broken: its rows are what commands have printed, and what did not hold is said."""

from __future__ import annotations

import argparse
import json
import os
import sys
from typing import TYPE_CHECKING, Any

import pytest

from components.core.errors import LabError
from lab.commands import faults as command
from lab.commands import test as tests
from lab.host import paths
from tests.lab import faults
from tests.lab.faults import Said

if TYPE_CHECKING:
    from pathlib import Path

MARK = faults.fault("world", "the node", when="is stopped", saw="the cluster ... is gone", out="make up").mark


def said(line: str, code: int = 0, text: str = "", seconds: float = 1.0) -> Said:
    return Said(line=line, code=code, seconds=seconds, text=text)


@pytest.mark.parametrize(
    ("typed", "line"),
    [
        (["sh", "-c", "make up STACK=p1"], "make up STACK=p1"),
        ([sys.executable, "-m", "lab", "release", "v2"], "make release v2"),
        (["pulumi", "up", "--yes"], "pulumi up --yes"),
    ],
)
def test_a_command_is_named_as_a_user_types_it(typed: list[str], line: str) -> None:
    assert faults.typed(typed) == line


def test_a_row_holds_when_it_was_said_and_mended() -> None:
    faults.hold(MARK, [said("make status", 1, "NOT OK\nthe cluster iot-test\nis gone"), said("make up")])


@pytest.mark.parametrize(
    ("commands", "words"),
    [
        ([said("make up", text="is gone the cluster")], "nobody was told"),
        ([said("make up", 1, "the cluster x is gone")], "has mended nothing"),
        ([said("make destroy", 0, "the cluster x is gone")], "has mended nothing"),
        ([], "nobody was told"),
    ],
)
def test_a_row_that_nobody_saw_fails(commands: list[Said], words: str) -> None:
    with pytest.raises(AssertionError, match=words):
        faults.hold(MARK, commands)


def rows(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


def test_a_row_has_the_time_of_what_mended_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest
) -> None:
    monkeypatch.setenv(command.ROWS, str(tmp_path / "rows"))
    faults.take_down(
        MARK, [said("make up", 1, seconds=9.0), said("make up", seconds=4.0), said("make up")], request.node, held=True
    )
    (row,) = rows(tmp_path / "rows")
    assert (row["seconds"], row["held"], row["what"]) == (4.0, True, "the node")


@pytest.mark.parametrize("strike", ["Ctrl-C"])
def test_a_row_names_the_parameter_of_its_test(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest, strike: str
) -> None:
    monkeypatch.setenv(command.ROWS, str(tmp_path / "rows"))
    mark = faults.fault("killed", "it", when="by {strike}", saw="", out="make up").mark
    faults.take_down(mark, [], request.node, held=False)
    assert rows(tmp_path / "rows")[0]["when"] == f"by {strike}"


def row(**given: Any) -> dict[str, Any]:  # noqa: ANN401 - any column
    basic = {"kind": "world", "what": "the node", "when": "is stopped", "saw": "it is gone", "out": "make up"}
    return {**basic, "lost": "nothing", "seconds": 4.2, "held": True, "test": "t", **given}


def test_a_table_has_a_line_for_each_fault() -> None:
    text = command.tables([row(), row(what="Git", saw="", out=faults.by_itself("it answers"), seconds=2.0)])
    assert "## What is around it breaks" in text
    assert "| the node | is stopped | `it is gone` | `make up` | 4 s | nothing |" in text
    assert "| Git | is stopped | nothing | by itself | 2 s | nothing |" in text
    assert "## Killed" not in text


def test_what_was_done_often_is_one_line_with_its_times() -> None:
    text = command.tables([row(seconds=each) for each in (9.0, 4.0, 5.0)])
    assert "is stopped (3 times)" in text
    assert "| 4 to 9 s |" in text


def test_what_did_not_hold_is_said() -> None:
    text = command.tables([row(), row(held=False, seconds=None)])
    assert "**1 of 2 did not hold**" in text


@pytest.fixture
def campaign(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """Stand in for the tests, and for what the page is kept in."""
    made: dict[str, Any] = {"rows": [], "tiers": [], "results": {}, "page": tmp_path / "page.md"}
    made["page"].write_text("before\n<!-- figures -->\n<!-- end of figures -->\nafter\n", encoding="utf-8")
    monkeypatch.setattr(command, "PAGE", made["page"])
    monkeypatch.setattr(command, "KEPT", tmp_path / "kept" / "faults.json")
    monkeypatch.setattr(paths, "ROOT", tmp_path)
    monkeypatch.setattr("devtools.bench.facts.lines", lambda **_: ["- a machine"])
    monkeypatch.setattr(os, "environ", os.environ.copy())

    def run_tier(tier: tests.Tier, *, required: bool) -> tests.Result:
        assert not required
        made["tiers"].append(tier)
        for each in made["rows"]:
            with open(os.environ[command.ROWS], "a", encoding="utf-8") as file:  # noqa: PTH123 - as above
                file.write(json.dumps(each) + "\n")
        made["rows"] = []
        result: tests.Result = made["results"].get(tier.name, tests.Result(tier.name, "passed", ""))
        return result

    monkeypatch.setattr(tests, "run_tier", run_tier)
    return made


def run(**given: Any) -> int:  # noqa: ANN401 - any argument
    return command.run(argparse.Namespace(**{"quick": False, "only": "", "seed": 1, **given}))


def test_a_part_of_the_campaign_changes_its_own_rows_alone(campaign: dict[str, Any]) -> None:
    campaign["rows"] = [row(test="a"), row(test="b", what="Git", seconds=1.0)]
    assert run(seed=7) == 0
    assert os.environ[command.SEED] == "7"
    campaign["rows"] = [row(test="b", what="Git", seconds=2.0)]
    assert run(only="b") == 0
    page = campaign["page"].read_text(encoding="utf-8")
    assert page.startswith("before")
    assert page.endswith("after\n")
    assert "the node" in page
    assert "| 2 s |" in page
    assert "| 1 s |" not in page
    assert campaign["tiers"][-1].how[-2:] == ("-k", "b")


def test_all_of_it_forgets_rows_that_nobody_runs_any_more(campaign: dict[str, Any]) -> None:
    campaign["rows"] = [row(test="a", what="what is no more")]
    assert run() == 0
    campaign["rows"] = [row(test="b")]
    assert run() == 0
    assert "what is no more" not in campaign["page"].read_text(encoding="utf-8")


def test_words_that_one_half_does_not_have_are_no_failure(campaign: dict[str, Any]) -> None:
    campaign["rows"] = [row()]
    campaign["results"] = {
        "faults-vagrant": tests.Result("faults-vagrant", "failed", f"{tests.NOTHING}; no tests; 1 s")
    }
    assert run(only="killed") == 0
    campaign["rows"] = [row()]
    assert run() == 1


def test_the_quick_half_has_nothing_long(campaign: dict[str, Any]) -> None:
    campaign["rows"] = [row()]
    run(quick=True)
    assert all("and not long" in each.marks for each in campaign["tiers"])


def test_a_row_that_did_not_hold_ends_with_1(campaign: dict[str, Any]) -> None:
    campaign["rows"] = [row(held=False, seconds=None)]
    assert run() == 1


def test_nothing_that_ran_is_an_error(campaign: dict[str, Any]) -> None:
    assert campaign["rows"] == []
    with pytest.raises(LabError, match="nothing was broken"):
        run(only="no such test")
