"""`make password` shows who may sign in where, and is the only command that does."""

from __future__ import annotations

import argparse
from typing import Any

import pytest

from components.core.errors import LabError
from lab.commands import password
from lab.live import stack
from tests.unit import fakes


def test_both_are_shown_with_their_addresses_and_users(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    known = fakes.outputs("p3")
    asked: list[bool] = []

    def outputs(_: str, *, show_secrets: bool) -> dict[str, Any]:
        asked.append(show_secrets)
        return known

    monkeypatch.setattr(stack, "outputs", outputs)
    assert password.run(argparse.Namespace(stack="p3")) == 0
    argocd, gitea = capsys.readouterr().out.splitlines()
    for_argocd, for_gitea = known["argocdPassword"], known["gitPassword"]
    assert argocd.split() == ["Argo", "CD", "http://localhost:8080/", "user", "admin", "password", for_argocd]
    assert gitea.split() == ["Gitea", "http://localhost:30003/", "user", "iot", "password", for_gitea]
    assert for_argocd != for_gitea
    assert asked == [True]


def test_a_repository_of_ones_own_has_no_password_here() -> None:
    lines = password.lines(fakes.outputs("p3", gitUrl="git@github.com:me/iot.git"), "p3")
    assert "git@github.com:me/iot.git  with your own credentials" in lines[1]


@pytest.mark.parametrize("name", ["p1", "p2"])
def test_a_stack_without_passwords_says_so(name: str) -> None:
    with pytest.raises(LabError, match=f"the stack {name} has no passwords"):
        password.lines(fakes.outputs(name), name)


@pytest.mark.parametrize("stack", ["p3", "platform"])
def test_grafana_is_shown_with_the_way_to_it_where_it_is(stack: str) -> None:
    outputs = fakes.outputs(stack, monitoring=True, grafana=True)
    (line,) = [each for each in password.lines(outputs, stack) if "Grafana" in each]
    assert "http://localhost:3000/  user admin  password stand-in-secret-value-of-grafana-admin  " in line
    way = f"make kubectl STACK={stack} ARGS='-n monitoring port-forward service/grafana 3000'"
    assert line.endswith(way)
    without = fakes.outputs(stack)
    assert password.lines(without, stack) == [each for each in password.lines(outputs, stack) if "Grafana" not in each]
