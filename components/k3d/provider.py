"""The life of a k3d cluster as a Pulumi resource that notices when the cluster is lost.

A Command can't do that: Pulumi compares its inputs, which a deleted cluster does not change. A dynamic provider is
asked for the difference on every preview, and asks Docker. docs/adr/0003-cluster-resource.md has the alternatives.
"""

from __future__ import annotations

import hashlib
import json
import re
import secrets
import tempfile
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from pulumi.dynamic import CreateResult, DiffResult, ReadResult, ResourceProvider, UpdateResult

from components.core import wait
from components.core.errors import LabError
from components.core.names import K3D_NODES, K3D_ROLE, SEALED_SECRETS
from components.core.run import CommandError, run
from components.docker import container as containers
from components.docker import engine as docker_engine
from components.k3d import volumes

if TYPE_CHECKING:
    from collections.abc import Callable

CLUSTER_LABEL: Final = "k3d.cluster"
STACK_LABEL: Final = containers.STACK_LABEL
CONFIG_LABEL: Final = containers.CONFIG_LABEL
ID_LABEL: Final = "iot.id"
NAMESPACES: Final = {"default", "kube-node-lease", "kube-public", "kube-system"}  # Kubernetes' own
NETWORK_LABEL: Final = "k3d.cluster.network"  # its name
# Where K3s looks for archives of images when it starts: https://docs.k3s.io/installation/airgap
IMAGES_FOLDER: Final = "/var/lib/rancher/k3s/agent/images"
DELETE: Final = 120.0  # seconds
SOON: Final = 90  # seconds within which a cluster that has its images comes up; the first time they may be pulled
READY_EVERY: Final = 0.2  # seconds between two looks
ASKED: Final = 60  # seconds, for what an API server that is ready answers at once
REGISTERED: Final = 90  # seconds after the API server is ready; it takes one
# A node's disk is that of the whole laptop, where 5 % are many gigabytes: pods are driven out when 1 % is left, not
# before. https://k3d.io/stable/faq/faq/#pods-evicted-due-to-lack-of-disk-space
# A node that has room again takes pods after that period; the kubelet's own is 5 minutes.
ROOM: Final = (
    "eviction-hard=imagefs.available<1%,nodefs.available<1%",
    "eviction-minimum-reclaim=imagefs.available=1%,nodefs.available=1%",
    "eviction-pressure-transition-period=30s",
)
HOSTS: Final = "too many open files"  # which nothing mends but a setting of this host
# A line of a node's log that says why it does not come up, and one that may.
TROUBLE: Final = (
    re.compile(rf"level=fatal|^F\d{{4}} |{HOSTS}|no space left on device"),
    re.compile(r"level=error"),
)
WORDS: Final = 300  # characters of such a line


class Found:
    """What Docker has of a cluster of some name: its nodes, and what they say about themselves."""

    def __init__(self, name: str) -> None:
        """Look the cluster up.

        Args:
            name: of the cluster.

        Raises:
            UnreachableError: Docker can't be asked.
        """
        self.name = name
        self.nodes = [
            each
            for each in docker_engine.containers(f"{CLUSTER_LABEL}={name}")
            if each.labels.get(K3D_ROLE) in K3D_NODES
        ]

    def label(self, key: str) -> str:
        """Return what all nodes say of a label, or an empty string when they disagree or have none."""
        values = {node.labels.get(key, "") for node in self.nodes}
        return values.pop() if len(values) == 1 else ""

    def belongs_to(self, stack: str) -> bool:
        """Say whether every node carries the stack's label."""
        return bool(self.nodes) and self.label(STACK_LABEL) == stack

    def is_whole(self, nodes: int, config: str) -> bool:
        """Say whether all nodes are there, made as they should be."""
        return len(self.nodes) == nodes and self.label(CONFIG_LABEL) == config

    @property
    def runs(self) -> bool:
        """Whether every node runs."""
        return all(node.state == "running" for node in self.nodes)

    @property
    def servers(self) -> list[str]:
        """The names of the servers' containers."""
        return sorted(node.name for node in self.nodes if node.labels[K3D_ROLE] == "server")


def config_hash(config: dict[str, Any]) -> str:
    """Return a short digest of a k3d configuration."""
    return hashlib.sha256(json.dumps(config, sort_keys=True).encode()).hexdigest()[:16]


def refuse_foreign(name: str, stack: str) -> None:
    """Stop when a cluster of this name exists that the stack did not make.

    Args:
        name: of the cluster.
        stack: the stack's name.

    Raises:
        LabError: says whose it seems to be.
        UnreachableError: Docker can't be asked.
    """
    found = Found(name)
    if not found.nodes or found.belongs_to(stack):
        return
    owner = found.label(STACK_LABEL)
    seems = f"it belongs to the stack {owner}" if owner else "this project did not make it"
    raise LabError(
        f"A k3d cluster {name} is here already, and {seems}",
        why=f"its nodes are {', '.join(sorted(node.name for node in found.nodes))}; they are left alone",
        fix=f"`k3d cluster delete {name}` if it is not needed, or `pulumi config set iot:clusterName OTHER-NAME`",
    )


class K3dClusterProvider(ResourceProvider):
    """Creates, starts, replaces and deletes one k3d cluster.

    Inputs: ``name``, ``stack``, ``nodes`` (how many), ``config`` (k3d's configuration without labels, JSON),
    ``archive`` (path of an archive of images that the nodes load when they are made, or empty), ``images`` (those
    that k3d itself needs), ``timeout`` (seconds).
    Outputs: the inputs, ``kubeconfig`` (to be marked secret by the resource), ``node_names`` (of containers) and
    ``made_at`` (which engine has them).
    """

    def diff(self, _id: str, _olds: dict[str, Any], _news: dict[str, Any]) -> DiffResult:
        """Compare what was asked for, and what Docker runs, with what is wanted."""
        replaces = [key for key in ("name", "stack", "config") if _olds.get(key) != _news.get(key)]
        stopped = False
        if not replaces:
            try:
                found = Found(_news["name"])
                known = docker_engine.is_at(_olds["made_at"])
            except docker_engine.UnreachableError:
                known = False
            if not known:
                # Docker is stopped, or this is another machine: nothing is known, so nothing is planned.
                return DiffResult(changes=False)
            lost = found.label(ID_LABEL) != _id or len(found.nodes) != _news["nodes"]
            replaces = ["kubeconfig"] if lost else []
            stopped = not lost and not found.runs
        return DiffResult(
            changes=bool(replaces) or stopped, replaces=replaces, stables=["name", "stack"], delete_before_replace=True
        )

    def create(self, props: dict[str, Any]) -> CreateResult:
        """Make the cluster, or take over the one that an interrupted run of this stack has made.

        Raises:
            LabError: there is one that was in use, of which the state knows nothing.
        """
        # The engine hands over every number as a float.
        props = {**props, "nodes": int(props["nodes"]), "timeout": int(props["timeout"])}
        name, wanted = props["name"], config_hash(json.loads(props["config"]))
        refuse_foreign(name, props["stack"])
        found = Found(name)
        whole = found.is_whole(props["nodes"], wanted) and bool(found.label(ID_LABEL))
        if found.nodes:
            if _comes_up(found, props["timeout"] if whole else min(SOON, props["timeout"])):
                refuse_used(found, ASKED)
                if whole:
                    return CreateResult(id_=found.label(ID_LABEL), outs=_outputs(props, found))
            # It can't be brought back, or is otherwise; a new one can be made.
            _delete(name)
        cluster_id = f"{name}-{secrets.token_hex(4)}"
        _create(props, wanted, cluster_id)
        return CreateResult(id_=cluster_id, outs=_outputs(props, Found(name)))

    def update(self, _id: str, _olds: dict[str, Any], _news: dict[str, Any]) -> UpdateResult:
        """Start the nodes that are stopped, and wait until the cluster hears of them."""
        before, timeout = Found(_news["name"]), int(_news["timeout"])
        _start(before, timeout)
        found, stopped = Found(before.name), {each.name for each in before.nodes if each.state != "running"}
        try:
            _wait_for_kubelets(partial(_heard_of, found, stopped), timeout)
        except CommandError as error:
            _add_last_words(error, found)
            raise
        return UpdateResult(outs=_outputs(_news, found))

    def read(self, id_: str, props: dict[str, Any]) -> ReadResult:
        """Say whether the cluster is still there; for `pulumi refresh`."""
        try:
            found = Found(props["name"])
            gone = found.label(ID_LABEL) != id_ and docker_engine.is_at(props["made_at"])
        except docker_engine.UnreachableError:
            gone = False
        return ReadResult("", {}) if gone else ReadResult(id_, props)

    def delete(self, _id: str, _props: dict[str, Any]) -> None:
        """Delete the cluster with its network and volumes; nothing to do when it is gone or someone else's."""
        docker_engine.require_at(f"The cluster {_props['name']}", _props["made_at"])
        if Found(_props["name"]).belongs_to(_props["stack"]):
            _delete(_props["name"])
        containers.leave_network(_network(_props), _props["stack"])


def _create(props: dict[str, Any], wanted: str, cluster_id: str) -> None:
    for image in props["images"]:
        docker_engine.ensure_image(image)
    containers.refuse_foreign("network", _network(props), props["stack"])
    containers.ensure_network(_network(props), props["stack"])
    config = json.loads(props["config"])
    filters = ["server:*", *(["agent:*"] if config.get("agents") else [])]
    labels = {STACK_LABEL: props["stack"], CONFIG_LABEL: wanted, ID_LABEL: cluster_id}
    config["options"]["runtime"] = {
        "labels": [{"label": f"{key}={value}", "nodeFilters": filters} for key, value in labels.items()]
    }
    config["volumes"] = volumes.mounts(config)
    if props["archive"]:
        volume = f"{props['archive']}:{IMAGES_FOLDER}/{Path(props['archive']).name}:ro"
        config["volumes"].append({"volume": volume, "nodeFilters": filters})
    told = list(ROOM)
    if docker_engine.cgroup_version() == "1":
        # The kubelet refuses cgroup v1 since 1.35 unless it is told that this is known.
        told.append("fail-cgroupv1=false")
    # Not among the inputs: a cluster that was made without them is not made anew for them.
    config["options"]["k3s"]["extraArgs"] += [{"arg": f"--kubelet-arg={each}", "nodeFilters": filters} for each in told]
    kept = volumes.prepare(config, props["stack"])
    error, has_run = _failure(config, min(SOON, props["timeout"]) if kept else props["timeout"])
    if error and kept and has_run and HOSTS not in str(error):
        # What was kept may be damaged; what keeps Docker from starting a node is not its fault.
        print(f"{props['name']} did not come up with the images that its nodes had kept: {_cause(error)}", flush=True)
        print(f"It begins without them; {_remove_debris(props['name'])}", flush=True)
        volumes.drop(set(volumes.of(config).values()))
        volumes.prepare(config, props["stack"])
        error, _ = _failure(config, props["timeout"])
    if error:
        raise LabError(
            f"The k3d cluster {props['name']} did not come up, and {_remove_debris(props['name'])}",
            why=_cause(error),
            fix=error.fix or "docs/troubleshooting.md, or try `k3d cluster create test` by hand",
        ) from error


def _cause(error: LabError) -> str:
    """Return what an error says, without what is to be done."""
    return ". ".join(each for each in (error.what, error.why) if each)


def _network(props: dict[str, Any]) -> str:
    """Return the name of the network that a cluster is on, which those of older versions have not written down."""
    return str(json.loads(props["config"]).get("network") or props["name"])


def _failure(config: dict[str, Any], timeout: int) -> tuple[CommandError | None, bool]:
    """Make a cluster; return what went wrong, if anything, and whether a node has run."""
    name = config["metadata"]["name"]
    try:
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "k3d.yaml"  # JSON is YAML
            path.write_text(json.dumps(config), encoding="utf-8")
            with wait.told(f"creating the cluster {name}", most=timeout, left=lambda: _state(name)):
                _k3d(["cluster", "create", "--config", str(path), "--timeout", f"{timeout}s"], timeout=timeout + DELETE)
                _wait_ready(Found(name), timeout)
                _wait_for_containerd(Found(name), timeout)
                _wait_for_kubelets(partial(_registered, Found(name)), timeout)
    except CommandError as error:
        # Its nodes are about to go, and with them what they have to say.
        _add_last_words(error, Found(name))
        return error, any(node.state != "created" for node in Found(name).nodes)
    return None, True


def _add_last_words(error: LabError, found: Found) -> None:
    """Add to an error the last complaint in the log of each node that has one; none when Docker can't be asked."""
    said = []
    for node in sorted(found.nodes, key=lambda each: each.name):
        # What it said when it was started before is not about this time.
        since = [f"--since={node.started}"] if node.started else []
        try:
            log = run(["docker", "logs", "--tail=200", *since, node.name], timeout=docker_engine.ANSWER, errors=True)
        except CommandError:
            continue
        lines = [[line for line in log.splitlines() if each.search(line)] for each in TROUBLE]
        if last := next((each[-1] for each in lines if each), ""):
            said.append(f"{node.name} says: {last.strip()[:WORDS]}")
    if said:
        error.why = ". ".join(each for each in (error.why.rstrip("."), "; ".join(said)) if each)


def _remove_debris(name: str) -> str:
    """Delete what a failed creation left, which no state knows of; return what became of it."""
    try:
        _delete(name)
    except CommandError as error:
        return f"what there is of it could not be removed ({error}): `k3d cluster delete {name}`"
    return "what there was of it is removed again"


def _start(found: Found, timeout: int) -> None:
    if not found.runs:
        _k3d(["cluster", "start", found.name, "--timeout", f"{timeout}s"], timeout=timeout + DELETE)
    _wait_ready(found, timeout)


def _comes_up(found: Found, timeout: int) -> bool:
    """Start a cluster that has run before, and tell whether it answers."""
    if not found.servers or any(node.state == "created" for node in found.nodes):
        return False
    try:
        _start(found, timeout)
    except CommandError:
        return False
    return True


def refuse_used(found: Found, timeout: float) -> None:
    """Stop when a cluster has more in it than Kubernetes' own.

    An interrupted run leaves nothing in a cluster that its state does not know: that comes first.

    Args:
        found: the cluster, which runs.
        timeout: seconds until it has to have answered; 0 asks once.

    Raises:
        LabError: it has.
        CommandError: it does not answer.
    """
    ask = ["docker", "exec", found.servers[0], "kubectl", "get", "namespaces", "--output=name"]
    said = wait.until(
        lambda: run(ask, timeout=10), timeout=timeout, every=READY_EVERY, also=docker_engine.still_answers
    )
    there = {each.removeprefix("namespace/") for each in said.split()}
    if used := sorted(there - NAMESPACES):
        # With a key that goes with the cluster; `destroy` keeps it, but that takes a state.
        sealed = ", but nobody can read any more what was sealed there" * (SEALED_SECRETS in used)
        raise LabError(
            f"The cluster {found.name} is here and in use, and the state of the stack does not know it",
            why=f"that state was lost, or is kept elsewhere (PULUMI_BACKEND_URL); it has {', '.join(used)}",
            fix="bring the state back; or, when nothing is needed that only the cluster has, "
            f"`k3d cluster delete {found.name}` and run again: what was pushed to Git stays{sealed}",
        )


def _wait_ready(found: Found, timeout: int) -> None:
    """Wait until the API server says that it is ready."""
    ask = ["docker", "exec", found.servers[0], "kubectl", "get", "--raw=/readyz"]
    try:
        wait.until(lambda: run(ask, timeout=10), timeout=timeout, every=READY_EVERY, also=docker_engine.still_answers)
    except CommandError as error:
        raise CommandError(
            f"The API server of {found.name} was not ready within {timeout} s",
            why=str(error),
            fix=f"`docker logs {found.servers[0]}` says what it is waiting for",
        ) from error


def _wait_for_kubelets(known: Callable[[], None], timeout: int) -> None:
    wait.until(known, timeout=min(timeout, REGISTERED), every=READY_EVERY, also=docker_engine.still_answers)


def _registered(found: Found) -> None:
    """Stop when a node has not registered: its kubelet does not start, and no pod will ever run there."""
    ask = ["docker", "exec", found.servers[0], "kubectl", "get", "nodes", "--output=name"]
    known = {each.removeprefix("node/") for each in run(ask, timeout=10).split()}
    if lacking := sorted({node.name for node in found.nodes} - known):
        raise _without_kubelet(f"{', '.join(lacking)} did not register as a node within {REGISTERED} s")


def _heard_of(found: Found, started: set[str]) -> None:
    """Stop when a node that has been started has not renewed its lease since, by the clock of the engine.

    https://kubernetes.io/docs/concepts/architecture/leases/
    """
    of = '{range .items[*]}{.metadata.name}={.spec.renewTime}{"\\n"}{end}'
    ask = ["kubectl", "get", "leases", "--namespace=kube-node-lease", f"--output=jsonpath={of}"]
    said = run(["docker", "exec", found.servers[0], *ask], timeout=10)
    renewed = dict(line.split("=", 1) for line in said.splitlines())
    nodes = [each for each in found.nodes if each.name in started]
    if silent := sorted(each.name for each in nodes if renewed.get(each.name, "") < each.started):
        raise _without_kubelet(f"{', '.join(silent)} was not heard of within {REGISTERED} s since it was started")


def _without_kubelet(what: str) -> CommandError:
    return CommandError(
        what,
        why="its kubelet seems not to start",
        fix="give Docker more memory or disk; on Linux, sudo sysctl fs.inotify.max_user_instances=512",
    )


def _state(name: str) -> str:
    nodes = Found(name).nodes
    return f"{sum(node.state == 'running' for node in nodes)} of {len(nodes)} nodes run"


def _wait_for_containerd(found: Found, timeout: int) -> None:
    """Wait until every node can say what images it has: containerd starts on a damaged store, too, but without it."""
    for node in found.nodes:
        ask = ["docker", "exec", node.name, "ctr", "--namespace=k8s.io", "images", "ls", "--quiet"]
        wait.until(
            partial(run, ask, timeout=10),
            timeout=timeout,
            every=READY_EVERY,
            also=lambda error: docker_engine.still_answers(error) and "unknown service" not in str(error),
        )


def _outputs(props: dict[str, Any], found: Found) -> dict[str, Any]:
    kubeconfig = _k3d(["kubeconfig", "get", props["name"]], timeout=docker_engine.ANSWER)
    nodes = sorted(node.name for node in found.nodes)
    return {**props, "kubeconfig": kubeconfig + "\n", "node_names": nodes, "made_at": docker_engine.whereabouts()}


def _k3d(arguments: list[str], *, timeout: float) -> str:
    """Run k3d without what it leaves behind among the temporary files and in the user's configuration and kubeconfig.

    It writes the kubeconfig anew when a cluster goes, also when nothing in it is of that cluster.
    """
    with tempfile.TemporaryDirectory() as folder:
        kubeconfig = Path(folder) / "kubeconfig"
        kubeconfig.write_text("apiVersion: v1\nkind: Config\n", encoding="utf-8")
        env = {"XDG_CONFIG_HOME": folder, "KUBECONFIG": str(kubeconfig), "TMPDIR": folder}
        return run(["k3d", *arguments], timeout=timeout, env=env)


def _delete(name: str) -> None:
    _k3d(["cluster", "delete", name], timeout=DELETE)
