"""What must hold of everything that p1 asks for, whatever its settings are."""

from __future__ import annotations

import json
import subprocess
import sys
from typing import TYPE_CHECKING, Any, TypeAlias

import pytest
import yaml

from components.core import versions
from components.core.errors import LabError
from components.k3s import airgap as files_of
from components.k3s import config as k3s_config
from components.k3s import script
from components.machines.machine import agent_name, node_name, server_name
from devtools import graph
from lab.host.paths import ROOT

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

pytestmark = pytest.mark.unit

Build: TypeAlias = "Callable[..., graph.Graph]"
COMMAND = "command:remote:Command"
VM = "pulumi-python:dynamic/machine:Vm"


@pytest.fixture(scope="module")
def airgap(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("airgap")
    for name in (
        "k3s",
        "k3s-arm64",
        "install.sh",
        "k3s-airgap-images-amd64.tar.zst",
        "k3s-airgap-images-arm64.tar.zst",
    ):
        (folder / name).write_text(name, encoding="utf-8")
    return folder


@pytest.fixture(scope="module", params=["default", "three agents", "no agent", "docker", "air-gapped"])
def any_p1(request: pytest.FixtureRequest, build: Build, airgap: Path) -> graph.Graph:
    """Every way to run p1; what is asserted of this holds for all of them."""
    settings: dict[str, dict[str, Any]] = {
        "default": {},
        "three agents": {"agents": 3},
        "no agent": {"agents": 0},
        "docker": {"vagrantProvider": "docker"},
        "air-gapped": {"k3sAirgapDir": str(airgap)},
    }
    return build("p1", **settings[request.param])


def plain(value: Any) -> list[str]:  # noqa: ANN401 - any JSON
    """Return every string in it that is not inside a secret."""
    if isinstance(value, dict):
        return [] if set(value) == {"secret"} else [text for each in value.values() for text in plain(each)]
    if isinstance(value, list):
        return [text for each in value for text in plain(each)]
    return [value] if isinstance(value, str) else []


def stdin(node: graph.Node) -> str:
    """Return what a Command's script reads, secret or not."""
    found = node.inputs["stdin"]
    return str(found["secret"] if isinstance(found, dict) else found)


def config(node: graph.Node) -> dict[str, Any]:
    """Return the configuration of K3s that a Command's script is given."""
    values = subprocess.run(
        ["bash", "-c", stdin(node).partition("# shellcheck shell")[0] + 'printf %s "$K3S_CONFIG"'],
        capture_output=True,
        text=True,
        check=True,
        timeout=10,
    )
    found: dict[str, Any] = yaml.safe_load(values.stdout)
    return found


def test_the_machines_are_named_and_addressed_as_the_subject_asks(build: Build) -> None:
    machines = {node.inputs["name"]: node.inputs for node in build("p1").of_type(VM)}
    assert {name: each["address"] for name, each in machines.items()} == {
        "rel-filaS": "192.168.56.110",
        "rel-filaSW": "192.168.56.111",
    }
    assert {(each["cpus"], each["memory"]) for each in machines.values()} == {(1, 1024)}


def test_more_agents_count_on(build: Build) -> None:
    machines = {node.inputs["name"]: node.inputs["address"] for node in build("p1", agents=3).of_type(VM)}
    assert machines["rel-filaSW2"] == "192.168.56.112"
    assert machines["rel-filaSW3"] == "192.168.56.113"


@pytest.mark.parametrize(
    ("login", "server", "agent", "node"),
    [("rel-fila", "rel-filaS", "rel-filaSW", "rel-filas"), ("a_b", "a-bS", "a-bSW", "a-bs")],
)
def test_names_are_ones_that_hosts_and_nodes_may_have(login: str, server: str, agent: str, node: str) -> None:
    assert (server_name(login), agent_name(login, 1), node_name(server_name(login))) == (server, agent, node)


def test_nothing_is_named_after_another_login(build: Build) -> None:
    asked = json.dumps([node.inputs for node in build("p1", login="me").nodes])
    assert "rel-fila" not in asked
    assert "meSW" in asked


def test_every_machine_comes_up_beside_the_others_where_the_provider_can(build: Build) -> None:
    vms = build("p1", vagrantProvider="docker", agents=2).of_type(VM)
    assert not any(set(vm.depends_on) & {each.urn for each in vms} for vm in vms)


def test_virtualbox_gets_one_machine_at_a_time(build: Build) -> None:
    server, first, second = build("p1", vagrantProvider="virtualbox", agents=2).of_type(VM)
    assert server.urn in first.depends_on
    assert first.urn in second.depends_on


def test_whatever_is_on_a_machine_goes_with_it(any_p1: graph.Graph) -> None:
    vms = {vm.inputs["address"]: vm.urn for vm in any_p1.of_type(VM)}
    for node in any_p1.nodes:
        if node.type == COMMAND:
            assert node.deleted_with == vms[node.inputs["connection"]["secret"]["host"]], node.name
        if node.type.endswith("transfer:Transfer"):
            assert node.deleted_with == vms[node.inputs["address"]], node.name


def test_no_secret_is_in_plain_text(any_p1: graph.Graph) -> None:
    shown = [text for node in any_p1.nodes for text in plain(node.inputs)] + plain(any_p1.outputs)
    hidden = (f"{graph.STAND_IN}-private_key", '"token"', "certificate-authority-data")
    for text in shown:
        assert not any(word in text for word in hidden), text[:200]
        assert f"TOKEN={graph.STAND_IN}" not in text
    assert all("private_key" in vm.options["secretOutputs"] for vm in any_p1.of_type(VM))
    assert "secret" in any_p1.outputs["kubeconfig"]


def test_commands_hand_nothing_over_but_through_standard_input(any_p1: graph.Graph) -> None:
    for node in any_p1.of_type(COMMAND):
        assert node.inputs["create"] == node.inputs["update"]
        assert node.inputs["create"].startswith("sudo -n bash -s ")
        assert node.inputs["addPreviousOutputInEnv"] is False
        assert node.inputs["logging"] == "stderr"
        assert "stdout" in node.options["secretOutputs"]


def test_commands_have_no_triggers_which_would_undo_what_they_have_done(any_p1: graph.Graph) -> None:
    for node in any_p1.of_type(COMMAND):
        assert "triggers" not in node.inputs, node.name


def test_the_agent_waits_for_the_servers_token_and_for_being_admitted(build: Build) -> None:
    p1 = build("p1")
    admission, installed, ready = (p1.named(f"agent1-{step}") for step in ("admission", "install", "ready"))
    assert p1.named("server-install").urn in admission.depends_on
    assert admission.urn in installed.depends_on
    assert installed.urn in ready.depends_on
    assert graph.STAND_IN in stdin(installed)
    assert "secret" in installed.inputs["stdin"]


def test_k3s_is_told_the_private_address(build: Build) -> None:
    p1 = build("p1")
    server, agent = config(p1.named("server-install")), config(p1.named("agent1-install"))
    assert (server["node-ip"], agent["node-ip"]) == ("192.168.56.110", "192.168.56.111")
    assert (server["node-name"], agent["node-name"]) == ("rel-filas", "rel-filasw")
    assert agent["server"] == "https://192.168.56.110:6443"
    assert server["write-kubeconfig-mode"] == "0600"
    assert server["agent-token-file"]
    assert "flannel-iface" in script.SCRIPT.read_text(encoding="utf-8")


def test_k3s_arguments_reach_the_server_alone(build: Build) -> None:
    p1 = build("p1", k3sArgs=["--disable=traefik", "--disable=servicelb", "--secrets-encryption"])
    server = config(p1.named("server-install"))
    assert server["disable"] == ["traefik", "servicelb"]
    assert server["secrets-encryption"] is True
    assert "disable" not in config(p1.named("agent1-install"))


def test_another_k3s_setting_changes_that_install_and_nothing_else(build: Build) -> None:
    before, after = build("p1"), build("p1", k3sArgs=["--disable=traefik"])
    changed = [node.name for node in before.nodes if after.named(node.name).inputs != node.inputs]
    assert changed == ["server-install"]


def test_another_memory_changes_the_machine_and_nothing_else(build: Build) -> None:
    before, after = build("p1"), build("p1", serverMemory=2048)
    changed = [node.name for node in before.nodes if after.named(node.name).inputs != node.inputs]
    assert changed == ["server-machine-vm"]


@pytest.mark.parametrize("key", ["k3sArgs", "k3sArgs[0]"])
def test_secret_k3s_arguments_stay_secret(build: Build, key: str) -> None:
    secure = {"secure": "v1:abc"}
    install = build("p1", k3sArgs=secure if key == "k3sArgs" else [secure]).named("server-install")
    assert set(install.inputs["stdin"]) == {"secret"}
    assert config(install)["encrypted"] is True


def test_downloads_are_checked_and_no_release_is_latest(build: Build) -> None:
    text = stdin(build("p1").named("server-install"))
    for pinned in (*versions.K3S_SHA256.values(), versions.K3S_INSTALL_SHA256):
        assert pinned in text
    assert "latest" not in text
    assert "get.k3s.io" not in text


def test_air_gapped_machines_are_given_the_files_of_their_architecture(airgap: Path) -> None:
    files = files_of.find(airgap, "aarch64")
    assert (files.binary.name, files.images.name) == ("k3s-arm64", "k3s-airgap-images-arm64.tar.zst")
    assert files_of.find(airgap, "x86_64").binary.name == "k3s"


def test_an_incomplete_air_gap_folder_is_refused_with_what_it_lacks(tmp_path: Path) -> None:
    (tmp_path / "k3s").touch()
    with pytest.raises(LabError, match=r"lacks install\.sh, k3s-airgap-images-amd64"):
        files_of.find(tmp_path, "x86_64")


def test_values_reach_the_script_as_they_are(tmp_path: Path) -> None:
    value = 'it\'s $HOME `id` "x" \\ \n two'
    text = script.script_input({"VALUE": value}).partition("# shellcheck shell")[0]
    done = subprocess.run(
        ["bash", "-s"], input=f'{text}printf %s "$VALUE"', capture_output=True, text=True, check=True, timeout=10
    )
    assert done.stdout == value


def test_the_kubeconfig_is_made_for_this_host() -> None:
    text = yaml.safe_dump(
        {
            "clusters": [{"name": "default", "cluster": {"server": "https://127.0.0.1:6443"}}],
            "users": [{"name": "default", "user": {}}],
            "contexts": [{"name": "default", "context": {"cluster": "default", "user": "default"}}],
            "current-context": "default",
        }
    )
    made = yaml.safe_load(k3s_config.host_kubeconfig(text, "192.168.56.110", "rel-filas"))
    assert made["clusters"][0]["cluster"]["server"] == "https://192.168.56.110:6443"
    assert made["contexts"][0] == {"name": "rel-filas", "context": {"cluster": "rel-filas", "user": "rel-filas"}}
    assert made["current-context"] == "rel-filas"


def test_p1_does_not_load_the_kubernetes_sdk() -> None:
    """It takes a third of a second, and p1 makes nothing in a cluster."""
    code = "import sys; from components.parts import p1; sys.exit('pulumi_kubernetes' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=False).returncode == 0
