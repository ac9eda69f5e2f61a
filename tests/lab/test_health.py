"""Our checks of health, by the runner of the Argo CD that the labs install: it has the last word on them."""

from __future__ import annotations

import io
import re
import subprocess
import tarfile
from typing import TYPE_CHECKING, Any, Final

import pytest
import yaml

from components.core import names, versions
from components.gitops import argocd
from tests import health

if TYPE_CHECKING:
    from collections.abc import Sequence

    from tests.health import Case

pytestmark = [pytest.mark.lab, pytest.mark.k3d]

# Each object goes its own way: the runner takes one at a time. It says nothing but its log where there is no check.
SCRIPT: Final = """
cd /tmp && tar -xf - && for file in *.object; do
  echo "=== $file"
  argocd admin settings resource-overrides health "$file" --argocd-cm-path settings.yaml 2> log || { cat log; exit 1; }
done
"""


def judged(cases: Sequence[Case], checks: dict[str, str]) -> list[tuple[str, str]]:
    """Return what Argo CD says of each object, its status and its message; empty where it has no check.

    Args:
        cases: with the objects.
        checks: ours, as Argo CD's settings name them.
    """
    settings = {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {
            "name": "argocd-cm",
            "namespace": names.ARGOCD,
            "labels": {"app.kubernetes.io/part-of": "argocd"},
        },
        "data": checks,
    }
    files = {f"{number:03}.object": case.content for number, case in enumerate(cases)} | {"settings.yaml": settings}
    options = ["--rm", "--interactive", "--network=none", "--entrypoint=sh"]
    said = subprocess.run(
        ["docker", "run", *options, versions.ARGOCD_IMAGE, "-c", SCRIPT],
        input=archive(files),
        capture_output=True,
        timeout=300,
        check=False,
    )
    text = said.stdout.decode()
    assert said.returncode == 0, text + said.stderr.decode()
    parts = re.split(r"^=== .*\n", text, flags=re.MULTILINE)[1:]
    return [answer(part) for part in parts]


def answer(text: str) -> tuple[str, str]:
    """Return the status and the message in what the runner has said of an object."""
    if "Health script is not configured" in text:
        return "", ""
    match = re.match(r"STATUS: (.*)\nMESSAGE: ((?s:.*))", text)
    assert match, text
    return match[1], match[2].strip()


def archive(files: dict[str, Any]) -> bytes:
    """Return files as a tar archive, which gets in where nothing of this host is mounted."""
    made = io.BytesIO()
    with tarfile.open(fileobj=made, mode="w") as tar:
        for name, content in files.items():
            text = yaml.safe_dump(content).encode()
            entry = tarfile.TarInfo(name)
            entry.size = len(text)
            tar.addfile(entry, io.BytesIO(text))
    return made.getvalue()


def test_argo_cd_says_of_each_object_what_our_checks_are_to_say() -> None:
    cases = [*health.OURS, *health.BUILT_IN]
    for case, (status, message) in zip(cases, judged(cases, argocd.health_checks()), strict=True):
        assert (case.id, status) == (case.id, case.status), message
        assert case.words in message, case.id


def test_argo_cd_says_less_without_them() -> None:
    # When this fails, Argo CD has learned to do it: see whether ours is still worth having (docs/adr/0019).
    cases = [case for case in health.OURS if case.builtin is not None]
    for case, (status, message) in zip(cases, judged(cases, {}), strict=True):
        assert (case.id, status) == (case.id, case.builtin), message
