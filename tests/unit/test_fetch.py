from __future__ import annotations

import hashlib
import socket
from typing import TYPE_CHECKING

import pytest

from components.core.errors import LabError
from lab.host import fetch

if TYPE_CHECKING:
    from pathlib import Path

    from tests.site import Site

URL = "https://tools.example.com/v1/tool"
SERVED = "/tools.example.com/v1/tool"
BODY = b"0123456789" * 1000
SUM = hashlib.sha256(BODY).hexdigest()
INSTEAD = ["put the tool on PATH"]


@pytest.fixture
def mirror(site: Site, monkeypatch: pytest.MonkeyPatch) -> Site:
    monkeypatch.setenv("IOT_MIRROR", site.url + "/")
    site.files[SERVED] = BODY
    return site


def test_a_file_is_fetched_from_the_mirror_with_the_official_host_in_its_path(mirror: Site, tmp_path: Path) -> None:
    target = tmp_path / "new" / "tool"
    fetch.download("the tool", URL, SUM, target, instead=INSTEAD)
    assert target.read_bytes() == BODY
    assert mirror.asked == [(SERVED, "")]
    assert list(target.parent.iterdir()) == [target]


def test_without_a_mirror_the_official_address_is_used() -> None:
    assert fetch.mirrored(URL) == URL


def test_a_file_that_is_there_is_not_fetched_again(mirror: Site, tmp_path: Path) -> None:
    (tmp_path / "tool").write_bytes(BODY)
    fetch.download("the tool", URL, SUM, tmp_path / "tool", instead=INSTEAD)
    assert mirror.asked == []


def test_a_file_with_another_content_is_replaced(mirror: Site, tmp_path: Path) -> None:
    (tmp_path / "tool").write_bytes(b"an older version")
    fetch.download("the tool", URL, SUM, tmp_path / "tool", instead=INSTEAD)
    assert (tmp_path / "tool").read_bytes() == BODY


def test_an_interrupted_download_goes_on_where_it_ended(
    mirror: Site, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "tool.part").write_bytes(BODY[:4321])
    fetch.download("the tool", URL, SUM, tmp_path / "tool", instead=INSTEAD)
    assert (tmp_path / "tool").read_bytes() == BODY
    assert mirror.asked == [(SERVED, "bytes=4321-")]
    assert "from byte 4321 on" in capfd.readouterr().err


def test_a_download_that_was_complete_but_not_yet_put_in_place_is_not_repeated(mirror: Site, tmp_path: Path) -> None:
    (tmp_path / "tool.part").write_bytes(BODY)
    fetch.download("the tool", URL, SUM, tmp_path / "tool", instead=INSTEAD)
    assert (tmp_path / "tool").read_bytes() == BODY
    assert mirror.asked == []


def test_a_server_that_serves_no_parts_is_asked_for_the_whole(mirror: Site, tmp_path: Path) -> None:
    mirror.ranges = False
    (tmp_path / "tool.part").write_bytes(BODY[:4321])
    fetch.download("the tool", URL, SUM, tmp_path / "tool", instead=INSTEAD)
    assert (tmp_path / "tool").read_bytes() == BODY
    assert mirror.asked[-1] == (SERVED, "")


def test_a_file_whose_checksum_is_not_known_is_fetched_whole(mirror: Site, tmp_path: Path) -> None:
    (tmp_path / "tool.part").write_bytes(b"of something else")
    fetch.download("the tool", URL, "", tmp_path / "tool", instead=INSTEAD)
    assert (tmp_path / "tool").read_bytes() == BODY
    assert mirror.asked == [(SERVED, "")]


def test_a_wrong_file_is_refused_and_removed(mirror: Site, tmp_path: Path) -> None:
    mirror.files[SERVED] = b"something else"
    with pytest.raises(LabError) as error:
        fetch.download("the tool", URL, SUM, tmp_path / "tool", instead=INSTEAD)
    assert hashlib.sha256(b"something else").hexdigest() in str(error.value)
    assert SUM in str(error.value)
    assert f"{mirror.url}{SERVED}" in str(error.value)
    assert list(tmp_path.iterdir()) == []


def test_a_site_that_has_no_such_file_is_an_error_with_the_ways_around_it(mirror: Site, tmp_path: Path) -> None:
    del mirror.files[SERVED]
    with pytest.raises(LabError) as error:
        fetch.download("the tool", URL, SUM, tmp_path / "tool", instead=INSTEAD)
    message = str(error.value)
    assert f"could not fetch the tool from {mirror.url}{SERVED}" in message
    for way in ("put the tool on PATH", "IOT_MIRROR", "IOT_OFFLINE_DIR", "`make test` and `make plan` work"):
        assert way in message


def test_a_site_that_can_not_be_reached_is_the_same_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.socket() as taken:
        # Bound but not listening: every connection is refused.
        taken.bind(("127.0.0.1", 0))
        monkeypatch.setenv("IOT_MIRROR", f"http://127.0.0.1:{taken.getsockname()[1]}")
        with pytest.raises(LabError, match=r"could not fetch the tool from .*tools.example.com/v1/tool"):
            fetch.download("the tool", URL, SUM, tmp_path / "tool", instead=INSTEAD)


def test_without_curl_the_error_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(LabError, match="curl is missing"):
        fetch.download("the tool", URL, SUM, tmp_path / "tool", instead=INSTEAD)
