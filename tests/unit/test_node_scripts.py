"""The scripts that Commands run: as programs, with programs on PATH that stand in for docker and kubectl."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from components.docker import container as containers
from components.gitops import wait_application

if TYPE_CHECKING:
    from tests.unit.programs import Programs

pytestmark = pytest.mark.unit

ROOT = Path(__file__).resolve().parents[2]
PATIENCE = 60  # seconds until a script that hangs is a failure; each ends in a few


def run(script: str, programs: Programs, *arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", f"components.{script}", *arguments],
        cwd=ROOT,
        env={"PATH": str(programs.folder), "TMPDIR": str(programs.folder.parent), **environment},
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        check=False,
    )


def failed(done: subprocess.CompletedProcess[str]) -> str:
    """Return what a script says that has failed in words, not with a traceback."""
    assert done.returncode == 1, done.stdout + done.stderr
    assert "Traceback" not in done.stderr
    return done.stderr


# --- import_images.py -------------------------------------------------------------------------------------------------

# An engine with the images of the file `images`, one for each line; what a node has is in the file `in-NODE`, a name
# and its labels on each line. Files: silent (an import that succeeds and imports nothing; each uses up a character),
# broken (one that fails), hanging (one that takes for ever), registry (what nodes can pull), pullable (what Docker
# can), partial (what a node has in part), used (KiB that a node keeps), built (another content of the engine's images),
# api (the version of Docker's API), deaf (no question is answered).
DOCKER = """
def lines(name):
    return (here / name).read_text().split() if (here / name).exists() else []
def node():
    name = args[2] if args[1] == '-i' else args[1]
    path = here / ('in-' + name)
    return path, dict(each.split() for each in path.read_text().splitlines()) if path.exists() else {}
def has(images):
    path, there = node()
    path.write_text(''.join(f'{name} {labels}\\n' for name, labels in images.items()))
def full(name):
    first = name.split('/')[0]
    return ('docker.io/library/' + name if '/' not in name else
            name if '.' in first or ':' in first else 'docker.io/' + name)
def used_up(name):
    left = (here / name).read_text() if (here / name).exists() else ''
    if left:
        (here / name).write_text(left[1:])
    return bool(left)
if (here / 'deaf').exists():
    sys.exit('Cannot connect to the Docker daemon')
if args[0] == 'version':
    print((lines('api') or ['1.41'])[0])
elif args[0] == 'info':
    print(json.dumps({'ID': 'one', 'OSType': 'linux', 'Architecture': 'x86_64'}))
elif args[:2] == ['image', 'inspect']:
    if args[-1] not in lines('images'):
        sys.exit('Error: No such image: ' + args[-1])
    print('sha256:' + args[-1] + ''.join(lines('built')))
elif args[0] == 'pull':
    if args[-1] not in lines('pullable'):
        sys.exit('Error response from daemon: no route to host')
    (here / 'images').write_text(' '.join([*lines('images'), args[-1]]))
elif args[0] == 'save':
    print(' '.join(each for each in args[1:] if not each.startswith('--')))
elif args[-1] == '--help':
    print('--local  run import locally' if (here / 'local').exists() else 'ctr of containerd 1')
elif 'import' in args and args[-1] == '-':
    images = sys.stdin.read().split()
    if used_up('hanging'):
        time.sleep(60)
    if used_up('broken'):
        sys.exit('ctr: write: no space left on device')
    if not used_up('silent'):
        has(node()[1] | {full(each): 'none=1' for each in images})
        (here / 'partial').write_text('')
elif args[-1] == 'ls':
    print('REF TYPE DIGEST SIZE PLATFORMS LABELS')
    print('\\n'.join(f'{name} x sha256:0 1.5 MiB linux/amd64 {labels}' for name, labels in node()[1].items()))
elif args[-1] == 'check':
    print('REF TYPE DIGEST STATUS SIZE UNPACKED')
    for name in node()[1]:
        state = 'incomplete (0/2)' if name in lines('partial') else 'complete (2/2)'
        print(f'{name} x sha256:0 {state} 1.5 MiB/1.5 MiB true')
elif 'label' in args:
    name, *labels = args[args.index('label') + 1:]
    if name not in node()[1]:
        sys.exit('image "' + name + '": not found')
    its = dict(each.split('=', 1) for each in [*node()[1][name].split(','), *labels])
    has(node()[1] | {name: ','.join(f'{key}={value}' for key, value in its.items())})
elif 'du' in args:
    print((lines('used') or ['1'])[0] + ' ' + args[-1])
elif 'prune' in args:
    has({})
elif 'crictl' in args:
    if args[-1] not in lines('registry'):
        sys.exit('rpc error: dial tcp: no such host')
    has(node()[1] | {full(args[-1]): 'none=1'})
else:
    sys.exit('not expected: ' + line)
"""
APP, K3S, GITEA, PYTHON = "iot-lab/app:v1", "localhost:5000/k3s:v1", "docker.gitea.com/gitea:1.27", "python:3.13-slim"


@pytest.fixture
def docker(programs: Programs) -> Programs:
    programs.add("docker", DOCKER)
    return programs


def is_so(programs: Programs, name: str, content: str) -> None:
    (programs.folder.parent / name).write_text(content, encoding="utf-8")


def in_node(programs: Programs, node: str) -> list[str]:
    path = programs.folder.parent / f"in-{node}"
    lines = path.read_text(encoding="utf-8").splitlines() if path.exists() else []
    return [line.split()[0] for line in lines]


def load(programs: Programs, images: str, nodes: str = "n0", timeout: str = "20") -> subprocess.CompletedProcess[str]:
    return run("k3d.import_images", programs, NODES=nodes, IMAGES=images, TIMEOUT=timeout)


def test_images_of_docker_get_into_every_node_under_their_full_names(docker: Programs) -> None:
    images = f"{APP} {K3S} {GITEA} {PYTHON}"
    is_so(docker, "images", images)
    done = load(docker, images, "n0 n1 n2")

    assert done.returncode == 0, done.stderr
    assert done.stdout == "4 images are in 3 nodes\n"
    for node in ("n0", "n1", "n2"):
        assert in_node(docker, node) == [f"docker.io/{APP}", K3S, GITEA, f"docker.io/library/{PYTHON}"]
    assert len(docker.called("docker save")) == 3
    assert docker.called("docker pull") == []


def test_what_a_node_has_kept_is_not_brought_again(docker: Programs) -> None:
    is_so(docker, "images", APP)
    load(docker, APP)
    done = load(docker, f"{APP}")

    assert done.returncode == 0, done.stderr
    assert done.stdout == "1 images are in 1 nodes, 1 of which had them\n"
    assert len(docker.called("docker save")) == 1


def test_what_an_older_version_has_brought_is_pinned_and_not_brought_again(docker: Programs) -> None:
    is_so(docker, "images", APP)
    load(docker, APP)
    node = docker.folder.parent / "in-n0"
    pinned = ",io.cri-containerd.pinned=pinned"
    assert pinned in node.read_text(encoding="utf-8")
    node.write_text(node.read_text(encoding="utf-8").replace(pinned, ""), encoding="utf-8")

    assert load(docker, APP).stdout.endswith("1 of which had them\n")
    assert pinned in node.read_text(encoding="utf-8")
    assert len(docker.called("docker save")) == 1


def test_an_image_that_was_built_anew_under_its_name_is_brought_again(docker: Programs) -> None:
    is_so(docker, "images", APP)
    load(docker, APP)
    is_so(docker, "built", "again")
    assert load(docker, APP).returncode == 0

    assert len(docker.called("docker save")) == 2
    assert load(docker, APP).stdout.endswith("1 of which had them\n")


def test_an_image_that_a_node_has_in_part_is_brought_again(docker: Programs) -> None:
    is_so(docker, "images", APP)
    load(docker, APP)
    is_so(docker, "partial", f"docker.io/{APP}")
    assert load(docker, APP).returncode == 0

    assert len(docker.called("docker save")) == 2


def test_what_the_engine_lacks_each_node_pulls_itself_and_docker_does_not(docker: Programs) -> None:
    is_so(docker, "images", APP)
    is_so(docker, "registry", GITEA)
    done = load(docker, f"{APP} {GITEA}", "n0 n1")

    assert done.returncode == 0, done.stderr
    assert docker.called("docker pull") == []
    assert f"n1 pulls {GITEA} (at most 20 s)" in done.stdout
    for node in ("n0", "n1"):
        assert in_node(docker, node) == [GITEA, f"docker.io/{APP}"]
    assert load(docker, f"{APP} {GITEA}", "n0 n1").stdout.endswith("2 of which had them\n")


def test_what_nodes_can_not_pull_docker_is_asked_for(docker: Programs) -> None:
    is_so(docker, "pullable", GITEA)
    done = load(docker, GITEA)

    assert done.returncode == 0, done.stderr
    assert docker.called("docker pull") == [f"docker pull {GITEA}"]
    assert f"n0 can't pull {GITEA}: it said: rpc error: dial tcp: no such host; Docker is asked to" in done.stdout
    assert in_node(docker, "n0") == [GITEA]


def test_an_image_that_nobody_can_pull_is_named_with_two_ways_around(docker: Programs) -> None:
    message = failed(load(docker, GITEA))

    assert message.startswith(f"The image {GITEA} is not here and can't be pulled. ")
    assert "no route to host" in message
    assert "Fix: check the network and run again" in message
    assert "docker load" in message


def test_an_import_that_imports_nothing_is_noticed_and_tried_again(docker: Programs) -> None:
    is_so(docker, "images", APP)
    is_so(docker, "silent", "x")
    done = load(docker, APP)

    assert done.returncode == 0, done.stderr
    assert f"attempt 2 to load {APP} into n0: it did not arrive: it said: image" in done.stdout
    assert in_node(docker, "n0") == [f"docker.io/{APP}"]


def test_an_import_that_never_imports_anything_is_given_up(docker: Programs) -> None:
    is_so(docker, "images", APP)
    is_so(docker, "broken", "x" * 99)
    message = failed(load(docker, APP))

    assert message.startswith(f"{APP} can't be loaded into n0 after 3 attempts. ctr: write: no space left on device")
    assert "docker system df" in message
    assert len(docker.called("docker save")) == 3


def test_only_what_is_not_there_is_imported(docker: Programs) -> None:
    is_so(docker, "images", f"{APP} {GITEA}")
    load(docker, GITEA)
    assert load(docker, f"{APP} {GITEA}").returncode == 0

    assert docker.called("docker save") == [f"docker save {GITEA}", f"docker save {APP}"]


def test_an_import_that_hangs_is_ended_and_tried_again(docker: Programs) -> None:
    is_so(docker, "images", APP)
    is_so(docker, "hanging", "x")
    done = load(docker, APP, timeout="2")

    assert done.returncode == 0, done.stderr
    assert "attempt 2 to load" in done.stdout
    assert "it took longer than 2 s" in done.stdout


def test_one_node_of_several_that_fails_is_a_failure(docker: Programs) -> None:
    docker.add("docker", DOCKER + "if 'n1' in args:\n    (here / 'in-n1').unlink(missing_ok=True)\n")
    is_so(docker, "images", APP)
    message = failed(load(docker, APP, "n0 n1 n2"))

    assert "n1" in message
    assert in_node(docker, "n0") == in_node(docker, "n2") == [f"docker.io/{APP}"]


def test_an_engine_that_does_not_answer_is_said_in_words(docker: Programs) -> None:
    is_so(docker, "deaf", "")
    message = failed(load(docker, APP))

    assert "Cannot connect to the Docker daemon" in message
    assert "Fix: " in message


def test_a_node_that_keeps_too_much_forgets_what_nothing_runs_before_more_is_brought(docker: Programs) -> None:
    is_so(docker, "images", f"{APP} {GITEA}")
    load(docker, GITEA)
    is_so(docker, "used", str(9 << 20))
    assert load(docker, GITEA).stdout.endswith("1 of which had them\n")
    done = load(docker, APP)

    assert "n0 keeps 9 GiB of images; those that nothing runs are removed" in done.stdout
    assert in_node(docker, "n0") == [f"docker.io/{APP}"]


@pytest.mark.parametrize("known", [True, False])
def test_the_quicker_import_is_used_where_the_node_knows_it(docker: Programs, *, known: bool) -> None:
    is_so(docker, "images", APP)
    if known:
        is_so(docker, "local", "")
    assert load(docker, APP).returncode == 0

    (command,) = docker.called("docker exec -i")
    assert ("--local" in command.split()) is known


@pytest.mark.parametrize(("api", "argument"), [("1.41", False), ("1.47", False), ("1.48", True), ("2.0", True)])
def test_one_platform_is_saved_where_docker_knows_it(docker: Programs, api: str, *, argument: bool) -> None:
    is_so(docker, "images", APP)
    is_so(docker, "api", api)
    assert load(docker, APP).returncode == 0
    assert run("docker.save", docker, APP).stdout.split() == [APP]

    call, printed = docker.called("docker save")
    assert call == printed
    assert ("--platform=linux/amd64" in call) is argument


# --- leave_namespace.py ---------------------------------------------------------------------------------------------


def leave(programs: Programs, **environment: str) -> subprocess.CompletedProcess[str]:
    of = {"KUBECONFIG_TEXT": "any", "NAMESPACE": "prod", "APPLICATION": "prod", "KINDS": "Deployment Service"}
    return run("gitops.leave_namespace", programs, **of, **environment)


def has(programs: Programs, **kinds: dict[str, str]) -> None:
    """Add a kubectl that knows objects by their names, with the marks that Argo CD has given them, or none."""
    items = {
        kind: {
            "items": [
                {"metadata": {"name": name, "annotations": {"argocd.argoproj.io/tracking-id": mark} if mark else None}}
                for name, mark in found.items()
            ]
        }
        for kind, found in kinds.items()
    }
    programs.add(
        "kubectl",
        f"""
if 'get' in args:
    print(json.dumps({items!r}.get(args[args.index('get') + 1], {{'items': []}})))
""",
    )


def test_what_argocd_has_made_in_a_cluster_that_stays_is_taken_away_and_nothing_else(programs: Programs) -> None:
    has(
        programs,
        Deployment={"flask-app": "prod:apps/Deployment:prod/flask-app", "theirs": ""},
        Service={"flask-app": "prod:/Service:prod/flask-app", "other": "prod-2:/Service:prod/other"},
    )
    done = leave(programs)

    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.splitlines() == [
        "deleted the Deployment flask-app of prod",
        "deleted the Service flask-app of prod",
    ]
    deleted = [call for call in programs.calls if " delete " in call]
    assert [call.partition(" delete ")[2] for call in deleted] == [
        "Deployment flask-app --namespace=prod --ignore-not-found",
        "Service flask-app --namespace=prod --ignore-not-found",
    ]


def test_a_cluster_that_does_not_answer_stops_that_unless_it_is_said_to_be_gone(programs: Programs) -> None:
    programs.add("kubectl", "sys.exit('The connection to the server 192.0.2.1:6443 was refused')")
    message = failed(leave(programs))

    assert "What prod has in the namespace prod is not taken away: the cluster does not answer" in message
    assert "192.0.2.1:6443 was refused" in message
    assert "Fix: run this again when it answers, or with PULUMI_K8S_DELETE_UNREACHABLE=true" in message
    done = leave(programs, PULUMI_K8S_DELETE_UNREACHABLE="true")
    assert (done.returncode, done.stderr) == (0, "")
    assert "so that what prod has in the namespace prod counts as gone" in done.stdout


# --- wait_application.py --------------------------------------------------------------------------------------------

# kubectl that says of an Application what the file `status` has, a line for each look, the last one for ever; pods and
# events are in files of those names, and what the app's own cluster has in the file `there`. What the Application is
# changed to is a line in the file `patched`. It also checks that it is given the kubeconfig in a file that others can't
# read.
KUBECTL = """
import os
config = pathlib.Path(next(each for each in args if each.startswith('--kubeconfig=')).partition('=')[2])
if config.read_text() != 'the kubeconfig' or config.stat().st_mode & config.parent.stat().st_mode & 0o077:
    sys.exit('the kubeconfig is wrong')
if 'patch' in args:
    with (here / 'patched').open('a') as patched:
        patched.write(args[-1].removeprefix('--patch=') + '\\n')
    sys.exit()
kind = args[args.index('get') + 1].partition('.')[0]
kind = 'there' if kind == 'Deployment' else kind
path = here / ('status' if kind == 'applications' else kind)
lines = path.read_text().splitlines() if path.exists() else []
if kind == 'applications':
    if len(lines) > 1:
        path.write_text('\\n'.join(lines[1:]))
    if not lines or lines[0] == 'refused':
        sys.exit('The connection to the server 127.0.0.1:6550 was refused')
    print(lines[0])
else:
    print(''.join(lines) or json.dumps({'items': []}))
"""


@pytest.fixture
def kubectl(programs: Programs) -> Programs:
    programs.add("kubectl", KUBECTL)
    return programs


def status(sync: str, health: str, **more: Any) -> str:  # noqa: ANN401 - any JSON
    """Return an Application whose status is about the source that its spec names."""
    about = {"status": sync, "revision": "abc", "comparedTo": {"source": WANTED}}
    return json.dumps({"spec": {"source": WANTED}, "status": {"sync": about, "health": {"status": health}, **more}})


WANTED = {"repoURL": "http://git/iot.git", "targetRevision": "main", "path": "manifests/p3"}


def of_before(**other: str) -> str:
    """Return an Application that is Synced and Healthy with the source that it had before."""
    found = json.loads(status("Synced", "Healthy"))
    found["status"]["sync"]["comparedTo"]["source"] = WANTED | other
    return json.dumps(found)


def wait(programs: Programs, timeout: str = "2", **more: str) -> subprocess.CompletedProcess[str]:
    return run(
        "gitops.wait_application",
        programs,
        KUBECONFIG_TEXT="the kubeconfig",
        APPLICATION="flask-app",
        NAMESPACE="argocd",
        APP_NAMESPACE="dev",
        TIMEOUT=timeout,
        **more,
    )


def test_a_healthy_application_ends_the_wait(kubectl: Programs) -> None:
    is_so(kubectl, "status", status("Synced", "Healthy"))
    done = wait(kubectl)

    assert (done.returncode, done.stdout, done.stderr) == (0, "Synced and Healthy\n", "")


@pytest.mark.parametrize("key", ["repoURL", "targetRevision", "path"])
def test_what_is_synced_with_the_source_of_before_does_not_end_the_wait(kubectl: Programs, key: str) -> None:
    is_so(kubectl, "status", "\n".join([of_before(**{key: "another"}), status("Synced", "Healthy")]))
    done = wait(kubectl)

    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines() == [
        "waiting for flask-app: Synced and Healthy, of what there was before",
        "Synced and Healthy",
    ]


MADE = [{"group": "apps", "kind": "Deployment", "name": "web"}, {"kind": "Service", "name": "web"}]
ANOTHER = {"APP_KUBECONFIG_TEXT": "the kubeconfig"}


def having(*kinds: str) -> str:
    return json.dumps({"items": [{"kind": each, "metadata": {"name": "web"}} for each in kinds]})


def test_what_argocd_remembers_of_a_cluster_that_was_lost_does_not_end_the_wait(kubectl: Programs) -> None:
    """An app that people sync would otherwise never be synced: it is told to be healthy where there is nothing."""
    remembered = status("Synced", "Healthy", resources=MADE)
    missing = status("OutOfSync", "Missing", history=[{"revision": "abcdef0123"}])
    is_so(kubectl, "status", "\n".join([remembered, remembered, missing, status("Synced", "Healthy")]))
    is_so(kubectl, "there", having("Service"))
    done = wait(kubectl, "30", BY_HAND="true", **ANOTHER)

    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines() == [
        "waiting for flask-app: Synced and Healthy, of what there was before",
        "flask-app is synced to abcdef0",
        "waiting for flask-app: OutOfSync and Missing",
        "Synced and Healthy",
    ]
    patches = [json.loads(line) for line in (kubectl.folder.parent / "patched").read_text().splitlines()]
    assert [next(iter(each)) for each in patches] == ["metadata", "metadata", "metadata", "operation"]


NOT_PERMITTED = "resource argoproj.io:Rollout is not permitted in project staging"


def gave_up(started: str) -> str:
    """Return an Application that Argo CD has given up to sync, by when it began to."""
    operation = {"phase": "Failed", "message": NOT_PERMITTED, "startedAt": started, "syncResult": {"revision": "abc"}}
    return status("OutOfSync", "Healthy", operationState=operation)


def test_what_had_failed_before_what_it_needs_was_there_is_synced_once_more(kubectl: Programs) -> None:
    before = gave_up("2020-01-01T00:00:00Z")
    is_so(kubectl, "status", "\n".join([before, before, status("Synced", "Healthy")]))
    done = wait(kubectl, "30")

    assert done.returncode == 0, done.stderr
    assert "flask-app is synced once more: it has failed before" in done.stdout
    (patched,) = [json.loads(line) for line in (kubectl.folder.parent / "patched").read_text().splitlines()]
    assert patched["operation"]["sync"]["prune"] is True


def test_what_fails_now_is_told_and_not_tried_again(kubectl: Programs) -> None:
    is_so(kubectl, "status", gave_up("2999-01-01T00:00:00Z"))
    done = wait(kubectl, "2")

    assert done.returncode == 1
    assert NOT_PERMITTED in done.stderr
    assert "synced once more" not in done.stdout


def test_what_another_cluster_has_ends_the_wait(kubectl: Programs) -> None:
    is_so(kubectl, "status", status("Synced", "Healthy", resources=MADE))
    is_so(kubectl, "there", having("Deployment", "Service"))

    assert wait(kubectl, **ANOTHER).stdout == "Synced and Healthy\n"


def test_each_state_on_the_way_is_said_once(kubectl: Programs) -> None:
    states = [
        "refused",
        json.dumps({"spec": {}, "status": {}}),
        status("OutOfSync", "Missing"),
        status("Synced", "Progressing"),
    ]
    is_so(kubectl, "status", "\n".join([*states, states[-1], status("Synced", "Healthy")]))
    done = wait(kubectl, "30")

    assert done.returncode == 0, done.stderr
    assert [line for line in done.stdout.splitlines() if not line.startswith("the cluster does not answer")] == [
        "waiting for flask-app: Unknown and Unknown",
        "waiting for flask-app: OutOfSync and Missing",
        "waiting for flask-app: Synced and Progressing",
        "Synced and Healthy",
    ]


# As Argo CD has it of a repository that it is not shown.
PRIVATE = "failed to list refs: authentication required: Repository not found."


def test_an_application_that_does_not_get_healthy_is_explained(kubectl: Programs) -> None:
    is_so(
        kubectl,
        "status",
        status(
            "OutOfSync",
            "Degraded",
            conditions=[{"type": "ComparisonError", "message": PRIVATE}],
            operationState={"phase": "Failed", "message": "one or more objects failed to apply"},
            resources=[
                {"kind": "Deployment", "name": "flask-app", "health": {"status": "Degraded", "message": "deadline"}},
                {"kind": "Service", "name": "flask-app", "health": {"status": "Healthy"}},
                {"kind": "Namespace", "name": "dev"},
            ],
        ),
    )
    first = {"waiting": {"reason": "ErrImagePull", "message": "no such image v9"}}
    waiting = {"waiting": {"reason": "ImagePullBackOff", "message": "no such image v9"}}
    pods = [
        {
            "metadata": {"name": "web-1"},
            "status": {"containerStatuses": [{"name": "flask-app", "ready": False, "state": waiting}]},
        },
        {
            "metadata": {"name": "web-2"},
            "status": {"containerStatuses": [{"name": "flask-app", "ready": True, "state": {"running": {}}}]},
        },
        {"metadata": {"name": "web-3"}, "status": {"phase": "Pending"}},
        {
            "metadata": {"name": "web-4"},
            "status": {"containerStatuses": [{"name": "flask-app", "ready": False, "state": first}]},
        },
    ]
    is_so(kubectl, "pods", json.dumps({"items": pods}))
    is_so(kubectl, "events", json.dumps({"items": [event("Failed", "Back-off pulling image", lastTimestamp="2026")]}))
    message = failed(wait(kubectl))

    for line in (
        "The Application flask-app was not Synced and Healthy within 2 s.",
        "  Application: OutOfSync and Degraded",
        "  ComparisonError: failed to list refs: authentication required: Repository not found.",
        "  last sync Failed: one or more objects failed to apply",
        "  Deployment flask-app: Degraded deadline",
        "  pod web-1: flask-app is waiting ImagePullBackOff no such image v9",
        "  pod web-3: Pending",
        "  pod web-4: flask-app is waiting ErrImagePull no such image v9",
        "  event Failed of web-1: Back-off pulling image",
    ):
        assert line in message.splitlines(), message
    assert "web-2" not in message
    assert "Service flask-app" not in message
    assert "Fix: " in message


def test_a_sync_that_is_under_way_does_not_end_the_wait(kubectl: Programs) -> None:
    running = status("Synced", "Healthy", operationState={"phase": "Running", "syncResult": {"revision": "abc"}})
    is_so(kubectl, "status", "\n".join([running, status("Synced", "Healthy")]))

    assert wait(kubectl, "30").returncode == 0
    assert len(kubectl.called("kubectl")) == 2


REFUSED: dict[str, Any] = {
    "phase": "Running",
    "message": "one or more synchronization tasks are not valid: resource :Namespace is not permitted in project iot; "
    "resource :Pod is not permitted in project iot. Retrying attempt #2 at 7:19PM.",
    "syncResult": {"revision": "abc"},
}


@pytest.mark.parametrize(
    ("more", "said", "fix"),
    [
        (
            {"conditions": [{"type": "ComparisonError", "message": "manifests/x: app path does not exist"}]},
            "manifests/x: app path does not exist",
            "iot:gitPath",
        ),
        (
            {"conditions": [{"type": "ComparisonError", "message": "unable to resolve 'x' to a commit SHA"}]},
            "unable to resolve 'x'",
            "iot:gitRevision",
        ),
        ({"operationState": REFUSED}, "last sync Running: one or more", "take it out of Git"),
    ],
)
def test_what_no_waiting_puts_right_is_not_waited_for(
    monkeypatch: pytest.MonkeyPatch, more: dict[str, Any], said: str, fix: str
) -> None:
    monkeypatch.setattr(wait_application, "GRACE", 0.0)
    monkeypatch.setattr(
        wait_application, "get", lambda *_: {"items": []} | json.loads(status("Unknown", "Healthy", **more))
    )
    names = ("KUBECONFIG_TEXT", "APPLICATION", "NAMESPACE", "APP_NAMESPACE")
    for key, value in {**dict.fromkeys(names, "any"), "TIMEOUT": "60"}.items():
        monkeypatch.setenv(key, value)
    with pytest.raises(SystemExit) as stopped:
        wait_application.main()
    message = str(stopped.value)

    assert "was not Synced and Healthy and will not be" in message
    assert said in message
    assert fix in message.rpartition("Fix: ")[2]


# The engine has the containers of the file `containers`: a name and its state on each line.
CONTAINERS = """
states = dict(each.split() for each in (here / 'containers').read_text().splitlines())
if args[0] == 'info':
    print(json.dumps({'ID': 'one', 'OSType': 'linux', 'Architecture': 'x86_64'}))
elif args[-1] not in states:
    sys.exit('Error: No such container: ' + args[-1])
elif states[args[-1]] == 'busy':
    sys.exit('Error response from daemon: context deadline exceeded')
else:
    print(json.dumps([{'Name': '/' + args[-1], 'State': {'Status': states[args[-1]]}}]))
"""


@pytest.mark.parametrize(
    ("there", "said"),
    [
        ("node running\ngit exited", r"The container git does not run any more.*Fix: make up; `docker logs git`"),
        ("git running", r"The container node does not run any more.*Fix: make up\.$"),
        ("node running\ngit restarting", "was not Synced and Healthy within 1 s"),
        ("node busy\ngit running", "was not Synced and Healthy within 1 s"),
    ],
)
def test_a_container_without_which_no_waiting_helps_is_looked_at(
    kubectl: Programs, monkeypatch: pytest.MonkeyPatch, there: str, said: str
) -> None:
    kubectl.add("docker", CONTAINERS)
    is_so(kubectl, "containers", there)
    is_so(kubectl, "status", "refused")
    monkeypatch.setattr(containers, "LOOK", 0.0)
    wanted = {"APPLICATION": "flask-app", "NAMESPACE": "argocd", "APP_NAMESPACE": "dev", "TIMEOUT": "1"}
    for key, value in {**wanted, "KUBECONFIG_TEXT": "the kubeconfig", "CONTAINERS": "node git"}.items():
        monkeypatch.setenv(key, value)
    with pytest.raises(SystemExit, match=re.compile(said, re.DOTALL)) as stopped:
        wait_application.main()
    assert "flask-app" in str(stopped.value)


@pytest.mark.parametrize(
    ("runs", "warned"),
    [("me/app:v1", False), ("me/app@sha256:0", False), ("me/app-2:v1", True), ("iot-lab/flask-app:v1", True)],
)
def test_an_image_of_the_settings_that_git_does_not_run_is_told(kubectl: Programs, runs: str, *, warned: bool) -> None:
    found = json.loads(status("Synced", "Healthy", summary={"images": [runs]}))
    is_so(kubectl, "status", json.dumps(found | {"metadata": {"annotations": {"iot/image": "me/app"}}}))
    done = wait(kubectl)

    assert done.returncode == 0
    assert (f"warning: the settings name the image me/app, and Git runs {runs}" in done.stdout) is warned


def test_a_commit_that_was_refused_and_taken_back_is_history(kubectl: Programs) -> None:
    taken_back = REFUSED | {"phase": "Failed", "syncResult": {"revision": "before"}}
    is_so(kubectl, "status", status("OutOfSync", "Healthy", operationState=taken_back))

    assert "not permitted" not in failed(wait(kubectl))


def event(reason: str, message: str, **times: str | None) -> dict[str, Any]:
    return {"metadata": {}, "reason": reason, "message": message, "involvedObject": {"name": "web-1"}, **times}


def test_the_last_events_are_shown_whatever_they_call_their_time(kubectl: Programs) -> None:
    """Events of the newer API have an eventTime and no lastTimestamp."""
    is_so(kubectl, "status", status("Synced", "Progressing"))
    old = [event("Old", f"number {each}", lastTimestamp=f"2026-01-01T00:00:{each}Z") for each in range(10, 30)]
    new = event("FailedScheduling", "Insufficient memory", lastTimestamp=None, eventTime="2026-01-01T00:01:00.000000Z")
    is_so(kubectl, "events", json.dumps({"items": [new, *old]}))
    events = [line for line in failed(wait(kubectl)).splitlines() if line.startswith("  event ")]

    assert len(events) == 10
    assert events[-1] == "  event FailedScheduling of web-1: Insufficient memory"
    assert events[0] == "  event Old of web-1: number 21"


def test_a_server_that_can_not_be_reached_is_bounded_and_said_once(kubectl: Programs) -> None:
    done = wait(kubectl)

    assert "was not Synced and Healthy within 2 s" in failed(done)
    assert done.stdout.count("connection to the server 127.0.0.1:6550 was refused") == 1


def test_without_kubectl_the_error_says_what_brings_it(programs: Programs) -> None:
    message = failed(wait(programs))

    assert message.startswith("kubectl is not on PATH")
    assert "Fix: `make setup`, then `. ./activate`." in message


def test_the_kubeconfig_is_in_no_argument_and_gone_afterwards(kubectl: Programs) -> None:
    is_so(kubectl, "status", status("Synced", "Healthy"))
    done = wait(kubectl)

    assert "the kubeconfig" not in " ".join(kubectl.calls) + done.stdout + done.stderr
    assert {path.name for path in kubectl.folder.parent.iterdir()} == {"bin", "calls.jsonl", "status"}
