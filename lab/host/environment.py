"""The environment in which the lab's commands run, and with them Pulumi and the other tools."""

from __future__ import annotations

import os
import secrets
from typing import Final

from lab.host import paths

# Where every tool of the project is fetched from instead of its official site: https://HOST/PATH becomes
# $IOT_MIRROR/HOST/PATH.
MIRROR: Final = "IOT_MIRROR"
ROOT: Final = "IOT_ROOT"  # of the project whose command a process was started by
PROXIES: Final = ("http_proxy", "https_proxy", "all_proxy")
# With the networks that VirtualBox lets p1 and p2 have: https://www.virtualbox.org/manual/ch06.html#network_hostonly
HERE: Final = ("127.0.0.1", "localhost", "192.168.56.0/21")


def environment() -> dict[str, str]:
    """Return this process's environment with the project's own tools first on PATH, and Pulumi's settings.

    What the user has set wins: a passphrase, PULUMI_HOME, plugin addresses.
    """
    env = _given()
    folders = [str(paths.BIN), str(paths.VENV / "bin")]
    folders += [folder for folder in env.get("PATH", os.defpath).split(os.pathsep) if folder not in folders]
    if (offline := paths.offline()) and str(offline / "bin") not in folders:
        folders.append(str(offline / "bin"))
    env["PATH"] = os.pathsep.join(folders)
    env[ROOT] = str(paths.ROOT)
    env.setdefault("PULUMI_HOME", str(paths.PULUMI_HOME))
    env.setdefault("PULUMI_SKIP_UPDATE_CHECK", "true")
    # An assistant that needs an account helps nobody here.
    env.setdefault("PULUMI_SUPPRESS_NEO_LINK", "true")
    if not own_passphrase():
        env["PULUMI_CONFIG_PASSPHRASE_FILE"] = str(paths.PASSPHRASE)
    if any(env.get(name) for each in PROXIES for name in (each, each.upper())):
        # Pulumi, its plugins and the program talk to each other by gRPC, which asks a proxy for this host's own, too.
        kept = ",".join(env.get(name, "") for name in ("NO_PROXY", "no_proxy")).split(",")
        env["NO_PROXY"] = env["no_proxy"] = ",".join(dict.fromkeys(filter(None, [*kept, *HERE])))
    if mirror := env.get(MIRROR, "").rstrip("/"):
        plugins = f".*={mirror}/get.pulumi.com/releases/plugins"
        env.setdefault("PULUMI_PLUGIN_DOWNLOAD_URL_OVERRIDES", plugins)
    return env


def own_passphrase() -> bool:
    """Tell whether the user has set the passphrase that encrypts the secrets in Pulumi's state."""
    given = _given()
    file = given.get("PULUMI_CONFIG_PASSPHRASE_FILE")
    return "PULUMI_CONFIG_PASSPHRASE" in given or file not in {None, "", str(paths.PASSPHRASE)}


def _given() -> dict[str, str]:
    """Return this process's environment without what ``activate`` has set for another folder, whose things those are.

    That folder may also be this one, before it was moved.
    """
    given = dict(os.environ)
    other = given.get(ROOT, "")
    if other and other != str(paths.ROOT):
        for name, path in (("PULUMI_CONFIG_PASSPHRASE_FILE", paths.PASSPHRASE), ("PULUMI_HOME", paths.PULUMI_HOME)):
            if given.get(name) == f"{other}/{paths.LAB.name}/{path.name}":
                del given[name]
    return given


def ensure_passphrase() -> bool:
    """Write a random passphrase to .lab/passphrase, readable by its owner only, unless there is one.

    Returns:
        Whether it was written now.
    """
    if own_passphrase() or paths.PASSPHRASE.exists():
        return False
    paths.LAB.mkdir(exist_ok=True)
    descriptor = os.open(paths.PASSPHRASE, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "w", encoding="utf-8") as file:
        file.write(secrets.token_urlsafe(32))
    return True
