"""What `make setup` and `make up` do on a machine: the passphrase, Git's filter, Docker, the needs of each stack."""

from __future__ import annotations

import argparse
import json
import os
import shutil
import socket
import subprocess
import sys
from pathlib import Path
from typing import Final

import pytest

from components.core import versions
from components.core.errors import LabError
from lab.commands import clean, destroy, doctor
from lab.host import chart, docker, environment, local, needs, paths, plugins
from lab.live import locks, stack
from tests.site import link_commands, write_command

ROOT: Final = Path(__file__).parents[2]
SALT: Final = "encryptionsalt: v1:abc=:v1:def\n"
CHART: Final = versions.ARGOCD_CHART
STACK_FILE: Final = "config:\n  iot:part: p3\n"


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return the folder of a project that has the real settings and an empty .lab."""
    folder = tmp_path / "project"
    folder.mkdir()
    for file in ("Pulumi.yaml", ".gitattributes", ".gitignore"):
        shutil.copy(ROOT / file, folder)
    for name in ("p1", "p2", "p3"):
        (folder / f"Pulumi.{name}.yaml").write_text(f"config:\n  iot:part: {name}\n", encoding="utf-8")
    lab = folder / ".lab"
    for name, path in {
        "ROOT": folder,
        "LAB": lab,
        "BIN": lab / "bin",
        "STATE": lab / "state",
        "RUN": lab / "run",
        "PULUMI_HOME": lab / "pulumi",
        "PASSPHRASE": lab / "passphrase",
        "VENV": folder / ".venv",
        "OFFLINE_DEFAULT": tmp_path / "no-such-folder",
    }.items():
        monkeypatch.setattr(paths, name, path)
    monkeypatch.setattr(local, "STACKS", lab / "state" / ".pulumi" / "stacks" / "iot")
    return folder


def bring_up(stack: str, *types: str) -> None:
    """Write a state as the engine does, with a resource of each type."""
    local.STACKS.mkdir(parents=True, exist_ok=True)
    resources = [{"urn": f"urn:{kind}", "type": kind} for kind in ("pulumi:pulumi:Stack", *types)]
    state = {"version": 3, "checkpoint": {"latest": {"resources": resources}}}
    (local.STACKS / f"{stack}.json").write_text(json.dumps(state), encoding="utf-8")


# The passphrase and the state


def test_the_passphrase_is_random_stays_and_is_the_owners_alone(project: Path) -> None:
    local.prepare()
    first = paths.PASSPHRASE.read_text(encoding="utf-8")
    assert len(first) >= 40
    assert paths.PASSPHRASE.stat().st_mode & 0o777 == 0o600
    local.prepare()
    assert paths.PASSPHRASE.read_text(encoding="utf-8") == first
    paths.PASSPHRASE.unlink()
    local.prepare()
    assert paths.PASSPHRASE.read_text(encoding="utf-8") != first


@pytest.mark.parametrize(
    ("given", "wanted"),
    [
        ({}, None),
        ({"https_proxy": "http://p:1"}, "127.0.0.1,localhost,192.168.56.0/21"),
        (
            {"HTTP_PROXY": "http://p:1", "NO_PROXY": "a,127.0.0.1", "no_proxy": "b"},
            "a,127.0.0.1,b,localhost,192.168.56.0/21",
        ),
    ],
)
def test_a_proxy_is_kept_out_of_what_stays_on_this_host(
    monkeypatch: pytest.MonkeyPatch, given: dict[str, str], wanted: str | None
) -> None:
    for name in ("NO_PROXY", *environment.PROXIES):
        monkeypatch.delenv(name.lower(), raising=False)
        monkeypatch.delenv(name.upper(), raising=False)
    for name, value in given.items():
        monkeypatch.setenv(name, value)
    env = environment.environment()
    assert (env.get("NO_PROXY"), env.get("no_proxy")) == (wanted, wanted)


def test_pulumi_is_told_of_the_passphrase_by_file_never_by_value(project: Path) -> None:
    local.prepare()
    env = environment.environment()
    assert env["PULUMI_CONFIG_PASSPHRASE_FILE"] == str(paths.PASSPHRASE)
    assert paths.PASSPHRASE.read_text(encoding="utf-8") not in env.values()


@pytest.mark.parametrize(
    ("name", "value"),
    [("PULUMI_CONFIG_PASSPHRASE", "mine"), ("PULUMI_CONFIG_PASSPHRASE", ""), ("PULUMI_CONFIG_PASSPHRASE_FILE", "/f")],
)
def test_a_passphrase_of_the_users_wins(project: Path, name: str, value: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(name, value)
    local.prepare()
    assert not paths.PASSPHRASE.exists()
    env = environment.environment()
    assert env[name] == value
    assert env.get("PULUMI_CONFIG_PASSPHRASE_FILE") != str(paths.PASSPHRASE)


def test_what_another_copy_was_activated_with_is_not_the_users(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("IOT_ROOT", "/other")
    monkeypatch.setenv("PULUMI_CONFIG_PASSPHRASE_FILE", "/other/.lab/passphrase")
    monkeypatch.setenv("PULUMI_HOME", "/other/.lab/pulumi")
    local.prepare()
    assert paths.PASSPHRASE.exists()
    env = environment.environment()
    assert env["PULUMI_CONFIG_PASSPHRASE_FILE"] == str(paths.PASSPHRASE)
    assert env["PULUMI_HOME"] == str(paths.PULUMI_HOME)
    monkeypatch.setenv("PULUMI_HOME", "/mine")
    assert environment.environment()["PULUMI_HOME"] == "/mine"


def test_a_state_whose_passphrase_is_gone_is_an_error(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    bring_up("p3")
    # As every command begins.
    for name, value in environment.environment().items():
        monkeypatch.setenv(name, value)
    with pytest.raises(LabError, match=r"passphrase is gone.*knows the stacks p3"):
        local.prepare()
    assert not paths.PASSPHRASE.exists()
    monkeypatch.setenv("PULUMI_CONFIG_PASSPHRASE", "the same as then")
    local.prepare()


def test_a_new_passphrase_forgets_the_salt_of_a_lost_one(project: Path) -> None:
    (project / "Pulumi.p3.yaml").write_text(STACK_FILE + SALT, encoding="utf-8")
    local.prepare()
    assert (project / "Pulumi.p3.yaml").read_text(encoding="utf-8") == STACK_FILE


def test_an_existing_passphrase_keeps_its_salt(project: Path) -> None:
    local.prepare()
    (project / "Pulumi.p3.yaml").write_text(STACK_FILE + SALT, encoding="utf-8")
    local.prepare()
    assert (project / "Pulumi.p3.yaml").read_text(encoding="utf-8") == STACK_FILE + SALT


def test_encrypted_values_keep_their_salt(project: Path) -> None:
    text = STACK_FILE + "  iot:gitPassword:\n    secure: v1:xyz\n" + SALT
    (project / "Pulumi.p3.yaml").write_text(text, encoding="utf-8")
    with pytest.raises(LabError, match=r"Pulumi\.p3\.yaml has values that only the passphrase"):
        local.forget_salts()
    assert (project / "Pulumi.p3.yaml").read_text(encoding="utf-8") == text


def test_the_salt_of_a_user_does_not_get_into_git(project: Path) -> None:
    def git(*arguments: str) -> str:
        command = ["git", "-c", "user.name=n", "-c", "user.email=e@example.com", *arguments]
        return subprocess.run(command, cwd=project, check=True, capture_output=True, text=True).stdout

    git("init", "--quiet")
    git("add", ".")
    git("commit", "--quiet", "-m", "all")
    local.prepare()
    with (project / "Pulumi.p3.yaml").open("a", encoding="utf-8") as file:
        file.write(SALT)
    local.settle("p3")
    assert git("status", "--porcelain") == ""
    with (project / "Pulumi.p3.yaml").open("a", encoding="utf-8") as file:
        file.write("# changed\n")
    git("commit", "--quiet", "--all", "-m", "a change")
    committed = git("show", "HEAD:Pulumi.p3.yaml")
    assert "# changed" in committed
    assert "encryptionsalt" not in committed
    local.settle("p3")
    assert "encryptionsalt" in (project / "Pulumi.p3.yaml").read_text(encoding="utf-8")


def test_a_change_of_the_users_is_not_put_into_gits_index(project: Path) -> None:
    def git(*arguments: str) -> str:
        return subprocess.run(["git", *arguments], cwd=project, check=True, capture_output=True, text=True).stdout

    git("init", "--quiet")
    git("add", ".")
    local.prepare()
    with (project / "Pulumi.p3.yaml").open("a", encoding="utf-8") as file:
        file.write(f"# changed\n{SALT}")
    local.settle("p3")
    assert "# changed" not in git("show", ":Pulumi.p3.yaml")


def test_a_project_outside_git_works_as_well(project: Path) -> None:
    local.prepare()
    assert paths.STATE.is_dir()


def test_a_machine_without_git_is_told_so_by_the_checks(project: Path, path: Path) -> None:
    local.prepare()
    assert not needs.program("git").ok


def test_nothing_of_lab_is_for_git(project: Path) -> None:
    local_things = [".lab/passphrase", ".lab/state/x", ".venv/bin/python", ".venv.lock"]
    subprocess.run(["git", "init", "--quiet"], cwd=project, check=True)
    ignored = subprocess.run(
        ["git", "check-ignore", *local_things], cwd=project, capture_output=True, text=True, check=False
    )
    assert ignored.stdout.split() == local_things


# Clean and destroy


def arguments(stack: str = "p3") -> argparse.Namespace:
    return argparse.Namespace(stack=stack, arguments=[], discard=False)


def test_clean_refuses_while_a_stack_is_up(project: Path) -> None:
    local.prepare()
    bring_up("p2", "kubernetes:core/v1:Namespace")
    bring_up("p3")
    with pytest.raises(LabError, match=r"still up: p2\..*make destroy STACK=p2"):
        clean.run(arguments())
    assert paths.PASSPHRASE.exists()


def test_clean_asks_the_users_own_backend(project: Path, path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PULUMI_BACKEND_URL", "s3://states")
    local.prepare()
    listed = [{"name": "p1", "resourceCount": 7}, {"name": "p2"}]
    write_command(path, "pulumi", f"#!/bin/sh\necho '{json.dumps(listed)}'\n")
    with pytest.raises(LabError, match=r"still up: p1\."):
        clean.run(arguments())
    assert paths.PASSPHRASE.exists()


def test_clean_keeps_the_passphrase_of_a_backend_that_this_shell_does_not_name(
    project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    local.prepare()
    (project / "Pulumi.p1.yaml").write_text(STACK_FILE + SALT, encoding="utf-8")
    with pytest.raises(
        LabError, match=r"^Pulumi\.p1\.yaml may belong to a state that is not in \.lab/state.*PULUMI_BACKEND_URL"
    ):
        clean.run(arguments())
    assert paths.PASSPHRASE.exists()


def test_a_lost_passphrase_of_the_users_own_backend_is_not_replaced(
    project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PULUMI_BACKEND_URL", "s3://states")
    (project / "Pulumi.p3.yaml").write_text(STACK_FILE + SALT, encoding="utf-8")
    with pytest.raises(LabError, match=r"passphrase is gone.*s3://states.*Pulumi\.p3\.yaml"):
        local.prepare()
    assert not paths.PASSPHRASE.exists()
    assert SALT in (project / "Pulumi.p3.yaml").read_text(encoding="utf-8")


def test_what_is_local_is_its_owners_alone(project: Path) -> None:
    paths.STATE.mkdir(parents=True, mode=0o755)
    local.prepare()
    assert [folder.stat().st_mode & 0o777 for folder in (paths.LAB, paths.STATE)] == [0o700, 0o700]


def lock(stack: str, pid: int, host: str = "") -> Path:
    """Write a lock as the engine does."""
    path = paths.STATE / ".pulumi" / "locks" / "organization" / "iot" / stack / "1f2e.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    content = {
        "pid": pid,
        "username": "me",
        "hostname": host or socket.gethostname(),
        "timestamp": "2026-01-01T00:00:00Z",
    }
    path.write_text(json.dumps(content), encoding="utf-8")
    return path


def ended() -> int:
    """Return the number of a process that has ended."""
    with subprocess.Popen([sys.executable, "-c", ""]) as process:
        process.wait()
    return process.pid


def test_the_lock_of_a_run_that_was_killed_is_taken_away_with_what_it_had_begun(
    project: Path, path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    bring_up("p3", "k3d:index:Nodes")
    state = local.STACKS / "p3.json"
    release = {
        "urn": "urn:x",
        "type": "kubernetes:helm.sh/v3:Release",
        "provider": "urn:provider::1",
        "inputs": {"name": "argocd", "namespace": "argocd"},
    }
    pending = [{"type": "creating", "resource": release}]
    secret = {stack.SECRET: "1b47061264138c4ac30d75fd1eb44270", "plaintext": json.dumps("a kubeconfig")}
    provider = {"urn": "urn:provider", "id": "1", "inputs": {"kubeconfig": secret}}
    content = json.loads(state.read_text(encoding="utf-8"))
    content["checkpoint"]["latest"]["pending_operations"] = pending
    state.write_text(json.dumps(content), encoding="utf-8")
    exported = json.dumps({"version": 3, "deployment": {"resources": [provider], "pending_operations": pending}})
    write_command(path, "kubectl", f'#!/bin/sh\necho "$@" >"{project}/kubectl"\n')
    write_command(
        path,
        "pulumi",
        f"""#!/bin/sh
case "$*" in
*export*) echo '{exported}' ;;
*import*) for last; do :; done; cat "$last" >"{project}/imported" ;;
esac
""",
    )
    held = lock("p3", ended())
    locks.recover("p3")
    assert not held.exists()
    assert json.loads((project / "imported").read_text(encoding="utf-8"))["deployment"] == {"resources": [provider]}
    # Helm would refuse to begin a release anew of which it still has a note.
    assert "--namespace=argocd delete secrets --selector=owner=helm,name=argocd" in (project / "kubectl").read_text()
    assert "an earlier run of p3 was killed" in capsys.readouterr().err


@pytest.mark.parametrize("at_work", [False, True])
def test_what_a_kill_has_cut_off_beside_the_state_is_taken_away(project: Path, at_work: bool) -> None:
    bring_up("p3", "k3d:index:Nodes")
    state = local.STACKS / "p3.json"
    content = state.read_bytes()
    cut, good = state.with_name("p3.json.attrs"), state.with_name("p3.json.bak.attrs")
    cut.touch()
    good.write_text('{"user.cache_control":""}\n', encoding="utf-8")
    half = state.with_name("p3.json.18ec5c2147dab5c8.tmp")
    half.write_text("{", encoding="utf-8")
    if at_work:
        lock("p3", ended(), "another-host")
    locks.recover("p3")
    assert not cut.exists()
    assert good.exists()
    assert half.exists() == at_work
    assert state.read_bytes() == content


@pytest.mark.parametrize("name", ["pulumi", "sleep"])
def test_the_lock_of_a_process_that_runs_stays_if_it_is_pulumi(project: Path, tmp_path: Path, name: str) -> None:
    program = tmp_path / name
    shutil.copy(shutil.which("sleep") or "", program)
    with subprocess.Popen([program, "60"]) as process:
        held = lock("p3", process.pid)
        locks.recover("p3")
        assert held.exists() == (name == "pulumi")
        process.kill()


def test_the_lock_of_a_process_whose_parent_never_asked_for_its_end_is_taken_away(
    project: Path, tmp_path: Path
) -> None:
    """In a container without an init, what was killed stays in the list of processes as a zombie."""
    program = tmp_path / "pulumi"
    shutil.copy(shutil.which("sleep") or "", program)
    with subprocess.Popen([program, "60"]) as process:
        process.kill()
        os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOWAIT)
        held = lock("p3", process.pid)
        locks.recover("p3")
        assert not held.exists()


def test_the_lock_of_this_host_in_another_network_is_taken_away(project: Path) -> None:
    held = lock("p3", ended(), f"{socket.gethostname().partition('.')[0]}.elsewhere.example")
    locks.recover("p3")
    assert not held.exists()


def test_the_lock_of_another_host_stays(project: Path) -> None:
    held = lock("p3", ended(), "another-host")
    locks.recover("p3")
    assert held.exists()


def test_clean_removes_everything_of_a_destroyed_stack(project: Path) -> None:
    local.prepare()
    bring_up("p3")
    paths.VENV.mkdir()
    (project / "Pulumi.p3.yaml").write_text(STACK_FILE + SALT, encoding="utf-8")
    assert clean.run(arguments()) == 0
    assert not paths.LAB.exists()
    assert not paths.VENV.exists()
    # With its passphrase gone the salt would make the next `up` fail.
    assert (project / "Pulumi.p3.yaml").read_text(encoding="utf-8") == STACK_FILE


@pytest.mark.parametrize("path", [".lab/backups/p3/iot/iot/20260101T000000Z-0.bundle", ".lab/repository/mine"])
def test_clean_removes_nothing_of_a_user_without_a_yes(
    project: Path, path: str, capsys: pytest.CaptureFixture[str]
) -> None:
    (project / path).parent.mkdir(parents=True)
    (project / path).write_text("mine", encoding="utf-8")
    with pytest.raises(LabError, match=r"nothing is removed: \.lab/.*--discard"):
        clean.run(arguments())
    assert (project / path).exists()
    args = arguments()
    args.discard = True
    assert clean.run(args) == 0
    assert not paths.LAB.exists()
    assert " is yours" in capsys.readouterr().err


def test_clean_asks_before_it_removes_what_was_pushed_to_a_registry(
    project: Path, path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """CI's images are nowhere else, and what is kept of Git names them."""
    listed = "case $* in *iot.kept*) echo iot-cluster-registry ;; *iot.images*) echo unpacked ;; esac"
    write_command(path, "docker", f'#!/bin/sh\necho "$@" >>{path}/asked\n{listed}\n')
    (project / "Pulumi.p1.yaml").write_text(STACK_FILE, encoding="utf-8")
    with pytest.raises(LabError, match=r"^nothing is removed: the volume iot-cluster-registry\."):
        clean.run(arguments())
    assert "volume rm" not in (path / "asked").read_text(encoding="utf-8")
    args = arguments()
    args.discard = True
    assert clean.run(args) == 0
    said = capsys.readouterr().err
    assert "the volume iot-cluster-registry is yours" in said
    assert [line for line in said.splitlines() if line.startswith("lab: removed the volume")] == [
        "lab: removed the volume iot-cluster-registry",
        "lab: removed the volume unpacked",
    ]


def test_clean_removes_nothing_while_a_stacks_file_needs_the_passphrase(project: Path, path: Path) -> None:
    local.prepare()
    bring_up("p1")
    write_command(path, "docker", f'#!/bin/sh\necho "$@" >>{path}/asked\necho unpacked\n')
    (project / "Pulumi.p1.yaml").write_text(STACK_FILE + SALT + "  iot:x:\n    secure: v1:a\n", encoding="utf-8")
    args = arguments()
    args.discard = True
    with pytest.raises(LabError, match=r"^Pulumi\.p1\.yaml has values that only the passphrase"):
        clean.run(args)
    assert "volume rm" not in (path / "asked").read_text(encoding="utf-8")
    assert paths.PASSPHRASE.exists()


def test_clean_twice_is_fine(project: Path) -> None:
    assert clean.run(arguments()) == 0
    assert clean.run(arguments()) == 0


def test_destroying_what_never_was_needs_no_tool(
    project: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("PATH", str(project))
    assert destroy.run(arguments()) == 0
    assert "the stack p3 was never brought up: nothing to destroy" in capsys.readouterr().err


# Docker


@pytest.fixture
def path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return a folder that is all of PATH."""
    folder = tmp_path / "path"
    link_commands(folder, "bash", "cat", "chmod", "env")
    monkeypatch.setenv("PATH", str(folder))
    return folder


@pytest.mark.parametrize(
    ("said", "problem", "fix"),
    [
        (
            "permission denied while trying to connect to the Docker daemon socket at unix:///var/run/docker.sock",
            "this user may not use the Docker engine (permission denied)",
            "usermod -aG docker",
        ),
        (
            "Cannot connect to the Docker daemon at unix:///var/run/docker.sock. Is the docker daemon running?",
            "the Docker engine is not running",
            "start",
        ),
        ("error during connect: something new", "something new", "docker version"),
        ("", "it said nothing", "docker version"),
    ],
)
def test_each_trouble_with_docker_has_its_own_words(
    project: Path, path: Path, said: str, problem: str, fix: str
) -> None:
    write_command(path, "docker", f"#!/usr/bin/env bash\ncat >&2 <<'E'\n{said}\nE\nexit 1\n")
    found = docker.look()
    assert (found.version, problem in found.problem) == ("", True), found
    assert fix in found.fix or fix == "start", found


def test_docker_that_answers_is_fine(project: Path, path: Path) -> None:
    write_command(path, "docker", "28.1.0")
    assert docker.look() == docker.Engine(version="28.1.0")


def test_an_old_docker_is_named(project: Path, path: Path) -> None:
    write_command(path, "docker", "19.03.5")
    assert docker.look().problem == "Docker is 19.03.5"


def test_no_docker_says_how_to_get_it(project: Path, path: Path) -> None:
    found = docker.look()
    assert found.problem == "Docker is not installed"
    assert "install" in found.fix


def fake_apt(path: Path, log: Path) -> None:
    """Put an apt-get on PATH that notes its arguments and installs a docker that answers."""
    write_command(
        path,
        "apt-get",
        f'#!/usr/bin/env bash\necho "$*" >>{log}\n'
        f'[ "$1" = update ] || {{ printf "#!/bin/sh\\necho 27.0.1\\n" >{path}/docker; chmod +x {path}/docker; }}\n',
    )


def test_root_gets_docker_installed_when_told_to(
    project: Path, path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fake_apt(path, tmp_path / "apt.log")
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    monkeypatch.setenv("INSTALL_DOCKER", "1")
    docker.offer()
    assert (tmp_path / "apt.log").read_text(encoding="utf-8") == "update\ninstall --yes docker.io\n"
    assert docker.look().version == "27.0.1"


@pytest.mark.parametrize(("user", "told"), [(0, ""), (1000, "1")])
def test_docker_is_not_installed_unasked_nor_without_the_right(
    path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, user: int, told: str
) -> None:
    fake_apt(path, tmp_path / "apt.log")
    monkeypatch.setattr(os, "geteuid", lambda: user)
    monkeypatch.setenv("INSTALL_DOCKER", told)
    docker.offer()
    assert not (tmp_path / "apt.log").exists()
    assert "apt-get install docker.io" in docker.look().fix


def test_a_failed_installation_of_docker_is_an_error(
    project: Path, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_command(path, "apt-get", "#!/usr/bin/env bash\nexit 100\n")
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    monkeypatch.setenv("INSTALL_DOCKER", "1")
    with pytest.raises(LabError, match="apt-get update failed"):
        docker.offer()


# What a stack needs


def test_p3_needs_docker_k3d_and_the_chart(project: Path) -> None:
    found = needs.of("p3")
    assert (found.tools, found.docker, found.provider) == (("pulumi", "k3d", "kubectl"), True, None)
    assert found.charts == (CHART,)


def test_p3_on_an_own_cluster_needs_no_k3d(project: Path) -> None:
    text = "config:\n  iot:kubeconfig: /k\n  iot:appImage: me/app:v1\n  iot:argocdChart: /c.tgz\n"
    (project / "Pulumi.p3.yaml").write_text(text, encoding="utf-8")
    found = needs.of("p3")
    assert (found.tools, found.docker, found.charts) == (("pulumi", "kubectl"), False, ())


def test_p1_needs_vagrant_and_neither_docker_nor_k3d(project: Path) -> None:
    found = needs.of("p1")
    assert (found.tools, found.docker, found.charts, found.provider) == (("pulumi",), False, (), "virtualbox")


@pytest.mark.parametrize(
    "given",
    [
        ["--config", "iot:vagrantProvider=docker"],
        ["--config=iot:vagrantProvider=docker"],
        ["-c", "vagrantProvider=docker", "--refresh"],
        ["--diff", "-c=iot:vagrantProvider=libvirt", "-c", "iot:vagrantProvider=docker"],
    ],
)
def test_what_is_set_on_the_command_line_is_needed_and_nothing_else(project: Path, given: list[str]) -> None:
    assert needs.of("p1", given).provider == "docker"


def test_an_option_without_its_value_is_left_to_pulumi(project: Path) -> None:
    assert needs.of("p1", ["--config"]).provider == "virtualbox"


def test_p2_needs_docker_to_build_the_app(project: Path) -> None:
    assert needs.of("p2").docker
    (project / "Pulumi.p2.yaml").write_text("config:\n  iot:appImage: me/app:v1\n", encoding="utf-8")
    assert not needs.of("p2").docker


def test_vagrants_docker_provider_needs_docker(project: Path) -> None:
    (project / "Pulumi.p1.yaml").write_text("config:\n  iot:vagrantProvider: docker\n", encoding="utf-8")
    assert needs.of("p1").docker


def test_an_unknown_stack_is_named_with_those_there_are(project: Path) -> None:
    with pytest.raises(LabError, match=r"there is no stack 'p4'\. expected one of p1, p2, p3"):
        needs.of("p4")


def test_the_doctor_prints_a_line_per_need_and_fails_when_one_is_missing(
    project: Path, path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write_command(path, "git", "git version 2.50.1")
    assert doctor.run(arguments()) == 1
    lines = capsys.readouterr().out.splitlines()
    assert [line.split()[0] for line in lines] == ["missing"] * 7 + ["ok", "missing", "missing"]
    assert any(line.startswith("ok      git") and "2.50.1" in line for line in lines)
    assert any(line.startswith("missing k3d") and versions.K3D in line and "make setup" in line for line in lines)


def test_the_doctor_is_content_when_everything_is_there(
    project: Path, path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for name, said in {
        "git": "git version 2.50.1",
        "curl": "curl 8.1.2 (...)",
        "docker": "28.0.0",
        "pulumi": f"v{versions.PULUMI}",
        "pulumi-language-python": "",
        "k3d": f"k3d version v{versions.K3D}",
        "kubectl": f"Client Version: v{versions.KUBECTL}",
        **{f"pulumi-resource-{name}": "" for name in versions.PULUMI_PLUGINS},
    }.items():
        write_command(path, name, said)
    offline_chart(project)
    chart.ensure(CHART)
    assert doctor.run(arguments()) == 0, capsys.readouterr().out


def test_everything_that_is_missing_on_the_host_is_said_at_once(project: Path, path: Path) -> None:
    with pytest.raises(LabError) as error:
        needs.host(needs.of("p1"))
    message = str(error.value)
    for name in ("git is missing", "curl is missing", "vagrant is missing", "VBoxManage is missing"):
        assert name in message


def test_virtualbox_of_windows_will_do_in_wsl(project: Path, path: Path) -> None:
    assert not needs.program("VBoxManage").ok
    write_command(path, "VBoxManage.exe", "7.2.4r170995")
    assert needs.program("VBoxManage").found.startswith("7.2.4r170995 at ")


# Pulumi's plugins and the chart


def test_a_plugin_that_was_fetched_counts_in_its_version_only(project: Path, path: Path) -> None:
    folder = paths.PULUMI_HOME / "plugins"
    (folder / "resource-command-v0.0.1").mkdir(parents=True)
    assert not plugins.is_here("command")
    (folder / f"resource-command-v{versions.PULUMI_PLUGINS['command']}").mkdir()
    assert plugins.is_here("command")


def test_a_plugin_that_can_not_be_fetched_is_named_with_its_address(project: Path, path: Path) -> None:
    write_command(path, "pulumi", "#!/usr/bin/env bash\nexit 1\n")
    with pytest.raises(LabError) as error:
        plugins.ensure(["docker"])
    assert "https://get.pulumi.com/releases/plugins/pulumi-resource-docker-v" in str(error.value)
    assert "put pulumi-resource-docker on PATH" in str(error.value)


def test_pulumi_fetches_plugins_from_the_mirror_unless_told_otherwise(
    project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    name = "PULUMI_PLUGIN_DOWNLOAD_URL_OVERRIDES"
    assert name not in environment.environment()
    monkeypatch.setenv("IOT_MIRROR", "https://mirror.example.com/")
    assert environment.environment()[name] == ".*=https://mirror.example.com/get.pulumi.com/releases/plugins"
    monkeypatch.setenv(name, "mine")
    assert environment.environment()[name] == "mine"


def offline_chart(project: Path) -> Path:
    """Put a chart into the offline folder, and return it."""
    paths.OFFLINE_DEFAULT.joinpath("charts").mkdir(parents=True)
    own = paths.OFFLINE_DEFAULT / "charts" / CHART.archive
    own.write_bytes(b"a chart of the user's own")
    return own


def test_the_offline_folders_chart_is_used_as_it_is_and_kept(project: Path) -> None:
    own = offline_chart(project)
    chart.ensure(CHART)
    assert chart.kept(CHART).read_bytes() == own.read_bytes()
    assert chart.is_kept(CHART)


def test_a_changed_chart_in_the_offline_folder_is_taken_anew(project: Path) -> None:
    own = offline_chart(project)
    chart.ensure(CHART)
    own.write_bytes(b"another one")
    assert not chart.is_kept(CHART)
    chart.ensure(CHART)
    assert chart.kept(CHART).read_bytes() == b"another one"


def test_a_chart_that_is_not_the_official_one_is_not_taken_for_it(project: Path) -> None:
    chart.kept(CHART).parent.mkdir(parents=True)
    chart.kept(CHART).write_bytes(b"left by an offline folder that is gone")
    assert not chart.is_kept(CHART)
