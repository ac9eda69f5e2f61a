"""What the platform promises, as points that hold or don't: each environment, who may do what, CI, and the clusters.

Nothing is changed to find out: what is asked is what would be allowed.
"""

from __future__ import annotations

import json
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import urlsplit

from components.core import http_client as http
from components.core import kube, names
from components.core.errors import LabError
from components.core.run import CommandError, run
from components.gitops import application_status, gitea
from components.gitops.allowed import ACCOUNTS, CONTROLLER, DEVELOPER, GITOPS, HEADS, QUOTA, RELEASER, kinds
from lab.live import answers, application, argocd, environments, git, manifest_tags, pipeline
from lab.live.defence import Point, expect

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

    from lab.live.environments import Environment

ANSWER: Final = 30.0  # seconds for a question to a cluster
REMOTE: Final = f"system:serviceaccount:{names.ARGOCD}:{names.ARGOCD_ACCOUNT}"
# What Argo CD's account in a further cluster is asked for, and must not have.
TOO_MUCH: Final = (("get", "secrets"), ("create", "pods/exec"), ("create", "rolebindings"), ("create", "namespaces"))


def points(outputs: Mapping[str, Any], config: Path) -> Iterator[Point]:
    """Return the points of a stack with environments.

    Args:
        outputs: its outputs, with secrets.
        config: path of the kubeconfig of Argo CD's cluster.

    Raises:
        LabError: the stack's settings can't be read.
    """
    for cluster in ("", *(outputs.get("clusters") or {})):
        yield Point(f"every node of {cluster or 'the first cluster'} is Ready", partial(_ready, outputs, cluster))
    yield Point(f"{outputs['argocdUrl']}: Argo CD answers", lambda: _status(outputs["argocdUrl"]))
    yield Point("Argo CD has accounts, and no administrator", lambda: _no_admin(config))
    yield Point("Git can't put an Application into another project", lambda: _refused(outputs, config))
    for each in environments.of(outputs):
        yield from _environment(outputs, config, each)
    for cluster in outputs.get("clusters") or {}:
        for verb, what in TOO_MUCH:
            yield Point(f"Argo CD may not {verb} {what} in {cluster}", partial(_may_not, outputs, cluster, verb, what))
    if "ci" in outputs:
        yield from _ci(outputs)


def _environment(outputs: Mapping[str, Any], config: Path, each: Environment) -> Iterator[Point]:
    name = each.name
    yield Point(f"{name}: its namespace enforces the restricted Pod Security Standard", partial(_level, outputs, each))
    yield Point(f"{name}: its namespace has a quota", partial(_quota, outputs, each))
    words = f"{name}: its project allows one repository, one namespace, the kinds of an app"
    yield Point(words, partial(_project, outputs, config, each))
    yield Point(
        f"{name}: its Application is in its project, and follows {each.branch}", partial(_follows, config, each)
    )
    how = "by itself" if each.sync == "auto" else "when somebody has it synced"
    yield Point(f"{name}: Argo CD changes it {how}", partial(_automated, config, each))
    yield Point(f"{name}: it is Synced and Healthy", partial(_settled, config, name))
    yield Point(f"{name}: curl {each.url} says the version that Git has", partial(_version, outputs, each))
    for account in ACCOUNTS:
        word = "may" if account == each.by else "may not"
        yield Point(f"{name}: {account} {word} sync it", partial(_may_sync, outputs, account, each))
    if each.approvals:
        words = f"{name}: a change needs {each.approvals} approval, and nobody pushes to {each.branch}"
        yield Point(words, partial(_protected, outputs, each))
    else:
        yield Point(f"{name}: the developer may push to {each.branch}", partial(_open, outputs, each))


def _ci(outputs: Mapping[str, Any]) -> Iterator[Point]:
    registry = outputs["image"].partition("/")[0]
    yield Point(f"http://{registry}/v2/: the registry answers", lambda: _status(f"http://{registry}/v2/"))
    yield Point(f"{outputs['ci']['repository']}: the app's code has a pipeline", lambda: _pipeline(outputs))
    words = f"docker ps shows {outputs['ci']['runner']}, which has no kubeconfig"
    yield Point(words, lambda: _runner(outputs))
    yield Point("the last run of the pipeline has not failed", lambda: _last(outputs))


def _ready(outputs: Mapping[str, Any], cluster: str) -> str:
    with kube.config_file(environments.kubeconfig(outputs, cluster)) as config:
        nodes = kube.get(config, "nodes")["items"]
    bad = [each["metadata"]["name"] for each in nodes if not kube.ready(each)]
    if bad or not nodes:
        raise LabError(f"not Ready: {', '.join(bad) or 'there is no node'}", fix="make up")
    return ", ".join(each["metadata"]["name"] for each in nodes)


def _status(url: str) -> str:
    return expect(http.ask(url).status, 200, "the status")


def _no_admin(config: Path) -> str:
    data = kube.get(config, "configmap", namespace=names.ARGOCD, name="argocd-cm")["data"]
    expect(data.get("admin.enabled"), "false", "admin.enabled")
    for each in ACCOUNTS:
        expect(data.get(f"accounts.{each}"), "login", f"accounts.{each}")
    return ", ".join(ACCOUNTS)


def _refused(outputs: Mapping[str, Any], config: Path) -> str:
    """Try it as Argo CD's controller, without changing anything."""
    name = environments.of(outputs)[0].name
    change = ["patch", names.APPLICATION, name, "--type=merge", "--patch", json.dumps({"spec": {"project": "default"}})]
    where = [f"--namespace={names.ARGOCD}"]
    try:
        run([*kube.command(config, *where, *change), "--dry-run=server", f"--as={CONTROLLER}"], timeout=ANSWER)
    except CommandError as error:
        words = "names the project default, and may be in the one of its own name alone"
        if words in str(error):
            return "an admission policy refuses it"
        raise
    raise LabError(f"{name} was let into the project default", fix="make up")


def _level(outputs: Mapping[str, Any], each: Environment) -> str:
    with kube.config_file(environments.kubeconfig(outputs, each.cluster)) as config:
        labels = kube.get(config, "namespace", name=each.name)["metadata"]["labels"]
    return expect(labels.get("pod-security.kubernetes.io/enforce"), "restricted")


def _quota(outputs: Mapping[str, Any], each: Environment) -> str:
    with kube.config_file(environments.kubeconfig(outputs, each.cluster)) as config:
        found = kube.get(config, "resourcequota", namespace=each.name, name="quota")["spec"]["hard"]
    expect(found, QUOTA, "the quota")
    return ", ".join(f"{key} {value}" for key, value in sorted(found.items()))


def _project(outputs: Mapping[str, Any], config: Path, each: Environment) -> str:
    name = each.name
    spec = kube.get(config, "appprojects.argoproj.io", namespace=names.ARGOCD, name=name)["spec"]
    followed = _spec(config, name)
    repository = urlsplit(outputs["git"]["url"]).path
    expect([urlsplit(one).path for one in spec["sourceRepos"]], [repository], "the paths of its repositories")
    expect(spec["destinations"], [followed["destination"]], "the destinations")
    expect(followed["destination"]["namespace"], name, "the namespace")
    expect(spec.get("clusterResourceWhitelist") or [], [], "what it may bring for a whole cluster")
    found = sorted(one["kind"] for one in spec["namespaceResourceWhitelist"])
    wanted = sorted(kind for _, kind in kinds(sealed=bool(outputs.get("sealing")), progressive=True))
    return expect(", ".join(found), ", ".join(wanted), "the kinds")


def _spec(config: Path, name: str) -> dict[str, Any]:
    found: dict[str, Any] = kube.get(config, names.APPLICATION, namespace=names.ARGOCD, name=name)["spec"]
    return found


def _follows(config: Path, each: Environment) -> str:
    spec = _spec(config, each.name)
    expect(spec["project"], each.name, "the project")
    expect(spec["source"].get("path"), each.path, "the path")
    expect(spec["source"].get("targetRevision"), f"{HEADS}{each.branch}", "the revision")
    return f"{spec['source']['repoURL']}, {each.path}"


def _automated(config: Path, each: Environment) -> str:
    automated = _spec(config, each.name).get("syncPolicy", {}).get("automated")
    wanted = {"prune": True, "selfHeal": True} if each.sync == "auto" else None
    return expect(automated, wanted, "automated")


def _settled(config: Path, name: str) -> str:
    return expect(application_status.summary(application.status(config, name)), application_status.GOOD)


def _version(outputs: Mapping[str, Any], each: Environment) -> str:
    source = replace(git.readable(outputs), revision=each.branch, path=each.path)
    with git.cloned(source) as clone:
        wanted = manifest_tags.one_of(manifest_tags.tags(manifest_tags.read(clone.root / each.path), outputs["image"]))
    return expect(answers.version(each.url), wanted, "the version")


def _may_sync(outputs: Mapping[str, Any], account: str, each: Environment) -> str:
    theirs, what = argocd.signed_in(outputs, account), f"{each.name}/{each.name}"
    # Another commit than the one that it follows would be one that nobody has approved.
    expect(theirs.ask("GET", f"account/can-i/applications/override/{what}").body["value"], "no", "for another commit")
    found = theirs.ask("GET", f"account/can-i/applications/sync/{what}").body["value"]
    return expect(found, "yes" if account == each.by else "no", "Argo CD's answer")


def _branch(outputs: Mapping[str, Any], account: str, each: Environment) -> dict[str, Any]:
    path = f"/repos/{gitea.OWNER}/{GITOPS}/branches/{each.branch}"
    found: dict[str, Any] = environments.server(outputs, account).ask("GET", path).body
    return found


def _protected(outputs: Mapping[str, Any], each: Environment) -> str:
    for account in (DEVELOPER, RELEASER):
        found = _branch(outputs, account, each)
        expect(found["user_can_push"], wanted=False, what=f"whether {account} may push")
        expect(found["required_approvals"], each.approvals, "the number of approvals")
    return "protected"


def _open(outputs: Mapping[str, Any], each: Environment) -> str:
    expect(_branch(outputs, RELEASER, each)["user_can_push"], wanted=False, what=f"whether {RELEASER} may push")
    return expect(_branch(outputs, DEVELOPER, each)["user_can_push"], wanted=True)


def _may_not(outputs: Mapping[str, Any], cluster: str, verb: str, what: str) -> str:
    for each in environments.of(outputs):
        if each.cluster != cluster:
            continue
        with kube.config_file(environments.kubeconfig(outputs, cluster)) as config:
            review = {
                "apiVersion": "authorization.k8s.io/v1",
                "kind": "SubjectAccessReview",
                "spec": {
                    "user": REMOTE,
                    "resourceAttributes": {
                        "namespace": each.name,
                        "verb": verb,
                        "resource": what.partition("/")[0],
                        "subresource": what.partition("/")[2],
                    },
                },
            }
            command = kube.command(config, "create", "--filename=-", "--output=json")
            found = json.loads(run(command, timeout=ANSWER, given=json.dumps(review)))
        expect(found["status"]["allowed"], wanted=False, what=f"whether it may in {each.name}")
    return "refused"


def _pipeline(outputs: Mapping[str, Any]) -> str:
    server = environments.server(outputs, DEVELOPER)
    found = server.ask("GET", f"{pipeline.API}/workflows").body["workflows"]
    return expect(", ".join(each["name"] for each in found), "App", "the workflows")


def _runner(outputs: Mapping[str, Any]) -> str:
    found = pipeline.require_runner(outputs)
    mounts = sorted(str(each["Destination"]) for each in found["Mounts"])
    if any("kube" in each for each in [*mounts, *found["Config"]["Env"]]):
        raise LabError(f"{outputs['ci']['runner']} is handed a kubeconfig", fix="make up")
    return f"it is handed {', '.join(mounts)}"


def _last(outputs: Mapping[str, Any]) -> str:
    last = next(iter(pipeline.runs(outputs, 1)), None)
    if last and last.state == "failure":
        raise LabError(str(last), fix=f"make ci RUN={last.number}")
    return str(last or "nothing was pushed yet")
