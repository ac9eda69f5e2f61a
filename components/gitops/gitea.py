"""Gitea's API (https://docs.gitea.com/api/): who there is, what they may do, and what is told of a push."""

from __future__ import annotations

import base64
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import quote

from components.core import http_client as http
from components.core.errors import LabError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

OWNER: Final = "iot"  # of our repositories; the administrator
ALL: Final = "**"  # a pattern of names
EMAIL: Final = f"{OWNER}@localhost.localdomain"  # of commits that are the project's own
SECONDS: Final = 30.0  # for an answer
TOKEN: Final = "setup-"  # noqa: S105 - what the names of tokens that a set-up begins with begin with
# Prints a token by which the administrator, who is made when there is none, can be given a password. For a shell beside
# Gitea: no password is in an argument, which the process list would show.
BEGIN: Final = f"""set -eu
gitea admin user list | awk 'NR > 1 {{ print $2 }}' | grep -qx {OWNER} ||
  gitea admin user create --admin --username {OWNER} --email {EMAIL} --random-password --must-change-password=false \\
    >/dev/null
gitea admin user generate-access-token --username {OWNER} --token-name "{TOKEN}$(date +%s)" --scopes write:admin --raw
"""


@dataclass(frozen=True)
class Gitea:
    """A Gitea, as somebody who may sign in.

    Attributes:
        url: where it answers, without a slash at the end.
        authorization: the header that says who asks.
    """

    url: str
    authorization: str = field(default="", repr=False)

    def of(self, user: str, password: str) -> Gitea:
        """Return the same Gitea as somebody else."""
        login = base64.b64encode(f"{user}:{password}".encode()).decode()
        return Gitea(self.url, f"Basic {login}")

    def ask(self, method: str, path: str, body: object = None, *, also: tuple[int, ...] = ()) -> http.Answer:
        """Ask for something.

        Args:
            method: of the request.
            path: below /api/v1.
            body: sent as JSON.
            also: statuses that are answers, too, and no errors.

        Raises:
            LabError: it does not answer, or it refuses.
        """
        headers = {"Authorization": self.authorization} if self.authorization else {}
        answer = http.ask(f"{self.url}/api/v1{path}", method=method, headers=headers, body=body, timeout=SECONDS)
        if not http.ok(answer) and answer.status not in also:
            said = answer.body.get("message") or answer.short
            raise LabError(f"Gitea refuses {method} {path}", why=f"it answered {answer.status}: {said}")
        return answer

    def healthy(self) -> None:
        """Look whether it serves.

        Raises:
            LabError: not yet.
        """
        answer = http.ask(f"{self.url}/api/healthz", timeout=SECONDS)
        if not http.ok(answer):
            raise LabError("Gitea does not serve yet", why=f"it answered {answer}")


def owner(server: Gitea, password: str, begin: Callable[[str], str]) -> Gitea:
    """Return a Gitea as its administrator, who is made, or given this password, when it does not know them so.

    Args:
        server: the Gitea.
        password: of the administrator.
        begin: runs a shell script beside it and returns what that printed.
    """
    mine = server.of(OWNER, password)
    if not http.ok(mine.ask("GET", "/user", also=(HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN))):
        _set_password(Gitea(server.url, f"token {begin(BEGIN)}"), OWNER, password, restricted=False)
    # Also those of a set-up that was ended before it came here.
    for each in mine.ask("GET", f"/users/{OWNER}/tokens?limit=50").json:
        if each["name"].startswith(TOKEN):
            mine.ask("DELETE", f"/users/{OWNER}/tokens/{each['name']}")
    return mine


def ensure_user(server: Gitea, name: str, password: str) -> None:
    """Make somebody who sees only what they are added to, or give them this password.

    Args:
        server: the Gitea, as its administrator.
        name: of the user.
        password: theirs.
    """
    if server.ask("GET", f"/users/{name}", also=(HTTPStatus.NOT_FOUND,)).status == HTTPStatus.NOT_FOUND:
        email = f"{name}@localhost.localdomain"
        new = {"username": name, "email": email, "password": password, "must_change_password": False}
        server.ask("POST", "/admin/users", new | {"restricted": True})
    _set_password(server, name, password, restricted=True)


def _set_password(server: Gitea, name: str, password: str, *, restricted: bool) -> None:
    login = {"login_name": name, "source_id": 0, "must_change_password": False}
    server.ask("PATCH", f"/admin/users/{name}", login | {"password": password, "restricted": restricted})


def ensure_repository(server: Gitea, name: str) -> None:
    """Make a private repository without a commit, unless it is there.

    Args:
        server: the Gitea, as its administrator.
        name: of the repository.
    """
    if server.ask("GET", f"/repos/{OWNER}/{name}", also=(HTTPStatus.NOT_FOUND,)).status == HTTPStatus.NOT_FOUND:
        server.ask("POST", "/user/repos", {"name": name, "private": True, "default_branch": "main"})


def ensure_rights(server: Gitea, name: str, members: Mapping[str, str], rules: list[dict[str, Any]]) -> None:
    """Give users their rights on a repository, and its branches their protection.

    Args:
        server: the Gitea, as its administrator.
        name: of the repository.
        members: read or write, by user.
        rules: each with the fields of ``Rule``.
    """
    path = f"/repos/{OWNER}/{name}"
    for user, right in members.items():
        server.ask("PUT", f"{path}/collaborators/{user}", {"permission": right})
    there = {each["rule_name"] for each in server.ask("GET", f"{path}/branch_protections").json} if rules else set()
    for rule in rules:
        branch = rule["branch"]
        if branch in there:
            server.ask("PATCH", f"{path}/branch_protections/{quote(branch, safe='')}", _protection(rule))
        else:
            server.ask("POST", f"{path}/branch_protections", {"rule_name": branch} | _protection(rule))


def ensure_no_tags(server: Gitea, name: str) -> None:
    """Have tags made by the owner alone: Git takes one by the name of a branch for the branch.

    Args:
        server: the Gitea, as its administrator.
        name: of the repository.
    """
    path = f"/repos/{OWNER}/{name}/tag_protections"
    if not any(each["name_pattern"] == ALL for each in server.ask("GET", path).json):
        server.ask("POST", path, {"name_pattern": ALL, "whitelist_usernames": [OWNER], "whitelist_teams": []})


def _protection(rule: Mapping[str, Any]) -> dict[str, Any]:
    pushers, approvers = list(rule["pushers"]), list(rule["approvers"])
    return {
        "enable_push": bool(pushers),
        "enable_push_whitelist": True,
        "push_whitelist_usernames": pushers,
        "enable_force_push": rule["force"],
        "enable_force_push_allowlist": rule["force"],
        "force_push_allowlist_usernames": pushers if rule["force"] else [],
        "required_approvals": int(rule["approvals"]),
        "enable_approvals_whitelist": bool(approvers),
        "approvals_whitelist_username": approvers,
        # Without a list, everybody who may write to another branch may merge into this one.
        "enable_merge_whitelist": True,
        "merge_whitelist_usernames": approvers or pushers,
        "block_on_rejected_reviews": True,
        # What is pushed after an approval was not approved.
        "dismiss_stale_approvals": True,
        # An administrator is not above the rule, either.
        "block_admin_merge_override": True,
    }


def ensure_workflows(server: Gitea, name: str, variables: Mapping[str, str], secrets: Mapping[str, str]) -> None:
    """Tell the workflows of a repository what they have to know; without anything, it has none that need it.

    Args:
        server: the Gitea, as its administrator.
        name: of the repository.
        variables: by name.
        secrets: by name.
    """
    if variables or secrets:
        # It may be older than that.
        server.ask("PATCH", f"/repos/{OWNER}/{name}", {"has_actions": True})
    for key, value in variables.items():
        path = f"/repos/{OWNER}/{name}/actions/variables/{key}"
        there = server.ask("GET", path, also=(HTTPStatus.NOT_FOUND,)).status != HTTPStatus.NOT_FOUND
        server.ask("PUT" if there else "POST", path, {"name": key, "value": value})
    for key, value in secrets.items():
        server.ask("PUT", f"/repos/{OWNER}/{name}/actions/secrets/{key}", {"data": value})


def ensure_webhook(server: Gitea, name: str, url: str, secret: str) -> None:
    """Have something told of every push to a repository; webhooks of the repository's users stay.

    Args:
        server: the Gitea, as its administrator.
        name: of the repository.
        url: what is told.
        secret: what it is signed with.
    """
    hooks = f"/repos/{OWNER}/{name}/hooks"
    for each in server.ask("GET", f"{hooks}?limit=50").json:
        # Its secret can't be read, so it is made anew.
        if each["config"].get("url") == url:
            server.ask("DELETE", f"{hooks}/{each['id']}")
    config = {"url": url, "content_type": "json", "secret": secret}
    server.ask("POST", hooks, {"type": "gitea", "active": True, "events": ["push"], "config": config})
