"""What states say of dynamic resources is understood, and stays so."""

from __future__ import annotations

import base64
import json
from typing import TYPE_CHECKING

import dill  # type: ignore[import-untyped]
import pytest
from pulumi.dynamic import CreateResult, ResourceProvider

from components.core import dynamic
from components.core.errors import LabError
from components.core.random_secret import RandomSecretProvider
from lab.host import local

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from devtools.graph import Graph

pytestmark = pytest.mark.unit

# As they are in states. Never change one: what has it could not be destroyed any more.
RECORDED = {
    "ci-runner": (
        "gASVRQAAAAAAAACMF2NvbXBvbmVudHMuY29yZS5keW5hbWljlIwIUHJvdmlkZXKUk5QpgZR9lIwHc3ViamVjdJSMCWNpLXJ1bm5lcpRzYi4="
    ),
    "container": (
        "gASVRQAAAAAAAACMF2NvbXBvbmVudHMuY29yZS5keW5hbWljlIwIUHJvdmlkZXKUk5QpgZR9lIwHc3ViamVjdJSMCWNvbnRhaW5lcpRzYi4="
    ),
    "git-server": (
        "gASVRgAAAAAAAACMF2NvbXBvbmVudHMuY29yZS5keW5hbWljlIwIUHJvdmlkZXKUk5QpgZR9lIwHc3ViamVjdJSMCmdpdC1zZXJ2ZXKUc2Iu"
    ),
    "image-presence": (
        "gASVSgAAAAAAAACMF2NvbXBvbmVudHMuY29yZS5keW5hbWljlIwIUHJvdmlkZXKUk5QpgZR9lIwHc3Vi"
        "amVjdJSMDmltYWdlLXByZXNlbmNllHNiLg=="
    ),
    "k3d-nodes": (
        "gASVRQAAAAAAAACMF2NvbXBvbmVudHMuY29yZS5keW5hbWljlIwIUHJvdmlkZXKUk5QpgZR9lIwHc3ViamVjdJSMCWszZC1ub2Rlc5RzYi4="
    ),
    "k3s-presence": (
        "gASVSAAAAAAAAACMF2NvbXBvbmVudHMuY29yZS5keW5hbWljlIwIUHJvdmlkZXKUk5QpgZR9lIwHc3Vi"
        "amVjdJSMDGszcy1wcmVzZW5jZZRzYi4="
    ),
    "random-secret": (
        "gASVSQAAAAAAAACMF2NvbXBvbmVudHMuY29yZS5keW5hbWljlIwIUHJvdmlkZXKUk5QpgZR9lIwHc3Vi"
        "amVjdJSMDXJhbmRvbS1zZWNyZXSUc2Iu"
    ),
    "route-answers": (
        "gASVSQAAAAAAAACMF2NvbXBvbmVudHMuY29yZS5keW5hbWljlIwIUHJvdmlkZXKUk5QpgZR9lIwHc3Vi"
        "amVjdJSMDXJvdXRlLWFuc3dlcnOUc2Iu"
    ),
    "sealing-key": (
        "gASVRwAAAAAAAACMF2NvbXBvbmVudHMuY29yZS5keW5hbWljlIwIUHJvdmlkZXKUk5QpgZR9lIwHc3Vi"
        "amVjdJSMC3NlYWxpbmcta2V5lHNiLg=="
    ),
    "transfer": (
        "gASVRAAAAAAAAACMF2NvbXBvbmVudHMuY29yZS5keW5hbWljlIwIUHJvdmlkZXKUk5QpgZR9lIwHc3ViamVjdJSMCHRyYW5zZmVylHNiLg=="
    ),
    "vagrant-machine": (
        "gASVSwAAAAAAAACMF2NvbXBvbmVudHMuY29yZS5keW5hbWljlIwIUHJvdmlkZXKUk5QpgZR9lIwHc3Vi"
        "amVjdJSMD3ZhZ3JhbnQtbWFjaGluZZRzYi4="
    ),
}
KEPT = {"bytes": 24.0, "value": "made-once", "bcrypt": "digest"}


@pytest.mark.parametrize("subject", RECORDED)
def test_what_a_state_recorded_still_reaches_its_implementation(subject: str, monkeypatch: pytest.MonkeyPatch) -> None:
    provider = dill.loads(base64.b64decode(RECORDED[subject]))  # noqa: S301 - as Pulumi loads it
    implementation = provider._implementation()  # noqa: SLF001 - the resource's other half
    assert isinstance(implementation, ResourceProvider)
    monkeypatch.setattr(type(implementation), "delete", lambda *words: gone.append(words[1]))
    gone: list[str] = []
    provider.delete("it", {})
    assert gone == ["it"]


def test_every_subject_is_recorded() -> None:
    assert RECORDED.keys() == dynamic.IMPLEMENTATIONS.keys()


@pytest.mark.parametrize("stack", ["p1", "p2", "p3", "platform"])
def test_every_dynamic_resource_is_recorded_by_a_promised_name(build: Callable[..., Graph], stack: str) -> None:
    said = {
        each.name: each.inputs["__provider"] for each in build(stack).nodes if each.type.startswith("pulumi-python:")
    }
    assert said
    assert {dill.loads(base64.b64decode(each)).subject for each in said.values()} <= RECORDED.keys()  # noqa: S301


def test_a_subject_of_another_version_is_not_touched() -> None:
    with pytest.raises(LabError, match=r"another version.*'gone-since'.*Fix: check out the version that made"):
        dynamic.Provider("gone-since").delete("it", {})


def test_a_state_of_another_version_is_told_before_anything_is_done(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(local, "STACKS", tmp_path)
    monkeypatch.delenv("PULUMI_BACKEND_URL", raising=False)

    def state(said: object) -> None:
        found = {"urn": "urn::nodes", "type": "pulumi-python:dynamic/k3d:Nodes", "inputs": {"__provider": said}}
        text = json.dumps({"checkpoint": {"latest": {"resources": [found]}}})
        (tmp_path / "p3.json").write_text(text, encoding="utf-8")

    local.check_version("p3")  # there is none yet
    state(RECORDED["k3d-nodes"])
    local.check_version("p3")
    for other in ({"ciphertext": "v1:x"}, base64.b64encode(b"components.k3d_provider").decode()):
        state(other)
        with pytest.raises(LabError, match=r"another version of this project.*urn::nodes.*Fix: check out"):
            local.check_version("p3")


def test_a_state_of_a_newer_pulumi_is_told_before_anything_is_done(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(local, "STACKS", tmp_path)
    monkeypatch.delenv("PULUMI_BACKEND_URL", raising=False)
    for version in (3, 4, 5):
        (tmp_path / "p3.json").write_text(json.dumps({"version": version, "checkpoint": {}}), encoding="utf-8")
        if version <= local.LATEST:
            local.check_version("p3")
        else:
            with pytest.raises(
                LabError, match=r"by a newer version of Pulumi.*it is of version 5.*Fix: use the version"
            ):
                local.check_version("p3")


def test_nothing_plans_or_empties_a_secret() -> None:
    provider = RandomSecretProvider()
    assert provider.diff("made", KEPT, {"bytes": 48.0}).changes is False
    assert provider.update("made", KEPT, {"bytes": 48.0, "value": None, "bcrypt": None}).outs == KEPT | {"bytes": 48.0}


def test_an_error_names_the_stack_in_the_commands_that_it_tells_of(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without it, they would be about the stack that was made last."""
    told = "`pulumi config set --secret iot:a B`, pulumi config rm iot:c, or pulumi config set --stack p1 iot:d e"

    class Refusing(ResourceProvider):
        def create(self, props: dict[str, object]) -> CreateResult:
            raise LabError(f"no {sorted(props)}", fix=told)

    monkeypatch.setattr(dynamic.Provider, "_implementation", lambda _self: Refusing())
    with pytest.raises(LabError) as caught:
        dynamic.Provider("container").create({"stack": "platform"})
    assert caught.value.fix == (
        "`pulumi config set --stack platform --secret iot:a B`, pulumi config rm --stack platform iot:c, "
        "or pulumi config set --stack p1 iot:d e"
    )
    with pytest.raises(LabError) as caught:
        dynamic.Provider("transfer").create({})
    assert caught.value.fix == told
