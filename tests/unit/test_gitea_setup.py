"""The script that prepares the embedded Git server, with a gitea, curl and git that write down what they are asked."""

from __future__ import annotations

import base64
import io
import json
import os
import re
import shlex
import subprocess
import tarfile
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
else:
    sys.exit('not expected: ' + line)
"""
# Answers with what the file `answers` has for a method and a path.
CURL = """
if args[-1].endswith('/api/healthz'):
    sys.exit(7 if (here / 'deaf').exists() else 0)
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
if 'init' in args or 'clone' in args:
    if 'clone' in args and not pathlib.Path(args[-2]).is_file():
        sys.exit('fatal: ' + args[-2] + ' does not look like a bundle')
    os.makedirs(args[-1])
elif 'push' in args:
    root = pathlib.Path(args[args.index('-C') + 1])
    files = {str(path.relative_to(root)): path.read_text() for path in root.rglob('*') if path.is_file()}
    (here / 'pushed').write_text(json.dumps(files))
"""
OURS = "http://argocd/api/webhook"


def hook(number: int, url: str) -> dict[str, Any]:
    """Return a webhook as Gitea lists it."""
    return {"id": number, "type": "gitea", "config": {"content_type": "json", "url": url}, "events": ["push"]}


FRESH = {
    r"PATCH /admin/users/(iot|argocd)": [200, ""],
    r"GET /users/iot/tokens\?limit=50": [
        200,
        '[{"id":3,"name":"setup-7"},{"id":4,"name":"theirs"},{"id":5,"name":"setup-8"}]',
    ],
    r"DELETE /users/iot/tokens/setup-\d+": [204, ""],
    r"GET /users/argocd": [404, ""],
    r"POST /admin/users": [201, ""],
    r"GET /repos/iot/iot": [404, ""],
    r"POST /user/repos": [201, ""],
    r"GET /repos/iot/iot/branches/main": [404, ""],
    r"PUT /repos/iot/iot/collaborators/argocd": [204, ""],
    r"GET /repos/iot/iot/hooks\?limit=50": [200, "[]"],
    r"POST /repos/iot/iot/hooks": [201, ""],
    r"DELETE /repos/iot/iot/hooks/\d+": [204, ""],
}
LATER = FRESH | {
    r"GET /users/argocd": [200, "{}"],
    r"GET /repos/iot/iot": [200, "{}"],
    r"GET /repos/iot/iot/branches/main": [200, "{}"],
    r"GET /repos/iot/iot/hooks\?limit=50": [
        200,
        json.dumps([hook(7, "http://theirs/"), hook(12, OURS)], separators=(",", ":")),
    ],
}


FILES = {"manifests/p3/deployment.yaml": "kind: Deployment\n", "manifests/p3/service.yaml": "kind: Service\n"}


def archive(files: dict[str, str]) -> str:
    made = io.BytesIO()
    with tarfile.open(fileobj=made, mode="w:gz") as tar:
        for path, content in files.items():
            entry = tarfile.TarInfo(path)
            entry.size = len(content)
            tar.addfile(entry, io.BytesIO(content.encode()))
    return base64.b64encode(made.getvalue()).decode()


class Server:
    """Where the script runs: its folder in /tmp is one of the test."""

    def __init__(self, programs: Programs) -> None:
        self._programs, self._folder = programs, programs.folder.parent
        for name, body in (("gitea", GITEA), ("curl", CURL), ("git", GIT)):
            programs.add(name, body)
        self.has("users", "")

    def has(self, name: str, content: str) -> Path:
        path = self._folder / name
        path.write_text(content, encoding="utf-8")
        return path

    def run(self, answers: dict[str, list[Any]], **given: str) -> subprocess.CompletedProcess[str]:
        self.has("answers", json.dumps(answers))
        script = re.sub(
            r"^work=.*$", f"work={self._folder}/work", SCRIPT.read_text(encoding="utf-8"), flags=re.MULTILINE
        )
        given = {"WEBHOOK_URL": OURS, "FILES": archive(FILES), "RESTORE": "", "TIMEOUT": "60", **PASSWORDS, **given}
        lines = "".join(f"{key}={shlex.quote(value)}\n" for key, value in given.items())
        return subprocess.run(
            ["sh", "-s"],
            input=lines + script,
            env={"PATH": os.pathsep.join([str(self._programs.folder), os.defpath])},
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
    def left(self) -> bool:
        """Whether the script's own folder is still there."""
        return (self._folder / "work").exists()


@pytest.fixture
def server(programs: Programs) -> Server:
    return Server(programs)


def test_a_fresh_server_gets_users_a_private_repository_its_first_commit_and_one_webhook(server: Server) -> None:
    done = server.run(FRESH)

    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout == ""
    assert json.loads(server.requests["POST /user/repos"][0])["private"] is True
    assert server.pushed == {
        "manifests/p3/deployment.yaml": "kind: Deployment\n",
        "manifests/p3/service.yaml": "kind: Service\n",
    }
    hook = json.loads(server.requests["POST /repos/iot/iot/hooks"][0])
    assert hook["events"] == ["push"]
    assert hook["config"] == {
        "url": "http://argocd/api/webhook",
        "content_type": "json",
        "secret": PASSWORDS["WEBHOOK_SECRET"],
    }


def test_the_reader_may_read_and_no_more(server: Server, programs: Programs) -> None:
    server.run(FRESH)

    assert json.loads(server.requests["PUT /repos/iot/iot/collaborators/argocd"][0]) == {"permission": "read"}
    for asked in ("POST /admin/users", "PATCH /admin/users/argocd"):
        assert json.loads(server.requests[asked][0])["restricted"] is True
    (made,) = programs.called("gitea admin user create")
    assert "--admin --username iot " in made


def test_passwords_are_set_with_a_token_that_is_given_up_at_once(server: Server) -> None:
    server.run(FRESH)
    requests = server.requests
    given_up = [asked for asked in requests if asked.startswith("DELETE /users/iot/tokens/")]

    # Its own is among those that Gitea lists, and so may be that of a set-up that was ended; the users' own stay.
    assert given_up == ["DELETE /users/iot/tokens/setup-7", "DELETE /users/iot/tokens/setup-8"]
    assert json.loads(requests["PATCH /admin/users/iot"][0])["password"] == PASSWORDS["OWNER_PASSWORD"]
    assert json.loads(requests["PATCH /admin/users/argocd"][0])["password"] == PASSWORDS["READER_PASSWORD"]
    assert TOKEN in requests["PATCH /admin/users/iot"][1]
    assert TOKEN not in requests[given_up[0]][1]


def test_no_secret_is_an_argument_of_any_program_or_printed(server: Server, programs: Programs) -> None:
    done = server.run(FRESH)
    shown = "\n".join(programs.calls) + done.stdout + done.stderr

    for secret in (*PASSWORDS.values(), TOKEN):
        assert secret not in shown


def test_no_secret_is_left_in_files(server: Server) -> None:
    server.run(FRESH)

    assert not server.left


def test_a_restart_keeps_the_repository_as_its_users_have_made_it(server: Server, programs: Programs) -> None:
    server.has("users", "iot\nargocd\n")
    done = server.run(LATER)

    assert done.returncode == 0, done.stdout + done.stderr
    assert server.pushed is None
    assert programs.called("git ") == []
    assert programs.called("gitea admin user create") == []
    assert "POST /user/repos" not in server.requests


def test_the_token_of_the_setup_may_manage_users_and_no_more(server: Server, programs: Programs) -> None:
    server.run(FRESH)
    (call,) = programs.called("gitea admin user generate-access-token")

    assert "--scopes write:admin " in call


def test_a_restart_makes_its_own_webhook_anew_and_leaves_the_users_own(server: Server) -> None:
    server.run(LATER)
    hooks = [asked for asked in server.requests if "/hooks" in asked]

    assert hooks == [
        "GET /repos/iot/iot/hooks?limit=50",
        "DELETE /repos/iot/iot/hooks/12",
        "POST /repos/iot/iot/hooks",
    ]


def test_a_commit_that_was_interrupted_is_made_after_a_restart(server: Server) -> None:
    assert server.run(FRESH | {r"GET /repos/iot/iot": [200, "{}"]}).returncode == 0

    assert server.pushed


def test_a_refusal_is_named_with_what_gitea_answered(server: Server) -> None:
    done = server.run(FRESH | {r"POST /user/repos": [403, "the quota is exceeded"]})

    assert done.returncode == 1
    assert done.stderr == "POST /user/repos: Gitea answered 403, expected 201\nthe quota is exceeded"
    assert server.pushed is None


def test_a_backup_takes_the_place_of_the_first_commit(server: Server, programs: Programs) -> None:
    bundle = server.has("restore.bundle", "PACK")
    done = server.run(FRESH, RESTORE=str(bundle))

    assert done.returncode == 0, done.stdout + done.stderr
    assert server.pushed == {}  # what Git itself has in the folder, which the stand-in does not know
    assert [call.split()[1] for call in programs.called("git ")] == ["clone", "-C"]
    assert "refs/heads/*:refs/heads/* refs/tags/*:refs/tags/*" in programs.called("git ")[1]


def test_a_backup_that_can_not_be_read_stops_before_anything_is_pushed(server: Server) -> None:
    done = server.run(FRESH, RESTORE="/none.bundle")

    assert done.returncode == 1
    assert "/none.bundle is no backup that Git can read" in done.stderr
    assert server.pushed is None


def test_a_backup_is_not_put_over_what_is_there(server: Server, programs: Programs) -> None:
    server.has("users", "iot\n")
    assert server.run(LATER, RESTORE=str(server.has("restore.bundle", "PACK"))).returncode == 0

    assert programs.called("git ") == []


def test_a_server_that_does_not_get_ready_is_named(server: Server) -> None:
    server.has("deaf", "")
    done = server.run(FRESH, TIMEOUT="1")

    assert done.returncode == 1
    assert done.stderr == "Gitea was not ready within 1 s\n"
