"""What a stack needs on this machine, and whether it is there."""

from __future__ import annotations

import argparse
import platform
import re
import shutil
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Final

from components.core import names, project, versions
from components.core.errors import LabError, all_of
from components.core.run import CommandError, run
from components.machines import vagrant
from lab.host import chart, docker, paths, plugins, tools

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

VERSION: Final = re.compile(r"\d+(\.\w+)+")
ANSWER_TIME: Final = 60  # seconds for a program to say its version
VAGRANT: Final = "install it from https://developer.hashicorp.com/vagrant/install"
# The command that shows that a provider is there, and how to get it. The docker provider needs the engine alone.
PROVIDERS: Final = {
    "virtualbox": ("VBoxManage", "install it from https://www.virtualbox.org/wiki/Downloads"),
    "libvirt": ("virsh", "install libvirt, then: vagrant plugin install vagrant-libvirt"),
}


@dataclass(frozen=True, kw_only=True)
class Check:
    """One need and what was found.

    Attributes:
        name: what is needed.
        wanted: which version, in words.
        found: what is there, in words; "" when nothing is.
        fix: what to do; "" when all is well.
    """

    name: str
    wanted: str = ""
    found: str = ""
    fix: str = ""

    @property
    def ok(self) -> bool:
        """Whether the need is met."""
        return not self.fix

    def __str__(self) -> str:
        """Return one line."""
        state = "ok" if self.ok else "missing" if not self.found else "wrong"
        wanted = f" (wanted: {self.wanted})" if self.wanted else ""
        fix = f" -> {self.fix}" if self.fix else ""
        return f"{state:8}{self.name:18}{self.found or '-'}{wanted}{fix}"


@dataclass(frozen=True, kw_only=True)
class Needs:
    """What a stack needs.

    Attributes:
        part: p1, p2 or p3.
        tools: those of ``tools.TOOLS``.
        plugins: those of Pulumi, by name.
        docker: whether a Docker engine.
        charts: those of Helm that are not set to others.
        provider: Vagrant's provider; None when there are no machines.
    """

    part: str
    tools: tuple[str, ...]
    plugins: tuple[str, ...]
    docker: bool
    charts: tuple[versions.Chart, ...]
    provider: str | None


def of(stack: str, arguments: Sequence[str] = ()) -> Needs:
    """Return what a stack needs, from its settings.

    Args:
        stack: the stack's name.
        arguments: those of `pulumi up` or `pulumi preview`, which may set settings as well.

    Raises:
        LabError: there is no such stack.
    """
    config = project.stack_config(stack, paths.ROOT, _overrides(arguments))

    def setting(key: str) -> str:
        return config.get(f"{names.PROJECT}:{key}", "")

    part = setting("part") or stack
    if part not in names.PARTS:
        known = ", ".join(names.PARTS)
        raise LabError(f"there is no stack {stack!r}", why=f"expected one of {known}", fix="make up STACK=p3")
    if part == "p3":
        own_cluster = bool(setting("kubeconfig"))
        return Needs(
            part=part,
            tools=("pulumi", "kubectl") if own_cluster else ("pulumi", "k3d", "kubectl"),
            plugins=("command", "docker", "kubernetes"),
            docker=not (own_cluster and setting("appImage")),
            charts=tuple(each for each in versions.CHARTS if _wants(each, setting)),
            provider=None,
        )
    provider = setting("vagrantProvider")
    builds = part == "p2" and not setting("appImage")
    return Needs(
        part=part,
        tools=("pulumi",),
        plugins=("command",) if part == "p1" else ("command", "docker", "kubernetes"),
        docker=builds or provider == "docker",
        charts=(),
        provider=provider,
    )


def _wants(wanted: versions.Chart, setting: Callable[[str], str]) -> bool:
    """Tell whether a stack of p3 needs a chart, and names none of its own."""
    used = {
        versions.ARGOCD_CHART: True,
        versions.SEALED_SECRETS_CHART: setting("sealedSecrets") == "true",
        versions.PROMETHEUS_CHART: setting("monitoring") == "true",
        # The object may be wrong in any way, which the program says.
        versions.ROLLOUTS_CHART: any(each in setting("environments") for each in names.PROGRESSIVE),
    }
    return used[wanted] and not setting(wanted.setting)


def _overrides(arguments: Sequence[str]) -> dict[str, str]:
    """Return the settings that ``--config KEY=VALUE`` sets; the engine writes them to the stack's file as well."""
    parser = argparse.ArgumentParser(add_help=False, allow_abbrev=False, exit_on_error=False)
    parser.add_argument("-c", "--config", action="append", default=[])
    try:
        given, _ = parser.parse_known_args(arguments)
    except argparse.ArgumentError:
        return {}  # an option without its value: Pulumi says so
    pairs = (each.partition("=") for each in given.config)
    return {key.removeprefix(f"{names.PROJECT}:"): value for key, _, value in pairs}


def checks(needs: Needs) -> list[Check]:
    """Return a check per need, all asked at the same time."""
    fetched: list[Callable[[], Check]] = [partial(tool, tools.TOOLS[name]) for name in needs.tools]
    fetched += [partial(plugin, name) for name in needs.plugins]
    fetched += [partial(kept_chart, each) for each in needs.charts]
    return _ask(fetched) + host_checks(needs)


def host_checks(needs: Needs) -> list[Check]:
    """Return a check per need that the lab can't fetch."""
    asked: list[Callable[[], Check]] = [partial(program, "git"), partial(program, "curl")]
    if needs.docker:
        asked.append(engine)
    if needs.provider:
        asked.append(partial(program, "vagrant", fix=VAGRANT))
    if needs.provider in PROVIDERS:
        name, fix = PROVIDERS[needs.provider]
        fix += f'; or another provider: make up STACK={needs.part} ARGS="--config iot:vagrantProvider=docker"'
        asked.append(partial(program, name, fix=fix))
    return _ask(asked)


def _ask(asked: Sequence[Callable[[], Check]]) -> list[Check]:
    with ThreadPoolExecutor() as pool:
        return [future.result() for future in [pool.submit(each) for each in asked]]


def tool(wanted: tools.Tool) -> Check:
    """Check one of the pinned tools."""
    found = tools.find(wanted)
    shown = f"{found.version or 'unknown version'} at {found.path}" if found else ""
    accepted = wanted.version
    if wanted.minor_skew:
        accepted += f", or {wanted.minor_skew} minor version away"
    fix = "" if tools.is_right(wanted, found) else "make setup fetches it"
    return Check(name=wanted.name, wanted=accepted, found=shown, fix=fix)


def program(name: str, *, fix: str = "") -> Check:
    """Check a program of which any version will do."""
    names = vagrant.VIRTUALBOX if name in vagrant.VIRTUALBOX else (name,)
    path = next(filter(None, map(shutil.which, names)), None)
    if path is None:
        installer = "brew install" if platform.system() == "Darwin" else "sudo apt-get install"
        return Check(name=name, fix=fix or f"{installer} {name}")
    try:
        said = run([path, "--version"], timeout=ANSWER_TIME)
    except (OSError, CommandError) as error:
        return Check(name=name, found=f"{path}, which does not run ({error})", fix=fix or f"reinstall {name}")
    version = VERSION.search(said)
    return Check(name=name, found=f"{version[0] if version else 'unknown version'} at {path}")


def engine() -> Check:
    """Check the Docker engine."""
    engine = docker.look()
    found = "" if engine.problem == docker.NOT_INSTALLED else engine.version or engine.problem
    return Check(name="docker", wanted=f"{docker.OLDEST} or later", found=found, fix=engine.fix)


def plugin(name: str) -> Check:
    """Check one of Pulumi's plugins."""
    found = "on PATH or fetched" if plugins.is_here(name) else ""
    fix = "" if found else "make setup fetches it"
    return Check(name=f"plugin {name}", wanted=versions.PULUMI_PLUGINS[name], found=found, fix=fix)


def kept_chart(wanted: versions.Chart) -> Check:
    """Check a kept chart."""
    found = str(chart.kept(wanted).relative_to(paths.ROOT)) if chart.is_kept(wanted) else ""
    return Check(name="chart", wanted=wanted.archive, found=found, fix="" if found else "make setup fetches it")


def fetch(wanted: Needs) -> None:
    """Fetch what can be fetched.

    Raises:
        LabError: something can't be reached.
    """
    tools.ensure(list(wanted.tools))
    plugins.ensure(wanted.plugins)
    for each in wanted.charts:
        chart.ensure(each)


def host(wanted: Needs) -> None:
    """Check what has to be on this machine; offer to install Docker.

    Raises:
        LabError: lists what is missing.
    """
    if wanted.docker:
        docker.offer()
    missing = [check for check in host_checks(wanted) if not check.ok]
    if missing:
        raise all_of([LabError(check.found or f"{check.name} is missing", fix=check.fix) for check in missing])
