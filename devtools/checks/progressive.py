"""What Argo Rollouts goes by: a Rollout that says how, and analyses that can be asked and can fail."""

from __future__ import annotations

import itertools
import re
from typing import TYPE_CHECKING, Any, Final

import promql_parser

from devtools.checks import Finding

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from devtools.objects import Object

Keys = tuple[str | int, ...]
ARGUMENT: Final = re.compile(r"\{\{\s*args\.([\w-]+)\s*\}\}")
# What stands for an argument that a Rollout gives: a name, a number, a duration. One of them fits where it stands.
STAND_INS: Final = ("x", "1", "1m")
MANY: Final = 6  # arguments of one query, of which all combinations are tried
# Those whose own outcome is the answer; all others are asked for a value, which a condition judges.
WITHOUT_CONDITION: Final = ("job", "kayenta")
# Where a Rollout names a Service, below its strategy.
SERVICES: Final = (
    *(("canary", key) for key in ("stableService", "canaryService")),
    *(("blueGreen", key) for key in ("activeService", "previewService")),
)


def alone(objects: Sequence[Object]) -> Iterator[Finding]:
    """Yield what is wrong with a Rollout or an AnalysisTemplate by itself."""
    for each in objects:
        if each.content.get("kind") == "Rollout":
            yield from _strategy(each)
        if each.content.get("kind") == "AnalysisTemplate":
            yield from _template(each)


def together(objects: Sequence[Object]) -> Iterator[Finding]:
    """Yield what a Rollout names and the namespace does not have.

    Args:
        objects: all that the namespace has.
    """
    there = {(each.content.get("kind"), each.metadata.get("name")) for each in objects}
    for each in objects:
        if each.content.get("kind") != "Rollout":
            continue
        strategy = _map(_map(each.content.get("spec")).get("strategy"))
        named: list[tuple[Keys, str, object]] = []
        for kind, key in SERVICES:
            if name := _map(strategy.get(kind)).get(key):
                named.append(((kind, key), "Service", name))
        for keys, value in _leaves(strategy):
            if keys[-1] == "templateName":
                named.append((keys, "AnalysisTemplate", value))
        for keys, kind, name in named:
            if (kind, name) not in there:
                where = each.at(("spec", "strategy", *keys))
                yield Finding(where, f"{each.name}: there is no {kind} {name}; name one that is in the same folder")


def _strategy(each: Object) -> Iterator[Finding]:
    strategy = _map(_map(each.content.get("spec")).get("strategy"))
    if len({"canary", "blueGreen"} & strategy.keys()) != 1:
        what = "it has to say by which strategy it goes, and by one alone; give it spec.strategy.canary or .blueGreen"
        yield Finding(each.at(("spec", "strategy")), f"{each.name}: {what}")


def _template(each: Object) -> Iterator[Finding]:
    spec = _map(each.content.get("spec"))
    given = {_map(one).get("name"): _map(one).get("value") for one in spec.get("args") or []}
    metrics = spec.get("metrics") or []
    if not metrics and not spec.get("templates"):
        yield Finding(each.at(("spec",)), f"{each.name}: it measures nothing; give it spec.metrics")
    for index, metric in enumerate(metrics):
        at: Keys = ("spec", "metrics", index)
        name, provider = _map(metric).get("name"), _map(_map(metric).get("provider"))
        judged = _map(metric).get("successCondition") or _map(metric).get("failureCondition")
        if not judged and not set(WITHOUT_CONDITION) & provider.keys():
            what = f"the metric {name} calls everything good; give it a successCondition or a failureCondition"
            yield Finding(each.at(at), f"{each.name}: {what}")
        for keys, value in _leaves(metric):
            for argument in ARGUMENT.findall(str(value)):
                if argument not in given:
                    what = f"the metric {name} asks for {{{{args.{argument}}}}}; name {argument} in spec.args"
                    yield Finding(each.at((*at, *keys)), f"{each.name}: {what}")
        query = _map(provider.get("prometheus")).get("query")
        if isinstance(query, str) and (wrong := _unreadable(query, given)):
            where = each.at((*at, "provider", "prometheus", "query"))
            what = f"Prometheus can't read the query of the metric {name}: {wrong}; correct it"
            yield Finding(where, f"{each.name}: {what}")


def _unreadable(query: str, given: dict[Any, Any]) -> str:
    """Return why Prometheus can't read a query, or nothing.

    Args:
        query: in which arguments are not put in yet.
        given: the arguments that have a value already; None for what a Rollout gives.
    """
    wanted = sorted({argument for argument in ARGUMENT.findall(query) if given.get(argument) is None})
    combinations = itertools.product(STAND_INS, repeat=len(wanted))
    if len(wanted) > MANY:
        combinations = itertools.product(STAND_INS[:1], repeat=len(wanted))
    wrong = ""
    for values in combinations:
        known = given | dict(zip(wanted, values, strict=True))
        # Every other part is the name of an argument.
        parts = [str(known.get(part)) if at % 2 else part for at, part in enumerate(ARGUMENT.split(query))]
        try:
            promql_parser.parse("".join(parts))
        except ValueError as error:
            wrong = wrong or " ".join(str(error).split())
        else:
            return ""
    return wrong


def _map(value: object) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}


def _leaves(value: object, keys: Keys = ()) -> Iterator[tuple[Keys, object]]:
    if isinstance(value, dict):
        for key, each in value.items():
            yield from _leaves(each, (*keys, key))
    elif isinstance(value, list):
        for index, each in enumerate(value):
            yield from _leaves(each, (*keys, index))
    else:
        yield keys, value
