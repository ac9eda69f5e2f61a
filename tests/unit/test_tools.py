from __future__ import annotations

import hashlib
import io
import json
import platform
import tarfile
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Final

import pytest

from components.core.errors import LabError
from lab.host import paths, tools
from tests.site import link_commands, write_command

if TYPE_CHECKING:
    from tests.site import Site

PULUMI: Final = tools.TOOLS["pulumi"]
K3D: Final = tools.TOOLS["k3d"]
KUBECTL: Final = tools.TOOLS["kubectl"]

# Stands in for mise: it installs what it is asked for, but what $REFUSED names.
MISE: Final = r"""#!/usr/bin/env bash
echo "$*" >>"$LOG"
case $1 in
  version) echo "${MISE_VERSION:-2099.1.0} linux-x64 (2099-01-01)" ;;
  install)
    shift
    for each in "$@"; do
      name=${each%@*} version=${each#*@}
      [ "$name" != "${REFUSED:-}" ] || continue
      mkdir -p "$MISE_DATA_DIR/installs/$name/$version/bin"
      cd "$MISE_DATA_DIR/installs/$name/$version/bin"
      printf '#!/bin/sh\necho v%s\necho k3d version v%s\n' "$version" "$version" >"$name"
      cp "$name" pulumi-language-python
      chmod +x ./*
      touch notes.txt
    done
    [ -z "${REFUSED:-}" ] ;;
  bin-paths) echo "$MISE_DATA_DIR/installs/${2%@*}/${2#*@}/bin" ;;
esac
"""


class Machine:
    """A machine with an empty .lab and only the tools that a test puts on PATH."""

    def __init__(self, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.path = folder / "path"
        self.log = folder / "mise.log"
        link_commands(self.path, "bash", "chmod", "cp", "curl", "env", "mkdir", "touch")
        monkeypatch.setattr(paths, "BIN", folder / ".lab" / "bin")
        monkeypatch.setattr(paths, "MISE", folder / ".lab" / "mise")
        monkeypatch.setattr(paths, "OFFLINE_DEFAULT", folder / "no-such-folder")
        monkeypatch.setenv("PATH", str(self.path))
        monkeypatch.setenv("LOG", str(self.log))

    def add(self, name: str, text: str, folder: Path | None = None) -> Path:
        return write_command(folder or self.path, name, text)

    def asked(self) -> list[str]:
        """Return what mise was asked for, but its version."""
        lines = self.log.read_text(encoding="utf-8").splitlines() if self.log.exists() else []
        return [line for line in lines if line != "version"]


@pytest.fixture
def machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Machine:
    return Machine(tmp_path, monkeypatch)


def test_nothing_is_fetched_when_path_has_the_right_version(machine: Machine) -> None:
    machine.add("mise", MISE)
    machine.add("k3d", f"k3d version v{K3D.version}")
    tools.ensure(["k3d"])
    assert machine.asked() == []
    assert not paths.BIN.exists()


def test_another_version_on_path_is_left_and_the_right_one_fetched(
    machine: Machine, capfd: pytest.CaptureFixture[str]
) -> None:
    machine.add("mise", MISE)
    theirs = machine.add("pulumi", "v3.1.0")
    before = theirs.read_bytes()
    tools.ensure(["pulumi"])
    assert f"{theirs} is 3.1.0, {PULUMI.version} is wanted" in capfd.readouterr().err
    assert theirs.read_bytes() == before
    found = tools.find(PULUMI)
    assert found == tools.Found(paths.BIN / "pulumi", PULUMI.version)


def test_only_what_is_missing_is_fetched(machine: Machine) -> None:
    machine.add("mise", MISE)
    machine.add("kubectl", f"Client Version: v{KUBECTL.version}")
    tools.ensure(["k3d", "kubectl"])
    assert machine.asked() == [f"install k3d@{K3D.version}", f"bin-paths k3d@{K3D.version}"]
    tools.ensure(["k3d", "kubectl"])
    assert len(machine.asked()) == 2


def test_all_commands_of_a_tool_are_linked_and_nothing_else(machine: Machine) -> None:
    machine.add("mise", MISE)
    tools.ensure(["pulumi"])
    assert sorted(each.name for each in paths.BIN.iterdir()) == ["pulumi", "pulumi-language-python"]
    assert not (paths.BIN / "pulumi").readlink().is_absolute()


def test_a_tool_of_an_earlier_version_in_the_project_gives_way(machine: Machine) -> None:
    machine.add("mise", MISE)
    machine.add("k3d", "k3d version v4.0.0", paths.BIN)
    tools.ensure(["k3d"])
    assert tools.find(K3D) == tools.Found(paths.BIN / "k3d", K3D.version)


def test_an_earlier_one_in_the_project_does_not_hide_the_right_one_on_path(machine: Machine) -> None:
    machine.add("k3d", "k3d version v4.0.0", paths.BIN)
    right = machine.add("k3d", f"k3d version v{K3D.version}")
    assert tools.find(K3D) == tools.Found(right, K3D.version)


def test_pulumi_without_its_language_host_is_not_enough(machine: Machine) -> None:
    machine.add("pulumi", f"v{PULUMI.version}")
    assert not tools.is_right(PULUMI, tools.find(PULUMI))
    machine.add("pulumi-language-python", "")
    assert tools.is_right(PULUMI, tools.find(PULUMI))


def test_a_tool_in_the_offline_folder_is_used(
    machine: Machine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    own = machine.add("k3d", f"k3d version v{K3D.version}", tmp_path / "offline" / "bin")
    monkeypatch.setenv("IOT_OFFLINE_DIR", str(tmp_path / "offline"))
    tools.ensure(["k3d"])
    assert tools.find(K3D) == tools.Found(own, K3D.version)


def test_a_program_that_does_not_run_is_not_the_tool(machine: Machine) -> None:
    machine.add("k3d", "#!/no/such/interpreter\n")
    found = tools.find(K3D)
    assert found
    assert found.version == ""
    assert not tools.is_right(K3D, found)


@pytest.mark.parametrize(
    ("version", "right"),
    [("1.36.3", True), ("1.36.9", True), ("1.35.0", True), ("1.37.1", True), ("1.34.9", False), ("2.36.3", False)],
)
def test_kubectl_may_be_one_minor_version_away(version: str, right: bool) -> None:
    assert replace(KUBECTL, version="1.36.3").accepts(version) is right


@pytest.mark.parametrize("version", ["", "5.9.1", "5.9.0-rc.1", "v5.9.0"])
def test_other_tools_have_to_be_of_the_version(version: str) -> None:
    assert not replace(K3D, version="5.9.0").accepts(version)


def test_what_mise_could_not_fetch_is_named_with_its_address(machine: Machine, monkeypatch: pytest.MonkeyPatch) -> None:
    machine.add("mise", MISE)
    monkeypatch.setenv("REFUSED", "k3d")
    with pytest.raises(LabError) as error:
        tools.ensure(["k3d", "pulumi"])
    message = str(error.value)
    assert f"could not fetch k3d {K3D.version} from {tools.address(K3D)}" in message
    assert f"pulumi {PULUMI.version} from" not in message
    for way in ("put on PATH: k3d", "IOT_MIRROR", "IOT_OFFLINE_DIR", "`make test` and `make plan` work"):
        assert way in message
    # What has arrived is kept.
    assert tools.is_right(PULUMI, tools.find(PULUMI))


def test_with_a_mirror_the_error_names_the_address_there(machine: Machine, monkeypatch: pytest.MonkeyPatch) -> None:
    machine.add("mise", MISE)
    monkeypatch.setenv("REFUSED", "k3d")
    monkeypatch.setenv("IOT_MIRROR", "https://mirror.example.com/all")
    with pytest.raises(LabError, match=r"from https://mirror\.example\.com/all/github\.com/k3d-io"):
        tools.ensure(["k3d"])


def test_mise_keeps_everything_in_the_project_and_reads_no_config_above_it(machine: Machine) -> None:
    env = tools.mise_environment()
    for name in ("DATA", "CACHE", "STATE", "CONFIG", "SYSTEM_CONFIG"):
        assert Path(env[f"MISE_{name}_DIR"]).is_relative_to(paths.MISE)
    assert env["MISE_CEILING_PATHS"] == str(paths.ROOT.parent)


def test_mise_is_told_of_the_mirror(machine: Machine, monkeypatch: pytest.MonkeyPatch) -> None:
    assert "MISE_URL_REPLACEMENTS" not in tools.mise_environment()
    monkeypatch.setenv("IOT_MIRROR", "https://mirror.example.com/$all/")
    replacements = json.loads(tools.mise_environment()["MISE_URL_REPLACEMENTS"])
    assert replacements == {"regex:^https://(.*)$": "https://mirror.example.com/$$all/$1"}


def archive(program: bytes) -> bytes:
    """Return an archive with the layout of mise's releases."""
    data = io.BytesIO()
    with tarfile.open(fileobj=data, mode="w:gz") as tar:
        for name, content in (("mise/README.md", b"..."), ("mise/bin/mise", program)):
            member = tarfile.TarInfo(name)
            member.size = len(content)
            tar.addfile(member, io.BytesIO(content))
    return data.getvalue()


@pytest.fixture
def released(machine: Machine, site: Site, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """Put a release of the stand-in on a mirror; return its path there."""
    body = archive(MISE.encode())
    name = f"mise-v2026.1.2-{tools.this_platform()}.tar.gz"
    sums = tmp_path / "mise.sha256"
    sums.write_text(f"{hashlib.sha256(body).hexdigest()}  {name}\n", encoding="utf-8")
    monkeypatch.setattr(tools, "MISE_SUMS", sums)
    monkeypatch.setenv("IOT_MIRROR", site.url)
    path = f"/github.com/jdx/mise/releases/download/v2026.1.2/{name}"
    site.files[path] = body
    return path


def test_without_mise_its_release_is_fetched_and_used(machine: Machine, site: Site, released: str) -> None:
    tools.ensure(["k3d"])
    assert [path for path, _ in site.asked] == [released]
    assert tools.is_right(K3D, tools.find(K3D))
    assert [each.name for each in (paths.MISE / "2026.1.2").iterdir()] == ["mise"]
    assert not list(paths.MISE.glob("*.tar.gz*"))


def test_an_older_mise_of_the_user_is_not_used(
    machine: Machine, site: Site, released: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    machine.add("mise", MISE.replace("2099.1.0", "2025.12.9"))
    tools.ensure(["k3d"])
    assert [path for path, _ in site.asked] == [released]


def test_a_mise_that_was_tampered_with_is_not_run(machine: Machine, site: Site, released: str) -> None:
    site.files[released] = archive(b"#!/bin/sh\ntouch /tmp/owned\n")
    with pytest.raises(LabError, match="is not the expected file"):
        tools.ensure(["k3d"])
    assert machine.asked() == []
    assert not list(paths.MISE.rglob("mise"))


def test_when_mise_can_not_be_fetched_the_wanted_tools_are_named(machine: Machine, site: Site, released: str) -> None:
    site.files.clear()
    with pytest.raises(LabError) as error:
        tools.ensure(["k3d", "kubectl"])
    assert "which fetches k3d and kubectl" in str(error.value)
    assert tools.address(KUBECTL) in str(error.value)


def test_a_platform_that_is_not_locked_is_an_error(machine: Machine, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(platform, "machine", lambda: "riscv64")
    monkeypatch.setattr(platform, "system", lambda: "Linux")
    with pytest.raises(LabError, match=r"k3d .* for linux-riscv64 is not in mise\.lock"):
        tools.address(K3D)
    with pytest.raises(LabError, match="there is no mise for linux-riscv64"):
        tools.mise_release()


@pytest.mark.parametrize(
    ("system", "machine_name", "expected"),
    [
        ("Linux", "x86_64", "linux-x64"),
        ("Linux", "aarch64", "linux-arm64"),
        ("Darwin", "arm64", "macos-arm64"),
        ("Darwin", "x86_64", "macos-x64"),
    ],
)
def test_every_supported_platform_has_an_address_for_every_tool(
    system: str, machine_name: str, expected: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(platform, "machine", lambda: machine_name)
    monkeypatch.setattr(platform, "system", lambda: system)
    assert tools.this_platform() == expected
    for tool in tools.TOOLS.values():
        assert tools.address(tool).startswith(("https://github.com/", "https://dl.k8s.io/"))
    assert tools.mise_release()[1].endswith(f"-{expected}.tar.gz")
