"""Images of this host's Docker engine, brought to K3s machines without a registry."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import pulumi

from components.core.run import MODULE
from components.machines.transfer import Stream, Transfer, TransferArgs

if TYPE_CHECKING:
    from components.k3s.server import K3sServer

CTR: Final = "sudo -n k3s ctr --namespace k8s.io images"


@dataclass(frozen=True, kw_only=True)
class MachineImageArgs:
    """An image for a machine.

    Attributes:
        server: the K3s that runs it.
        reference: the image's name and tag in this host's Docker engine.
        image_id: Docker's digest of it, so that a rebuilt one is brought again.
        timeout: seconds that this may take.
    """

    server: K3sServer
    reference: pulumi.Output[str]
    image_id: pulumi.Output[str]
    timeout: int


class MachineImage(pulumi.ComponentResource):
    """An image of this host's Docker engine, in the containerd of a K3s machine, without a registry.

    Type token ``iot:k3s:MachineImage``. Makes a dynamic resource named ``{name}-transfer``.

    Attributes:
        there: what pods that run the image depend on.
    """

    def __init__(self, name: str, args: MachineImageArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("iot:k3s:MachineImage", name, {"machine": args.server.machine.name}, opts)
        machine = args.server.machine
        self.there = Transfer(
            f"{name}-transfer",
            TransferArgs(
                machine=machine,
                what=args.reference.apply(lambda reference: f"The image {reference}"),
                streams=[Stream(source=[*MODULE, "components.docker.save", args.reference], target=f"{CTR} import -")],
                proof=args.reference.apply(
                    lambda reference: f"{CTR} list --quiet | grep -qxF -e {reference} -e docker.io/{reference}"
                ),
                # In the containerd of a K3s that was uninstalled, nothing is left.
                versions=[args.image_id, args.server.cluster_id],
                timeout=args.timeout,
            ),
            machine.on_it(self, args.server.installed),
        )
        self.register_outputs({"image": args.reference})
