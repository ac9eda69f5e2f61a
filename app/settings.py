"""What the app is told through its environment, checked once, before it serves anything."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

# A version is the image's tag as well, so the grammar of tags is its grammar:
# https://github.com/opencontainers/distribution-spec/blob/main/spec.md#pulling-manifests
_TAG = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,127}")
# An app is named like its Deployment and Service, and a Service's name is a DNS label (RFC 1123).
_DNS_LABEL = re.compile(r"[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?")
# Longer ones are out of every range, and Python takes its time with very long ones.
_DIGITS = re.compile(r"[0-9]{1,6}")


class SettingsError(RuntimeError):
    """A setting that is missing or ill-formed: what is wrong, what was expected, how to fix it.

    It is a ``RuntimeError`` because gunicorn prints those as one line and exits with 1, without a traceback.
    """


@dataclass(frozen=True)
class Settings:
    """Who is answering.

    Args:
        version: what this image was built as, for example ``v1``; a valid image tag other than ``latest``.
        pod_name: the pod, or outside Kubernetes the container or host, that answers.
        app_name: which of several apps this is, a DNS label; None where there is only one app.
        fail_percent: how many of 100 requests for ``/`` are answered with an error, for demonstrations.
        delay_ms: milliseconds that every answer of ``/`` is late, for demonstrations.
    """

    version: str
    pod_name: str
    app_name: str | None = None
    fail_percent: int = 0
    delay_ms: int = 0

    @classmethod
    def from_environment(cls, environment: Mapping[str, str], *, hostname: str) -> Settings:
        """Read and check ``APP_VERSION``, ``APP_NAME``, ``POD_NAME``, ``APP_FAIL_PERCENT`` and ``APP_DELAY_MS``.

        Args:
            environment: variables by name, usually ``os.environ``.
            hostname: stands in for ``POD_NAME`` where that is absent or empty; in a pod they are equal.

        Raises:
            SettingsError: ``APP_VERSION`` is absent or no version, ``APP_NAME`` is there but no DNS label, or one of
                the faults is no number or out of its range.
        """
        return cls(
            version=_version(environment.get("APP_VERSION", "")),
            pod_name=environment.get("POD_NAME") or hostname,
            app_name=_app_name(environment.get("APP_NAME")),
            fail_percent=_number(environment, "FAIL_PERCENT", 100),
            delay_ms=_number(environment, "DELAY_MS", 60_000),
        )


def _version(value: str) -> str:
    if _TAG.fullmatch(value) and value != "latest":
        return value
    problem = f"APP_VERSION={value!r} is not a version" if value else "APP_VERSION is missing or empty"
    raise SettingsError(
        f"{problem}. Expected: the version that the image was built as, a valid image tag other than latest, "
        "such as v1. Fix: give it to the build, `docker build --build-arg VERSION=v1 ...`; "
        "outside an image, set APP_VERSION=v1."
    )


def _app_name(value: str | None) -> str | None:
    if value is None or _DNS_LABEL.fullmatch(value):
        return value
    raise SettingsError(
        f"APP_NAME={value!r} is not an app's name. Expected: at most 63 of a-z, 0-9 and -, beginning and ending "
        "with a letter or digit, such as app1. Fix: set APP_NAME to such a name, or remove it altogether "
        "if there is only one app."
    )


def _number(environment: Mapping[str, str], argument: str, most: int) -> int:
    """Return what the image was built with by an argument of that name; 0 without it."""
    name = f"APP_{argument}"
    value = environment.get(name, "0")
    if _DIGITS.fullmatch(value) and int(value) <= most:
        return int(value)
    raise SettingsError(
        f"{name}={value!r} is not a whole number from 0 to {most}. Expected: how much of that fault the version is to "
        f"have, 0 for none. Fix: give it to the build, `docker build --build-arg {argument}=20 ...`, or leave it out; "
        f"outside an image, unset {name}."
    )
