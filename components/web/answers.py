"""What the routes to web apps answer, and the wait until it is right."""

from __future__ import annotations

import http.client
import json
from typing import Any, Final

from pulumi.dynamic import CreateResult, DiffResult, ResourceProvider, UpdateResult

from components.core import wait
from components.core.errors import LabError

SERVICE_PORT: Final = 80
ANSWER: Final = 5.0  # seconds for one request
EVERY: Final = 0.5  # seconds between two looks


def ask(address: str, host: str) -> dict[str, Any]:
    """Ask for / of a host at an address, on port 80 and past any proxy.

    Args:
        address: who is asked.
        host: the Host header.

    Returns:
        The JSON that came back; empty when it was none.

    Raises:
        OSError: nobody answers.
        http.client.HTTPException: what came back is no HTTP, or not 200.
    """
    connection = http.client.HTTPConnection(address, SERVICE_PORT, timeout=ANSWER)
    try:
        connection.request("GET", "/", headers={"Host": host, "Accept": "application/json"})
        response = connection.getresponse()
        body = response.read()
    finally:
        connection.close()
    if response.status != http.client.OK:
        raise http.client.HTTPException(f"status {response.status}")
    try:
        answer = json.loads(body)
    except ValueError:
        return {}
    return answer if isinstance(answer, dict) else {}


def wrong_routes(props: dict[str, Any]) -> list[str]:
    """Return what is wrong with the answers, a line for each route.

    Args:
        props: ``address``, ``routes`` (app by host), ``default`` (app) and ``names_itself``.
    """
    expected = {**props["routes"], "any-other.host": props["default"], props["address"]: props["default"]}
    problems = []
    for host, app in expected.items():
        try:
            answer = ask(props["address"], host)
        except (OSError, http.client.HTTPException) as error:
            problems.append(f"{host} should be answered by {app}: {type(error).__name__} {error}")
            continue
        if props["names_itself"] and answer.get("app") != app:
            problems.append(f"{host} should be answered by {app}, but {answer.get('app') or 'something else'} did")
    return problems


def _check(props: dict[str, Any]) -> None:
    if problems := wrong_routes(props):
        raise LabError(
            f"After {props['timeout']} s {len(problems)} routes at http://{props['address']} are wrong",
            why="; ".join(problems),
            fix="`make kubectl` with ARGS='describe ingress -A' or ARGS='-n kube-system logs deploy/traefik'",
        )


class AnswersProvider(ResourceProvider):
    """Waits until every route answers as it should; made again, it waits again."""

    def create(self, props: dict[str, Any]) -> CreateResult:
        """Try every route until all are right."""
        wait.until(lambda: _check(props), timeout=props["timeout"], every=EVERY)
        return CreateResult(id_="answers", outs=props)

    def diff(self, _id: str, _olds: dict[str, Any], _news: dict[str, Any]) -> DiffResult:
        """Try again when anything that the answers depend on is another."""
        keys = ("address", "routes", "default", "names_itself", "triggers")
        return DiffResult(changes=any(_olds.get(key) != _news.get(key) for key in keys))

    def update(self, _id: str, _olds: dict[str, Any], _news: dict[str, Any]) -> UpdateResult:
        """Try every route again."""
        return UpdateResult(outs=self.create(_news).outs)
