"""A version is in components/versions.py; what has to repeat one for another tool agrees with it."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any, Final

import pytest
import tomli

from components import versions
from lab import tools

ROOT: Final = Path(__file__).parents[2]
WANTED: Final = {"pulumi": versions.PULUMI, "k3d": versions.K3D, "kubectl": versions.KUBECTL}
PLATFORMS: Final = {"linux-x64", "linux-arm64", "macos-x64", "macos-arm64"}
SHA256: Final = re.compile(r"[0-9a-f]{64}")


def toml(name: str) -> dict[str, Any]:
    return tomli.loads((ROOT / name).read_text(encoding="utf-8"))


def pins(name: str) -> dict[str, str]:
    """Return the versions that a lock file of Python's packages has, by package."""
    return dict(re.findall(r"^([a-z0-9-]+)==([^ ;]+)", (ROOT / name).read_text(encoding="utf-8"), re.MULTILINE))


def test_mise_installs_the_pinned_tools() -> None:
    assert toml("mise.toml")["tools"] == WANTED
    assert {tool.name: tool.version for tool in tools.TOOLS.values()} == WANTED


@pytest.mark.parametrize("name", WANTED)
def test_every_tool_is_locked_for_every_platform(name: str) -> None:
    (entry,) = toml("mise.lock")["tools"][name]
    assert entry["version"] == WANTED[name]
    assert entry["specifiers"] == [WANTED[name]]
    locked = {key.removeprefix("platforms."): value for key, value in entry.items() if key.startswith("platforms.")}
    assert set(locked) == PLATFORMS
    for platform, each in locked.items():
        algorithm, _, checksum = each["checksum"].partition(":")
        assert algorithm == "sha256"
        assert SHA256.fullmatch(checksum)
        assert f"v{WANTED[name]}" in each["url"]
        system, architecture = platform.split("-")
        assert {"macos": "darwin"}.get(system, system) in each["url"]
        assert architecture in each["url"] or {"x64": "amd64"}.get(architecture, "-") in each["url"]
    assert len({each["checksum"] for each in locked.values()}) == len(PLATFORMS)


def test_only_locked_addresses_are_used() -> None:
    config = toml("mise.toml")
    assert config["tool_config"]["locked"] is True
    assert set(config["settings"]["lockfile_platforms"]) == PLATFORMS


def test_the_projects_own_mise_is_the_oldest_that_reads_its_files() -> None:
    wanted = toml("mise.toml")["min_version"]
    lines = (ROOT / "lab" / "mise.sha256").read_text(encoding="utf-8").splitlines()
    found = {name: checksum for checksum, name in (line.split() for line in lines)}
    assert set(found) == {f"mise-v{wanted}-{platform}.tar.gz" for platform in PLATFORMS}
    assert all(SHA256.fullmatch(checksum) for checksum in found.values())


def test_pulumis_packages_have_the_versions_of_its_engine_and_plugins() -> None:
    found = pins("requirements.txt")
    assert found["pulumi"] == versions.PULUMI
    assert {name: found[f"pulumi-{name}"] for name in versions.PULUMI_PLUGINS} == versions.PULUMI_PLUGINS


@pytest.mark.parametrize("name", ["requirements", "requirements-dev", "app/requirements"])
def test_every_locked_package_has_hashes_and_no_index(name: str) -> None:
    text = (ROOT / f"{name}.txt").read_text(encoding="utf-8")
    assert pins(f"{name}.txt")
    for package in re.split(r"^(?=[a-z0-9])", text, flags=re.MULTILINE)[1:]:
        assert "--hash=sha256:" in package, package.splitlines()[0]
    for word in ("--index-url", "--extra-index-url", "--find-links", "http://", "https://"):
        assert word not in text, word


@pytest.mark.parametrize("name", ["requirements", "requirements-dev", "app/requirements"])
def test_every_wanted_package_is_locked(name: str) -> None:
    lines = (ROOT / f"{name}.in").read_text(encoding="utf-8").splitlines()
    wanted = {match[0].lower() for line in lines if (match := re.match(r"[A-Za-z0-9.-]+", line))}
    names = {each.replace(".", "-") for each in wanted if not each.startswith("-")}
    assert names <= set(pins(f"{name}.txt")), "make lock"


def test_the_apps_tests_run_with_what_its_image_has() -> None:
    ours, images = pins("requirements-dev.txt"), pins("app/requirements.txt")
    assert {name: ours.get(name) for name in images} == images
