"""What the pages tell people to type, on a fresh copy, in the order in which it is read.

What needs a lab that is up is typed by tests/lab; tests/pages.py says who types what.
"""

from __future__ import annotations

import shlex
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
import yaml

from tests import pages
from tests.preview.project import TIMEOUT

if TYPE_CHECKING:
    from tests.preview.project import Answer, Project

pytestmark = [pytest.mark.preview, pytest.mark.timeout(900)]

SYSTEM = "/usr/bin:/bin"


class Reader:
    """Types what a page says into one shell, which finds Pulumi only once the project is activated.

    `make setup` and `make up` would fetch and start things: here they make the stack, and preview it.
    """

    def __init__(self, project: Project, chart: Path) -> None:
        self._project, self._chart = project, chart
        self._stacks: set[str] = set()
        self._activate = ""
        # What bootstrap.sh and setup would have made.
        (project.root / "lab").mkdir()
        (project.root / "lab" / "bootstrap.sh").touch()
        (project.root / ".lab").mkdir(exist_ok=True)
        (project.root / ".lab" / "bin").symlink_to(project.env["PATH"])
        (project.root / ".lab" / "passphrase").touch()

    def type(self, line: str) -> None:
        """Type a line; it has to work."""
        if line.startswith("make "):
            self._make(line)
        elif line == ". ./activate":
            self._activate = f"{line} && "
        else:
            done = self._shell(self._activate + line)
            assert done.returncode == 0, f"{line}\n{done.stdout}{done.stderr}"

    def _make(self, line: str) -> None:
        _, target, *variables = shlex.split(line)
        given = dict(each.split("=", 1) for each in variables)
        assert target in {"setup", "up"}
        stack = given.pop("STACK", "p3")
        if stack not in self._stacks:
            self._stacks.add(stack)
            self._project.create(stack)
            if stack in {"p3", "platform"}:
                self._project.use_charts(stack, self._chart)
        if target == "up":
            said: Answer = self._project.pulumi("preview", "--stack", stack, *shlex.split(given.pop("ARGS", "")))
            assert said.code == 0, f"{line}\n{said.all}"
        assert not given, line

    def _shell(self, line: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            ["sh", "-c", line],
            cwd=self._project.root,
            env=self._project.env | {"PATH": SYSTEM},
            # What asks for its value is given one.
            input="asked-for\n",
            capture_output=True,
            text=True,
            timeout=TIMEOUT,
            check=False,
        )


@pytest.fixture
def reader(project: Project, chart: Path) -> Reader:
    # The cluster of one's own that docs/p3.md has.
    kubeconfig = Path(project.env["HOME"]) / ".kube" / "config"
    kubeconfig.parent.mkdir()
    context = {"name": "my-context", "context": {"cluster": "mine", "user": "me"}}
    clusters = [{"name": "mine", "cluster": {"server": "https://127.0.0.1:9"}}]
    users = [{"name": "me", "user": {"token": "made-up"}}]
    content = {"apiVersion": "v1", "kind": "Config", "contexts": [context], "clusters": clusters, "users": users}
    kubeconfig.write_text(yaml.safe_dump(content), encoding="utf-8")
    return Reader(project, chart)


@pytest.mark.parametrize("page", pages.TYPED)
def test_what_a_page_says_can_be_typed_in_its_order(reader: Reader, page: str) -> None:
    commands = pages.commands(page, pages.PREVIEW)
    assert commands
    for command in commands:
        reader.type(command.line)


def test_without_being_activated_a_shell_does_not_find_pulumi(reader: Reader) -> None:
    reader.type("make setup")
    with pytest.raises(AssertionError, match="not found"):
        reader.type("pulumi config set --stack p3 iot:pollInterval 60")
    reader.type(". ./activate")
    reader.type("pulumi config set --stack p3 iot:pollInterval 60")
    # And what is set is what is previewed.
    reader.type("pulumi config set --stack p3 iot:pollInterval no-number")
    with pytest.raises(AssertionError, match="pollInterval"):
        reader.type("make up")
