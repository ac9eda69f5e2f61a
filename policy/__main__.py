"""The policy pack: each of the rules as a mandatory policy, told of a resource before it is made or changed.

What Pulumi does not tell a policy about (``deleted_with``, which values are secret) is checked by the tests alone.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pulumi
from pulumi_policy import (
    EnforcementLevel,
    PolicyPack,
    ReportViolation,
    ResourceValidationArgs,
    ResourceValidationPolicy,
)
from pulumi_policy.proxy import UnknownValueError

# The engine runs this folder as a program, and the rules take what is pinned from the project around it.
sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
from policy import rules


def plain(value: Any) -> Any:  # noqa: ANN401 - any JSON
    """Return inputs as dictionaries and lists, with a sign where a value is not known yet."""
    if isinstance(value, Mapping):
        return {key: _known(value, key) for key in value}
    if isinstance(value, Sequence) and not isinstance(value, str):
        return [_known(value, index) for index in range(len(value))]
    return value


def _known(container: Any, key: Any) -> Any:  # noqa: ANN401 - any JSON
    try:
        return plain(container[key])
    except UnknownValueError:
        return rules.UNKNOWN


def policy(rule: rules.Rule) -> ResourceValidationPolicy:
    """Return a rule as a policy."""

    def validate(args: ResourceValidationArgs, report: ReportViolation) -> None:
        context = rules.context(pulumi.Config("iot").get)
        provider = args.provider.name if args.provider else None
        resource = rules.Resource(type=args.resource_type, name=args.name, inputs=plain(args.props), provider=provider)
        for _, problem in rule.check(resource, context):
            report(f"{args.name}: {problem}", args.urn)

    return ResourceValidationPolicy(
        name=rule.name,
        description=rule.description,
        validate=validate,
        enforcement_level=EnforcementLevel.MANDATORY,
    )


PolicyPack(name="iot", policies=[policy(rule) for rule in rules.RULES])
