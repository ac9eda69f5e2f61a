"""The one class by which the state knows every dynamic resource of this project.

Pulumi pickles a resource's provider into the state: the name of its class and module, and what the object holds, but no
code. A later run imports the class by that name, also to delete the resource, and fails when it has moved. So the state
is given ``components.core.dynamic.Provider`` with a subject, and nothing else. Both are promises: this module, this
class and the subjects below keep their names; where a subject's implementation is may change.
"""

from __future__ import annotations

from contextlib import contextmanager
from importlib import import_module
from typing import TYPE_CHECKING, Any, Final

from pulumi.dynamic import CreateResult, DiffResult, ReadResult, ResourceProvider, UpdateResult

from components.core.errors import LabError, other_version, said_of

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

IMPLEMENTATIONS: Final = {
    "ci-runner": "components.platform.runner_provider:RunnerProvider",
    "container": "components.docker.container_provider:ContainerProvider",
    "git-server": "components.gitops.git_provider:GitServerProvider",
    "image-presence": "components.docker.presence:PresenceProvider",
    "k3d-nodes": "components.k3d.provider:K3dClusterProvider",
    "k3s-presence": "components.k3s.presence:PresenceProvider",
    "random-secret": "components.core.random_secret:RandomSecretProvider",
    "route-answers": "components.web.answers:AnswersProvider",
    "sealing-key": "components.gitops.sealing_key:SealingKeyProvider",
    "transfer": "components.machines.transfer:TransferProvider",
    "vagrant-machine": "components.machines.provider:VagrantMachineProvider",
}


@contextmanager
def _of_its_stack(props: Mapping[str, Any]) -> Iterator[None]:
    """Have an error name the stack in the commands that it tells of, where the resource knows its stack."""
    try:
        yield
    except LabError as error:
        if "stack" in props:
            error.fix = said_of(props["stack"], error.fix)
        raise


class Provider(ResourceProvider):
    """Hands everything on to the implementation of a subject, which is imported only when it is needed.

    Args:
        subject: one of ``IMPLEMENTATIONS``.
    """

    # The name of a class is no secret; in plain text the state says which version of the project can handle it.
    serialize_as_secret_always = False

    def __init__(self, subject: str) -> None:
        super().__init__()
        self.subject = subject

    def create(self, props: dict[str, Any]) -> CreateResult:
        """Let the implementation create the resource."""
        with _of_its_stack(props):
            return self._implementation().create(props)

    def diff(self, _id: str, _olds: dict[str, Any], _news: dict[str, Any]) -> DiffResult:
        """Let the implementation compare."""
        with _of_its_stack(_news):
            return self._implementation().diff(_id, _olds, _news)

    def update(self, _id: str, _olds: dict[str, Any], _news: dict[str, Any]) -> UpdateResult:
        """Let the implementation update the resource."""
        with _of_its_stack(_news):
            return self._implementation().update(_id, _olds, _news)

    def read(self, id_: str, props: dict[str, Any]) -> ReadResult:
        """Let the implementation look."""
        with _of_its_stack(props):
            return self._implementation().read(id_, props)

    def delete(self, _id: str, _props: dict[str, Any]) -> None:
        """Let the implementation delete the resource."""
        with _of_its_stack(_props):
            self._implementation().delete(_id, _props)

    def _implementation(self) -> ResourceProvider:
        if self.subject not in IMPLEMENTATIONS:
            raise other_version(f"the resource {self.subject!r}")
        module, _, name = IMPLEMENTATIONS[self.subject].partition(":")
        made: ResourceProvider = getattr(import_module(module), name)()
        return made
