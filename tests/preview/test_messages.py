"""What the real Pulumi and its Kubernetes plugin say themselves, which docs/troubleshooting.md has a line for each of.

What an `up` has made is in a state as the program's own preview plans it: no cluster is needed for that.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Final

import pytest
import yaml

from lab.host import local, paths
from lab.live import stack

if TYPE_CHECKING:
    from pathlib import Path

    from tests.preview.project import Answer, Project

pytestmark = pytest.mark.preview

PROVIDER: Final = "cluster-provider"
NAMESPACE: Final = "iot-namespace"  # stays when the stack goes
IN_IT: Final = "iot-ingress-deny"  # goes by being deleted
# These and what is above them, in the order in which they are made.
MADE: Final = ("iot-p3", "cluster", PROVIDER, "iot", NAMESPACE, IN_IT)


class Lab:
    """A stack in an existing cluster that does not answer any more, with what an `up` has made in it before."""

    def __init__(self, project: Project, kubeconfig: str) -> None:
        self._project = project
        steps = {each["urn"].rpartition("::")[2]: each["newState"] for each in project.plan("p3")["steps"]}
        self.resources = [steps[name] for name in MADE]
        self.provider, self.namespace, self.thing = (steps[name] for name in (PROVIDER, NAMESPACE, IN_IT))
        # What a preview does not know, and what it does not show.
        self.provider["inputs"]["kubeconfig"] = kubeconfig
        for each in (self.namespace, self.thing):
            each["id"] = each["inputs"]["metadata"]["name"]
        for each in self.resources:
            each["outputs"] = each.get("inputs", {})

    def has(self, provider: str, *, made_by: str) -> None:
        """Give the stack its state.

        Args:
            provider: the ID of the cluster's provider.
            made_by: the ID of the one that has made the last thing.
        """
        self.provider["id"] = provider
        self.namespace["provider"] = f"{self.provider['urn']}::{provider}"
        self.thing["provider"] = f"{self.provider['urn']}::{made_by}"
        state = json.loads(self._project.pulumi("stack", "export", "--stack", "p3").out)
        state["deployment"]["resources"] = self.resources
        file = self._project.root / "state.json"
        file.write_text(json.dumps(state), encoding="utf-8")
        done = self._project.pulumi("stack", "import", "--stack", "p3", "--file", str(file))
        assert done.code == 0, done.all

    def destroy(self) -> Answer:
        return self._project.pulumi("destroy", "--yes", "--skip-preview", "--stack", "p3")


@pytest.fixture
def gone(project: Project, chart: Path, tmp_path: Path) -> Lab:
    content = {
        "apiVersion": "v1",
        "kind": "Config",
        "current-context": "mine",
        "clusters": [{"name": "c", "cluster": {"server": "https://127.0.0.1:9"}}],
        "users": [{"name": "u", "user": {"token": "made-up"}}],
        "contexts": [{"name": "mine", "context": {"cluster": "c", "user": "u"}}],
    }
    kubeconfig = tmp_path / "kubeconfig"
    kubeconfig.write_text(yaml.safe_dump(content), encoding="utf-8")
    project.create("p3")
    settings = {
        "argocdChart": str(chart),
        "kubeconfig": str(kubeconfig),
        "gitUrl": "https://github.com/me/iot",
        "appImage": "broly20/flask-app-p3:v2",
    }
    for key, value in settings.items():
        project.set("p3", key, value)
    return Lab(project, kubeconfig.read_text(encoding="utf-8"))


def test_a_cluster_that_is_gone_for_good_is_forgotten_when_that_is_said(gone: Lab, project: Project) -> None:
    gone.has("1", made_by="1")
    said = gone.destroy()
    assert said.code != 0
    assert "configured Kubernetes cluster is unreachable" in said.all

    project.env["PULUMI_K8S_DELETE_UNREACHABLE"] = "true"
    said = gone.destroy()
    assert said.code == 0, said.all
    assert "If you want to remove the stack completely, run `pulumi stack rm p3`" in said.all


def test_a_rebuild_that_has_failed_half_way_is_no_dead_end(
    gone: Lab, project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The cluster's provider is a new one, and what the old one has made is still to be made again."""
    gone.thing["pendingReplacement"] = True
    gone.has("2", made_by="1")
    said = gone.destroy()
    assert said.code != 0
    assert f"could not find provider urn:{gone.thing['provider'].removeprefix('urn:')}" in said.all

    monkeypatch.delenv("PULUMI_BACKEND_URL", raising=False)
    monkeypatch.setattr(local, "STACKS", project.root / local.STACKS.relative_to(paths.ROOT))
    monkeypatch.setattr(stack, "pulumi", lambda *command: project.pulumi(*command).out)
    stack.mend("p3")
    said = gone.destroy()
    assert said.code == 0, said.all


def test_another_passphrase_is_said(project: Project) -> None:
    project.create("p3")
    project.set("p3", "gitPassword", "hunter2", secret=True)
    project.env["PULUMI_CONFIG_PASSPHRASE"] = "another"
    said = project.preview("p3")
    assert said.code != 0
    assert "incorrect passphrase" in said.all
