"""The pages as tests read them: what is code on them, what they tell people to type, and which tests type it."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Final

ROOT: Final = Path(__file__).resolve().parents[1]
PAGES: Final = sorted(
    path.relative_to(ROOT).as_posix()
    for pattern in ("*.md", "docs/**/*.md", "app/*.md", "vagrant/*.md")
    for path in ROOT.glob(pattern)
)
# Those whose every command is typed by a test, in the order in which it is read.
TYPED: Final = ("README.md", "docs/p1.md", "docs/p2.md", "docs/p3.md", "docs/platform.md")

# A block between fences with its language, an indented line, or what prose has in code style.
CODE: Final = re.compile(r"^ *```(\w*)\n(.*?)^ *```|^(?: {4,}|\t)(\S[^\n]*)$|`([^`\n]+)`", re.MULTILINE | re.DOTALL)
SHELL: Final = ("", "sh", "bash", "console")
REMARK: Final = re.compile(r"\s+# +")

PREVIEW: Final = "preview"  # tests/preview/test_pages.py, with the real engine and nothing else
LAB: Final = "lab"  # tests/lab/test_p*.py, on a lab that is up
# Who types a command, by how it begins.
TYPED_BY: Final = {
    ". ./activate": PREVIEW,
    "make setup": PREVIEW,
    "make up": PREVIEW,
    "pulumi config rm": PREVIEW,
    "pulumi config set": PREVIEW,
    "curl": LAB,
    "docker ps": LAB,
    "exit": LAB,
    "git -C ../gitops": LAB,
    "hostname": LAB,
    "make alerts": LAB,
    "make approve": LAB,
    "make check": LAB,
    "make ci": LAB,
    "make clone": LAB,
    "make dashboard": LAB,
    "make destroy": LAB,
    "make dora": LAB,
    "make kubectl": LAB,
    "make password": LAB,
    "make promote": LAB,
    "make release": LAB,
    "make rollback": LAB,
    "make ssh": LAB,
    "make status": LAB,
    "printf": LAB,
    "sed -i": LAB,
    "sudo k3s kubectl": LAB,
    "VAGRANT_CWD": LAB,
}
# What no test types, and why.
NOT_TYPED: Final = {
    "make test": "it is what runs these tests",
    "make clean": "it removes the environment that these tests run in; tests/unit/test_setup.py has it on a stand-in",
    "docker tag iot-lab/flask-app:v1 localhost:5050/flask-app:v3": "tests/lab/test_p3.py does so with its own registry",
    "docker push localhost:5050/flask-app:v3": "as the line before it",
    "git clone https://github.com/ME/iot && cd iot": "needs a repository at GitHub",
    "mkdir -p manifests && cp -r PROJECT/manifests/p3 manifests/": "is typed in that repository",
    'git add . && git commit -m "Run version v1 of the app" && git push': "is typed in that repository",
    "192.168.56.110 app1.com app2.com app3.com": "a line of /etc/hosts, for a browser",
}


@dataclass(frozen=True)
class Command:
    """A line that a page tells people to type.

    Attributes:
        line: what is typed.
        remark: what the page says of it behind a "#"; "" without one.
    """

    line: str
    remark: str = ""


def text(page: str) -> str:
    """Return a page's text."""
    return (ROOT / page).read_text(encoding="utf-8")


def prose(page: str) -> str:
    """Return a page without its code, but with indented lines: they may go on a list."""
    return CODE.sub(lambda found: found[3] or "", text(page))


def lines(page: str, *, inline: bool = True) -> list[str]:
    """Return what is in code style on a page, line by line in its order.

    Args:
        page: its path.
        inline: with what stands in prose, and with blocks in other languages than the shell's.
    """
    found = []
    for language, block, indented, said in CODE.findall(text(page)):
        if not inline and (said or language not in SHELL):
            continue
        found += [each.strip() for each in (block or indented or said).splitlines() if each.strip()]
    return found


def commands(page: str, tier: str = "") -> list[Command]:
    """Return what a page tells people to type in blocks, in its order.

    Args:
        page: its path.
        tier: only what this one types.
    """
    typed = [Command(*REMARK.split(line, 1)) for line in lines(page, inline=False) if not line.startswith("#")]
    return [each for each in typed if not tier or tier in typed_by(each.line)]


def typed_by(line: str) -> list[str]:
    """Return the tiers that type a line: one, when all is well."""
    return [tier for beginning, tier in TYPED_BY.items() if re.match(rf"{re.escape(beginning)}(\W|$)", line)]
