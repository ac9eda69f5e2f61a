"""What the routes to web apps answer, and the wait until it is right."""

from __future__ import annotations

from typing import Any, Final

from pulumi.dynamic import CreateResult, DiffResult, ResourceProvider, UpdateResult

from components.core import http_client as http
from components.core import wait
from components.core.errors import LabError

SERVICE_PORT: Final = 80
EVERY: Final = 0.5  # seconds between two looks


def ask(address: str, host: str) -> dict[str, Any]:
    """Ask for / of a host at an address, on port 80.

    Args:
        address: who is asked.
        host: the Host header.

    Returns:
        The JSON that came back; empty when it was none.

    Raises:
        LabError: nobody answers, or not with 200.
    """
    answer = http.ask(f"http://{address}:{SERVICE_PORT}/", headers={"Host": host, "Accept": "application/json"})
    if not http.ok(answer):
        raise LabError(f"status {answer.status}")
    return answer.body


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
        except LabError as error:
            problems.append(f"{host} should be answered by {app}: {error.why or error.what}")
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
