"""`make password` shows who may sign in where, and is the only command that does."""

from __future__ import annotations

import argparse
from typing import Any

import pytest

from components.core.errors import LabError
from lab.commands import password
from lab.live import stack

OUTPUTS: dict[str, Any] = {
    "argocdUrl": "http://localhost:8080/",
    "argocdUsername": "admin",
    "argocdPassword": "for-argo",
    "git": {"url": "http://localhost:30003/iot/iot.git", "revision": "main", "path": "manifests/p3", "username": "iot"},
    "gitPassword": "for-gitea",
}


def test_both_are_shown_with_their_addresses_and_users(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    asked: list[bool] = []

    def outputs(_: str, *, show_secrets: bool) -> dict[str, Any]:
        asked.append(show_secrets)
        return OUTPUTS

    monkeypatch.setattr(stack, "outputs", outputs)
    assert password.run(argparse.Namespace(stack="p3")) == 0
    argocd, gitea = capsys.readouterr().out.splitlines()
    assert argocd.split() == ["Argo", "CD", "http://localhost:8080/", "user", "admin", "password", "for-argo"]
    assert gitea.split() == ["Gitea", "http://localhost:30003/", "user", "iot", "password", "for-gitea"]
    assert asked == [True]


def test_a_repository_of_ones_own_has_no_password_here() -> None:
    git = {"url": "git@github.com:me/iot.git", "revision": "main", "path": "manifests/p3", "username": ""}
    lines = password.lines(OUTPUTS | {"git": git, "gitPassword": ""}, "p3")
    assert "git@github.com:me/iot.git  with your own credentials" in lines[1]


def test_a_stack_without_passwords_says_so() -> None:
    with pytest.raises(LabError, match="the stack p1 has no passwords"):
        password.lines({"nodes": [], "kubeconfig": "secret"}, "p1")
