"""The command-line tools of the lab: which version of each is wanted, found on PATH, or fetched with mise.

Why mise, and what was weighed against it: docs/adr/0002-tool-installer.md.
"""

from __future__ import annotations

import json
import os
import platform
import re
import shutil
import tarfile
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import tomli

from components.core import versions
from components.core.errors import LabError
from components.core.run import CommandError, run, show
from lab.host import paths
from lab.host.console import say
from lab.host.environment import MIRROR, environment
from lab.host.fetch import download, mirrored, unreachable

if TYPE_CHECKING:
    from collections.abc import Iterable

# A tool that does not say its version within this many seconds is as good as missing.
ANSWER_TIME: Final = 60
MISE_SUMS: Final = paths.ROOT / "lab" / "host" / "mise.sha256"
MISE_URL: Final = "https://github.com/jdx/mise/releases/download"


@dataclass(frozen=True, kw_only=True)
class Tool:
    """A command-line tool.

    Attributes:
        name: its command, and its name in mise.toml.
        version: the wanted version.
        ask: the arguments that make it say its version.
        answer: what it says, with the version as the first group.
        companions: commands that must be there with it.
        minor_skew: how far the minor version may be from the wanted one; None when only the wanted version will do.
    """

    name: str
    version: str
    ask: tuple[str, ...]
    answer: str
    companions: tuple[str, ...] = ()
    minor_skew: int | None = None

    def accepts(self, version: str) -> bool:
        """Tell whether a version will do."""
        if self.minor_skew is None or version == self.version:
            return version == self.version
        found, wanted = ([int(part) for part in re.findall(r"\d+", each)[:2]] for each in (version, self.version))
        return found[0] == wanted[0] and abs(found[1] - wanted[1]) <= self.minor_skew


TOOLS: Final = {
    tool.name: tool
    for tool in (
        Tool(
            name="pulumi",
            version=versions.PULUMI,
            ask=("version",),
            answer=r"^v(\d\S*)",
            companions=("pulumi-language-python",),
        ),
        Tool(name="k3d", version=versions.K3D, ask=("version",), answer=r"^k3d version v(\d\S*)"),
        # kubectl talks to an API server one minor version older or newer:
        # https://kubernetes.io/releases/version-skew-policy/#kubectl
        Tool(
            name="kubectl",
            version=versions.KUBECTL,
            ask=("version", "--client"),
            answer=r"^Client Version: v(\d\S*)",
            minor_skew=1,
        ),
    )
}


@dataclass(frozen=True)
class Found:
    """A tool on PATH: where it is, and its version ("" when it did not say one)."""

    path: Path
    version: str


def find(tool: Tool) -> Found | None:
    """Return the tool that the project uses, or the one that is in its place; None when there is none.

    The one in .lab/bin is looked at first, then PATH, then the offline folder.
    """
    own, *others = environment()["PATH"].split(os.pathsep)
    first: Found | None = None
    for folders in ([own], others):
        if path := shutil.which(tool.name, path=os.pathsep.join(folders)):
            found = Found(Path(path), _version(tool, path))
            if is_right(tool, found):
                return found
            first = first or found
    return first


def is_right(tool: Tool, found: Found | None) -> bool:
    """Tell whether what ``find`` returned can be used: its version is right, and its companions are there."""
    search = environment()["PATH"]
    return (
        found is not None
        and tool.accepts(found.version)
        and all(shutil.which(each, path=search) for each in tool.companions)
    )


def _version(tool: Tool, path: str) -> str:
    try:
        answer = run([path, *tool.ask], timeout=ANSWER_TIME)
    except (OSError, CommandError):
        return ""
    match = re.search(tool.answer, answer, re.MULTILINE)
    return match[1] if match else ""


def ensure(names: list[str]) -> None:
    """Fetch those of the named tools that are not here in the right version, into .lab/bin.

    Raises:
        LabError: one can't be fetched, or does not run.
    """
    tools = [TOOLS[name] for name in names]
    with ThreadPoolExecutor() as pool:
        found = dict(zip(tools, pool.map(find, tools), strict=True))
    wrong = [tool for tool in tools if not is_right(tool, found[tool])]
    if not wrong:
        return
    for tool in wrong:
        here = found[tool]
        if here is not None:
            version = here.version or "of an unknown version"
            say(f"{here.path} is {version}, {tool.version} is wanted: fetching that into .lab/, yours stays as it is")
    install(wrong)
    for tool in wrong:
        if not is_right(tool, fetched := find(tool)):
            raise LabError(
                f"{tool.name} {tool.version} has been fetched but does not run: {fetched}", fix="make clean up"
            )


def install(tools: list[Tool]) -> None:
    """Install tools with mise, from the addresses and with the checksums in mise.lock, and link them into .lab/bin.

    Raises:
        LabError: this platform is not in mise.lock, or a download failed.
    """
    mise = ensure_mise(tools)
    env = mise_environment()
    wanted = [f"{tool.name}@{tool.version}" for tool in tools]
    say(f"fetching {', '.join(wanted)}")
    code = show([str(mise), "install", *wanted], cwd=paths.ROOT, env=env)
    missing = [tool for tool in tools if not _link(mise, tool, env)]
    if missing:
        raise unreachable(
            [f"{tool.name} {tool.version} from {mirrored(address(tool))}" for tool in missing],
            f"mise ended with code {code} and said why above",
            [put_on_path(missing)],
        )


def put_on_path(tools: Iterable[Tool]) -> str:
    """Return the advice to install tools without the lab, with their official addresses."""
    return f"put on PATH: {', '.join(f'{tool.name} {tool.version} ({address(tool)})' for tool in tools)}"


def _link(mise: Path, tool: Tool, env: dict[str, str]) -> bool:
    """Link the commands that an installed tool brings into .lab/bin; return whether it is installed."""
    try:
        folders = run(
            [str(mise), "bin-paths", f"{tool.name}@{tool.version}"], cwd=paths.ROOT, env=env, timeout=ANSWER_TIME
        )
    except CommandError:
        return False
    commands = [
        each
        for folder in folders.splitlines()
        if Path(folder).is_dir()
        for each in Path(folder).iterdir()
        if each.is_file() and os.access(each, os.X_OK)
    ]
    paths.BIN.mkdir(parents=True, exist_ok=True)
    for each in commands:
        link = paths.BIN / each.name
        link.unlink(missing_ok=True)
        # Relative, so that the links are right after the project's folder has moved.
        link.symlink_to(os.path.relpath(each, paths.BIN))
    return any(each.name == tool.name for each in commands)


def this_platform() -> str:
    """Return this machine's operating system and architecture as mise names them, such as linux-x64."""
    system = {"Linux": "linux", "Darwin": "macos"}.get(platform.system(), platform.system().lower())
    machine = platform.machine().lower()
    architecture = {"x86_64": "x64", "amd64": "x64", "aarch64": "arm64", "arm64": "arm64"}.get(machine, machine)
    return f"{system}-{architecture}"


def address(tool: Tool) -> str:
    """Return the official address of a tool for this platform, as in mise.lock.

    Raises:
        LabError: mise.lock has none for this platform, or not for this version.
    """
    lock: dict[str, Any] = tomli.loads((paths.ROOT / "mise.lock").read_text(encoding="utf-8"))
    for entry in lock["tools"].get(tool.name, []):
        if entry["version"] == tool.version and (found := entry.get(f"platforms.{this_platform()}")):
            return str(found["url"])
    raise LabError(
        f"{tool.name} {tool.version} for {this_platform()} is not in mise.lock",
        fix=f"put it on PATH, or add it with `mise lock --platform {this_platform()}`",
    )


def mise_release() -> tuple[str, str, str]:
    """Return the version, the archive's name and its SHA-256 of the mise that the project uses on this platform."""
    names = []
    for line in MISE_SUMS.read_text(encoding="utf-8").splitlines():
        checksum, name = line.split()
        names.append(name)
        match = re.fullmatch(rf"mise-v(\d[\d.]*)-{this_platform()}\.tar\.gz", name)
        if match:
            return match[1], name, checksum
    wanted = " and ".join(f"{tool.name} {tool.version}" for tool in TOOLS.values())
    raise LabError(
        f"there is no mise for {this_platform()}", why=f"only {', '.join(names)}", fix=f"put {wanted} on PATH"
    )


def ensure_mise(tools: list[Tool]) -> Path:
    """Return a mise that reads mise.lock: the user's own one when it is new enough, or else the project's.

    Args:
        tools: what it is wanted for, for the advice in an error.
    """
    version, name, checksum = mise_release()
    own = shutil.which("mise")
    if own and _numbers(
        _version(Tool(name="mise", version=version, ask=("version",), answer=r"(\d[\d.]+)"), own)
    ) >= _numbers(version):
        return Path(own)
    program = paths.MISE / version / "mise"
    if not program.exists():
        archive = paths.MISE / name
        what = f"mise {version} (which fetches {' and '.join(tool.name for tool in tools)})"
        download(what, f"{MISE_URL}/v{version}/{name}", checksum, archive, instead=[put_on_path(tools)])
        _unpack_mise(archive, program)
    return program


def _unpack_mise(archive: Path, program: Path) -> None:
    program.parent.mkdir(parents=True, exist_ok=True)
    part = program.with_name("mise.part")
    with tarfile.open(archive) as tar, part.open("wb") as target:
        source = tar.extractfile("mise/bin/mise")
        if source is None:
            raise LabError(f"{archive} has no mise/bin/mise", fix=f"rm {archive}")
        shutil.copyfileobj(source, target)
    part.chmod(0o755)
    part.replace(program)
    archive.unlink()


def _numbers(version: str) -> list[int]:
    return [int(part) for part in re.findall(r"\d+", version)]


def mise_environment() -> dict[str, str]:
    """Return the variables that keep mise inside .lab: it reads this project's mise.toml only, and asks nothing."""
    env = {
        "MISE_DATA_DIR": str(paths.MISE / "data"),
        "MISE_CACHE_DIR": str(paths.MISE / "cache"),
        "MISE_STATE_DIR": str(paths.MISE / "state"),
        "MISE_CONFIG_DIR": str(paths.MISE / "config"),
        "MISE_SYSTEM_CONFIG_DIR": str(paths.MISE / "config"),
        "MISE_CEILING_PATHS": str(paths.ROOT.parent),
        "MISE_TRUSTED_CONFIG_PATHS": str(paths.ROOT),
        "MISE_YES": "1",
    }
    if mirror := os.environ.get(MIRROR, "").rstrip("/"):
        # In a replacement, "$" would start the name of a group.
        env["MISE_URL_REPLACEMENTS"] = json.dumps({"regex:^https://(.*)$": mirror.replace("$", "$$") + "/$1"})
    return env
