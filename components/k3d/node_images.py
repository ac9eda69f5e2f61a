"""Images of the host's Docker engine, brought into the nodes of a k3d cluster without a registry."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import pulumi
import pulumi_command as command

from components.core.run import module, module_hash

if TYPE_CHECKING:
    from components.core.cluster import Cluster

IMPORT: Final = "components.k3d.import_images"


@dataclass(frozen=True, kw_only=True)
class NodeImagesArgs:
    """Images that a cluster's nodes are given.

    Attributes:
        cluster: a cluster whose nodes are containers on this host.
        images: their references; those that the engine lacks are pulled, once.
        triggers: values whose change brings the images again, such as the IDs of built ones.
        unknown: whether this is a preview that can't say whether those have changed.
        after: images that are wanted sooner; saving and loading are the processor's work, so these wait for them.
        timeout: seconds for one save or import.
    """

    cluster: Cluster
    images: list[pulumi.Input[str]]
    triggers: list[pulumi.Input[str]]
    unknown: bool
    after: NodeImages | None
    timeout: int


class NodeImages(pulumi.ComponentResource):
    """Images of the host's Docker engine, in the containerd of every node of a k3d cluster.

    Type token ``iot:image:NodeImages``. Makes two ``command.local.Command``: ``{name}-save``, which writes an archive
    while the cluster is still being made, and ``{name}-load``. Deleting them removes the archive and leaves the
    images, which go with the nodes.

    Attributes:
        saved: the archive is written.
        loaded: what pods that run these images depend on.
    """

    def __init__(self, name: str, args: NodeImagesArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("iot:image:NodeImages", name, {"count": len(args.images)}, opts)
        self._unknown = args.unknown
        archive = f".lab/images/{name}.tar"
        environment: dict[str, pulumi.Input[str]] = {
            "IMAGES": pulumi.Output.all(*args.images).apply(" ".join),
            "ARCHIVE": archive,
            "TIMEOUT": str(args.timeout),
        }
        self.saved: pulumi.Resource = command.local.Command(
            f"{name}-save",
            create=module(IMPORT, "save"),
            delete='rm -f "$ARCHIVE"',
            environment=environment,
            triggers=[module_hash(IMPORT, "components.docker.engine"), *args.triggers],
            opts=self._options([args.after.saved] if args.after else [], None),
        )
        self.loaded: pulumi.Resource = command.local.Command(
            f"{name}-load",
            create=module(IMPORT, "load"),
            delete=":",
            environment={**environment, "NODES": args.cluster.nodes.apply(" ".join)},
            triggers=[args.cluster.identity, module_hash(IMPORT, "components.docker.engine"), *args.triggers],
            opts=self._options([self.saved, *([args.after.loaded] if args.after else [])], args.cluster.lifetime),
        )
        self.register_outputs({"nodes": args.cluster.nodes})

    def _options(self, depends_on: list[pulumi.Resource], lifetime: pulumi.Resource | None) -> pulumi.ResourceOptions:
        return pulumi.ResourceOptions(
            parent=self,
            depends_on=depends_on,
            deleted_with=lifetime,
            delete_before_replace=True,
            replace_on_changes=["environment"],
            ignore_changes=["environment", "triggers"] if self._unknown else [],
        )
