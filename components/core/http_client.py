"""Asking something on this host, or on its own networks, over HTTP: past any proxy, which does not know it."""

from __future__ import annotations

import http.client
import json
from dataclasses import dataclass
from http import HTTPStatus
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import urlsplit

from components.core.errors import LabError

if TYPE_CHECKING:
    from collections.abc import Mapping

SECONDS: Final = 5.0  # for an answer
SHOWN: Final = 200  # characters of an answer, in messages


@dataclass(frozen=True)
class Answer:
    """An answer over HTTP.

    Attributes:
        status: its code.
        body: its JSON object; empty when it is none.
        text: all of it.
    """

    status: int
    body: dict[str, Any]
    text: str

    @property
    def json(self) -> Any:  # noqa: ANN401 - any JSON
        """What it says as JSON, which need not be an object; None when it is none."""
        return _json(self.text)

    @property
    def short(self) -> str:
        """Its beginning, for people."""
        return self.text.strip()[:SHOWN]

    def __str__(self) -> str:
        """Return it in short."""
        return f"{self.status} {self.short!r}"


def ask(
    url: str,
    *,
    method: str = "GET",
    headers: Mapping[str, str] | None = None,
    body: object = None,
    timeout: float = SECONDS,
) -> Answer:
    """Ask for a URL.

    Args:
        url: http://...
        method: of the request.
        headers: of the request, such as the Host.
        body: sent as JSON; None sends nothing.
        timeout: seconds.

    Raises:
        LabError: nothing answers.
    """
    parts = urlsplit(url)
    connection = http.client.HTTPConnection(parts.hostname or "", parts.port or 80, timeout=timeout)
    given = {} if body is None else {"Content-Type": "application/json"}
    path = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
    try:
        sent = None if body is None else json.dumps(body)
        connection.request(method, path, body=sent, headers={**given, **(headers or {})})
        response = connection.getresponse()
        text = response.read().decode(errors="replace")
    except (OSError, http.client.HTTPException) as error:
        raise LabError(f"{url} does not answer", why=str(error) or type(error).__name__, fix="make status") from error
    finally:
        connection.close()
    found = _json(text)
    return Answer(response.status, found if isinstance(found, dict) else {}, text)


def ok(answer: Answer) -> bool:
    """Say whether an answer is a success."""
    return HTTPStatus.OK <= answer.status < HTTPStatus.MULTIPLE_CHOICES


def _json(text: str) -> Any:  # noqa: ANN401 - any JSON
    try:
        return json.loads(text)
    except ValueError:
        return None
