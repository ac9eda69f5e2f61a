"""The policy pack: each of the rules as a mandatory policy, told of a resource before it is made or changed.

What Pulumi does not tell a policy about (``deleted_with``, which values are secret) is checked by the tests alone.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
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
from rules import RULES, UNKNOWN, Context, Resource, Rule

NODE_PORTS = ("appNodePort", "argocdNodePort", "gitNodePort")


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
        return UNKNOWN


def policy(rule: Rule) -> ResourceValidationPolicy:
    """Return a rule as a policy."""

    def validate(args: ResourceValidationArgs, report: ReportViolation) -> None:
        config = pulumi.Config("iot")
        context = Context(node_ports=frozenset(config.require_int(key) for key in NODE_PORTS))
        provider = args.provider.name if args.provider else None
        resource = Resource(type=args.resource_type, name=args.name, inputs=plain(args.props), provider=provider)
        for problem in rule.check(resource, context):
            report(f"{args.name}: {problem}")

    return ResourceValidationPolicy(
        name=rule.name,
        description=rule.description,
        validate=validate,
        enforcement_level=EnforcementLevel.MANDATORY,
    )


PolicyPack(name="iot", policies=[policy(rule) for rule in RULES])
