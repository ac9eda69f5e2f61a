"""What a grader tries by hand, as points that hold or don't."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any, Final

from components.core import http_client as http
from components.core import kube, names, project
from components.core.errors import LabError
from components.core.run import run
from components.docker import engine as docker_engine
from components.gitops import application_status
from components.machines import ssh
from components.machines.vagrant import RUNNING, Machine
from lab.host import paths
from lab.live import application, manifest_tags
from lab.live.machines import find

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping
    from pathlib import Path

ANSWER: Final = 30.0  # seconds for a question to a machine
SLACK: Final = 0.8  # of the memory that a machine is given, its kernel shows at least this part
ASKED_PER_POD: Final = 20  # requests, before a pod that never answers is called missing


@dataclass(frozen=True)
class Point:
    """One thing to look at.

    Attributes:
        name: what has to be so.
        look: returns what was found; raises a LabError when it is not so.
    """

    name: str
    look: Callable[[], str]


@dataclass(frozen=True)
class Result:
    """What came of a point.

    Attributes:
        name: what has to be so.
        ok: whether it is.
        found: what was found instead, or what shows it.
    """

    name: str
    ok: bool
    found: str


def result(point: Point) -> Result:
    """Look at a point."""
    try:
        return Result(point.name, ok=True, found=point.look())
    except LabError as error:
        return Result(point.name, ok=False, found=str(error))


def points(stack: str, outputs: Mapping[str, Any], config: Path) -> list[Point]:
    """Return the points of a stack.

    Args:
        stack: its name.
        outputs: its outputs, with secrets.
        config: path of its kubeconfig.

    Raises:
        LabError: the stack's settings can't be read.
    """
    settings = {key.partition(":")[2]: value for key, value in project.stack_config(stack, paths.ROOT).items()}
    of_part = {"p1": _p1, "p2": _p2, "p3": _p3}[outputs["part"]]
    return list(of_part(stack, settings, outputs, config))


def expect(found: object, wanted: object, what: str = "") -> str:
    """Return what was found when it is what was wanted.

    Raises:
        LabError: it is something else.
    """
    if found != wanted:
        raise LabError(f"{what + ' is ' if what else ''}{found!r}", why=f"expected {wanted!r}")
    return str(found)


def _p1(stack: str, settings: Mapping[str, str], outputs: Mapping[str, Any], config: Path) -> Iterator[Point]:
    agents = int(settings["agents"])
    yield Point(
        f"1 server and {agents} agents", lambda: expect([node["role"] for node in outputs["nodes"]], _roles(agents))
    )
    for node in outputs["nodes"]:
        yield from _machine(stack, settings, node)
    yield from _nodes(outputs, config)


def _roles(agents: int) -> list[str]:
    return ["server"] + ["agent"] * agents


def _machine(stack: str, settings: Mapping[str, str], node: Mapping[str, str]) -> Iterator[Point]:
    """Look at a machine from the outside and, over SSH, from the inside."""
    name, role = node["machine"], node["role"]

    def inside(line: str) -> str:
        return ssh.command(find(stack, name).login(), line, timeout=ANSWER)

    yield Point(f"{name}: Vagrant runs it", lambda: expect(find(stack, name).state(), RUNNING))
    yield Point(f"{name}: SSH without a password, and the right host name", lambda: expect(inside("hostname"), name))
    yield Point(f"{name}: has the address {node['address']}", lambda: _interface(inside, node["address"]))
    yield Point(f"{name}: runs Debian", lambda: _debian(inside("cat /etc/os-release")))
    cpus, memory = int(settings[f"{role}Cpus"]), int(settings[f"{role}Memory"])
    yield Point(f"{name}: {cpus} CPU, {memory} MiB", lambda: _size(find(stack, name), inside, cpus, memory))
    service = "k3s" if role == "server" else "k3s-agent"
    yield Point(
        f"{name}: the service {service} runs", lambda: expect(inside(f"systemctl is-active {service}"), "active")
    )
    if role == "server":
        yield Point(
            f"{name}: only root reads the kubeconfig",
            lambda: expect(inside("sudo -n stat -c '%a %U' /etc/rancher/k3s/k3s.yaml"), "600 root"),
        )
    else:
        yield Point(
            f"{name}: is no server",
            lambda: expect(inside("systemctl is-enabled k3s 2>/dev/null || true") or "no k3s server", "no k3s server"),
        )


def _interface(inside: Callable[[str], str], address: str) -> str:
    for line in inside("ip -o -4 address show").splitlines():
        fields = line.split()
        if fields[3].partition("/")[0] == address:
            return f"on {fields[1]}"
    raise LabError("no interface has it", fix="make up")


def _debian(release: str) -> str:
    values = dict(re.findall(r'^(\w+)="?([^"\n]*)', release, re.MULTILINE))
    expect(values.get("ID"), "debian", "the system")
    return str(values.get("PRETTY_NAME", "Debian"))


def _size(machine: Machine, inside: Callable[[str], str], cpus: int, memory: int) -> str:
    if machine.provider == "docker":
        # A container sees the host's; its limits are Docker's business.
        fields = "{{.HostConfig.NanoCpus}} {{.HostConfig.Memory}}"
        found = run(["docker", "inspect", "--format", fields, machine.instance], timeout=ANSWER).split()
        expect([int(found[0]) // 10**9, int(found[1]) >> 20], [cpus, memory], "[CPUs, MiB]")
        return "as Docker limits it"
    expect(int(inside("nproc")), cpus, "the number of CPUs")
    shown = int(inside("grep MemTotal /proc/meminfo").split()[1]) >> 10
    if not memory * SLACK <= shown <= memory:
        raise LabError(f"it has {shown} MiB", why=f"expected about {memory}", fix="make up")
    return f"{shown} MiB beside the kernel's own"


def _nodes(outputs: Mapping[str, Any], config: Path) -> Iterator[Point]:
    expected = {node["name"]: node for node in outputs["nodes"]}

    def all_nodes() -> dict[str, dict[str, Any]]:
        return {each["metadata"]["name"]: each for each in kube.get(config, "nodes")["items"]}

    yield Point("kubectl get nodes: these and no others", lambda: _listed(sorted(all_nodes()), sorted(expected)))
    for name, node in expected.items():
        yield Point(f"node {name}: Ready, at {node['address']}, {node['role']}", partial(_node, all_nodes, name, node))


def _listed(found: list[str], wanted: list[str]) -> str:
    expect(found, wanted)
    return ", ".join(found)


def _node(all_nodes: Callable[[], dict[str, dict[str, Any]]], name: str, node: Mapping[str, str]) -> str:
    found = all_nodes().get(name)
    if not found:
        raise LabError(f"there is no node {name}", fix="make up")
    if not kube.ready(found):
        raise LabError(f"{name} is not Ready", fix=f"make kubectl ARGS='describe node {name}'")
    addresses = {each["type"]: each["address"] for each in found["status"]["addresses"]}
    expect(addresses.get("InternalIP"), node["address"], "InternalIP")
    control = "node-role.kubernetes.io/control-plane" in found["metadata"].get("labels", {})
    expect("server" if control else "agent", node["role"], "the role")
    version: str = found["status"]["nodeInfo"]["kubeletVersion"]
    return version


def _p2(stack: str, settings: Mapping[str, str], outputs: Mapping[str, Any], config: Path) -> Iterator[Point]:
    for node in outputs["nodes"]:
        yield from _machine(stack, settings, node)
    yield from _nodes(outputs, config)
    yield Point(
        f"namespace {names.WEB_NAMESPACE}: enforces the restricted Pod Security Standard", lambda: _enforces(config)
    )
    apps: dict[str, dict[str, Any]] = json.loads(settings["apps"])
    for name, app in apps.items():
        replicas = int(app.get("replicas", 1))
        yield Point(f"{name}: {replicas} of {replicas} pods", partial(_deployment, config, name, replicas))
    yield Point("the Ingress is Traefik's and has every host", lambda: _ingress(config, apps))
    for route in outputs["routes"]:
        url, host, app = route["url"], route["host"], route["app"]
        shown = f'curl -H "Host: {host}" {url}' if host else f"curl {url}"
        yield Point(f"{shown}: {app} answers", partial(_route, url, host, app))
        if host and apps[app].get("replicas", 1) > 1:
            pods = int(apps[app]["replicas"])
            yield Point(f"{host}: {pods} pods take turns", partial(_pods, url, host, pods))
    default = next(route for route in outputs["routes"] if not route["host"])
    yield Point(
        f"any other host: {default['app']} answers", lambda: _route(default["url"], "some-other.host", default["app"])
    )


def _enforces(config: Path) -> str:
    labels = kube.get(config, "namespace", name=names.WEB_NAMESPACE)["metadata"]["labels"]
    return expect(labels.get("pod-security.kubernetes.io/enforce"), "restricted")


def _deployment(config: Path, name: str, replicas: int) -> str:
    found = kube.get(config, "deployment", namespace=names.WEB_NAMESPACE, name=name)
    expect(found["spec"]["replicas"], replicas, "replicas")
    expect(found["status"].get("availableReplicas", 0), replicas, "available replicas")
    return str(found["spec"]["template"]["spec"]["containers"][0]["image"])


def _ingress(config: Path, apps: Mapping[str, Mapping[str, Any]]) -> str:
    found = kube.get(config, "ingress", namespace=names.WEB_NAMESPACE)["items"]
    expect(len(found), 1, "the number of Ingresses")
    spec = found[0]["spec"]
    expect(spec.get("ingressClassName"), "traefik", "ingressClassName")
    hosts = {rule.get("host", ""): rule["http"]["paths"][0]["backend"]["service"]["name"] for rule in spec["rules"]}
    expect({host: app for host, app in hosts.items() if host}, {app["host"]: name for name, app in apps.items()})
    return ", ".join(f"{host or 'any other'} -> {app}" for host, app in hosts.items())


def _route(url: str, host: str, app: str) -> str:
    answer = http.ask(url, headers={"Host": host})
    expect(answer.status, 200, "the status")
    # An image from a registry may not say which app it is.
    if "app" in answer.body:
        expect(answer.body["app"], app, "who answers")
    return answer.short


def _pods(url: str, host: str, pods: int) -> str:
    seen: set[str] = set()
    for _ in range(pods * ASKED_PER_POD):
        body = http.ask(url, headers={"Host": host}).body
        seen.add(str(body.get("pod", "an app that does not name its pod")))
        if len(seen) == pods:
            return ", ".join(sorted(seen))
    raise LabError(f"only {', '.join(sorted(seen))} answered", why=f"expected {pods} different pods")


def _p3(stack: str, settings: Mapping[str, str], outputs: Mapping[str, Any], config: Path) -> Iterator[Point]:  # noqa: ARG001 - as the others
    if not settings["kubeconfig"]:
        yield Point(f"docker ps shows the nodes of {settings['clusterName']}", lambda: _containers(settings))
    yield Point("every node is Ready", lambda: _ready(config))
    for name in (names.ARGOCD, names.APP_NAMESPACE):
        yield Point(f"namespace {name} is there", partial(_namespace, config, name))
    yield Point(f"a pod runs in {names.APP_NAMESPACE}", lambda: _running(config))
    for url in _urls(settings, outputs["appUrl"], "appPorts"):
        yield Point(f"curl {url}: the version that Git has", partial(_version, outputs, url))
    for url in _urls(settings, outputs["argocdUrl"], "argocdPorts"):
        yield Point(f"{url}: Argo CD answers", partial(_answers, url))
    yield Point("the Application is Synced and Healthy", lambda: _settled(outputs, config))
    yield Point("the Application syncs, prunes and heals by itself", lambda: _automated(outputs, config))
    yield Point(f"the Application follows {outputs['git']['path']}", lambda: _follows(outputs, config))


def _urls(settings: Mapping[str, str], first: str, ports: str) -> list[str]:
    """Return every URL of a service: one for each port of this host, or the only one of a cluster that is not ours."""
    if settings["kubeconfig"]:
        return [first]
    host = first.rstrip("/").rpartition(":")[0]
    return [f"{host}:{port}/" for port in json.loads(settings[ports])]


def _answers(url: str) -> str:
    return expect(http.ask(url).status, 200, "the status")


def _containers(settings: Mapping[str, str]) -> str:
    nodes = [
        each
        for each in docker_engine.containers(f"k3d.cluster={settings['clusterName']}")
        if each.labels.get("k3d.role") in {"server", "agent"}
    ]
    expect(len(nodes), int(settings["servers"]) + int(settings["agentNodes"]), "the number of nodes")
    stopped = [node.name for node in nodes if node.state != "running"]
    if stopped:
        raise LabError(f"{', '.join(stopped)} does not run", fix="make up")
    return ", ".join(node.name for node in nodes)


def _ready(config: Path) -> str:
    nodes = kube.get(config, "nodes")["items"]
    bad = [node["metadata"]["name"] for node in nodes if not kube.ready(node)]
    if bad or not nodes:
        raise LabError(f"not Ready: {', '.join(bad) or 'there is no node'}", fix="make up")
    return ", ".join(node["metadata"]["name"] for node in nodes)


def _namespace(config: Path, name: str) -> str:
    return expect(kube.get(config, "namespace", name=name)["status"]["phase"], "Active")


def _running(config: Path) -> str:
    pods = kube.get(config, "pods", namespace=names.APP_NAMESPACE)["items"]
    running = [pod["metadata"]["name"] for pod in pods if kube.ready(pod)]
    if not running:
        raise LabError(f"{len(pods)} pods, none of them Ready", fix="make kubectl ARGS='-n dev describe pods'")
    return ", ".join(running)


def _version(outputs: Mapping[str, Any], url: str) -> str:
    answer = http.ask(url)
    expect(answer.status, 200, "the status")
    tag, _ = manifest_tags.in_git(outputs)
    wanted = "" if "sha256:" in tag else tag
    expect(answer.body, {"status": "ok", "message": wanted or answer.body.get("message")}, "the answer")
    return answer.short


def _settled(outputs: Mapping[str, Any], config: Path) -> str:
    name, _ = application.of(outputs)
    return expect(application_status.summary(application.status(config, name)), application_status.GOOD)


def _application(outputs: Mapping[str, Any], config: Path) -> dict[str, Any]:
    name, _ = application.of(outputs)
    found: dict[str, Any] = kube.get(config, names.APPLICATION, namespace=names.ARGOCD, name=name)["spec"]
    return found


def _automated(outputs: Mapping[str, Any], config: Path) -> str:
    automated = _application(outputs, config).get("syncPolicy", {}).get("automated") or {}
    expect({key: automated.get(key) for key in ("prune", "selfHeal")}, {"prune": True, "selfHeal": True})
    return "automated, prune, selfHeal"


def _follows(outputs: Mapping[str, Any], config: Path) -> str:
    source = _application(outputs, config)["source"]
    expect(source.get("path"), outputs["git"]["path"], "the path")
    expect(source.get("targetRevision"), outputs["git"]["revision"], "the revision")
    return f"{source['repoURL']} at {source['targetRevision']}"
