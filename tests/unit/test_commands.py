"""The command line: python -m lab, and the Makefile over it."""

from __future__ import annotations

import argparse
import importlib
import os
import re
import signal
import subprocess
import sys
from pathlib import Path
from typing import Final, cast

import pytest

from components.core.errors import LabError
from lab import __main__ as cli

ROOT: Final = Path(__file__).parents[2]
MAKEFILE: Final = (ROOT / "Makefile").read_text(encoding="utf-8")
TARGETS: Final = re.findall(r"^([a-z-]+):", MAKEFILE, re.MULTILINE)


def lab(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "lab", *arguments], cwd=ROOT, capture_output=True, text=True, check=False, timeout=60
    )


@pytest.mark.parametrize("name", cli.names())
def test_every_command_has_help(name: str) -> None:
    assert cli.summary(name).endswith((".", ":")) or cli.summary(name)
    module = importlib.import_module(f"lab.commands.{name}")
    assert module.__doc__
    assert callable(module.arguments)
    assert callable(module.run)


def test_help_lists_every_command() -> None:
    done = lab("--help")
    assert done.returncode == 0
    assert [line.split()[0] for line in done.stdout.splitlines()[2:]] == cli.names()


def test_no_command_is_a_wrong_call() -> None:
    done = lab()
    assert done.returncode == 2
    assert "usage" in done.stdout


def test_an_unknown_command_is_named_with_the_nearest_one() -> None:
    done = lab("destory")
    assert done.returncode == 2
    assert "'destory': did you mean destroy?" in done.stderr


def test_ctrl_c_while_a_command_is_imported_has_no_traceback(tmp_path: Path) -> None:
    # What the command line imports first; it presses the keys.
    (tmp_path / "argparse.py").write_text("import signal; signal.raise_signal(signal.SIGINT)\n", encoding="utf-8")
    env = os.environ | {"PYTHONPATH": str(tmp_path)}
    # What runs in the background of a shell ignores the key, and so would what it starts.
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        done = subprocess.run(
            [sys.executable, "-m", "lab", "doctor"],
            cwd=ROOT,
            env=env,
            capture_output=True,
            text=True,
            check=False,
            timeout=60,
        )
    finally:
        signal.signal(signal.SIGINT, before)
    assert (done.returncode, done.stdout, done.stderr) == (-signal.SIGINT, "", "")


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_command_that_was_interrupted_has_tidied_up(number: signal.Signals) -> None:
    code = (
        "import runpy, signal, sys, types\n"
        "command = types.ModuleType('lab.commands.doctor', 'Wait.')\n"
        "command.arguments = lambda parser: None\n"
        "def run(args):\n"
        "    try:\n"
        f"        signal.raise_signal({int(number)})\n"
        "    finally:\n"
        "        print('tidied up')\n"
        "command.run = run\n"
        "sys.modules[command.__name__] = command\n"
        "sys.argv = ['lab', 'doctor']\n"
        f"signal.signal({int(number)}, signal.SIG_DFL)\n"  # as lab/interrupt.pth does
        "runpy.run_module('lab', run_name='__main__')\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=False, timeout=60
    )
    assert (done.returncode, done.stdout, done.stderr) == (128 + number, "tidied up\n", "")


def test_an_error_for_the_user_has_no_traceback() -> None:
    done = lab("up", "--stack", "p9")
    assert done.returncode == 1
    assert done.stderr.startswith("error: there is no stack 'p9'")
    assert "Traceback" not in done.stderr


def test_an_error_names_the_stack_in_the_commands_that_it_tells_of(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(signal, "signal", lambda *_: None)  # this process keeps its own
    command = cast("cli.Command", Refusing())
    assert cli.report(command, argparse.Namespace(stack="platform")) == 1
    assert capsys.readouterr().err == "error: no. Fix: pulumi config rm --stack platform iot:a.\n"
    assert cli.report(command, argparse.Namespace()) == 1
    assert capsys.readouterr().err == "error: no. Fix: pulumi config rm iot:a.\n"


class Refusing:
    def run(self, _args: argparse.Namespace) -> int:
        raise LabError("no", fix="pulumi config rm iot:a")


def test_make_alone_lists_every_target() -> None:
    done = subprocess.run(["make"], cwd=ROOT, capture_output=True, text=True, check=True)
    assert [line.split()[1] for line in done.stdout.splitlines()] == TARGETS


@pytest.mark.parametrize("target", [target for target in TARGETS if target != "help"])
def test_every_target_runs_a_command_that_exists(target: str) -> None:
    done = subprocess.run(
        ["make", "--dry-run", target, "VERSION=v2"], cwd=ROOT, capture_output=True, text=True, check=True
    )
    called = re.findall(r"-m lab (\S+)", done.stdout)
    assert len(called) == 1
    assert called[0] in cli.names()
    assert "lab/bootstrap.sh" in done.stdout, "every target works in a fresh clone"


def make(*arguments: str) -> str:
    command = ["make", "--dry-run", *arguments]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout


def test_p3_is_the_default_stack() -> None:
    assert "lab up --stack p3 --" in make("up")
    assert "lab up --stack p1 --" in make("up", "STACK=p1")


def test_further_arguments_are_handed_on() -> None:
    assert "lab up --stack p3 -- --config iot:pollInterval=60" in make("up", "ARGS=--config iot:pollInterval=60")


def test_a_preview_is_of_all_stacks_unless_one_is_named() -> None:
    assert "--stack" not in make("preview")
    assert "--stack p2" in make("preview", "STACK=p2")
    assert "--stack p3" in make("preview", "STACK=p3")
