"""CI beside the cluster: a runner of Gitea Actions (https://docs.gitea.com/runner/)."""

from __future__ import annotations

import shlex
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any, Final

import pulumi
import yaml
from pulumi.dynamic import Resource

from components.core import versions
from components.core.dynamic import Provider
from components.docker.container import PROJECT, PROJECT_LABEL, STACK_LABEL, ContainerSpec
from components.docker.image import AppImage, AppImageArgs
from components.gitops.gitea import OWNER
from components.platform.runner_provider import RUNNER_LABEL, SECRETS

if TYPE_CHECKING:
    from components.gitops.git_server import GitServer

DATA: Final = "/data"
LABEL: Final = "iot"  # what jobs say that they run on
JOB_MEMORY: Final = "1g"


@dataclass(frozen=True, kw_only=True)
class CiRunnerArgs:
    """A runner for one repository.

    Attributes:
        container: name of its container, and of the volume with its registration.
        network: the Docker network that Git and the registry are on; its jobs are, too.
        stack: whose it is.
        git: the server that it works for.
        repository: the only one whose jobs it runs.
        image: what jobs run in is made of; it has one version.
        depends_on: what has to be there before a job can run.
    """

    container: str
    network: str
    stack: str
    git: GitServer
    repository: str
    image: AppImageArgs
    depends_on: list[pulumi.Resource]


class CiRunner(pulumi.ComponentResource):
    """A runner in a container of the host's Docker engine, whose jobs build and push images with that engine.

    So who may push to the repository is root on this host, as everybody is who may use Docker on it: ADR 15.

    Type token ``iot:platform:CiRunner``. Makes an ``AppImage`` named like it and a dynamic resource named
    ``{name}-container``.
    """

    def __init__(self, name: str, args: CiRunnerArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("iot:platform:CiRunner", name, {"repository": args.repository}, opts)
        image = AppImage(name, args.image, pulumi.ResourceOptions(parent=self))
        (reference,) = image.references.values()
        own = pulumi.ResourceOptions(parent=self, depends_on=args.depends_on)
        runner = _Runner(f"{name}-container", args, reference, own)
        self.register_outputs({"container": runner.id})


class _Runner(Resource, module="platform", name="Runner"):
    """The container, and its registration."""

    def __init__(self, name: str, args: CiRunnerArgs, image: pulumi.Output[str], opts: pulumi.ResourceOptions) -> None:
        inputs: dict[str, Any] = {
            **asdict(container(args)),
            "server": args.git.push_url,
            "address": args.git.address,
            "repository": args.repository,
            "label": pulumi.Output.concat(f"{LABEL}:docker://", image),
            "owner_password": args.git.passwords[OWNER],
            "git": args.git.data,
            "made_at": None,
        }
        more = pulumi.ResourceOptions(additional_secret_outputs=[*SECRETS], delete_before_replace=True)
        super().__init__(Provider("ci-runner"), name, inputs, pulumi.ResourceOptions.merge(opts, more))


def container(args: CiRunnerArgs) -> ContainerSpec:
    """Return the container."""
    labels = ((RUNNER_LABEL, args.container), (STACK_LABEL, args.stack), (PROJECT_LABEL, PROJECT))
    config = {
        "log": {"level": "info"},
        "runner": {
            "file": f"{DATA}/.runner",
            "capacity": 1,
            "timeout": "30m",
            # A push is taken up at once, and what a step says is seen at once.
            "fetch_interval": "1s",
            "fetch_interval_max": "1s",
            "log_report_interval": "1s",
            "state_report_interval": "1s",
        },
        "cache": {"enabled": False},
        "container": {
            "network": args.network,
            "privileged": False,
            "options": shlex.join([f"--memory={JOB_MEMORY}", *(f"--label={key}={value}" for key, value in labels)]),
            # Nothing else of this host is handed to a job than Docker's socket.
            "valid_volumes": [],
            "docker_host": "",
            "force_pull": False,
        },
    }
    script = f"""umask 077
cat >{DATA}/config.yaml <<'EOF'
{yaml.safe_dump(config, sort_keys=False)}EOF
until [ -s {DATA}/.runner ]; do sleep 0.2; done
exec gitea-runner daemon --config {DATA}/config.yaml
"""
    return ContainerSpec(
        name=args.container,
        stack=args.stack,
        image=versions.RUNNER_IMAGE,
        network=args.network,
        alias=args.container,
        ports=[],
        mount=DATA,
        script=script,
        environment={"HOME": DATA},
        temporary=["/tmp"],  # noqa: S108 - in the container
        memory="256m",
        docker_socket=True,
    )
