"""Versions: each is in components/core/versions.py, and where another tool needs it too, it is the same one there."""

from __future__ import annotations

import re
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pytest
import tomli
import yaml

from components.core import versions
from components.core.names import IMAGE
from components.gitops import manifests

pytestmark = pytest.mark.unit

ROOT = Path(__file__).resolve().parents[2]
# Where a tool wants a version to be written in a file of its own; the tests below keep these equal.
ALSO = {"mise.toml", "mise.lock", "requirements.in", "requirements.txt", "app/Dockerfile", "vagrant/Dockerfile"}
ALSO |= {"app/requirements.txt", "app/requirements-ci.txt"}  # packages of PyPI, which may have the same number
# What the project is made of; not what is made from it, what is local, or what says what was measured.
SOURCES = ("*.py", "*.yaml", "Makefile", "components/**/*", "lab/**/*", "app/**/*", "manifests/**/*", "vagrant/**/*")
SHA256 = re.compile(r"[0-9a-f]{64}")


def text(path: str) -> str:
    return (ROOT / path).read_text(encoding="utf-8")


def pinned(lock: str) -> dict[str, str]:
    """Return the versions in a lock of pip, by package."""
    return dict(re.findall(r"^([\w.-]+)==([^\s;\\]+)", text(lock), re.MULTILINE))


def strings(value: Any) -> list[str]:  # noqa: ANN401 - a constant of any form
    if isinstance(value, str):
        return [value]
    if isinstance(value, dict):
        return [each for item in value.values() for each in strings(item)]
    if isinstance(value, versions.Chart):
        return strings(asdict(value))
    return [each for item in value for each in strings(item)] if isinstance(value, tuple) else []


def constants() -> dict[str, Any]:
    return {name: value for name, value in vars(versions).items() if name.isupper()}


def test_mise_installs_the_tools_that_versions_names() -> None:
    tools = tomli.loads(text("mise.toml"))["tools"]

    assert tools == {"pulumi": versions.PULUMI, "k3d": versions.K3D, "kubectl": versions.KUBECTL}


def test_mises_lock_has_those_versions_with_a_checksum_for_every_platform() -> None:
    lock = tomli.loads(text("mise.lock"))["tools"]
    platforms = {"linux-arm64", "linux-x64", "macos-arm64", "macos-x64"}

    for name, version in tomli.loads(text("mise.toml"))["tools"].items():
        (tool,) = lock[name]
        assert tool["version"] == version, name
        found = {key.removeprefix("platforms."): value for key, value in tool.items() if key.startswith("platforms.")}
        found |= tool.get("platforms", {})
        assert set(found) == platforms, name
        for platform, entry in found.items():
            assert re.fullmatch(r"(sha256:)?[0-9a-f]{64}", entry["checksum"]), (name, platform)
            assert version in entry["url"], (name, platform)


def test_pulumis_packages_and_plugins_are_the_ones_that_versions_names() -> None:
    locked = pinned("requirements.txt")

    assert locked["pulumi"] == versions.PULUMI
    for name, version in versions.PULUMI_PLUGINS.items():
        assert locked[f"pulumi-{name}"] == version, name


@pytest.mark.parametrize("name", ["requirements", "app/requirements", "app/requirements-ci"])
def test_every_package_is_locked_with_a_hash(name: str) -> None:
    lock = text(f"{name}.txt")
    wanted = re.findall(r"^(\w[\w.-]*)", text(f"{name}.in"), re.MULTILINE)

    assert wanted
    # As pip compares names: https://packaging.python.org/en/latest/specifications/name-normalization/
    assert {re.sub(r"[-_.]+", "-", each).lower() for each in wanted} <= set(pinned(f"{name}.txt"))
    for block in re.split(r"\n(?=\S)", lock):
        if re.match(r"[\w.-]+==", block):
            assert "--hash=sha256:" in block, block.splitlines()[0]


def test_the_dockerfiles_base_is_the_pinned_one() -> None:
    for dockerfile in ("app/Dockerfile", "ci/Dockerfile"):
        assert re.findall(r"^ARG PYTHON_IMAGE=(.+)$", text(dockerfile), re.MULTILINE) == [versions.PYTHON_IMAGE]


def test_the_manifests_run_the_first_version_of_the_app() -> None:
    images = [
        image
        for name, content in manifests.read(ROOT / "manifests/p3").items()
        for image in manifests.images(content, name)
    ]

    assert images == [f"{versions.APP_REPOSITORY}:{versions.APP_VERSIONS[0]}"]


def test_the_security_standard_is_that_of_the_clusters_kubernetes() -> None:
    (namespace,) = yaml.safe_load_all(text("manifests/namespaces.yaml"))
    minor = versions.K3S.rpartition(".")[0]

    assert namespace["metadata"]["labels"]["pod-security.kubernetes.io/enforce-version"] == minor


def test_the_nodes_image_kubectl_and_the_machines_k3s_are_one_version() -> None:
    assert f"rancher/k3s:{versions.K3S.replace('+', '-')}" == versions.K3S_IMAGE
    assert versions.K3S.startswith(f"v{versions.KUBECTL}+")
    assert versions.K3D_TOOLS_IMAGE.endswith(f":{versions.K3D}")
    assert versions.K3S.replace("+", "%2B") in versions.K3S_RELEASE_URL
    assert versions.K3S.replace("+", "%2B") in versions.K3S_INSTALL_URL


def test_images_are_pinned_and_checksums_are_checksums() -> None:
    for name, value in constants().items():
        if name.endswith("_IMAGE"):
            match = IMAGE.fullmatch(value)
            assert match, name
            assert match["tag"] not in (None, "latest"), name
        if isinstance(value, versions.Chart):
            assert SHA256.fullmatch(value.sha256) or value is versions.PROMETHEUS_CHART, name
            assert value.version in value.url
        if name.endswith("_SHA256"):
            assert all(SHA256.fullmatch(each) for each in strings(value)), name


def test_no_two_checksums_are_the_same() -> None:
    sums = [each for name, value in constants().items() if name.endswith("_SHA256") for each in strings(value)]
    sums += [each.sha256 for each in versions.CHARTS]

    assert len(sums) == len(set(sums)) >= 4


def files() -> list[Path]:
    found = {path for pattern in SOURCES for path in ROOT.glob(pattern) if path.is_file()}
    kept = [path for path in found if path.suffix not in {".pyc", ".png"} and ".vagrant" not in path.parts]
    return sorted(path for path in kept if path != ROOT / "components/core/versions.py")


def test_a_version_or_checksum_is_in_no_other_file() -> None:
    exact = [each for value in constants().values() for each in strings(value) if re.search(r"\d+\.\d+\.\d+", each)]
    exact += [each for value in constants().values() for each in strings(value) if SHA256.fullmatch(each)]
    numbers = {match for each in exact for match in re.findall(r"\d+\.\d+\.\d+|[0-9a-f]{64}", each)}
    # Nothing but versions.PULUMI and what comes with it is a plain number, which other things may have too.
    numbers -= set(versions.PULUMI_PLUGINS.values())
    assert {versions.K3D, versions.KUBECTL, versions.ARGOCD_CHART.version} <= numbers

    assert len(files()) > 40
    found = [
        f"{path.relative_to(ROOT)}: {number}"
        for path in files()
        if str(path.relative_to(ROOT)) not in ALSO
        for number in numbers
        if re.search(rf"(?<![\d.]){re.escape(number)}(?![\d.]\d|\d)", path.read_text(encoding="utf-8"))
    ]
    assert found == []


def test_an_image_is_named_in_no_other_file() -> None:
    images = [value for name, value in constants().items() if name.endswith("_IMAGE")]
    found = [
        f"{path.relative_to(ROOT)}: {image}"
        for path in files()
        if str(path.relative_to(ROOT)) not in ALSO
        for image in images
        if image in path.read_text(encoding="utf-8")
    ]

    assert len(images) >= 6
    assert found == []


def test_latest_is_asked_for_nowhere() -> None:
    found = [
        f"{path.relative_to(ROOT)}:{number}"
        for path in files()
        for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1)
        if re.search(r":latest\b|releases/latest|/latest/", line)
    ]

    assert found == []
