"""Show a stack at a glance: the cluster, the Application, the version in Git and the live one, and where they are.

The exit code is 1 when something is not as it should be.
"""

from __future__ import annotations

import json
import sys
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass, replace
from functools import partial
from typing import TYPE_CHECKING, Any, Final

from components.core import http_client as http
from components.core import kube
from components.core.errors import LabError
from components.core.names import ARGOCD
from components.docker import container as containers
from components.gitops import application_status
from lab.host import tools
from lab.host.console import GREEN, PLAIN, RED
from lab.live import answers as live
from lab.live import application, drift, environments, git, manifest_tags, memory, pipeline, prometheus, rollout, stack

if TYPE_CHECKING:
    import argparse
    from collections.abc import Callable, Mapping
    from pathlib import Path

    from lab.live.environments import Environment

MORE: Final = "make alerts"
LOOK: Final = "make kubectl ARGS='-n dev get pods,events'"
ROOM: Final = "make room on its disk, which is Docker's for a node of k3d (docker system df)"


@dataclass(frozen=True, kw_only=True)
class Line:
    """One thing and how it is.

    Attributes:
        name: what it is.
        ok: whether it is as it should be.
        found: how it is, in words.
        fix: what to do when it is not.
        value: what other lines are compared with, such as a version.
    """

    name: str
    ok: bool
    found: str
    fix: str = ""
    value: str = ""


def arguments(parser: argparse.ArgumentParser) -> None:
    """Add the command's arguments."""
    stack.argument(parser)
    parser.add_argument("--json", action="store_true", help="print JSON instead")


def run(args: argparse.Namespace) -> int:
    """Print the lines."""
    outputs: Mapping[str, Any] = {}
    try:
        outputs = stack.outputs(args.stack, show_secrets=True)
        tools.ensure(["kubectl"])
        lines = of(outputs)
    except LabError as error:
        lines = [_failed(f"stack {args.stack}", error)]
    ok = all(line.ok for line in lines)
    if not ok:
        lines += short_of_memory(args.stack)
    urls = _urls(outputs)
    if args.json:
        print(json.dumps({"stack": args.stack, "ok": ok, "checks": [asdict(each) for each in lines], "urls": urls}))
    else:
        about = urls | kept(args.stack)
        print("\n".join([*(shown(line, colour=sys.stdout.isatty()) for line in lines), *_shown(about)]))
    return 0 if ok else 1


def of(outputs: Mapping[str, Any]) -> list[Line]:
    """Return how a stack is.

    Args:
        outputs: the stack's outputs, with secrets.
    """
    with kube.config_file(outputs["kubeconfig"]) as config, ThreadPoolExecutor() as pool:
        asked: list[Callable[[], Line]] = [lambda: nodes(config, outputs.get("nodes") or [])]
        names = ["cluster"]
        for key, text in (outputs.get("clusters") or {}).items():
            names.append(f"cluster {key}")
            asked.append(partial(further, key, text))
        if outputs.get("argocdUrl"):
            names.append("argocd")
            asked.append(lambda: argo_cd(config, outputs))
        found = environments.of(outputs)
        if found:
            names += [each.name for each in found]
            asked += [partial(environment, outputs, config, each) for each in found]
        elif "git" in outputs:
            names += ["application", "git", "app"]
            name, namespace = application.of(outputs)
            asked += [
                lambda: in_argocd(config, name, namespace),
                lambda: in_git(outputs),
                lambda: running(outputs["appUrl"]),
            ]
        if "ci" in outputs:
            names.append("ci")
            asked.append(lambda: last_run(outputs))
        if outputs.get("monitoring"):
            names.append("alerts")
            asked.append(lambda: alerts(outputs, config))
        if "routes" in outputs:
            names.append("routes")
            asked.append(lambda: routes(config, outputs["nodes"][0]["address"]))
        # All are asked at the same time: each may have to wait for something that does not answer.
        futures = [pool.submit(_line, name, ask) for name, ask in zip(names, asked, strict=True)]
        lines = [future.result() for future in futures]
    return _compared(lines)


def _line(name: str, ask: Callable[[], Line]) -> Line:
    try:
        return ask()
    except LabError as error:
        return _failed(name, error)


def _failed(name: str, error: LabError) -> Line:
    found = f"{error.what} ({error.why})" if error.why else error.what
    # Errors that send people here, for more, have to send them on.
    fix = LOOK if name == "app" else error.fix.replace("make status", "make up")
    return Line(name=name, ok=False, found=found, fix=fix)


def short_of_memory(stack_name: str) -> list[Line]:
    """Return a line about each node in which the kernel has killed something, which explains what is not well."""
    fix = "give Docker more (docs/troubleshooting.md); if pods were restarted, look at their limits"
    return [
        Line(name="memory", ok=False, found=f"the kernel has killed {many} processes of {node} for want of it", fix=fix)
        for node, many in memory.killed(stack_name).items()
    ]


def nodes(config: Path, expected: list[dict[str, Any]]) -> Line:
    """Tell whether the cluster's nodes are Ready, and have room for pods.

    Args:
        config: path of its kubeconfig.
        expected: the nodes that the stack made, by name; empty when it does not list them.
    """
    items = kube.get(config, "nodes")["items"]
    good = {each["metadata"]["name"]: kube.ready(each) for each in items}
    for each in expected:
        good.setdefault(each["name"], False)
    bad = sorted(name for name, is_ready in good.items() if not is_ready)
    version = ", ".join(sorted({each["status"]["nodeInfo"]["kubeletVersion"] for each in items}))
    found = f"{len(good) - len(bad)} of {len(good)} nodes Ready, Kubernetes {version}"
    if bad:
        found += f"; not {', '.join(bad)}"
    full = {each["metadata"]["name"]: ", ".join(kube.pressed(each)) for each in items if kube.pressed(each)}
    found += "".join(f"; {name} takes no pods: {of}" for name, of in full.items())
    fix = "make up" if bad or not good else ROOM if full else ""
    return Line(name="cluster", ok=not fix, found=found, fix=fix, value=version)


def further(name: str, kubeconfig: str) -> Line:
    """Tell whether the nodes of a cluster besides Argo CD's own are Ready.

    Args:
        name: the cluster's.
        kubeconfig: its kubeconfig's text.
    """
    with kube.config_file(kubeconfig) as config:
        return replace(nodes(config, []), name=f"cluster {name}")


def argo_cd(config: Path, outputs: Mapping[str, Any]) -> Line:
    """Tell whether all of Argo CD runs, as what is off says nothing of what it does not do, and has our passwords.

    Args:
        config: path of its cluster's kubeconfig.
        outputs: the stack's, with secrets.
    """
    found = drift.workloads(config, ARGOCD)
    bad = [each["metadata"]["name"] for each in found if not each.get("status", {}).get("readyReplicas")]
    said = f"{len(found) - len(bad)} of {len(found)} parts run" + (f"; not {', '.join(bad)}" if bad else "")
    if other := drift.other_passwords(config, outputs):
        said += f"; {', '.join(other)} is not that of make password"
    ok = bool(found) and not bad and not other
    return Line(name="argocd", ok=ok, found=said, fix="" if ok else "make up, which puts it back")


def environment(outputs: Mapping[str, Any], config: Path, which: Environment) -> Line:
    """Tell the version of an environment, in Git and live, where its Application is, and who approved it.

    Args:
        outputs: the stack's, with secrets.
        config: path of the cluster's kubeconfig.
        which: the environment.
    """
    status = application.status(config, which.name)
    state, problems = application_status.summary(status), application_status.problems(status)
    # As Argo CD reads it: a look asks nobody for a password.
    source = replace(git.readable(outputs), revision=which.branch, path=which.path)
    with git.cloned(source) as clone:
        wanted = manifest_tags.one_of(manifest_tags.tags(manifest_tags.read(clone.root / which.path), outputs["image"]))
    last = (status.get("history") or [{}])[-1]
    proves = _proving(outputs, which) if which.progressive else None
    commit = last.get("revision", "")
    version = live.version(which.url)
    found = f"{version} at commit {commit[: manifest_tags.SHORT] or 'unknown'} of {which.branch}, {state}"
    if last.get("deployedAt"):
        found += f" since {last['deployedAt']}"
    if which.approvals:
        by = environments.approvers(outputs, which, commit or status["sync"].get("revision", ""))
        found += f", approved by {', '.join(by) or 'nobody: its first version'}"
    stopped = rollout.stopped(which, proves) if proves else None
    found += f", {rollout.shown(proves)}" if proves and proves.found and not stopped else ""
    request = environments.pull_request(outputs, which) if which.approvals else None
    waits = f"; {request.title!r} waits: make approve ENV={which.name}" if request else ""
    healthy, pending = application_status.is_healthy(status), False
    if which.sync == "manual" and state != application_status.GOOD and healthy and not problems:
        waits, pending = f"; {wanted} waits to be synced: make approve ENV={which.name}", True
    ok = state == application_status.GOOD and not problems and version == wanted
    # Nothing but people tries a sync by hand once more.
    tries = f"make approve ENV={which.name}" if which.sync == "manual" and healthy else "wait a moment"
    fix = "" if ok else application_status.hopeless(status) or f"{tries}, or {environments.look(which)}"
    if stopped:
        ok, fix, problems = False, stopped.fix, [*problems, f"{stopped.what} ({stopped.why})"]
    said = problems if stopped else [*problems, *application_status.unwell(status)]
    if not healthy and not stopped:
        with kube.config_file(environments.kubeconfig(outputs, which.cluster)) as pods:
            said += application.pods_unwell(pods, which.name)
    more = "; ".join([found + waits, *said, *([f"Git has {wanted}"] if version != wanted and not pending else [])])
    return Line(name=which.name, ok=(ok or pending) and not stopped, found=more, fix=fix, value=version)


def _proving(outputs: Mapping[str, Any], which: Environment) -> rollout.Progress:
    with kube.config_file(environments.kubeconfig(outputs, which.cluster)) as config:
        return rollout.look(config, which.name, outputs["image"])


def last_run(outputs: Mapping[str, Any]) -> Line:
    """Tell what became of the last push of the app's code.

    Args:
        outputs: the stack's, with secrets.
    """
    pipeline.require_runner(outputs)
    last = next(iter(pipeline.runs(outputs, 1)), None)
    if not last:
        return Line(name="ci", ok=True, found="nothing was pushed to the app yet")
    fix = f"make ci RUN={last.number}"
    return Line(name="ci", ok=last.state != "failure", found=str(last), fix=fix)


def alerts(outputs: Mapping[str, Any], config: Path) -> Line:
    """Tell what fires, and whether what watches is in order.

    Args:
        outputs: the stack's, with secrets.
        config: path of the cluster's kubeconfig.
    """
    watch = prometheus.Monitoring(outputs, config).watch()
    fires = ", ".join(f"{each.name} ({each.where})" for each in watch.firing)
    found = f"firing: {fires}" if fires else f"nothing fires, {watch.rules} rules are watched"
    ok = not watch.problems and not any(each.severity == prometheus.CRITICAL for each in watch.firing)
    more = f": {MORE}" if ok and fires else ""
    return Line(name="alerts", ok=ok, found="; ".join([found, *watch.problems]) + more, fix="" if ok else MORE)


def in_argocd(config: Path, name: str, namespace: str) -> Line:
    """Tell where an Application is, at which commit, and what its pods wait for."""
    found = application.status(config, name)
    state, commit = application_status.summary(found), found.get("sync", {}).get("revision", "")
    problems = application_status.problems(found)
    ok = state == application_status.GOOD and not problems
    said = [*problems, *application_status.unwell(found)]
    if not application_status.is_healthy(found):
        said += application.pods_unwell(config, namespace)
    return Line(
        name="application",
        ok=ok,
        found="; ".join([f"{state} at commit {commit[: manifest_tags.SHORT] or 'unknown'}", *said]),
        fix="" if ok else application_status.hopeless(found) or f"wait a moment, or {LOOK}",
        value=commit,
    )


def in_git(outputs: Mapping[str, Any]) -> Line:
    """Tell which version Git wants."""
    tag, where = manifest_tags.in_git(outputs)
    return Line(name="git", ok=True, found=f"{tag} at {where}", value="" if "sha256:" in tag else tag)


def running(url: str) -> Line:
    """Tell which version answers."""
    version = live.version(url)
    return Line(name="app", ok=True, found=f"{version} answers", value=version)


def routes(config: Path, address: str) -> Line:
    """Tell whether every host that the cluster's Ingresses name leads to its app, and every other one to the default.

    Args:
        config: path of the cluster's kubeconfig.
        address: of a node.
    """
    wanted = [
        (rule.get("host", ""), rule["http"]["paths"][0]["backend"]["service"]["name"])
        for ingress in kube.get(config, "ingresses", namespace=kube.ALL)["items"]
        for rule in ingress["spec"].get("rules", [])
    ]
    with ThreadPoolExecutor() as pool:
        results = list(pool.map(lambda each: _route(address, *each), wanted))
    wrong = [found for found, ok in results if not ok]
    found = "; ".join(wrong or [found for found, _ in results]) or "no Ingress"
    ok = bool(results) and not wrong
    return Line(
        name="routes", ok=ok, found=found, fix="" if ok else "make check, or make up, which repairs what is lost"
    )


def _route(address: str, host: str, app: str) -> tuple[str, bool]:
    shown = host or "any other host"
    try:
        answer = http.ask(f"http://{address}/", headers={"Host": host} if host else None)
    except LabError as error:
        return f"{shown}: {error.what}", False
    who = answer.body.get("app", app)  # an image of a registry need not say its name
    if not http.ok(answer) or who != app:
        return f"{shown} -> {answer.status} {answer.body.get('app') or answer.short}, {app} was expected", False
    return f"{shown} -> {app}", True


def _compared(lines: list[Line]) -> list[Line]:
    """Compare the live version with the one in Git, and leave out what does not help while there is no cluster."""
    by_name = {line.name: line for line in lines}
    if not by_name["cluster"].ok and not by_name["cluster"].value:
        # It is what has to be put right first; what is inside can't be looked at before.
        return [line if line.name == "cluster" else replace(line, fix="") for line in lines]
    wanted, app = by_name.get("git"), by_name.get("app")
    # A digest in Git says nothing of the version.
    if not (wanted and app and wanted.ok and app.ok and wanted.value) or wanted.value == app.value:
        return lines
    late = Line(
        name="app",
        ok=False,
        found=f"{app.value} answers, Git has {wanted.value}",
        fix="wait a moment: Argo CD is on its way, or says above what stops it",
        value=app.value,
    )
    return [late if line is app else line for line in lines]


def _urls(outputs: Mapping[str, Any]) -> dict[str, str]:
    urls = {name: outputs[key] for name, key in (("App", "appUrl"), ("Argo CD", "argocdUrl")) if key in outputs}
    urls |= {"Git": outputs["git"]["url"]} if "git" in outputs else {}
    return urls | ({"Code": outputs["ci"]["repository"]} if "ci" in outputs else {})


def shown(line: Line, *, colour: bool) -> str:
    """Return a line as people read it."""
    state = "ok" if line.ok else "NOT OK"
    painted = f"{GREEN if line.ok else RED}{state:8}{PLAIN}" if colour else f"{state:8}"
    fix = f" -> {line.fix}" if line.fix and not line.ok else ""
    return f"{painted}{line.name:13}{line.found}{fix}"


def kept(stack_name: str) -> dict[str, str]:
    """Return the volumes that outlive the cluster, as a line; nothing where Docker can't be asked."""
    try:
        names = containers.volumes(f"{containers.STACK_LABEL}={stack_name}")
    except LabError:
        return {}
    return {"Volumes": ", ".join(names)} if names else {}


def _shown(about: dict[str, str]) -> list[str]:
    return [f"{'':8}{name:13}{found}" for name, found in about.items()]
