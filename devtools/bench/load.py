"""How what a stack takes grows with what it runs: apps of p2, or Applications of p3, an environment each."""

from __future__ import annotations

import json
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from components.core import kube
from components.core.errors import LabError
from devtools.bench import facts, p3, program, table
from devtools.bench.program import GIB, Program, add
from lab.host.console import say
from lab.live import releases, stack

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

COUNTS: Final = (1, 10, 50)
FIRST_PORT: Final = 31200  # the first environment's; those after it have the next ones
MOST: Final = 100  # a node of Kubernetes runs 110 pods, some of which are its own
RELEASE_TIME: Final = 300.0  # seconds until a version has to be live
# A machine beside a user's own. It has to have room for all pods; that it is big is the same for every number.
MACHINE: Final[dict[str, Any]] = {
    "part": "p2",
    "login": "bench",
    "serverAddress": "192.168.58.210",
    "serverCpus": 2,
    "serverMemory": 8192,
}
WHAT: Final[dict[str, str | dict[str, str]]] = {
    "up": "`up` after `destroy`",
    "second": "a second `up`, nothing to do",
    "preview": "a preview of the same",
    "version": {"p2": "another version of all apps", "p3": "commit -> live, in one of them"},
    "down": "removed again",
    "memory": "memory",
}


def settings(stack_: str, count: int, overrides: Mapping[str, Any]) -> dict[str, Any]:
    """Return the settings of a stack that runs a number of apps.

    Args:
        stack_: p2 or p3.
        count: how many.
        overrides: settings by key.
    """
    if stack_ == "p2":
        apps = {f"app{number}": {"host": f"app{number}.com", "replicas": 1} for number in range(1, count + 1)}
        return MACHINE | {"apps": apps, "defaultApp": "app1"} | dict(overrides)
    first = "env1"
    ports = ((f"env{number}", {"port": FIRST_PORT + number}) for number in range(1, count + 1))
    made = {name: port if name == first else port | {"after": first} for name, port in ports}
    own = {key: value for key, value in p3.SETTINGS.items() if key != "appPorts"}
    return own | {"environments": made} | dict(overrides)


class Machine(Program):
    """P2's stack: a machine in the place of a cluster of k3d."""

    def memory(self) -> float:
        """Return what the machine uses, in GiB, as its kubelet says."""
        outputs = stack.outputs(self.stack, show_secrets=True)
        (node,) = outputs["nodes"]
        with kube.config_file(outputs["kubeconfig"]) as config:
            found = json.loads(kube.raw(config, f"/api/v1/nodes/{node['name']}/proxy/stats/summary"))
        return int(found["node"]["memory"]["workingSetBytes"]) / GIB

    def clean(self) -> None:
        """Remove whatever is left, also after an interruption."""
        self.destroy()

    def version(self) -> float:
        """Have all apps run the other version, and return how long it took, in seconds."""
        return self.timed("up", "--yes", "--skip-preview", "--config", "iot:appVersion=v2")


class Cluster(Program):
    """P3's stack, with environments."""

    def version(self) -> float:
        """Push the other version to the first environment, and return after how many seconds it is live."""
        target = releases.of(stack.outputs(self.stack, show_secrets=True))
        return releases.release(target, "v2", RELEASE_TIME)[0].live


def measure(stack_: str, counts: Sequence[int], repetitions: int, overrides: Mapping[str, Any]) -> str:
    """Run the benchmark and return its figures as Markdown.

    Args:
        stack_: p2 or p3.
        counts: how many apps, in rising order.
        repetitions: how often each number is measured; they take turns.
        overrides: settings by key.

    Raises:
        LabError: something is missing, or a run failed. What was made is removed then, too.
    """
    program.check((stack_,), [f"--config={key}={value}" for key, value in overrides.items()])
    figures: dict[int, dict[str, list[float]]] = {count: {} for count in counts}
    machine = facts.lines(helm=False)
    with tempfile.TemporaryDirectory(prefix="iot-bench-") as folder:
        kind = Machine if stack_ == "p2" else Cluster
        # The first one brings to the nodes what they keep for those that are measured.
        for number, count in [(0, counts[0]), *((each, one) for each in range(1, repetitions + 1) for one in counts)]:
            say(f"repetition {number} of {repetitions}: {count}" if number else "once, before what is measured")
            mine = Path(folder) / f"{number}-{count}"
            mine.mkdir()
            made = kind(mine, stack_, settings(stack_, count, overrides))
            try:
                _measure(made, figures[count] if number else {})
            except BaseException:
                say("removing what is left")
                made.clean()
                raise
        if isinstance(made, Cluster):
            made.clean()
    return report(stack_, figures, machine)


def _measure(made: Machine | Cluster, record: dict[str, list[float]]) -> None:
    begin = time.monotonic()
    made.up(begin)
    add(record, "up", time.monotonic() - begin)
    add(record, "memory", made.memory())
    add(record, "second", made.timed("up", "--yes", "--skip-preview"))
    add(record, "preview", made.timed("preview"))
    add(record, "version", made.version())
    add(record, "down", made.destroy())


def linear(counts: Sequence[int], values: Sequence[float]) -> float:
    """Return the last value over the one that the first two foretell for it, if it grows by as much for each more.

    Args:
        counts: at least three, in rising order.
        values: one for each.
    """
    slope = (values[1] - values[0]) / (counts[1] - counts[0])
    return values[-1] / (values[0] + slope * (counts[-1] - counts[0]))


def report(stack_: str, figures: Mapping[int, Mapping[str, list[float]]], machine: Sequence[str]) -> str:
    """Return all figures as Markdown.

    Args:
        stack_: p2 or p3.
        figures: by number, and by what was measured.
        machine: on what, a list item each.
    """
    counts = sorted(figures)
    lines = [f"| | {' | '.join(map(str, counts))} | last / linear |", f"|---|{'---|' * len(counts)}---|"]
    for name, words in WHAT.items():
        shown = words if isinstance(words, str) else words[stack_]
        unit = "GiB" if name == "memory" else table.SECONDS
        values = [table.median(figures[count][name]) for count in counts]
        cells = [f"{value:.1f} {unit}" for value in values]
        lines.append(f"| {shown} | {' | '.join(cells)} | {linear(counts, values):.2f} |")
    return "\n".join([*machine, "", *lines])


def numbers(text: str) -> tuple[int, ...]:
    """Return the numbers of apps that a text names, in rising order.

    Args:
        text: numbers with commas between them.

    Raises:
        LabError: there are fewer than three, or one is none or too big.
    """
    found = sorted({int(each) for each in text.split(",") if each.strip().isdecimal()})
    wrong = len(found) != len(text.split(",")) or len(found) < len(COUNTS) or not 1 <= found[0] <= found[-1] <= MOST
    if wrong:
        why = f"expected three numbers or more, from 1 to {MOST}, each once"
        raise LabError(f"--load {text} can't be measured", why=why, fix=f"--load {','.join(map(str, COUNTS))}")
    return tuple(found)
