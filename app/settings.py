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
    """

    version: str
    pod_name: str
    app_name: str | None = None

    @classmethod
    def from_environment(cls, environment: Mapping[str, str], *, hostname: str) -> Settings:
        """Read and check ``APP_VERSION``, ``APP_NAME`` and ``POD_NAME``.

        Args:
            environment: variables by name, usually ``os.environ``.
            hostname: stands in for ``POD_NAME`` where that is absent or empty; in a pod they are equal.

        Raises:
            SettingsError: ``APP_VERSION`` is absent or no version, or ``APP_NAME`` is there but no DNS label.
        """
        return cls(
            version=_version(environment.get("APP_VERSION", "")),
            pod_name=environment.get("POD_NAME") or hostname,
            app_name=_app_name(environment.get("APP_NAME")),
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
