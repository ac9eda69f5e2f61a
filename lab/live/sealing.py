"""Sealing a value so that the clusters of a stack can read it, and nobody else, and writing it down as Git has it.

It is what kubeseal does (https://github.com/bitnami-labs/sealed-secrets/blob/main/docs/developer/crypto.md): a new
AES-256-GCM key encrypts the value, the RSA key of the certificate encrypts that key (OAEP with SHA-256), and what the
value is for is part of that encryption, so that it can be read as no other secret.
"""

from __future__ import annotations

import base64
import re
from typing import TYPE_CHECKING, Any, Final

import yaml

from components.core.errors import LabError
from components.gitops.allowed import SEALED
from components.gitops.manifests import KUSTOMIZATION, add_resource, contents

if TYPE_CHECKING:
    from pathlib import Path

VERSION: Final = "v1alpha1"
NONCE: Final = bytes(12)  # of AES-GCM; the key is used once, so that it need not be another each time
SESSION: Final = 256  # bits of the AES key
# https://kubernetes.io/docs/concepts/overview/working-with-objects/names/ and .../concepts/configuration/secret/
NAME: Final = re.compile(r"(?=.{1,200}$)[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*")
# https://kubectl.docs.kubernetes.io/references/kustomize/kustomization/
KUSTOMIZATIONS: Final = (KUSTOMIZATION, "kustomization.yml", "Kustomization")
KEY: Final = re.compile(r"(?!\.\.?$)[-._a-zA-Z0-9]{1,253}")


def check_names(name: str, key: str) -> None:
    """Stop unless a Secret and a key in it can be called so.

    Args:
        name: of the Secret.
        key: in it.

    Raises:
        LabError: says what they may be.
    """
    example = "make seal NAME=database KEY=password ENV=dev"
    if not NAME.fullmatch(name):
        raise LabError(
            f"{name!r} can't be the name of a Secret", why="expected lower case letters, digits, - and .", fix=example
        )
    if not KEY.fullmatch(key):
        raise LabError(
            f"{key!r} can't be a key of a Secret", why="expected letters, digits, '-', '_' and '.'", fix=example
        )


def seal(value: bytes, certificate: str, namespace: str, name: str) -> str:
    """Return a value as it can be written into Git, Base64.

    Args:
        value: what is to be kept secret.
        certificate: of the key that it is sealed with, PEM.
        namespace: of the Secret; in another one it can't be read.
        name: of the Secret; under another one it can't be read.
    """
    from cryptography import x509  # noqa: PLC0415 - no other command needs it
    from cryptography.hazmat.primitives import hashes  # noqa: PLC0415
    from cryptography.hazmat.primitives.asymmetric import padding, rsa  # noqa: PLC0415
    from cryptography.hazmat.primitives.ciphers.aead import AESGCM  # noqa: PLC0415

    public = x509.load_pem_x509_certificate(certificate.encode()).public_key()
    if not isinstance(public, rsa.RSAPublicKey):
        raise LabError("The certificate of the sealing key has no RSA key", fix="make up")
    session = AESGCM.generate_key(SESSION)
    scheme = padding.OAEP(padding.MGF1(hashes.SHA256()), hashes.SHA256(), f"{namespace}/{name}".encode())
    wrapped = public.encrypt(session, scheme)
    sealed = AESGCM(session).encrypt(NONCE, value, None)
    return base64.b64encode(len(wrapped).to_bytes(2, "big") + wrapped + sealed).decode()


def write(folder: Path, namespace: str, name: str, key: str, sealed: str) -> None:
    """Write a sealed value into the manifests of a folder, beside the other keys of its Secret.

    Args:
        folder: with the manifests; where it has a kustomization, that one names the file.
        namespace: of the Secret.
        name: of the Secret.
        key: in it.
        sealed: the value.

    Raises:
        LabError: there is something else of that name.
    """
    path = folder / f"sealed-{name}.yaml"
    kustomization = next((folder / each for each in KUSTOMIZATIONS if (folder / each).is_file()), None)
    if kustomization:
        _check_kustomization(kustomization)
    _check_others(folder, path, name)
    content = _read(path, namespace, name) if path.exists() else _new(namespace, name)
    content["spec"]["encryptedData"] = {**(content["spec"].get("encryptedData") or {}), key: sealed}
    title = f"# Sealed by `make seal` for the Secret {name} in {namespace}: the stack's clusters can read it.\n"
    path.write_text(title + yaml.safe_dump(content, sort_keys=False, width=2**16), encoding="utf-8")
    if kustomization:
        text = add_resource(kustomization.read_text(encoding="utf-8"), kustomization.name, path.name)
        named = [content.get("resources") for _, content in contents(text, kustomization.name)]
        if not any(path.name in (each or []) for each in named):
            raise LabError(
                f"{kustomization.name} has a form that nothing can be added to", fix=f"name {path.name} there"
            )
        kustomization.write_text(text, encoding="utf-8")


def _check_kustomization(path: Path) -> None:
    """Stop where Kustomize gives Secrets other names than they are sealed for."""
    text = path.read_text(encoding="utf-8")
    its = [content for _, content in contents(text, path.name)]
    if len(its) != 1 or not isinstance(content := its[0], dict):
        raise LabError(f"{path.name} is not one kustomization", fix="correct it in `make clone`, and push")
    for key in ("namePrefix", "nameSuffix"):
        if content.get(key):
            raise LabError(
                f"{path.name} has a {key}",
                why="what is sealed can be read under the name that it is sealed for alone",
                fix="take it out, or seal by kubeseal for the name that Kustomize makes",
            )


def _check_others(folder: Path, mine: Path, name: str) -> None:
    """Stop where another file has a sealed secret of that name: two of them are refused."""
    for path in sorted(folder.glob("*.y*ml")):
        if path == mine:
            continue
        text = path.read_text(encoding="utf-8")
        for _, each in contents(text, path.name):
            known = isinstance(each, dict) and each.get("kind") == SEALED[1]
            if known and isinstance(its := each.get("metadata"), dict) and its.get("name") == name:
                raise LabError(
                    f"{path.name} has a {SEALED[1]} {name} already",
                    why="there can be one of a name",
                    fix=f"rename that file to {mine.name} in `make clone`, push, and seal again",
                )


def _new(namespace: str, name: str) -> dict[str, Any]:
    metadata = {"name": name, "namespace": namespace}
    return {
        "apiVersion": f"{SEALED[0]}/{VERSION}",
        "kind": SEALED[1],
        "metadata": metadata,
        "spec": {"encryptedData": {}, "template": {"metadata": dict(metadata)}},
    }


def _read(path: Path, namespace: str, name: str) -> dict[str, Any]:
    text = path.read_text(encoding="utf-8")
    its = [content for _, content in contents(text, path.name)]
    content: Any = its[0] if len(its) == 1 and isinstance(its[0], dict) else {}
    shaped = all(isinstance(content.get(key), dict) for key in ("metadata", "spec"))
    shaped = shaped and isinstance(content["spec"].get("encryptedData") or {}, dict)
    if not shaped or content.get("kind") != SEALED[1] or content["metadata"].get("name") != name:
        raise LabError(f"{path.name} is no {SEALED[1]} named {name}", fix="rename that file in `make clone`, and push")
    there = content["metadata"].get("namespace")
    if there != namespace:
        raise LabError(
            f"{path.name} is for the namespace {there}",
            why=f"what is sealed for it can't be read in {namespace}",
            fix="remove that file in `make clone`, push, and seal all of its values anew",
        )
    return dict(content)


def read_condition(found: dict[str, Any], sealed: dict[str, str]) -> tuple[bool, str]:
    """Return whether a cluster has unsealed what Git has, and what it says that it can't.

    Args:
        found: the SealedSecret, as the cluster has it.
        sealed: the values that it is to have, by key.
    """
    spec, status = found.get("spec") or {}, found.get("status") or {}
    data = spec.get("encryptedData") or {}
    if any(data.get(key) != value for key, value in sealed.items()):
        return False, ""
    if status.get("observedGeneration") != (found.get("metadata") or {}).get("generation"):
        return False, ""
    for each in status.get("conditions") or []:
        if each.get("type") == "Synced":
            return each.get("status") == "True", "" if each.get("status") == "True" else each.get("message", "")
    return False, ""
