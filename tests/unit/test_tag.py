"""A tag is changed in a manifest, and nothing else is."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

import pytest

from components.core.errors import LabError
from components.parts import p3
from lab.commands import tag
from lab.host import paths
from lab.live import manifest_tags

if TYPE_CHECKING:
    from pathlib import Path

IMAGE = "iot-lab/flask-app"


@pytest.fixture
def manifest(tmp_path: Path) -> Path:
    path = tmp_path / "deployment.yaml"
    path.write_bytes((paths.ROOT / p3.MANIFESTS / "deployment.yaml").read_bytes())
    return path


def change(manifests: Path, image: str = IMAGE, new: str = "v2") -> None:
    assert tag.run(argparse.Namespace(manifests=manifests, image=image, tag=new)) == 0


@pytest.mark.parametrize("folder", [False, True], ids=["a file", "a folder"])
def test_only_the_tag_changes(manifest: Path, *, folder: bool, capsys: pytest.CaptureFixture[str]) -> None:
    before = manifest.read_bytes()
    change(manifest.parent if folder else manifest)
    assert manifest.read_bytes() == before.replace(b"iot-lab/flask-app:v1", b"iot-lab/flask-app:v2")
    assert capsys.readouterr().out == "iot-lab/flask-app: v1 -> v2 in deployment.yaml\n"


def test_a_digest_stands_for_itself_until_a_tag_takes_its_place(manifest: Path) -> None:
    digest = f"sha256:{'0' * 64}"
    pinned = manifest.read_bytes().replace(b":v1", f"@{digest}".encode())
    manifest.write_bytes(pinned)
    assert manifest_tags.one_of(manifest_tags.tags(manifest_tags.read(manifest.parent), IMAGE)) == digest
    change(manifest)
    assert manifest.read_bytes() == pinned.replace(f"@{digest}".encode(), b":v2")


def test_line_endings_stay(manifest: Path) -> None:
    windows = manifest.read_bytes().replace(b"\n", b"\r\n")
    manifest.write_bytes(windows)
    change(manifest)
    assert manifest.read_bytes() == windows.replace(b"flask-app:v1", b"flask-app:v2")


def test_a_second_run_changes_nothing(manifest: Path) -> None:
    change(manifest)
    once = manifest.read_bytes()
    change(manifest)
    assert manifest.read_bytes() == once


@pytest.mark.parametrize("new", ["latest", "", "a tag", "-v2", "v" * 129])
def test_what_is_no_tag_is_refused(manifest: Path, new: str) -> None:
    before = manifest.read_bytes()
    with pytest.raises(LabError, match="is no tag for a release"):
        change(manifest, new=new)
    assert manifest.read_bytes() == before


def test_an_image_that_does_not_run_is_named_with_those_that_do(manifest: Path) -> None:
    with pytest.raises(LabError, match=r"deployment\.yaml runs the image other/app\. they run iot-lab/flask-app:v1"):
        change(manifest, image="other/app")


def test_a_malformed_manifest_is_named_with_its_line(manifest: Path) -> None:
    manifest.write_text(manifest.read_text(encoding="utf-8").replace("replicas: 1", "replicas: [1"), encoding="utf-8")
    with pytest.raises(LabError, match=r"deployment\.yaml:\d+:\d+ is not YAML"):
        change(manifest)


def test_a_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(LabError, match="There is no manifest"):
        change(tmp_path / "none.yaml")
