"""A stack's resource graph, taken from the program itself without an engine, a plugin or a network.

The program runs against a stand-in for the engine that writes down every resource it is asked for, and answers with
the values that the resource would have. It runs as a preview on a machine without any tool.
"""

from __future__ import annotations

import asyncio
import base64
import contextvars
import inspect
import json
import os
import re
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final
from unittest import mock

import pulumi
from google.protobuf import json_format
from pulumi import dynamic
from pulumi.runtime import mocks as pulumi_mocks
from pulumi.runtime import rpc
from pulumi.runtime import set_all_config as set_config
from pulumi.runtime.stack import run_pulumi_func

from components import parts
from components.core import project
from components.core.names import PROJECT
from components.docker import engine as docker_engine

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from pathlib import Path

# How secrets and other values that JSON lacks are marked: pulumi/sdk/python/lib/pulumi/runtime/rpc.py
SIGNATURE: Final = rpc._special_sig_key  # noqa: SLF001 - the protocol's constant has no public name
SECRET: Final = rpc._special_secret_sig  # noqa: SLF001
UNKNOWN: Final = rpc.UNKNOWN  # what stands for a value that is not known before the resource is there
STAND_IN: Final = "stand-in-secret"
# Of a key that is nowhere. It was made when 1970 began, which nobody takes for the date of a real one.
CERTIFICATE: Final = """
-----BEGIN CERTIFICATE-----
MIIBEjCBuaADAgECAgEBMAoGCCqGSM49BAMCMBMxETAPBgNVBAMMCHN0YW5kLWlu
MB4XDTcwMDEwMTAwMDAwMFoXDTcwMDEwMjAwMDAwMFowEzERMA8GA1UEAwwIc3Rh
bmQtaW4wWTATBgcqhkjOPQIBBggqhkjOPQMBBwNCAAQw8cXNA4biZ2coG53BOyMH
TbhmRZdpVtD5uzrUjtnng0mTt1YteOKM7Ut15bYN40UFCY2DKj2lt+8SSawDeYG4
MAoGCCqGSM49BAMCA0gAMEUCIQCiyGwWEWQ4CWx37o57RQGFzuFbD4BBgm2QS+BB
jJtUAQIgZFTCW4T1srNm0feDV/WKB0ndEjY7HC/+nKMd8xDF2/4=
-----END CERTIFICATE-----
"""


@dataclass(frozen=True)
class Node:
    """A resource that the program asks for.

    Attributes:
        urn: its unique name.
        type: its type token.
        name: its name in the program.
        custom: whether a provider makes it; a component is only its children.
        read: whether it is only read.
        parent, provider, deleted_with: URNs (of the provider: ``urn::id``); empty when there is none.
        depends_on: URNs of what it waits for.
        inputs: its inputs; a secret is ``{"secret": value}``.
        options: further options that matter when it changes.
    """

    urn: str
    type: str
    name: str
    custom: bool
    read: bool
    parent: str
    provider: str
    deleted_with: str
    depends_on: tuple[str, ...]
    inputs: dict[str, Any]
    options: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Graph:
    """All that a stack asks for.

    Attributes:
        stack: its name.
        nodes: the resources in the order in which they are asked for.
        outputs: the stack's outputs; a secret is ``{"secret": value}``.
    """

    stack: str
    nodes: tuple[Node, ...]
    outputs: dict[str, Any]

    def of_type(self, type_: str) -> list[Node]:
        """Return the resources of a type."""
        return [node for node in self.nodes if node.type == type_]

    def named(self, name: str) -> Node:
        """Return the resource of a name.

        Raises:
            KeyError: there is none, or more than one.
        """
        found = [node for node in self.nodes if node.name == name]
        if len(found) != 1:
            raise KeyError(f"{len(found)} resources are named {name}")
        return found[0]


class _Monitor(pulumi_mocks.MockMonitor):
    """Writes down what it is asked for, and answers with stand-ins."""

    def __init__(self) -> None:
        super().__init__(_Mocks())
        self.nodes: list[Node] = []

    def RegisterResource(self, request: Any) -> Any:  # noqa: N802, ANN401 - the protocol's name and untyped message
        with _event_loop():
            response = super().RegisterResource(request)  # type: ignore[no-untyped-call] # Pulumi's
        _hide(response.object, request.additionalSecretOutputs)
        if request.type != "pulumi:pulumi:Stack":
            self.nodes.append(_node(request, response.urn, read=False))
        return response

    def ReadResource(self, request: Any) -> Any:  # noqa: N802, ANN401 - as above
        with _event_loop():
            response = super().ReadResource(request)  # type: ignore[no-untyped-call] # Pulumi's
        _hide(response.properties, request.additionalSecretOutputs)
        self.nodes.append(_node(request, response.urn, read=True))
        return response


@contextmanager
def _event_loop() -> Iterator[None]:
    """Give the thread that answers a request an event loop; Pulumi would make one and leave it open."""
    loop = asyncio.new_event_loop()
    asyncio.set_event_loop(loop)
    try:
        yield
    finally:
        asyncio.set_event_loop(None)
        loop.close()


def _hide(state: Any, keys: Iterable[str]) -> None:  # noqa: ANN401 - an untyped message
    """Mark outputs as secret, as the engine does."""
    for key, value in json_format.MessageToDict(state).items():
        if key in keys and not (isinstance(value, dict) and SIGNATURE in value):
            state.update({key: {SIGNATURE: SECRET, "value": value}})


class _Mocks(pulumi_mocks.Mocks):
    def new_resource(self, args: pulumi_mocks.MockResourceArgs) -> tuple[str | None, dict[str, Any]]:
        return f"{args.name}-id", {**args.inputs, **_computed(args.typ, args.name, args.inputs)}

    def call(self, args: pulumi_mocks.MockCallArgs) -> tuple[dict[str, Any], None]:
        raise NotImplementedError(f"The program calls {args.token}, for which there is no stand-in")


def _computed(type_: str, name: str, inputs: dict[str, Any]) -> dict[str, Any]:
    """Return what a resource computes."""
    if type_.startswith("command:"):
        return {"stdout": _stdout(inputs), "stderr": ""}
    if type_ == "docker:index/image:Image":
        return {"imageName": inputs["imageName"], "repoDigest": f"{inputs['imageName']}@sha256:{'0' * 64}"}
    if type_.startswith("pulumi-python:"):
        return {key: _dynamic(key, kind, name) for key, kind in _outputs_of(type_).items() if key not in inputs}
    if inputs.get("type") == "kubernetes.io/service-account-token":
        return {"data": {key: base64.b64encode(STAND_IN.encode()).decode() for key in ("token", "ca.crt")}}
    return {}


def _stdout(inputs: dict[str, Any]) -> str:
    """Return what a Command prints: the K3s server hands its token and its kubeconfig back, the others nothing."""
    if not str(inputs.get("create", "")).endswith(" server"):
        return ""
    kubeconfig = base64.b64encode(_KUBECONFIG.encode()).decode()
    return json.dumps({"agentToken": STAND_IN, "kubeconfig": kubeconfig, "cluster": "uid-of-the-cluster"})


def _outputs_of(type_: str) -> dict[str, str]:
    """Return the outputs that a dynamic resource's class declares, with their types as they are written."""
    classes = list(dynamic.Resource.__subclasses__())
    for each in classes:
        classes += each.__subclasses__()
        if f"pulumi-python:{each._resource_type_name}" == type_:  # noqa: SLF001 - has no public name
            return {key: str(kind) for key, kind in inspect.get_annotations(each).items()}
    return {}


def _dynamic(key: str, kind: str, name: str) -> Any:  # noqa: ANN401 - what the type calls for
    if key == "kubeconfig":
        return _KUBECONFIG
    if "list[" in kind:
        return [f"{name}-0"]
    if "int" in kind:
        return 1
    return f"{STAND_IN}-{key}-of-{name}{CERTIFICATE if key == 'certificate' else ''}"


_KUBECONFIG: Final = json.dumps(
    {
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [{"name": "default", "cluster": {"server": "https://127.0.0.1:6443"}}],
        "users": [{"name": "default", "user": {"token": STAND_IN}}],
        "contexts": [{"name": "default", "context": {"cluster": "default", "user": "default"}}],
        "current-context": "default",
    }
)


def _node(request: Any, urn: str, *, read: bool) -> Node:  # noqa: ANN401 - the protocol's untyped message
    struct = request.properties if read else request.object
    options = {
        "protect": request.protect if not read else False,
        "retainOnDelete": request.retainOnDelete if not read else False,
        "deleteBeforeReplace": request.deleteBeforeReplace if not read else False,
        "ignoreChanges": sorted(request.ignoreChanges) if not read else [],
        "replaceOnChanges": sorted(request.replaceOnChanges) if not read else [],
        # Those without a name are the provider's own, for types that were renamed.
        "aliases": [] if read else [known for alias in request.aliases if (known := alias.urn or alias.spec.name)],
        "secretOutputs": sorted(request.additionalSecretOutputs),
    }
    return Node(
        urn=urn,
        type=request.type,
        name=request.name,
        custom=True if read else request.custom,
        read=read,
        parent=request.parent,
        provider=request.provider,
        deleted_with="" if read else request.deletedWith,
        depends_on=tuple(sorted(request.dependencies)),
        inputs=_plain(json_format.MessageToDict(struct)),
        options={key: value for key, value in options.items() if value},
    )


def _plain(value: Any) -> Any:  # noqa: ANN401 - any JSON
    if isinstance(value, dict):
        if value.get(SIGNATURE) == SECRET:
            return {"secret": _plain(value["value"])}
        return {key: _plain(each) for key, each in value.items()}
    if isinstance(value, list):
        return [_plain(each) for each in value]
    # Protocol buffers know no whole numbers.
    return int(value) if isinstance(value, float) and value.is_integer() else value


def build(stack: str, root: Path, overrides: dict[str, Any] | None = None) -> Graph:
    """Run the program for a stack and return what it asked for.

    Args:
        stack: the stack's name.
        root: the project's folder.
        overrides: settings by key without a namespace, which win over those of the stack's file.

    Raises:
        LabError: the settings are wrong, or a manifest is.
    """
    # Pulumi keeps one program's state in context variables; an empty context is a program of its own.
    return contextvars.Context().run(_build, stack, root, project.stack_config(stack, root, overrides))


def _build(stack: str, root: Path, config: dict[str, str]) -> Graph:
    monitor = _Monitor()
    outputs: dict[str, Any] = {}

    async def program() -> None:
        made = parts.deploy(project.settings(stack, root), root)
        for name, value in made.items():
            outputs[name] = await _settled(value)

    with _runtime(stack, config, monitor) as loop:
        loop.run_until_complete(run_pulumi_func(program))
    return Graph(stack=stack, nodes=tuple(monitor.nodes), outputs=outputs)


async def _settled(value: Any) -> Any:  # noqa: ANN401 - any output
    output = pulumi.Output.from_input(value)
    known, secret = await output.is_known(), await output.is_secret()
    plain = await output.future() if known else "(unknown)"
    return {"secret": plain} if secret else plain


_ENCRYPTED: Final = re.compile(r'\{"secure":\s*"[^"]*"\}')


def _is_encrypted(value: str) -> bool:
    """Tell whether a setting is as `pulumi config set --secret` writes it; what it is made of stays in the file."""
    return bool(_ENCRYPTED.search(value))


def _without_the_key(config: dict[str, str]) -> dict[str, str]:
    """Put something in the place of what is encrypted and checked, which can't be read here."""
    urls = {f"{PROJECT}:{name}" for name in ("alertWebhook", "alertSlack")}
    config = config | {key: f"https://{STAND_IN}.invalid/" for key in urls if _is_encrypted(config.get(key, ""))}
    key = f"{PROJECT}:k3sArgs"
    value = _ENCRYPTED.sub('"--encrypted"', config.get(key, "[]"))
    return config | {key: value if value.startswith("[") else f"[{value}]"}


@contextmanager
def _runtime(stack: str, config: dict[str, str], monitor: _Monitor) -> Iterator[asyncio.AbstractEventLoop]:
    loop = asyncio.new_event_loop()
    asyncio.set_event_loop(loop)
    # As on a machine where nothing is installed: what is found on this one must not change the graph.
    # What this process has learned of a real engine before is no part of it.
    for asked in (docker_engine.info, docker_engine.endpoint):
        asked.cache_clear()
    with mock.patch.dict(os.environ, {"PATH": ""}):
        pulumi_mocks.set_mocks(_Mocks(), project=PROJECT, stack=stack, preview=True, monitor=monitor)
        set_config(_without_the_key(config), [key for key, value in config.items() if _is_encrypted(value)])
        try:
            yield loop
        finally:
            loop.close()
            asyncio.set_event_loop(None)
