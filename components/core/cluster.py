"""A Kubernetes cluster as the other components see it: a way in, and what everything inside is deleted with."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import pulumi
import pulumi_kubernetes as kubernetes
import pydantic
import yaml
from pulumi.runtime import is_dry_run

from components.core import kube
from components.core.errors import MALFORMED, LabError

if TYPE_CHECKING:
    from pathlib import Path


@dataclass(frozen=True, kw_only=True)
class Cluster:
    """The only way to a cluster.

    Attributes:
        provider: the explicit Kubernetes provider.
        kubeconfig: how to reach it, as a secret.
        lifetime: the resource whose end is the end of everything inside; None for a cluster that is not ours. It is
            the provider, which goes with the cluster: when a lost cluster is replaced, the engine counts what depends
            on the cluster as deleted, but not yet the cluster itself, and would ask the lost one to delete each thing.
        nodes: names of the nodes' containers on this host; empty when it is not ours.
        identity: changes when the cluster is another one.
    """

    provider: kubernetes.Provider
    kubeconfig: pulumi.Output[str]
    lifetime: pulumi.Resource | None
    nodes: pulumi.Output[list[str]]
    identity: pulumi.Output[str]

    def inside(self, parent: pulumi.Resource, **more: Any) -> pulumi.ResourceOptions:  # noqa: ANN401 - any option
        """Return the options of a resource inside the cluster.

        Args:
            parent: the component that it belongs to.
            more: further options of ``pulumi.ResourceOptions``.
        """
        return pulumi.ResourceOptions(parent=parent, provider=self.provider, deleted_with=self.lifetime, **more)


@dataclass(frozen=True, kw_only=True)
class ExistingClusterArgs:
    """A cluster that is not ours.

    Attributes:
        kubeconfig: path of its kubeconfig.
        context: a context in it; None means its current one.
    """

    kubeconfig: Path
    context: str | None


class ExistingCluster(pulumi.ComponentResource):
    """A cluster that is used, and neither created nor destroyed.

    Type token ``iot:cluster:ExistingCluster``. Makes a ``kubernetes.Provider`` named ``{name}-provider``.

    Attributes:
        cluster: the way to it.
    """

    def __init__(self, name: str, args: ExistingClusterArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__(
            "iot:cluster:ExistingCluster",
            name,
            {"kubeconfig": str(args.kubeconfig), "context": args.context or ""},
            opts,
        )
        text, context = _kubeconfig(args)
        kubeconfig = pulumi.Output.secret(text)
        identity = _identity(args.kubeconfig, context)
        provider = kubernetes.Provider(
            f"{name}-provider",
            kubeconfig=kubeconfig,
            context=context,
            # Another path or another kubeconfig of the same cluster must not replace what is inside.
            cluster_identifier=identity or f"{args.kubeconfig}#{context}",
            # A preview that can't ask takes it for the same cluster.
            opts=pulumi.ResourceOptions(parent=self, ignore_changes=[] if identity else ["clusterIdentifier"]),
        )
        self.cluster = Cluster(
            provider=provider,
            kubeconfig=kubeconfig,
            lifetime=None,
            nodes=pulumi.Output.from_input([]),
            identity=provider.id,
        )
        self.register_outputs({"identity": provider.id})


def server_of(args: ExistingClusterArgs) -> str:
    """Return where a cluster's API answers, for what is not on this host.

    Raises:
        LabError: it answers on this host alone, or there is no such context.
    """
    text, context = _kubeconfig(args)
    server = _parsed(args.kubeconfig, text).server(context)
    if not _is_url(server):
        raise LabError(
            f"The kubeconfig {args.kubeconfig} does not say where the cluster of its context {context} is",
            why=f"its server is {server!r}, and a URL was expected",
            fix=f"compare it with `kubectl config view --kubeconfig={args.kubeconfig}`",
        )
    if urlsplit(server).hostname in {"localhost", "127.0.0.1", "::1", "0.0.0.0"}:  # noqa: S104 - compared
        raise LabError(
            f"The cluster of {args.kubeconfig} answers at {server}",
            why="that is this host alone, and Argo CD, which is in a cluster of its own, can't reach it",
            fix="name its address on the network in the kubeconfig",
        )
    return server


def _identity(path: Path, context: str) -> str | None:
    """Return the identity of a cluster, or None in a preview that can't ask for it."""
    try:
        return kube.identity_of(path, context)
    except LabError as error:
        if not is_dry_run():
            raise
        pulumi.log.info(f"{error.what}, so that it is taken for the same one as before")
        return None


def _is_url(text: str) -> bool:
    try:
        found = urlsplit(text)
    except ValueError:
        return False
    return found.scheme in {"http", "https"} and bool(found.hostname)


class _InContext(pydantic.BaseModel):
    cluster: str = ""


class _Context(pydantic.BaseModel):
    name: str
    context: _InContext = _InContext()


class _AtServer(pydantic.BaseModel):
    server: str = ""


class _Cluster(pydantic.BaseModel):
    name: str
    cluster: _AtServer = _AtServer()


class _Kubeconfig(pydantic.BaseModel):
    """What is read of a kubeconfig: https://kubernetes.io/docs/reference/config-api/kubeconfig.v1/."""

    clusters: list[_Cluster] | None = None
    contexts: list[_Context] | None = None
    current: str | None = pydantic.Field(None, alias="current-context")

    def server(self, context: str) -> str:
        """Return the URL of the cluster of a context as it stands there; empty when there is none."""
        named = next((each.context.cluster for each in self.contexts or [] if each.name == context), "")
        return next((each.cluster.server for each in self.clusters or [] if each.name == named), "")


def _parsed(path: Path, text: str) -> _Kubeconfig:
    """Return what is read of a kubeconfig's text.

    Raises:
        LabError: it is none.
    """
    fix = f"compare it with what `kubectl config view --kubeconfig={path}` says"
    try:
        return _Kubeconfig.model_validate(yaml.safe_load(text) or {})
    except pydantic.ValidationError as error:
        first = error.errors()[0]
        where = ".".join(map(str, first["loc"])) or "it"
        raise LabError(f"{path} is no kubeconfig", why=f"{where}: {first['msg']}", fix=fix) from error
    except (yaml.YAMLError, *MALFORMED) as error:
        raise LabError(f"{path} is no kubeconfig", why=" ".join(str(error).split()), fix=fix) from error


def _kubeconfig(args: ExistingClusterArgs) -> tuple[str, str]:
    """Return the kubeconfig's text, with the context that is asked for as its current one, and that context."""
    try:
        text = args.kubeconfig.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise LabError(f"{args.kubeconfig} can't be read", why=str(error), fix="name another kubeconfig") from error
    found = _parsed(args.kubeconfig, text)
    names = [each.name for each in found.contexts or []]
    context = args.context or found.current
    if context is None or context not in names:
        raise LabError(
            f"The kubeconfig {args.kubeconfig} has no context {context!r}",
            why=f"it has {', '.join(names) or 'none'}",
            fix="pulumi config set iot:kubeContext NAME",
        )
    content = yaml.safe_load(text)
    content["current-context"] = context
    return yaml.safe_dump(content), context
