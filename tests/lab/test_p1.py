"""P1 for real: machines, K3s over SSH, and everything that may happen to them, from nothing to nothing.

The tests run in their order on one lab; each leaves it as `up` does.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import time
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Final

import pytest

from tests.lab import machines, reader
from tests.lab.faults import fault
from tests.lab.lab import Lab, eventually

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = [pytest.mark.lab, pytest.mark.vagrant]

SERVER: Final = machines.SERVER["p1"]

BOTH = {"tests": (True, SERVER), "testsw": (True, machines.AGENT)}
CHANGES = (" created", " updated", " replaced", " deleted")


@pytest.fixture(scope="module")
def before() -> dict[str, set[str]]:
    """Return what Docker has before anything is brought up."""
    return machines.there("p1")


@pytest.fixture(scope="module")
def lab(tmp_path_factory: pytest.TempPathFactory, before: dict[str, set[str]]) -> Iterator[Lab]:
    """Bring p1 up, and down again whatever has happened."""
    made = Lab(tmp_path_factory.mktemp("p1"), "p1", machines.settings("p1"))
    try:
        made.pulumi("up", "--skip-preview")
        yield made
    finally:
        machines.remove(made)


def vm(lab: Lab, name: str) -> str:
    """Return the identity of a machine as Pulumi knows it."""
    state = json.loads(lab.run("pulumi", "stack", "export", "--stack", "p1").stdout)
    (found,) = [each for each in state["deployment"]["resources"] if each["urn"].endswith(f"::{name}")]
    return str(found["id"])


def holds(lab: Lab) -> bool:
    """Say whether every point of the defence's check-list holds."""
    return lab.command("check", "--stack", "p1", check=False).returncode == 0


def failures(lab: Lab) -> list[str]:
    """Return the points that don't hold."""
    done = lab.command("check", "--stack", "p1", "--json", check=False)
    return [each["name"] for each in json.loads(done.stdout)["points"] if not each["ok"]]


def changed(said: str) -> list[str]:
    """Return the resources that an `up` has changed."""
    return [line.split()[2] for line in said.splitlines() if line[:4].strip() in {"+", "~", "-", "+-", "++", "--"}]


def test_both_nodes_are_ready_at_their_private_addresses(lab: Lab) -> None:
    assert machines.nodes(lab) == BOTH


def test_every_point_of_the_defence_holds(lab: Lab) -> None:
    assert failures(lab) == []


@pytest.mark.parametrize(("machine", "name"), [("server", "testS"), ("agent", "testSW")])
def test_ssh_needs_no_password_and_a_key_of_the_machines_own(lab: Lab, machine: str, name: str) -> None:
    assert machines.on(lab, machine, "hostname") == name
    # Vagrant's well-known key, with which boxes come, is not let in any more.
    assert "vagrant insecure public key" not in machines.on(lab, machine, "cat ~/.ssh/authorized_keys")


def test_what_the_page_says_of_a_lab_that_is_up_can_be_typed(lab: Lab) -> None:
    def ready(said: str) -> bool:
        return said.count(" Ready ") == 2 and SERVER in said and machines.AGENT in said

    shown = {
        "no password; a key of this machine alone": reader.has(),
        "rel-filaS, 192.168.56.110": reader.has("testS\n", SERVER),
        "both Ready, with their 192.168.56.x addresses": ready,
        "the same from the host": ready,
        "rel-filaSW, active": reader.has("testSW\nactive\n"),
    }
    reader.read(lab, "docs/p1.md", shown, {".lab/run/p1/rel-filaS": ".lab/run/p1/testS"})


def test_no_token_is_in_a_list_of_processes_or_in_a_log(lab: Lab) -> None:
    token = machines.on(lab, "agent", "sudo cat /etc/rancher/k3s/token").rpartition(":")[2]
    for machine in ("server", "agent"):
        for line in ("ps -eo args", "sudo journalctl --no-pager -o cat", "sudo cat /etc/systemd/system/k3s*"):
            assert token not in machines.on(lab, machine, line), line


def test_no_secret_is_in_the_state_in_plain_text(lab: Lab) -> None:
    state = lab.run("pulumi", "stack", "export", "--stack", "p1").stdout
    token = machines.on(lab, "agent", "sudo cat /etc/rancher/k3s/token").rpartition(":")[2]
    key = (lab.folder / ".lab/run/p1/testS/machines/testS").glob("*/private_key")
    for secret in (token, next(key).read_text(encoding="utf-8").splitlines()[1], "client-key-data"):
        assert secret not in state


def test_the_agents_token_lets_nobody_in_as_a_server(lab: Lab) -> None:
    files = "/var/lib/rancher/k3s/server"
    own, agents = (
        machines.on(lab, "server", f"sudo cat {files}/{name}").rpartition(":")[2] for name in ("token", "agent-token")
    )
    assert own != agents
    assert machines.on(lab, "agent", "sudo cat /etc/rancher/k3s/token").endswith(agents)


def test_a_second_up_changes_nothing(lab: Lab) -> None:
    said = lab.pulumi("up", "--skip-preview")
    assert "unchanged" in said
    assert not any(word in said for word in CHANGES), said


def test_another_k3s_setting_runs_that_install_again_and_nothing_else(lab: Lab) -> None:
    server = vm(lab, "server-machine-vm")
    lab.set("k3sArgs", ["--disable=local-storage"])
    assert "1 updated" in lab.pulumi("up", "--skip-preview")
    assert vm(lab, "server-machine-vm") == server
    assert "local-storage" in machines.on(lab, "server", "sudo cat /etc/rancher/k3s/config.yaml")
    assert machines.nodes(lab) == BOTH


def test_another_size_keeps_the_machine_and_the_cluster(lab: Lab) -> None:
    server, agent = vm(lab, "server-machine-vm"), vm(lab, "agent1-machine-vm")
    lab.set("agentMemory", 1280)
    lab.pulumi("up", "--skip-preview")
    assert (vm(lab, "server-machine-vm"), vm(lab, "agent1-machine-vm")) == (server, agent)
    assert failures(lab) == []


@fault("world", "p1: the agent's machine", when="is halted", saw="testSW: Vagrant runs it", out="pulumi up")
def test_a_halted_machine_fails_the_check_and_is_started_by_the_next_up(lab: Lab) -> None:
    machines.vagrant(lab, "testSW", "halt", "--force")
    assert "testSW: Vagrant runs it" in failures(lab)
    lab.mend("to update")
    eventually("every point holds", lambda: holds(lab), lambda: str(failures(lab)))


@fault("world", "p1: the agent's machine", when="is destroyed by hand", saw="to replace", out="pulumi up")
def test_a_machine_destroyed_by_hand_is_made_again_and_joins(lab: Lab) -> None:
    machines.vagrant(lab, "testSW", "destroy", "--force")
    lab.mend("to replace")
    assert machines.nodes(lab) == BOTH


@fault("world", "p1: the server's machine", when="is destroyed by hand", saw="", out="pulumi up")
def test_a_lost_server_is_made_again_and_its_agent_joins_the_new_one(lab: Lab) -> None:
    agent = vm(lab, "agent1-machine-vm")
    machines.vagrant(lab, "testS", "destroy", "--force")
    lab.pulumi("up", "--skip-preview")
    assert vm(lab, "agent1-machine-vm") == agent
    assert machines.nodes(lab) == BOTH


@fault("world", "p1: the agent's node", when="is deleted from the cluster", saw="to update", out="pulumi up")
def test_a_node_that_was_deleted_is_registered_again(lab: Lab) -> None:
    machines.on(lab, "server", "sudo k3s kubectl delete node testsw")
    lab.mend("to update")
    assert machines.nodes(lab) == BOTH


@pytest.mark.long
@fault("world", "p1: the server's node", when="is deleted from the cluster", saw="to update", out="pulumi up")
def test_a_servers_node_that_was_deleted_is_registered_again(lab: Lab) -> None:
    machines.on(lab, "server", "sudo k3s kubectl delete node tests")
    lab.mend("to update")
    assert machines.nodes(lab) == BOTH
    assert failures(lab) == []


@pytest.mark.long
@fault("world", "p1: the agent's K3s", when="is stopped by hand", saw="to update", out="pulumi up")
def test_an_agent_that_was_stopped_is_started(lab: Lab) -> None:
    machines.on(lab, "agent", "sudo systemctl stop k3s-agent")
    lab.mend("to update")
    assert failures(lab) == []


@pytest.mark.long
@fault("world", "p1: the agent's K3s", when="is uninstalled by hand", saw="to update", out="pulumi up")
def test_an_agent_that_was_uninstalled_is_installed_again(lab: Lab) -> None:
    machines.on(lab, "agent", "sudo k3s-agent-uninstall.sh")
    lab.mend("to update")
    assert machines.nodes(lab) == BOTH
    assert failures(lab) == []


@pytest.mark.long
@fault("world", "p1: the server's K3s", when="is uninstalled by hand", saw="to update", out="pulumi up")
def test_a_server_that_was_uninstalled_is_installed_again_and_its_agent_joins_the_new_one(lab: Lab) -> None:
    server, agent = vm(lab, "server-machine-vm"), vm(lab, "agent1-machine-vm")
    machines.on(lab, "server", "sudo k3s-uninstall.sh")
    lab.mend("to update")
    assert (vm(lab, "server-machine-vm"), vm(lab, "agent1-machine-vm")) == (server, agent)
    assert machines.nodes(lab) == BOTH
    assert failures(lab) == []


@fault(
    "killed", "p1: `pulumi up`", when="SIGKILL of every process, while Vagrant makes a machine", saw="", out="pulumi up"
)
def test_an_interrupted_up_is_repaired_by_the_next_one(lab: Lab) -> None:
    lab.set("agents", 2)
    described = lab.folder / ".lab/run/p1/testSW2/machine.json"
    command = ["pulumi", "up", "--yes", "--skip-preview", "--non-interactive", "--stack", "p1"]
    process = subprocess.Popen(
        command,
        cwd=lab.folder,
        env=lab.env,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    try:
        eventually("the machine is begun", described.exists, lambda: "no machine.json", seconds=300)
        time.sleep(3)
    finally:
        # What a power cut does: nobody tidies up. Plugins are in process groups of their own.
        for each in [*machines.descendants(process.pid), process.pid]:
            with suppress(ProcessLookupError):
                os.kill(each, signal.SIGKILL)
        process.wait()
    lab.run("pulumi", "cancel", "--yes", "--stack", "p1")
    lab.pulumi("up", "--skip-preview")
    assert machines.nodes(lab) == {**BOTH, "testsw2": (True, "192.168.56.212")}


def test_an_agent_with_a_wrong_token_is_refused_at_once_and_told_so(lab: Lab) -> None:
    machines.on(
        lab,
        "agent2",
        "sudo sed -i s/::node:.*/::node:wrong/ /etc/rancher/k3s/token; sudo systemctl restart --no-block k3s-agent",
    )
    eventually(
        "the server's refusal",
        lambda: "401" in machines.on(lab, "agent2", "sudo journalctl -u k3s-agent -n 30 --no-pager", check=False),
        lambda: machines.on(lab, "agent2", "sudo journalctl -u k3s-agent -n 5 --no-pager", check=False),
    )


def test_an_agent_that_is_not_wanted_any_more_leaves_the_cluster(lab: Lab) -> None:
    lab.set("agents", 1)
    lab.pulumi("up", "--skip-preview")
    assert machines.nodes(lab) == BOTH
    assert not (lab.folder / ".lab/run/p1/testSW2").exists()


@fault("world", "p1: both machines", when="are destroyed by hand before `pulumi destroy`", saw="", out="pulumi destroy")
def test_a_destroy_after_the_machines_are_gone_leaves_nothing(lab: Lab, before: dict[str, set[str]]) -> None:
    for machine in ("testS", "testSW"):
        machines.vagrant(lab, machine, "destroy", "--force")
    lab.pulumi("destroy", "--skip-preview")
    lab.pulumi("destroy", "--skip-preview")
    assert machines.left("p1", before) == {}
    assert not (lab.folder / ".lab" / "run").exists()
    assert not list(lab.folder.rglob(".vagrant"))
    index = Path.home() / ".vagrant.d" / "data" / "machine-index" / "index"
    assert str(lab.folder) not in index.read_text(encoding="utf-8")
