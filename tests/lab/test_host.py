"""A host that is not as it should be: what is wrong is said before anything is made, and what only looks odd works.

What is refused needs no lab that is up; the rest is one lab in surroundings that are odd in every way at once.
"""

from __future__ import annotations

import base64
import json
import os
import shutil
import socket
import ssl
import subprocess
import threading
from contextlib import contextmanager
from datetime import datetime, timedelta, timezone
from http.server import BaseHTTPRequestHandler, HTTPServer
from ipaddress import IPv4Address
from pathlib import Path
from typing import TYPE_CHECKING, Final

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from components.core import kube, versions
from components.core.errors import LabError
from lab.commands.test import ROOT
from lab.host import chart
from tests.lab import cluster
from tests.lab.faults import fault
from tests.lab.lab import failed

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.lab.lab import Lab

pytestmark = [pytest.mark.lab, pytest.mark.k3d]

NOWHERE: Final = "http://127.0.0.1:9"  # nothing listens on the port of the discard protocol
PORTS: Final = {
    key: value if isinstance(value, int) else value[0] for key, value in cluster.SETTINGS.items() if "ort" in key
}


@pytest.fixture(scope="module")
def refused(tmp_path_factory: pytest.TempPathFactory, before: dict[str, set[str]]) -> Iterator[Lab]:
    """Make a lab that is never to come up as long as something is wrong."""
    with cluster.lab(tmp_path_factory.mktemp("refused")) as made:
        yield made
    assert cluster.left(before) == {}


@pytest.fixture
def nothing_made(before: dict[str, set[str]]) -> Iterator[None]:
    """See that Docker has what it had."""
    yield
    assert cluster.left(before) == {}


def refuses(lab: Lab) -> str:
    """Bring a lab up, which has to say what is wrong, and return what it says."""
    return failed(lab.command("up", check=False))


@contextmanager
def mounted(folder: Path, options: str) -> Iterator[bool]:
    """Mount a disk in memory on a folder, for as long as the context lasts, and tell whether this user may do so."""
    mount = ["mount", "-t", "tmpfs", "-o", options, "tmpfs", str(folder)]
    done = os.geteuid() == 0 and not subprocess.run(mount, check=False, capture_output=True).returncode
    try:
        yield done
    finally:
        if done:
            subprocess.run(["umount", str(folder)], check=True)


def goes_on(lab: Lab) -> None:
    """See that nothing stands in the way any more, without waiting for all of it to come up."""
    lab.pulumi("preview")


@pytest.mark.usefixtures("nothing_made")
@pytest.mark.parametrize(
    ("key", "port"),
    [pytest.param(*each, marks=[] if each[0] == "apiPort" else pytest.mark.long) for each in PORTS.items()],
)
@fault("host", "a port: `{key}`", when="something listens there", saw="Port ... is taken", out="pulumi preview")
def test_a_port_that_is_taken_is_named(refused: Lab, key: str, port: int) -> None:
    with socket.create_server(("127.0.0.1", port)):
        said = refuses(refused)
    assert f"Port {port} of 127.0.0.1 is taken" in said, key
    goes_on(refused)


@pytest.mark.usefixtures("nothing_made")
@fault("host", "the Docker engine", when="it does not run", saw="Docker engine is not running", out="pulumi preview")
def test_a_docker_engine_that_does_not_run_is_said_first(refused: Lab, tmp_path: Path) -> None:
    known, refused.env = refused.env, refused.env | {"DOCKER_HOST": f"unix://{tmp_path}/docker.sock"}
    refuses(refused)
    refused.env = known
    goes_on(refused)


@pytest.mark.usefixtures("nothing_made")
@fault("host", "the chart's archive", when="it was cut in half", saw="is not a Helm chart", out="pulumi preview")
def test_a_chart_that_was_cut_in_half_is_said(refused: Lab, tmp_path: Path) -> None:
    wanted = versions.ARGOCD_CHART
    good = next(path for path in (chart.kept(wanted), chart.offline(wanted)) if path and path.is_file())
    half = tmp_path / wanted.archive
    half.write_bytes(good.read_bytes()[: good.stat().st_size // 2])
    refused.set(wanted.setting, str(half))
    refuses(refused)
    refused.set(wanted.setting, str(good))
    goes_on(refused)


@pytest.mark.usefixtures("nothing_made")
@fault("host", "the passphrase", when="another one is set", saw="incorrect passphrase", out="pulumi preview")
def test_another_passphrase_is_said(refused: Lab) -> None:
    refused.run("pulumi", "config", "set", "--stack", "p3", "--secret", "iot:gitPassword", given="secret")
    known, refused.env = refused.env, refused.env | {"PULUMI_CONFIG_PASSPHRASE": "another"}
    refuses(refused)
    refused.env = known
    refused.run("pulumi", "config", "rm", "--stack", "p3", "iot:gitPassword")
    goes_on(refused)


@pytest.mark.usefixtures("nothing_made")
@fault(
    "host",
    "the state",
    when="a newer Pulumi has written it",
    saw="was written by a newer version",
    out="pulumi preview",
)
def test_a_state_of_a_newer_version_is_left_alone(refused: Lab) -> None:
    refused.pulumi("preview")
    (file,) = (refused.folder / ".lab" / "state").glob(".pulumi/stacks/*/p3.json")
    good = file.read_text(encoding="utf-8")
    newer = json.loads(good)
    newer["version"] = 99
    file.write_text(json.dumps(newer), encoding="utf-8")
    refuses(refused)
    assert json.loads(file.read_text(encoding="utf-8")) == newer
    file.write_text(good, encoding="utf-8")
    goes_on(refused)


@pytest.fixture
def small(refused: Lab) -> Iterator[Path]:
    """Have the state on a disk that is full."""
    folder = refused.folder / ".lab" / "state"
    kept = folder.with_name("kept")
    shutil.copytree(folder, kept)
    with mounted(folder, "size=256k") as done:
        if not done:
            pytest.skip(ROOT)
        shutil.copytree(kept, folder, dirs_exist_ok=True)
        (folder / "full").write_bytes(b"0" * shutil.disk_usage(folder).free)
        yield folder
    shutil.rmtree(kept)


@pytest.mark.usefixtures("nothing_made")
@fault("host", "the disk with the state", when="it is full", saw="no space left on device", out="pulumi preview")
def test_a_full_disk_is_said(refused: Lab, small: Path) -> None:
    refuses(refused)
    (small / "full").unlink()
    goes_on(refused)


# --- the clock -------------------------------------------------------------------------------------------------------


def certified(since: datetime, until: datetime) -> tuple[str, str]:
    """Return a certificate of this host's loopback that certifies itself, and its key, as PEM."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "a cluster")])
    made = (
        x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number(), since, until)
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(IPv4Address("127.0.0.1"))]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    private = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    return made.public_bytes(serialization.Encoding.PEM).decode(), private.decode()


@contextmanager
def api_server(certificate: str, file: Path) -> Iterator[str]:
    """Have something answer with a certificate as a cluster's API server does, and give a kubeconfig for it."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(file)
    with HTTPServer(("127.0.0.1", 0), BaseHTTPRequestHandler) as server:
        server.socket = context.wrap_socket(server.socket, server_side=True)
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        trusted = base64.b64encode(certificate.encode()).decode()
        its = {"server": f"https://127.0.0.1:{server.server_port}", "certificate-authority-data": trusted}
        content = {
            "apiVersion": "v1",
            "kind": "Config",
            "current-context": "it",
            "clusters": [{"name": "it", "cluster": its}],
            "users": [{"name": "it", "user": {"token": "made-up"}}],
            "contexts": [{"name": "it", "context": {"cluster": "it", "user": "it"}}],
        }
        try:
            yield json.dumps(content)
        finally:
            server.shutdown()
            thread.join()


@pytest.mark.parametrize(("days", "words"), [((1, 2), "is before"), ((-2, -1), "is after")])
def test_a_certificate_for_another_time_is_said_with_what_to_do_about_the_clock(
    tmp_path: Path, days: tuple[int, int], words: str
) -> None:
    """As when the clock of this machine is wrong, or was when the cluster was made; what kubectl says is its own."""
    now, file = datetime.now(timezone.utc), tmp_path / "server.pem"
    certificate, key = certified(*(now + timedelta(days=each) for each in days))
    file.write_text(certificate + key, encoding="ascii")
    with api_server(certificate, file) as kubeconfig, kube.config_file(kubeconfig) as config:
        with pytest.raises(LabError) as error:
            kube.get(config, "nodes")
        assert error.value.what.startswith("the cluster's certificate is not valid at this machine's time (")
        assert words in error.value.what
        assert "make destroy, then make up" in error.value.fix


# --- what only looks odd ---------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def odd(tmp_path_factory: pytest.TempPathFactory, before: dict[str, set[str]]) -> Iterator[Lab]:
    """Make a lab in a folder with a space and letters that are not ASCII, in surroundings that fit nothing."""
    folder = tmp_path_factory.mktemp("odd") / "Zoë's Übung 1"
    folder.mkdir()
    home = folder / "home"
    home.mkdir(mode=0o500)
    theirs = folder / "kubeconfig"
    theirs.write_text("apiVersion: v1\nkind: Config\ncurrent-context: theirs\n", encoding="utf-8")
    # Root may write wherever it can.
    with mounted(home, "ro"), cluster.lab(folder) as made:
        made.env |= {
            "HOME": str(home),
            "KUBECONFIG": str(theirs),
            "LC_ALL": "C",
            "LANG": "C",
            **dict.fromkeys(("HTTP_PROXY", "http_proxy", "HTTPS_PROXY", "https_proxy"), NOWHERE),
        }
        yield made
    home.chmod(0o700)


@pytest.fixture
def masked() -> Iterator[None]:
    """Have new files belong to their owner alone."""
    before = os.umask(0o077)
    yield
    os.umask(before)


@pytest.mark.usefixtures("masked")
@fault(
    "host",
    "nothing: a path with a space and `ë`, locale C, umask 077, a HOME that can't be written, a proxy that does not "
    "answer, a KUBECONFIG of something else, another working directory",
    when="at once",
    saw="Synced and Healthy",
    out="make -C",
)
def test_surroundings_that_are_only_odd_do_no_harm(odd: Lab, tmp_path: Path) -> None:
    theirs = Path(odd.env["KUBECONFIG"])
    content = theirs.read_bytes()
    folder, odd.folder = odd.folder, tmp_path
    odd.run("make", "-C", str(folder), "status", check=False)
    odd.run("make", "-C", str(folder), "up")
    odd.folder = folder
    cluster.answers("v1")
    assert "Synced and Healthy" in odd.command("status").stdout
    odd.command("release", "v2")
    cluster.answers("v2")
    assert theirs.read_bytes() == content


def test_and_are_left_as_they_were(odd: Lab, before: dict[str, set[str]]) -> None:
    content = Path(odd.env["KUBECONFIG"]).read_bytes()
    odd.command("destroy")
    assert cluster.left(before) == {}
    assert Path(odd.env["KUBECONFIG"]).read_bytes() == content
