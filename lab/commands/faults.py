"""Break the labs on purpose in every way that is known, and write down what a user sees of it, and what is lost.

Each test that breaks something is a row of docs/reliability.md. What was run before is kept in .lab, so that a part of
the campaign changes its own rows alone. --quick is the half that `make test` runs, too; all of it takes hours.
"""

from __future__ import annotations

import json
import os
import tempfile
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from components.core.errors import LabError
from lab.commands import test
from lab.host import paths

if TYPE_CHECKING:
    import argparse
    from collections.abc import Iterable, Mapping, Sequence

    Row = Mapping[str, Any]

PAGE: Final = paths.ROOT / "docs" / "reliability.md"
KEPT: Final = paths.LAB / "faults.json"
ROWS: Final = "IOT_FAULTS_ROWS"  # the file that tests/lab/conftest.py adds a row to for each test
SEED: Final = "IOT_FAULTS_SEED"
TIME: Final = 8 * 3600  # seconds that one half may take
TIERS: Final = (
    test.Tier("faults-k3d", "(fault or long) and k3d", TIME, test.missing_for_k3d, test.TWO_LABS),
    test.Tier("faults-vagrant", "(fault or long) and vagrant", TIME, test.missing_for_vagrant, test.TWO_LABS),
)
COLUMNS: Final = ("what", "when", "saw", "out", "lost")
BY_ITSELF: Final = "by itself"
KINDS: Final = {
    "killed": "Killed anywhere",
    "world": "What is around it breaks",
    "host": "The host is not as it should be",
    "two": "Two at once",
    "long": "Again and again",
}


def arguments(parser: argparse.ArgumentParser) -> None:
    """Add the command's arguments."""
    parser.add_argument("--quick", action="store_true", help="only what takes minutes")
    parser.add_argument("--only", default="", metavar="WORDS", help="tests with these in their names (pytest's -k)")
    parser.add_argument("--seed", type=int, default=1, help="of the moments at which things are killed (%(default)s)")


def run(args: argparse.Namespace) -> int:
    """Run the tests, and put their rows into the page."""
    part = args.only or args.quick
    kept: dict[str, Row] = json.loads(KEPT.read_text(encoding="utf-8")) if part and KEPT.exists() else {}
    results = []
    with tempfile.TemporaryDirectory() as folder:
        rows = Path(folder) / "rows"
        os.environ |= {ROWS: str(rows), SEED: str(args.seed)}
        for tier in TIERS:
            marks = tier.marks + (" and not long" if args.quick else "")
            how = (*tier.how, *(["-k", args.only] if args.only else []))
            result = test.run_tier(replace(tier, marks=marks, how=how), required=False)
            if args.only and test.NOTHING in result.details:
                result = test.Result(tier.name, "skipped", f"has nothing with {args.only} in its name")
            results.append(result)
        lines = rows.read_text(encoding="utf-8").splitlines() if rows.exists() else []
    found: dict[str, Row] = {each["test"]: each for each in map(json.loads, lines)}
    if not found:
        raise LabError("nothing was broken", why="; ".join(map(str, results)), fix="--only names tests that there are")
    kept |= found
    KEPT.parent.mkdir(exist_ok=True)
    KEPT.write_text(json.dumps(kept, indent=1), encoding="utf-8")
    from devtools.bench import facts, table  # noqa: PLC0415 - it loads the program; --help can do without

    machine = "\n".join(facts.lines(helm=False))
    table.put(PAGE, f"{machine}\n\n{tables(kept.values())}")
    print("\n" + "\n".join([*map(str, results), f"{len(found)} rows: {PAGE.relative_to(paths.ROOT)}"]), flush=True)
    return 0 if all(each["held"] for each in found.values()) and all(one.outcome != "failed" for one in results) else 1


def tables(rows: Iterable[Row]) -> str:
    """Return a table for each kind of fault that there is a row of, as Markdown; what was done often is one line.

    Args:
        rows: as tests/lab/faults.py makes them.
    """
    same: dict[tuple[str, ...], list[Row]] = {}
    for each in rows:
        same.setdefault(tuple(each[column] for column in ("kind", *COLUMNS)), []).append(each)
    lines: list[str] = []
    for kind, title in KINDS.items():
        if of := [several for (its, *_), several in same.items() if its == kind]:
            lines += [f"## {title}", "", "| broken | when | what the user sees | the way out | takes | lost |"]
            lines += ["|---|---|---|---|---|---|", *map(_line, of), ""]
    return "\n".join(lines).rstrip()


def _line(rows: Sequence[Row]) -> str:
    what, when, saw, out, lost = (rows[0][column] for column in COLUMNS)
    held = sorted(each["seconds"] for each in rows if each["held"])
    took = f"{held[0]:.0f} s" if len(held) == 1 else f"{held[0]:.0f} to {held[-1]:.0f} s" if held else ""
    if len(held) < len(rows):
        took = f"**{len(rows) - len(held)} of {len(rows)} did not hold**"
    when += f" ({len(rows)} times)" if len(rows) > 1 else ""
    mended = BY_ITSELF if out.startswith(BY_ITSELF) else f"`{out}`"
    return f"| {what} | {when} | {f'`{saw}`' if saw else 'nothing'} | {mended} | {took} | {lost} |"
