"""The life of a runner of Gitea Actions as a Pulumi resource that notices when it, or its registration, is lost."""

from __future__ import annotations

import json
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Final

from pulumi.dynamic import DiffResult

from components.core import http_client as http
from components.core import wait
from components.core.errors import LabError
from components.core.run import CommandError
from components.docker import container as containers
from components.docker import container_provider, engine
from components.docker.container_provider import ContainerProvider, spec
from components.gitops.gitea import OWNER, Gitea

if TYPE_CHECKING:
    from collections.abc import Mapping

    from components.docker.container import ContainerSpec

SECRETS: Final = ("owner_password",)
COMPARED: Final = (*container_provider.FIELDS, *SECRETS, "repository", "label", "git")
# https://gitea.dev/actions-proto-def: Connect, which takes JSON as well.
REGISTER: Final = "/api/actions/runner.v1.RunnerService/Register"
# Every job has it, and ours leave it empty; what else runs Actions on this host uses one of the same name.
RUNNER_LABEL: Final = "iot.runner"  # of a job's container: whose it is
CACHE: Final = "act-toolcache"
SECONDS: Final = 60.0  # for the container to take its registration


class RunnerProvider(ContainerProvider):
    """Creates, heals and deletes a runner in a container, and registers it for one repository.

    Inputs: those of the container, ``SECRETS``, ``server`` (where this host reaches Gitea), ``address`` (where the
    runner does), ``repository`` (OWNER's), ``label`` (what jobs say that they run on, and the image that they run in:
    NAME:docker://IMAGE) and ``git`` (another one when Gitea has other data, and knows the runner no more).
    Outputs: the inputs and ``made_at`` (which engine has it).
    """

    def diff(self, _id: str, _olds: dict[str, Any], _news: dict[str, Any]) -> DiffResult:
        """Compare as a container is compared, and what it is registered for."""
        if _olds.get("name") != _news.get("name"):
            return DiffResult(changes=True, replaces=["name"], delete_before_replace=True)
        return DiffResult(changes=container_provider.differs(_olds, _news, COMPARED), stables=["name", "stack"])

    def delete(self, _id: str, _props: dict[str, Any]) -> None:
        """Remove it, what is left of its jobs, and the volume that it gives to all, unless that was there before."""
        wanted = container_provider.here(_props)
        containers.stop(wanted)
        remove_jobs(wanted.name)
        containers.remove(wanted)
        if containers.is_ours("volume", CACHE, wanted.stack):
            with suppress(CommandError):  # somebody else's runner has it by now
                engine.ask("volume", "rm", CACHE)

    def _made(self, props: dict[str, Any]) -> dict[str, Any]:
        """Make the container, and register it anew."""
        wanted = spec(props)
        # It reads its registration at its start, and would begin with the one before, which is worth nothing any more.
        for kind in ("container", "volume"):
            if containers.is_ours(kind, wanted.name, wanted.stack):
                engine.ask(kind, "rm", "--force", wanted.name)
        remove_jobs(wanted.name)  # nobody else goes on with them
        containers.ensure_volume(CACHE, stack=wanted.stack)
        outs = super()._made(props)
        given = json.dumps(register(wanted, props))
        # As a whole: the runner begins as soon as there is one.
        script = f"umask 077; cat >/data/.new <<'EOF'\n{given}\nEOF\nmv /data/.new /data/.runner"
        containers.inside(wanted, script, timeout=SECONDS)
        return outs


def remove_jobs(runner: str) -> None:
    """Remove the containers of a runner's jobs, and their volumes: what a runner leaves that ends in the middle of one.

    Args:
        runner: name of the runner's container, which does not run.
    """
    for job in engine.containers(f"{RUNNER_LABEL}={runner}"):
        found = containers.inspect("container", job.name)
        mounts = [str(each.get("Name")) for each in (found or {}).get("Mounts", []) if each["Type"] == "volume"]
        engine.ask("container", "rm", "--force", "--volumes", job.name)
        for each in mounts:
            if each.startswith(job.name) and containers.inspect("volume", each):
                engine.ask("volume", "rm", each)


def register(wanted: ContainerSpec, props: Mapping[str, Any]) -> dict[str, Any]:
    """Register a runner in the place of the one of its name, and return what it has to know.

    The token that lets it in is asked for, used, and not kept; no argument of a process has it.

    Args:
        wanted: its container.
        props: the resource's inputs.

    Raises:
        LabError: Gitea refuses it.
    """
    server = Gitea(props["server"])
    mine = server.of(OWNER, props["owner_password"])
    runners = f"/repos/{OWNER}/{props['repository']}/actions/runners"
    wait.until(server.healthy, timeout=SECONDS, every=0.2)
    for each in mine.ask("GET", runners).body.get("runners") or []:
        if each["name"] == wanted.name:
            mine.ask("DELETE", f"{runners}/{each['id']}")
    token = mine.ask("POST", f"{runners}/registration-token").body["token"]
    name, _, _ = props["label"].partition(":")
    asked = {"name": wanted.name, "token": token, "version": wanted.image.rpartition(":")[2], "labels": [name]}
    answer = http.ask(f"{server.url}{REGISTER}", method="POST", body=asked, timeout=SECONDS)
    if not http.ok(answer) or "runner" not in answer.body:
        raise LabError(f"The runner {wanted.name} can't be registered", why=f"Gitea answered {answer}", fix="make up")
    runner = answer.body["runner"]
    return {
        "id": int(runner["id"]),
        "uuid": runner["uuid"],
        "name": runner["name"],
        "token": runner["token"],
        "address": props["address"],
        "labels": [props["label"]],
        "ephemeral": False,
    }
