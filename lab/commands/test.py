"""Run every tier of tests whose tools are here, and say of each what ran, or why it was skipped.

Only what is here is used: `make setup` fetches what the further tiers need. A tier that could run and did not, because
it has no tests or one of them skipped itself, is a failure. With --tier, a tier that can't run is one, too. The
things that no command can fetch are the project's own past, which an unpacked archive or a shallow clone does without,
an add-on's image on a machine without a network, a library that an older Python can't have, root's rights, and machines
beside a cluster: the few tests that need them are left out, which the summary says.
"""

from __future__ import annotations

import os
import sys
import tempfile
import time
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Final
from xml.etree import ElementTree as ET

from components.core import versions
from components.core.run import CommandError, show
from lab.commands import lint
from lab.host import chart, needs, paths, tools

if TYPE_CHECKING:
    import argparse
    from collections.abc import Callable, Sequence

# pytest's word for "nothing was collected": https://docs.pytest.org/en/stable/reference/exit-codes.html
NO_TESTS: Final = 5
SLOWEST: Final = 10  # how many tests' times are shown
# How the reason of a test begins that skips itself for want of that: what no command of ours can fetch.
HISTORY: Final = "needs the history of the project's Git repository"
OFFLINE: Final = "needs what the offline folder and Docker do not have"
PYTHON: Final = "needs a library that is for later versions of Python alone"
ROOT: Final = "needs root, which may mount a small disk"
MACHINES: Final = "needs Vagrant and a provider for it, beside k3d"
LEFT_OUT: Final = (HISTORY, OFFLINE, PYTHON, ROOT, MACHINES)
NOTHING: Final = "it has no tests, although all that it needs is here"
PREVIEW: Final = needs.Needs(
    part="",
    tools=("pulumi",),
    plugins=("command", "docker", "kubernetes"),
    docker=False,
    charts=(versions.ARGOCD_CHART,),
    provider=None,
)


@dataclass(frozen=True)
class Tier:
    """A tier of tests.

    Attributes:
        name: its name in the summary.
        marks: pytest's expression that selects it.
        time: seconds after which it is ended, whatever it waits for. Each test has a time of its own as well.
        missing: returns what it needs and is not here, a line each.
        how: pytest's arguments for several tests at a time; those of a lab, which are in one file, in their order.
    """

    name: str
    marks: str
    time: int
    missing: Callable[[], list[str]]
    how: tuple[str, ...] = ()


@dataclass(frozen=True)
class Result:
    """What became of a tier: passed, failed or skipped, and the details."""

    tier: str
    outcome: str
    details: str

    def __str__(self) -> str:
        """Return one line."""
        return f"{self.tier:12}{self.outcome:9}{self.details}"


def arguments(parser: argparse.ArgumentParser) -> None:
    """Add the command's arguments."""
    parser.add_argument("--tier", choices=[tier.name for tier in TIERS], help="this tier only, which has to run")


def run(args: argparse.Namespace) -> int:
    """Run the tiers and print the summary."""
    chosen = [tier for tier in TIERS if args.tier in {None, tier.name}]
    results = [run_tier(tier, required=bool(args.tier)) for tier in chosen]
    print("\n" + "\n".join(map(str, results)), flush=True)
    return 1 if any(result.outcome == "failed" for result in results) else 0


def run_tier(tier: Tier, *, required: bool) -> Result:
    """Run a tier, unless something that it needs is not here."""
    if missing := tier.missing():
        return Result(tier.name, "failed" if required else "skipped", "needs " + "; ".join(missing))
    print(f"\n=== {tier.name}", flush=True)
    start = time.monotonic()
    dirty = lint.failing() if tier.name == "unit" else []
    problems = [f"{name} found something" for name in dirty]
    counts, trouble = run_pytest(tier)
    problems += trouble
    details = [*problems, counts, f"{time.monotonic() - start:.0f} s"]
    if tier.name == "unit" and not dirty:
        details.insert(-1, f"{', '.join(lint.linters())} clean")
    return Result(tier.name, "failed" if problems else "passed", "; ".join(details))


def run_pytest(tier: Tier) -> tuple[str, list[str]]:
    """Run a tier's tests; return the counts in words, and what is wrong, a phrase each."""
    with tempfile.TemporaryDirectory() as folder:
        report = Path(folder) / "report.xml"
        options = [f"--junit-xml={report}", f"--durations={SLOWEST}", *tier.how]
        command = [sys.executable, "-m", "pytest", "-m", tier.marks, *options]
        try:
            code = show(command, cwd=paths.ROOT, timeout=tier.time)
        except CommandError:
            return "no counts", [f"ended after {tier.time} s"]
        if code == NO_TESTS:
            return "no tests", [NOTHING]
        if not report.exists():
            return "no counts", [f"pytest ended with code {code}, see above"]
        return judge(report, code)


def judge(report: Path, code: int) -> tuple[str, list[str]]:
    """Return what a report in JUnit's format says, as ``run_pytest`` does.

    Args:
        report: the file that pytest has written.
        code: pytest's exit code.
    """
    cases = ET.parse(report).getroot().findall(".//testcase")  # noqa: S314 - our own pytest has written it
    failed = [case for case in cases if case.find("failure") is not None or case.find("error") is not None]
    # Expected failures are in the report as skipped, too; they ran.
    skips = [(case, e) for case in cases for e in case.findall("skipped") if e.get("type") != "pytest.xfail"]
    skipped = [case for case, element in skips if not element.get("message", "").startswith(LEFT_OUT)]
    problems = []
    if failed or code:
        problems.append(f"{len(failed)} failed (pytest's code {code})")
    if skipped:
        problems.append(f"skipped although all that they need is here: {', '.join(map(_name, skipped))}")
    counts = f"{len(cases) - len(failed) - len(skips)} passed"
    for reason in LEFT_OUT:
        if left_out := sum(element.get("message", "").startswith(reason) for _, element in skips):
            counts += f", {left_out} left out: {reason}"
    return counts, problems


def _name(case: ET.Element) -> str:
    return f"{case.get('classname')}.{case.get('name')}"


def _lines(checks: Sequence[needs.Check]) -> list[str]:
    return [
        f"{check.name} {check.wanted}".strip() + f" ({check.found or 'missing'})" for check in checks if not check.ok
    ]


def _missing(wanted: needs.Needs) -> list[str]:
    for each in versions.CHARTS:
        if chart.offline(each):
            chart.ensure(each)
    return _lines(needs.checks(wanted))


def missing_for_preview() -> list[str]:
    """Return what the previews need and is not here."""
    return _missing(PREVIEW)


def missing_for_k3d() -> list[str]:
    """Return what the lab of p3 needs and is not here."""
    return _missing(replace(PREVIEW, tools=tuple(tools.TOOLS), docker=True))


def missing_for_vagrant() -> list[str]:
    """Return what the labs of p1 and p2 need and is not here. Any provider will do."""
    found = needs.checks(replace(PREVIEW, charts=(), provider="docker"))
    providers = [needs.engine(), *(needs.program(name) for name, _ in needs.PROVIDERS.values())]
    if not any(check.ok for check in providers):
        found.append(needs.Check(name="a provider for Vagrant", found="no VirtualBox, libvirt or Docker", fix="-"))
    return _lines(found)


# Many tests wait for what they have started, so that a processor has time for two.
MANY: Final = ("-n", str(2 * (os.cpu_count() or 1)), "--dist", "worksteal")
# So do labs, which also take 1.5 to 3 GiB each.
TWO_LABS: Final = ("-n", "2", "--dist", "loadfile", "--verbose")
TIERS: Final = (
    Tier("unit", "unit", 900, list, MANY),
    Tier("preview", "preview", 1800, missing_for_preview, MANY),
    Tier("lab-k3d", "lab and k3d and not long", 5400, missing_for_k3d, TWO_LABS),
    Tier("lab-vagrant", "lab and vagrant and not long", 5400, missing_for_vagrant, TWO_LABS),
)
