"""Images in the nodes of a k3d cluster: of the host's Docker engine, or of their registries."""

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
        images: their references.
        triggers: values whose change brings the images again, such as the IDs of built ones.
        unknown: whether this is a preview that can't say whether those have changed.
        after: images that are wanted sooner; importing is the processor's work, so these wait for them.
        timeout: seconds for one import.
    """

    cluster: Cluster
    images: list[pulumi.Input[str]]
    triggers: list[pulumi.Input[str]]
    unknown: bool
    after: NodeImages | None
    timeout: int


class NodeImages(pulumi.ComponentResource):
    """Images in the containerd of every node of a k3d cluster.

    Type token ``iot:image:NodeImages``. Makes a ``command.local.Command`` named ``{name}-load``. Deleting it leaves the
    images to the nodes.

    Attributes:
        loaded: what pods that run these images depend on.
    """

    def __init__(self, name: str, args: NodeImagesArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("iot:image:NodeImages", name, {"count": len(args.images)}, opts)
        self.loaded: pulumi.Resource = command.local.Command(
            f"{name}-load",
            create=module(IMPORT),
            delete=":",
            environment={
                "IMAGES": pulumi.Output.all(*args.images).apply(" ".join),
                "NODES": args.cluster.nodes.apply(" ".join),
                "TIMEOUT": str(args.timeout),
            },
            triggers=[args.cluster.identity, module_hash(IMPORT, "components.docker.engine"), *args.triggers],
            opts=pulumi.ResourceOptions(
                parent=self,
                depends_on=[args.after.loaded] if args.after else [],
                deleted_with=args.cluster.lifetime,
                delete_before_replace=True,
                replace_on_changes=["environment"],
                ignore_changes=["environment", "triggers"] if args.unknown else [],
            ),
        )
        self.register_outputs({"nodes": args.cluster.nodes})
