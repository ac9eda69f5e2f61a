"""The keys that secrets in Git are sealed with: made once, encrypted in the state, kept when the stack is destroyed.

Without its private key nobody reads what was sealed with it, and Git, which is kept, too, has nothing else. A key that
goes is therefore written to ``.lab/backups``, encrypted with the passphrase of the state, and the next one of its name
begins as that. No file ever takes the place of another one's.
"""

from __future__ import annotations

import hashlib
import os
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import pulumi
from pulumi.dynamic import CreateResult, DiffResult, Resource, ResourceProvider, UpdateResult

from components.core.dynamic import Provider
from components.core.errors import LabError
from components.gitops.git_backups import FOLDER

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey

BITS: Final = 4096
KEYS: Final = "sealing-keys"  # the folder with those that were kept
DIGEST: Final = 8  # characters of the certificate's, by which the files of two keys differ
YEARS: Final = 10  # the controller and kubeseal look at the date, but nothing ends with it
PASSPHRASE: Final = "PULUMI_CONFIG_PASSPHRASE"  # noqa: S105 - the variable's name
OWN_PASSPHRASE: Final = "IOT_SEALING_PASSPHRASE"  # noqa: S105 - as above, for keys that another passphrase encrypts


class SealingKeyProvider(ResourceProvider):
    """Makes a key, or takes the one that was kept, and keeps it when it is deleted.

    Inputs: ``name`` (of the file that it is kept in), ``restore`` (whether one that was kept is taken).
    Outputs: the inputs, ``private_key`` (PEM, to be marked secret by the resource) and ``certificate`` (PEM).
    """

    def create(self, props: dict[str, Any]) -> CreateResult:
        """Make a key with its certificate, or read those that were kept."""
        kept = newest(props["name"]) if props["restore"] else None
        if kept:
            private_key, certificate = read(kept)
            print(f"the sealing key begins as the one that was kept: {kept.name}", flush=True)
        else:
            private_key, certificate = make(props["name"])
        return CreateResult(id_="made", outs={**props, "private_key": private_key, "certificate": certificate})

    def diff(self, _id: str, _olds: dict[str, Any], _news: dict[str, Any]) -> DiffResult:
        """Never plan another key: what was sealed needs this very one. It may be kept under another name, though."""
        return DiffResult(changes=any(_olds.get(key) != _news.get(key) for key in ("name", "restore")))

    def update(self, _id: str, _olds: dict[str, Any], _news: dict[str, Any]) -> UpdateResult:
        """Keep the key."""
        return UpdateResult(outs={**_olds, "name": _news["name"], "restore": _news["restore"]})

    def delete(self, _id: str, _props: dict[str, Any]) -> None:
        """Write the key to a file first."""
        kept = keep(_props["name"], _props["private_key"], _props["certificate"])
        print(f"kept the sealing key, encrypted with the stack's passphrase: {kept}", flush=True)


class SealingKey(Resource, module="gitops", name="SealingKey"):
    """An RSA key and its certificate.

    Attributes:
        private_key: PKCS #8 as PEM, secret.
        certificate: X.509 as PEM, with which anybody can seal.
    """

    private_key: pulumi.Output[str]
    certificate: pulumi.Output[str]

    def __init__(self, name: str, of: str, opts: pulumi.ResourceOptions, *, restore: bool) -> None:
        """Make the key.

        Args:
            name: of the resource.
            of: the name of its file, when it is kept.
            opts: of the resource.
            restore: whether one that was kept is taken.
        """
        super().__init__(
            Provider("sealing-key"),
            name,
            {"name": of, "restore": restore, "private_key": None, "certificate": None},
            pulumi.ResourceOptions.merge(opts, pulumi.ResourceOptions(additional_secret_outputs=["private_key"])),
        )


def make(name: str) -> tuple[str, str]:
    """Return a new private key and its certificate, both as PEM.

    Args:
        name: the certificate's common name.
    """
    # Only where one is made: it takes a moment to load.
    from cryptography import x509  # noqa: PLC0415
    from cryptography.hazmat.primitives import hashes, serialization  # noqa: PLC0415
    from cryptography.hazmat.primitives.asymmetric import rsa  # noqa: PLC0415

    key = rsa.generate_private_key(public_exponent=65537, key_size=BITS)
    who = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, name)])
    now = datetime.now(timezone.utc)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(who)
        .issuer_name(who)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now)
        .not_valid_after(now + timedelta(days=365 * YEARS))
        .sign(key, hashes.SHA256())
    )
    return _pem(key, b""), certificate.public_bytes(serialization.Encoding.PEM).decode()


def made_at(certificate: str) -> int:
    """Return when a key was made, in seconds since 1970.

    Args:
        certificate: of the key, as PEM.
    """
    from cryptography import x509  # noqa: PLC0415

    return int(x509.load_pem_x509_certificate(certificate.encode()).not_valid_before_utc.timestamp())


def newest(name: str) -> Path | None:
    """Return the file of the key that was kept last under a name, or None when there is none.

    Args:
        name: of the key.
    """
    found = (FOLDER / KEYS).glob(f"{name}-{'?' * DIGEST}.pem")
    return max(found, key=lambda path: path.stat().st_mtime, default=None)


def keep(name: str, private_key: str, certificate: str) -> Path:
    """Write a key to a file that its owner alone can read, encrypted, and return where that is.

    Args:
        name: of the key.
        private_key: as PEM.
        certificate: as PEM.

    Raises:
        LabError: there is no passphrase to encrypt it with, or no room.
    """
    from cryptography.hazmat.primitives.serialization import load_pem_private_key  # noqa: PLC0415

    passphrase = _passphrase()
    if not passphrase:
        raise LabError(
            f"The sealing key {name} can't be kept, so that it is not removed",
            why=f"what Git has sealed would be unreadable without it, and there is no {PASSPHRASE} to encrypt it with",
            fix=f"set {OWN_PASSPHRASE} to a passphrase for it, and run again",
        )
    key: Any = load_pem_private_key(private_key.encode(), None)
    text = _pem(key, passphrase) + certificate
    path = FOLDER / KEYS / f"{name}-{hashlib.sha256(certificate.encode()).hexdigest()[:DIGEST]}.pem"
    try:
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        part = path.with_suffix(".part")
        part.touch(mode=0o600)
        part.write_text(text, encoding="utf-8")
        part.replace(path)
    except OSError as error:
        raise LabError(
            f"The sealing key {name} can't be kept, so that it is not removed",
            why=str(error),
            fix="see whether the disk has room and the folder is yours, and run again",
        ) from error
    return path


def read(path: Path) -> tuple[str, str]:
    """Return a key that was kept, and its certificate, both as PEM.

    Args:
        path: of the file.

    Raises:
        LabError: it was encrypted with another passphrase, or is no key.
    """
    from cryptography.hazmat.primitives.serialization import load_pem_private_key  # noqa: PLC0415

    text = path.read_bytes()
    try:
        key: Any = load_pem_private_key(text, _passphrase() or None)
        certificate = text[text.index(b"-----BEGIN CERTIFICATE") :].decode()
    except (ValueError, TypeError) as error:
        raise LabError(
            f"{path} can't be read",
            why=f"it is no key, or was encrypted with another passphrase than that of the state ({error})",
            fix=f"set {OWN_PASSPHRASE} to the one that it was kept with; to begin with a new key, and lose what was "
            f"sealed with this one, move {path} away",
        ) from error
    return _pem(key, b""), certificate


def kept(folder: Path) -> list[Path]:
    """Return all keys that were kept.

    Args:
        folder: where backups are, which is ``FOLDER``.
    """
    return sorted(folder.rglob("*.pem"))


def _passphrase() -> bytes:
    """Return the passphrase for keys: their own, or the state's as the engine is told it; empty when there is none."""
    given = os.environ.get(OWN_PASSPHRASE) or os.environ.get(PASSPHRASE, "")
    path = os.environ.get(f"{PASSPHRASE}_FILE", "")
    return (given or (Path(path).read_text(encoding="utf-8").strip() if path else "")).encode()


def _pem(key: RSAPrivateKey, passphrase: bytes) -> str:
    from cryptography.hazmat.primitives import serialization  # noqa: PLC0415

    encrypted = serialization.BestAvailableEncryption(passphrase) if passphrase else serialization.NoEncryption()
    form = serialization.PrivateFormat.PKCS8
    return key.private_bytes(serialization.Encoding.PEM, form, encrypted).decode()
