"""What the other files must not lose: the image's own user, and the checksums of what is downloaded."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

from components.core import versions
from components.gitops import chart as charts
from devtools.checks import Finding
from lab.host.fetch import sha256

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

DOCKERFILE: Final = "app/Dockerfile"
SCRIPT: Final = "components/k3s/k3s.sh"
VERSIONS: Final = "components/core/versions.py"


def findings(root: Path) -> Iterator[Finding]:
    """Yield what is wrong with the files of a project."""
    yield from _dockerfile((root / DOCKERFILE).read_text(encoding="utf-8"))
    yield from _script((root / SCRIPT).read_text(encoding="utf-8"))
    yield from _versions((root / VERSIONS).read_text(encoding="utf-8"), root)


def _dockerfile(text: str) -> Iterator[Finding]:
    found = list(re.finditer(r"^USER\s+(\S+)", text, re.MULTILINE))
    # Kubernetes can only tell of a number that it is not root (runAsNonRoot).
    if not found or not re.match(r"[1-9]\d*(:|$)", found[-1][1]):
        line = _line(text, found[-1].start()) if found else text.count("\n")
        yield Finding(f"{DOCKERFILE}:{line}", "the image runs as root, or as a name; end with USER and a number, not 0")


def _script(text: str) -> Iterator[Finding]:
    for function in re.finditer(r"^(\w+)\(\) \{\n(.*?)^\}", text, re.MULTILINE | re.DOTALL):
        fetches = list(re.finditer(r"\b(?:curl|wget) -", function[2]))
        if fetches and not re.search(r"\bmatches |\bsha256sum\b", function[2][fetches[-1].end() :]):
            line = _line(text, function.start(2) + fetches[0].start())
            what = (
                f"{function[1]} keeps what it fetches without comparing it; compare its sha256sum with the pinned one"
            )
            yield Finding(f"{SCRIPT}:{line}", what)


def _versions(text: str, root: Path) -> Iterator[Finding]:
    found = re.finditer(r"^(\w*SHA256)\b.*?(?=^\S|\Z)", text, re.MULTILINE | re.DOTALL)
    charts_ = re.finditer(r"^ +(sha256)=.*", text, re.MULTILINE)
    for match in (*found, *charts_):
        for value in re.finditer(r'(?<=")[^"]{20,}(?=")', match[0]):
            if not re.fullmatch(r"[0-9a-f]{64}", value[0]):
                where = f"{VERSIONS}:{_line(text, match.start() + value.start())}"
                yield Finding(where, f"{match[1]} has {value[0]}, which is no SHA-256; take the release's own")
    for each in versions.CHARTS:
        pinned = re.search(rf'name="{each.name}".*?sha256="([0-9a-f]{{64}})"', text, re.DOTALL)
        kept = root / charts.KEPT / each.archive
        # One of the offline folder is held to what was noted of it when it was copied.
        if kept.is_file() and pinned and sha256(kept) not in (pinned[1], *charts.noted(kept)):
            what = (
                f"the sha256 of {each.name} is not that of {kept.relative_to(root)}; take the one of {each.repository}"
            )
            yield Finding(f"{VERSIONS}:{_line(text, pinned.start(1))}", f"{what}, or remove that file")


def _line(text: str, position: int) -> int:
    return text.count("\n", 0, position) + 1
