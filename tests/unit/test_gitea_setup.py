"""The script that prepares the embedded Git server, with a gitea, curl and git that write down what they are asked."""

from __future__ import annotations

import json
import os
import re
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from tests.unit.programs import Programs

pytestmark = pytest.mark.unit

SCRIPT = Path(__file__).resolve().parents[2] / "components" / "gitops" / "gitea-setup.sh"
PASSWORDS = {"OWNER_PASSWORD": "owners-own", "READER_PASSWORD": "readers-own", "WEBHOOK_SECRET": "webhooks-own"}
TOKEN = "token-of-the-setup"
GITEA = f"""
users = here / 'users'
if args == ['admin', 'user', 'list']:
    print('ID   Username Email')
    print(''.join(f'{{number}}    {{name}}  x@y\\n' for number, name in enumerate(users.read_text().split())), end='')
elif args[:3] == ['admin', 'user', 'create']:
    users.write_text(users.read_text() + args[args.index('--username') + 1] + '\\n')
elif args[:3] == ['admin', 'user', 'generate-access-token']:
    print({TOKEN!r})
elif args == ['web']:
    time.sleep(60)
elif args != ['migrate'] or (here / 'no-database').exists():
    sys.exit('no such column')
"""
# Answers with what the file `answers` has for a method and a path.
CURL = """
if args[-1].endswith('/api/healthz'):
    sys.exit()
asked = args[args.index('--request') + 1] + ' ' + args[-1].partition('/api/v1')[2]
body = pathlib.Path(args[args.index('--data-binary') + 1].removeprefix('@')).read_text()
login = pathlib.Path(args[args.index('--config') + 1]).read_text()
with (here / 'requests').open('a') as file:
    print(json.dumps([asked, body, login]), file=file)
answers = json.loads((here / 'answers').read_text())
status, answer = next((answer for pattern, answer in answers.items() if __import__('re').fullmatch(pattern, asked)),
                      [500, 'not expected'])
pathlib.Path(args[args.index('--output') + 1]).write_text(answer)
print(status, end='')
"""
GIT = """
import os
if 'init' in args:
    os.makedirs(args[-1])
elif 'push' in args:
    files = {str(path): path.read_text() for path in pathlib.Path().rglob('*') if path.is_file()}
    (here / 'pushed').write_text(json.dumps(files))
"""
OURS = "http://argocd/api/webhook"


def hook(number: int, url: str) -> dict[str, Any]:
    """Return a webhook as Gitea lists it."""
    return {"id": number, "type": "gitea", "config": {"content_type": "json", "url": url}, "events": ["push"]}


FRESH = {
    r"PATCH /admin/users/(iot|argocd)": [200, ""],
    r"GET /users/iot/tokens": [200, '[{"id":3,"name":"setup-7"},{"id":4,"name":"theirs"},{"id":5,"name":"setup-8"}]'],
    r"DELETE /users/iot/tokens/setup-\d+": [204, ""],
    r"GET /repos/iot/iot": [404, ""],
    r"POST /user/repos": [201, ""],
    r"GET /repos/iot/iot/branches/main": [404, ""],
    r"PUT /repos/iot/iot/collaborators/argocd": [204, ""],
    r"GET /repos/iot/iot/hooks": [200, "[]"],
    r"POST /repos/iot/iot/hooks": [201, ""],
    r"DELETE /repos/iot/iot/hooks/\d+": [204, ""],
}
LATER = FRESH | {
    r"GET /repos/iot/iot": [200, "{}"],
    r"GET /repos/iot/iot/branches/main": [200, "{}"],
    r"GET /repos/iot/iot/hooks": [200, json.dumps([hook(7, "http://theirs/"), hook(12, OURS)], separators=(",", ":"))],
}


class Pod:
    """Where the script runs: its /tmp and /setup are folders of the test."""

    def __init__(self, programs: Programs) -> None:
        self._programs, self._folder = programs, programs.folder.parent
        for name in ("tmp", "setup"):
            (self._folder / name).mkdir()
        for name, body in (("gitea", GITEA), ("curl", CURL), ("git", GIT)):
            programs.add(name, body)
        self.has("users", "")
        self.has("setup/file.manifests__p3__deployment.yaml", "kind: Deployment\n")
        self.has("setup/file.manifests__p3__service.yaml", "kind: Service\n")
        self.has("setup/gitea-setup.sh", "")

    def has(self, name: str, content: str) -> None:
        (self._folder / name).write_text(content, encoding="utf-8")

    def run(self, answers: dict[str, list[Any]]) -> subprocess.CompletedProcess[str]:
        self.has("answers", json.dumps(answers))
        script = SCRIPT.read_text(encoding="utf-8")
        script = re.sub(r"/(tmp|setup)/", lambda match: f"{self._folder}/{match[1]}/", script)
        self.has("script.sh", script)
        return subprocess.run(
            ["sh", self._folder / "script.sh"],
            env={
                "PATH": os.pathsep.join([str(self._programs.folder), os.defpath]),
                "WEBHOOK_URL": OURS,
                **PASSWORDS,
            },
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )

    @property
    def requests(self) -> dict[str, tuple[str, str]]:
        """What the API was asked: body and credentials by method and path."""
        lines = (self._folder / "requests").read_text(encoding="utf-8").splitlines()
        return {asked: (body, login) for asked, body, login in map(json.loads, lines)}

    @property
    def pushed(self) -> dict[str, str] | None:
        path = self._folder / "pushed"
        return json.loads(path.read_text(encoding="utf-8")) if path.exists() else None

    @property
    def left(self) -> set[str]:
        return {path.name for path in (self._folder / "tmp").iterdir()}


@pytest.fixture
def pod(programs: Programs) -> Pod:
    return Pod(programs)


def test_a_fresh_server_gets_users_a_private_repository_its_first_commit_and_one_webhook(pod: Pod) -> None:
    done = pod.run(FRESH)

    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout == "the users, the repository and its webhook are ready\n"
    assert json.loads(pod.requests["POST /user/repos"][0])["private"] is True
    assert pod.pushed == {
        "manifests/p3/deployment.yaml": "kind: Deployment\n",
        "manifests/p3/service.yaml": "kind: Service\n",
    }
    hook = json.loads(pod.requests["POST /repos/iot/iot/hooks"][0])
    assert hook["events"] == ["push"]
    assert hook["config"] == {
        "url": "http://argocd/api/webhook",
        "content_type": "json",
        "secret": PASSWORDS["WEBHOOK_SECRET"],
    }


def test_the_reader_may_read_and_no_more(pod: Pod, programs: Programs) -> None:
    pod.run(FRESH)

    assert json.loads(pod.requests["PUT /repos/iot/iot/collaborators/argocd"][0]) == {"permission": "read"}
    assert json.loads(pod.requests["PATCH /admin/users/argocd"][0])["restricted"] is True
    made = programs.called("gitea admin user create")
    assert ["--restricted" in call for call in made] == [False, True]
    assert [("--admin" in call, call.split("--username ")[1].split()[0]) for call in made] == [
        (True, "iot"),
        (False, "argocd"),
    ]


def test_passwords_are_set_with_a_token_that_is_given_up_at_once(pod: Pod) -> None:
    pod.run(FRESH)
    requests = pod.requests
    given_up = [asked for asked in requests if asked.startswith("DELETE /users/iot/tokens/")]

    # Its own is among those that Gitea lists, and so may be that of a set-up that was ended; the users' own stay.
    assert given_up == ["DELETE /users/iot/tokens/setup-7", "DELETE /users/iot/tokens/setup-8"]
    assert json.loads(requests["PATCH /admin/users/iot"][0])["password"] == PASSWORDS["OWNER_PASSWORD"]
    assert json.loads(requests["PATCH /admin/users/argocd"][0])["password"] == PASSWORDS["READER_PASSWORD"]
    assert TOKEN in requests["PATCH /admin/users/iot"][1]
    assert TOKEN not in requests[given_up[0]][1]


def test_no_secret_is_an_argument_of_any_program_or_printed(pod: Pod, programs: Programs) -> None:
    done = pod.run(FRESH)
    shown = "\n".join(programs.calls) + done.stdout + done.stderr

    for secret in (*PASSWORDS.values(), TOKEN):
        assert secret not in shown


def test_no_secret_is_left_in_files(pod: Pod) -> None:
    pod.run(FRESH)

    assert pod.left <= {"gitea.log", "migrate.log"}


def test_a_restart_keeps_the_repository_as_its_users_have_made_it(pod: Pod, programs: Programs) -> None:
    pod.has("users", "iot\nargocd\n")
    done = pod.run(LATER)

    assert done.returncode == 0, done.stdout + done.stderr
    assert pod.pushed is None
    assert programs.called("git ") == []
    assert programs.called("gitea admin user create") == []
    assert "POST /user/repos" not in pod.requests


def test_the_token_of_the_setup_may_manage_users_and_no_more(pod: Pod, programs: Programs) -> None:
    pod.run(FRESH)
    (call,) = programs.called("gitea admin user generate-access-token")

    assert "--scopes write:admin " in call


def test_a_restart_makes_its_own_webhook_anew_and_leaves_the_users_own(pod: Pod) -> None:
    pod.run(LATER)
    hooks = [asked for asked in pod.requests if "/hooks" in asked]

    assert hooks == [
        "GET /repos/iot/iot/hooks",
        "DELETE /repos/iot/iot/hooks/12",
        "POST /repos/iot/iot/hooks",
    ]


def test_a_commit_that_was_interrupted_is_made_after_a_restart(pod: Pod) -> None:
    assert pod.run(FRESH | {r"GET /repos/iot/iot": [200, "{}"]}).returncode == 0

    assert pod.pushed


def test_a_refusal_is_named_with_what_gitea_answered(pod: Pod) -> None:
    done = pod.run(FRESH | {r"POST /user/repos": [403, "the quota is exceeded"]})

    assert done.returncode == 1
    assert done.stderr == "POST /user/repos: Gitea answered 403, expected 201\nthe quota is exceeded"
    assert pod.pushed is None


def test_a_database_that_can_not_be_prepared_is_named(pod: Pod) -> None:
    pod.has("no-database", "")
    done = pod.run(FRESH)

    assert done.returncode == 1
    assert done.stderr.splitlines() == ["Gitea could not prepare its database", "no such column"]
