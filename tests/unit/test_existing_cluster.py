"""A cluster that is not ours is told from others by its own identity, not by where its kubeconfig is."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from components.core import cluster
from components.core.errors import LabError

if TYPE_CHECKING:
    from tests.unit.programs import Programs

KUBECTL = """
if args[-4:] != ['get', 'namespace', 'kube-system', '--output=json']:
    sys.exit('not expected: ' + line)
if (here / 'away').exists():
    sys.exit('Unable to connect to the server: dial tcp 127.0.0.1:6443: connect: connection refused')
print(json.dumps({'metadata': {'name': 'kube-system', 'uid': 'a-uid'}}))
"""
PATH = Path("/home/me/.kube/config")


@pytest.fixture
def kubectl(programs: Programs) -> Programs:
    programs.add("kubectl", KUBECTL)
    return programs


def test_it_is_the_uid_of_kube_system(kubectl: Programs) -> None:
    assert cluster.identity_of("the text", PATH, "mine") == "a-uid"


def test_an_up_stops_at_a_cluster_that_does_not_answer(
    kubectl: Programs, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "away").touch()
    monkeypatch.setattr(cluster, "is_dry_run", lambda: False)
    with pytest.raises(LabError, match=r"/home/me/.kube/config, context mine") as stopped:
        cluster.identity_of("the text", PATH, "mine")

    assert "connection refused" in stopped.value.why
    assert "--context mine" in stopped.value.fix


def test_a_preview_goes_on_without_the_cluster_and_without_kubectl(
    programs: Programs, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cluster, "is_dry_run", lambda: True)
    assert cluster.identity_of("the text", PATH, "mine") is None

    programs.add("kubectl", KUBECTL)
    (tmp_path / "away").touch()
    assert cluster.identity_of("the text", PATH, "mine") is None
