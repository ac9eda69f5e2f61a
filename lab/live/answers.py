"""What the live app answers."""

from __future__ import annotations

import http.client
import json
from dataclasses import dataclass
from typing import Any, Final
from urllib.parse import urlsplit

from components.core.errors import LabError

ANSWER: Final = 5.0  # seconds


@dataclass(frozen=True)
class Answer:
    """An answer over HTTP.

    Attributes:
        status: its code.
        body: its JSON object; empty when it is none.
        text: its beginning, for messages.
    """

    status: int
    body: dict[str, Any]
    text: str


def ask(url: str, *, host: str = "", timeout: float = ANSWER) -> Answer:
    """Get a URL, past any proxy: node ports are on this host or on its network.

    Args:
        url: http://...
        host: the Host header; empty for the URL's own.
        timeout: seconds.

    Raises:
        LabError: nothing answers.
    """
    parts = urlsplit(url)
    connection = http.client.HTTPConnection(parts.hostname or "", parts.port or 80, timeout=timeout)
    try:
        connection.request("GET", parts.path or "/", headers={"Host": host} if host else {})
        response = connection.getresponse()
        text = response.read().decode(errors="replace")
    except (OSError, http.client.HTTPException) as error:
        raise LabError(f"{url} does not answer", why=str(error) or type(error).__name__, fix="make status") from error
    finally:
        connection.close()
    try:
        body = json.loads(text)
    except ValueError:
        body = {}
    return Answer(response.status, body if isinstance(body, dict) else {}, text.strip()[:200])


def version(url: str) -> str:
    """Return the version that the app says it is.

    Raises:
        LabError: it does not answer, or answers something else.
    """
    answer = ask(url)
    message = answer.body.get("message")
    if answer.status != http.HTTPStatus.OK or not isinstance(message, str):
        raise LabError(
            f"{url} answers {answer.status} {answer.text!r}", why='{"message": VERSION} was expected', fix="make status"
        )
    return message
