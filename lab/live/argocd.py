"""Argo CD's API (https://argo-cd.readthedocs.io/en/stable/developer-guide/api-docs/), as one of its accounts."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import urlencode

from components.core import http_client as http
from components.core.errors import LabError

if TYPE_CHECKING:
    from collections.abc import Mapping

SECONDS: Final = 30.0  # for an answer


@dataclass(frozen=True)
class ArgoCd:
    """Argo CD, as somebody who is signed in.

    Attributes:
        url: where it answers, with a slash at the end.
        account: who.
        token: of the session.
    """

    url: str
    account: str
    token: str = field(repr=False)

    def ask(self, method: str, path: str, body: object = None) -> http.Answer:
        """Ask for something.

        Args:
            method: of the request.
            path: below /api/v1/.
            body: sent as JSON.

        Raises:
            LabError: it does not answer, or it refuses.
        """
        headers = {"Authorization": f"Bearer {self.token}"}
        if body is None and method != "GET":
            body = {}  # it takes JSON alone
        answer = http.ask(f"{self.url}api/v1/{path}", method=method, headers=headers, body=body, timeout=SECONDS)
        if not http.ok(answer):
            said = answer.body.get("message") or answer.short
            raise LabError(
                f"Argo CD refuses {self.account} {method} {path}", why=f"it answered {answer.status}: {said}"
            )
        return answer

    def sync(self, application: str, revision: str = "") -> str:
        """Have an Application made equal to what it follows, and return the commit that this is.

        Args:
            application: its name.
            revision: another one than it follows; that is more than our accounts may.

        Raises:
            LabError: Argo CD refuses it.
        """
        # It may not have looked at Git since the commit came to be there.
        self.ask("GET", f"applications/{application}?refresh=normal")
        wanted = {"revision": revision} if revision else {}
        return str(self.ask("POST", f"applications/{application}/sync", wanted).body["operation"]["sync"]["revision"])

    def act(self, application: str, kind: tuple[str, str, str], name: str, namespace: str, action: str) -> None:
        """Have something done about an object of an Application that its kind has an action for.

        Args:
            application: its name.
            kind: group, version and kind of the object.
            name: of the object.
            namespace: where it is.
            action: such as resume.

        Raises:
            LabError: Argo CD refuses it.
        """
        group, version, what = kind
        asked = {"group": group, "version": version, "kind": what, "resourceName": name, "namespace": namespace}
        query = urlencode(asked)
        self.ask("POST", f"applications/{application}/resource/actions?{query}", action)


def signed_in(outputs: Mapping[str, Any], account: str) -> ArgoCd:
    """Sign in to a stack's Argo CD.

    Args:
        outputs: the stack's, with secrets.
        account: one of those that it has passwords of.

    Raises:
        LabError: it does not answer, or does not accept the password.
    """
    url: str = outputs["argocdUrl"]
    login = {"username": account, "password": outputs["accounts"][account]}
    answer = http.ask(f"{url}api/v1/session", method="POST", body=login, timeout=SECONDS)
    if not http.ok(answer):
        raise LabError(f"Argo CD does not let {account} in", why=f"it answered {answer}", fix="make up")
    return ArgoCd(url, account, answer.body["token"])
