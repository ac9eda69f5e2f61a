"""Secrets in Git: their keys, how a value is sealed and written down, and what the program makes to read them."""

from __future__ import annotations

import argparse
import base64
import io
import os
import stat
import time
from typing import TYPE_CHECKING, Any

import pytest
import yaml
from cryptography import x509
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import padding
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.serialization import load_pem_private_key

from components.core.errors import LabError
from components.gitops import manifests, sealed_secrets, sealing_key
from components.gitops.allowed import kinds
from devtools import graph
from devtools.checks import references, schemas
from devtools.objects import of_folder
from lab.commands import seal
from lab.host import paths
from lab.live import sealing

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.unit


@pytest.fixture(scope="module")
def key() -> tuple[str, str]:
    """Return a private key and its certificate; making one takes a moment."""
    return sealing_key.make("lab-1")


@pytest.fixture
def kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return the folder where keys are kept."""
    monkeypatch.setattr(sealing_key, "FOLDER", tmp_path / "backups")
    monkeypatch.setenv("PULUMI_CONFIG_PASSPHRASE", "a passphrase")
    monkeypatch.delenv("PULUMI_CONFIG_PASSPHRASE_FILE", raising=False)
    return tmp_path / "backups" / "sealing-keys"


def unseal(text: str, private_key: str, label: str) -> bytes:
    """Do what the controller does: https://github.com/bitnami-labs/sealed-secrets/blob/main/docs/developer/crypto.md."""
    sealed = base64.b64decode(text)
    size = int.from_bytes(sealed[:2], "big")
    scheme = padding.OAEP(padding.MGF1(hashes.SHA256()), hashes.SHA256(), label.encode())
    mine: Any = load_pem_private_key(private_key.encode(), None)
    session = mine.decrypt(sealed[2 : 2 + size], scheme)
    return AESGCM(session).decrypt(bytes(12), sealed[2 + size :], None)


# --- a value ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("value", [b"hunter2", b"\x00\xff", b"x" * 100_000])
def test_what_is_sealed_is_read_with_the_key_and_as_that_secret_alone(key: tuple[str, str], value: bytes) -> None:
    sealed = sealing.seal(value, key[1], "dev", "db")
    assert unseal(sealed, key[0], "dev/db") == value
    for other in ("prod/db", "dev/other", "dev"):
        with pytest.raises((ValueError, InvalidTag)):
            unseal(sealed, key[0], other)


def test_a_value_that_is_sealed_twice_does_not_show_that_it_is_the_same(key: tuple[str, str]) -> None:
    assert sealing.seal(b"hunter2", key[1], "dev", "db") != sealing.seal(b"hunter2", key[1], "dev", "db")


@pytest.mark.parametrize(
    ("name", "key_"),
    [
        ("", "a"),
        ("DB", "a"),
        ("a_b", "a"),
        ("-a", "a"),
        ("a..b", "a"),
        ("a" * 201, "a"),
        ("db", ""),
        ("db", ".."),
        ("db", "a b"),
    ],
)
def test_what_can_be_no_name_is_refused_with_an_example(name: str, key_: str) -> None:
    with pytest.raises(LabError, match=r"can't be .*Fix: make seal NAME=database KEY=password ENV=dev"):
        sealing.check_names(name, key_)


def test_names_that_kubernetes_takes_are_taken() -> None:
    sealing.check_names("db.primary-1", "DB_PASSWORD.txt")


# --- in a folder -----------------------------------------------------------------------------------------------------


def test_the_keys_of_a_secret_are_in_one_file_that_the_kustomization_names(tmp_path: Path) -> None:
    (tmp_path / "kustomization.yaml").write_text("resources:\n- ../../base  # of all\nimages: []\n", encoding="utf-8")
    sealing.write(tmp_path, "dev", "db", "user", "AAA")
    sealing.write(tmp_path, "dev", "db", "password", "BBB")
    sealing.write(tmp_path, "dev", "db", "user", "CCC")
    found = yaml.safe_load((tmp_path / "sealed-db.yaml").read_text(encoding="utf-8"))
    assert found["spec"]["encryptedData"] == {"user": "CCC", "password": "BBB"}
    assert found["metadata"] == found["spec"]["template"]["metadata"] == {"name": "db", "namespace": "dev"}
    kustomization = (tmp_path / "kustomization.yaml").read_text(encoding="utf-8")
    assert kustomization == "resources:\n- ../../base  # of all\n- sealed-db.yaml\nimages: []\n"


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("resources:\n  - a.yaml\n", "resources:\n  - a.yaml\n  - s.yaml\n"),
        ("resources:\n- a.yaml", "resources:\n- a.yaml\n- s.yaml\n"),
        ("resources: [a.yaml, b.yaml]\nx: 1\n", "resources: [a.yaml, b.yaml, s.yaml]\nx: 1\n"),
        ("resources: []\nx: 1\n", "resources:\n- s.yaml\nx: 1\n"),
        ("resources:\nx: 1\n", "resources:\n- s.yaml\nx: 1\n"),
        ("x: 1\n", "x: 1\nresources:\n- s.yaml\n"),
        ("resources:\n- s.yaml\n", "resources:\n- s.yaml\n"),
    ],
)
def test_a_kustomization_gets_one_more_resource_and_nothing_else(before: str, after: str) -> None:
    found = manifests.add_resource(before, "kustomization.yaml", "s.yaml")
    assert found == after
    assert "s.yaml" in yaml.safe_load(found)["resources"]


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("kind: ConfigMap\nmetadata: {name: db}\n", "is no SealedSecret named db"),
        ("- a\n", "is no SealedSecret named db"),
        ("kind: SealedSecret\nspec: {}\nmetadata: {name: other, namespace: dev}\n", "is no SealedSecret named db"),
        ("kind: SealedSecret\nspec: {}\nmetadata: {name: db, namespace: prod}\n", "is for the namespace prod"),
        ("kind: {", "sealed-db.yaml"),
        ("kind: SealedSecret\n---\nkind: SealedSecret\n", "is no SealedSecret named db"),
    ],
)
def test_what_is_something_else_is_left_as_it_is(tmp_path: Path, text: str, words: str) -> None:
    path = tmp_path / "sealed-db.yaml"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(LabError, match=words):
        sealing.write(tmp_path, "dev", "db", "user", "AAA")
    assert path.read_text(encoding="utf-8") == text


@pytest.mark.parametrize(
    ("name", "text", "words"),
    [
        ("kustomization.yaml", "resources: []\nnamePrefix: x-\n", "kustomization.yaml has a namePrefix"),
        ("kustomization.yml", "nameSuffix: -x\n", "kustomization.yml has a nameSuffix"),
        ("kustomization.yaml", "{resources: [a.yaml]}\n---\n{}\n", "is not one kustomization"),
        ("kustomization.yaml", "- a\n", "is not one kustomization"),
        ("db.yaml", "kind: SealedSecret\nmetadata: {name: db}\n", "db.yaml has a SealedSecret db already"),
    ],
)
def test_where_a_sealed_value_could_not_be_read_nothing_is_written(
    tmp_path: Path, name: str, text: str, words: str
) -> None:
    (tmp_path / name).write_text(text, encoding="utf-8")
    with pytest.raises(LabError, match=words):
        sealing.write(tmp_path, "dev", "db", "user", "AAA")
    assert [each.name for each in tmp_path.iterdir()] == [name]
    assert (tmp_path / name).read_text(encoding="utf-8") == text


@pytest.mark.parametrize("name", sealing.KUSTOMIZATIONS)
def test_a_kustomization_is_known_by_each_of_its_names(tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_text("resources:\n- a.yaml\n", encoding="utf-8")
    sealing.write(tmp_path, "dev", "db", "user", "AAA")
    assert (tmp_path / name).read_text(encoding="utf-8") == "resources:\n- a.yaml\n- sealed-db.yaml\n"


def test_a_sealed_secret_is_a_manifest_that_may_be_there_and_a_secret_is_not(
    tmp_path: Path, key: tuple[str, str]
) -> None:
    sealing.write(tmp_path, "dev", "db", "user", sealing.seal(b"me", key[1], "dev", "db"))
    pod = {"containers": [{"name": "a", "image": "a:v1", "envFrom": [{"secretRef": {"name": "db"}}]}]}
    reader = {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "reader", "namespace": "dev"}, "spec": pod}
    (tmp_path / "reader.yaml").write_text(yaml.safe_dump(reader), encoding="utf-8")
    its = of_folder(tmp_path, "here")
    assert list(schemas.findings(its)) == []
    assert list(references.findings(its, ["dev"])) == []
    plain = {
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": {"name": "x", "namespace": "dev"},
        "stringData": {"a": "b"},
    }
    (tmp_path / "plain.yaml").write_text(yaml.safe_dump(plain), encoding="utf-8")
    found = [str(each) for each in references.project(of_folder(tmp_path, "here"), "dev", kinds(sealed=True))]
    assert any("plain.yaml" in each and "make seal" in each for each in found)
    assert not any("sealed-db" in each for each in found)
    off = [str(each) for each in references.project(of_folder(tmp_path, "here"), "dev", kinds(sealed=False))]
    assert any("sealed-db.yaml" in each and "iot:sealedSecrets true" in each for each in off)


def test_a_value_that_is_not_sealed_is_no_sealed_secret(tmp_path: Path) -> None:
    sealing.write(tmp_path, "dev", "db", "user", "hunter2")
    assert any("encryptedData.user" in str(each) for each in schemas.findings(of_folder(tmp_path, "here")))


# --- the command -----------------------------------------------------------------------------------------------------


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.mark.parametrize(("given", "value"), [(b"hunter2\n", b"hunter2"), (b"two\nlines\n\n", b"two\nlines\n")])
def test_a_value_is_read_from_standard_input_without_the_end_of_its_last_line(
    monkeypatch: pytest.MonkeyPatch, given: bytes, value: bytes
) -> None:
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(given)))
    assert seal.value() == value


def test_at_a_terminal_it_is_asked_for_and_not_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.stdin", Terminal())
    monkeypatch.setattr("getpass.getpass", lambda asked: "hunter2" if "not shown" in asked else "")
    assert seal.value() == b"hunter2"


def test_no_value_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(b"\n")))
    with pytest.raises(LabError, match=r"^the value is empty"):
        seal.value()


def test_a_stack_without_them_says_how_to_have_them(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("lab.live.stack.outputs", lambda *_, **__: {"git": {}})
    with pytest.raises(
        LabError, match=r"^the stack p3 reads no sealed secrets.*pulumi config set iot:sealedSecrets true"
    ):
        seal.run(argparse.Namespace(stack="p3", env="", name="db", key="password", timeout=1.0))


CONDITIONS = [
    ({}, (False, "")),
    ({"spec": {"encryptedData": {"a": "before"}}}, (False, "")),
    (
        {
            "metadata": {"generation": 2},
            "spec": {"encryptedData": {"a": "now"}},
            "status": {"observedGeneration": 1, "conditions": [{"type": "Synced", "status": "True"}]},
        },
        (False, ""),
    ),
    (
        {
            "metadata": {"generation": 2},
            "spec": {"encryptedData": {"a": "now", "b": "other"}},
            "status": {"observedGeneration": 2, "conditions": [{"type": "Synced", "status": "True"}]},
        },
        (True, ""),
    ),
    (
        {
            "metadata": {"generation": 2},
            "spec": {"encryptedData": {"a": "now"}},
            "status": {
                "observedGeneration": 2,
                "conditions": [{"type": "Synced", "status": "False", "message": "no key could decrypt secret (a)"}],
            },
        },
        (False, "no key could decrypt secret (a)"),
    ),
]


@pytest.mark.parametrize(("found", "expected"), CONDITIONS)
def test_a_secret_is_there_when_the_controller_has_read_this_very_one(
    found: dict[str, Any], expected: tuple[bool, str]
) -> None:
    assert sealing.read_condition(found, {"a": "now"}) == expected


# --- the keys --------------------------------------------------------------------------------------------------------


def test_of_a_key_it_is_known_when_it_was_made_also_when_it_was_kept(kept: Path) -> None:
    before = int(time.time())
    private_key, certificate = sealing_key.make("lab-1")
    assert before <= sealing_key.made_at(certificate) <= time.time()
    _, again = sealing_key.read(sealing_key.keep("lab-1", private_key, certificate))
    assert sealing_key.made_at(again) == sealing_key.made_at(certificate)


def test_a_certificate_is_of_its_key_and_lasts(key: tuple[str, str]) -> None:
    certificate = x509.load_pem_x509_certificate(key[1].encode())
    mine: Any = load_pem_private_key(key[0].encode(), None)
    assert certificate.public_key() == mine.public_key()
    assert mine.key_size == 4096
    assert (certificate.not_valid_after_utc - certificate.not_valid_before_utc).days > 3600


def test_a_key_that_goes_is_kept_encrypted_and_the_next_one_begins_as_it(
    kept: Path, key: tuple[str, str], capsys: pytest.CaptureFixture[str]
) -> None:
    provider = sealing_key.SealingKeyProvider()
    provider.delete("made", {"name": "lab-1", "private_key": key[0], "certificate": key[1]})
    (path,) = sealing_key.kept(kept.parent)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert "BEGIN ENCRYPTED PRIVATE KEY" in path.read_text(encoding="utf-8")
    assert str(path) in capsys.readouterr().out
    again = provider.create({"name": "lab-1", "restore": True}).outs
    assert again is not None
    assert (again["private_key"], again["certificate"]) == key
    assert path.is_file()


def test_who_wants_none_that_was_kept_gets_a_new_one_which_takes_no_ones_place(
    kept: Path, key: tuple[str, str]
) -> None:
    first = sealing_key.keep("lab-1", *key)
    os.utime(first, (1, 1))
    provider = sealing_key.SealingKeyProvider()
    made = provider.create({"name": "lab-1", "restore": False}).outs
    assert made is not None
    assert made["private_key"] != key[0]
    provider.delete("made", made)
    assert sealing_key.read(first) == key
    assert len(sealing_key.kept(kept)) == 2
    # The one that was kept last.
    newest = sealing_key.newest("lab-1")
    assert newest
    assert sealing_key.read(newest)[0] == made["private_key"]
    assert sealing_key.newest("lab") is None


def test_a_lab_that_is_renamed_keeps_its_key_under_the_new_name(key: tuple[str, str]) -> None:
    provider = sealing_key.SealingKeyProvider()
    olds = {"name": "lab-1", "restore": True, "private_key": key[0], "certificate": key[1]}
    news = {"name": "other-1", "restore": True}
    found = provider.diff("made", olds, news)
    assert (found.changes, found.replaces) == (True, None) or not found.replaces
    assert provider.update("made", olds, news).outs == {**olds, "name": "other-1"}
    assert not provider.diff("made", olds, olds).changes


def test_without_a_passphrase_a_key_is_not_removed(
    kept: Path, key: tuple[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PULUMI_CONFIG_PASSPHRASE", "")
    gone = {"name": "lab-1", "private_key": key[0], "certificate": key[1]}
    with pytest.raises(LabError, match=r"^The sealing key lab-1 can't be kept, so .*Fix: set IOT_SEALING_PASSPHRASE"):
        sealing_key.SealingKeyProvider().delete("made", gone)
    assert not kept.exists()
    monkeypatch.setenv("IOT_SEALING_PASSPHRASE", "for this")
    sealing_key.SealingKeyProvider().delete("made", gone)
    assert len(sealing_key.kept(kept)) == 1


@pytest.mark.parametrize("text", ["another passphrase", "rubbish"])
def test_a_key_that_can_not_be_read_is_no_reason_to_make_another_one(
    kept: Path, key: tuple[str, str], monkeypatch: pytest.MonkeyPatch, text: str
) -> None:
    path = sealing_key.keep("lab-1", *key)
    if text == "rubbish":
        path.write_text(text, encoding="utf-8")
    else:
        monkeypatch.setenv("PULUMI_CONFIG_PASSPHRASE", text)
    words = rf"^{path} can't be read\. it is no key, or was encrypted with another passphrase than .*move .* away"
    with pytest.raises(LabError, match=words):
        sealing_key.SealingKeyProvider().create({"name": "lab-1", "restore": True})


def test_the_passphrase_may_be_in_a_file(kept: Path, key: tuple[str, str], monkeypatch: pytest.MonkeyPatch) -> None:
    path = sealing_key.keep("lab-1", *key)
    file = kept / "passphrase"
    file.write_text("a passphrase\n", encoding="utf-8")
    monkeypatch.delenv("PULUMI_CONFIG_PASSPHRASE")
    monkeypatch.setenv("PULUMI_CONFIG_PASSPHRASE_FILE", str(file))
    assert sealing_key.read(path) == key


# --- the program -----------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def made() -> graph.Graph:
    """Make the graph of the platform with a second key."""
    return graph.build("platform", paths.ROOT, {"sealedSecrets": True, "sealingKeys": 2})


def test_the_controller_reads_in_its_environments_alone_in_either_cluster(made: graph.Graph) -> None:
    for name, namespaces in (("sealed", ["dev", "staging"]), ("sealed-prod", ["prod"])):
        release = made.named(f"{name}-release")
        assert release.inputs["values"]["additionalNamespaces"] == ["sealed-secrets", *namespaces]
        assert release.inputs["values"]["rbac"]["clusterRole"] is False
        assert ("iot-cluster-prod-provider" in release.provider) is (name == "sealed-prod")


def test_the_controller_does_not_wait_for_argocd(made: graph.Graph) -> None:
    waits = made.named("sealed-release").depends_on
    assert not [urn for urn in waits if "argocd" in urn.rpartition("::")[2] or urn.endswith("-project")]


def test_every_cluster_has_every_key_and_they_are_secret(made: graph.Graph) -> None:
    for name in ("sealed", "sealed-prod"):
        for number in (1, 2):
            secret = made.named(f"{name}-key-{number}")
            assert secret.inputs["metadata"]["labels"] == {sealed_secrets.KEY_LABEL: "active"}
            assert set(secret.inputs["stringData"]) == {"secret"}
    # In this order: the controller takes the youngest for the one to seal with.
    assert made.named("sealing-key-1").urn in made.named("sealing-key-2").depends_on
    assert "sealing-key-2" in made.outputs["sealing"]["certificate"]


def test_git_may_bring_sealed_secrets_and_argocd_may_make_them(made: graph.Graph) -> None:
    kinds = {"group": "bitnami.com", "kind": "SealedSecret"}
    for name in ("dev", "prod"):
        assert kinds in made.named(f"{name}-project").inputs["spec"]["namespaceResourceWhitelist"]
    rules = made.named("cluster-prod-prod-role").inputs["rules"]
    assert ["sealedsecrets"] in [rule["resources"] for rule in rules if rule["apiGroups"] == ["bitnami.com"]]
    assert not [rule for rule in rules if "secrets" in rule["resources"]]


@pytest.mark.parametrize("stack", ["p3", "platform"])
def test_without_the_setting_there_is_nothing_of_it(stack: str) -> None:
    found = graph.build(stack, paths.ROOT, {"sealedSecrets": False})
    assert not [each.name for each in found.nodes if "seal" in each.name]
    assert "sealing" not in found.outputs
    # Argo CD's release has a check of health for the kind in any case: switching it on is no reason to restart Argo CD.
    assert "SealedSecret" not in str([each.inputs for each in found.nodes if each.name != "argocd-release"])


def test_p3_has_them_without_environments() -> None:
    found = graph.build("p3", paths.ROOT, {"sealedSecrets": True})
    release = found.named("sealed-release")
    assert release.inputs["values"]["additionalNamespaces"] == ["sealed-secrets", "dev"]
    assert release.urn in found.named("flask-app-application").depends_on
