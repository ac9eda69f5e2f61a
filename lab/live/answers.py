"""What the live app answers."""

from __future__ import annotations

from http import HTTPStatus

from components.core import http_client as http
from components.core.errors import LabError


def version(url: str) -> str:
    """Return the version that the app says it is.

    Raises:
        LabError: it does not answer, or answers something else.
    """
    answer = http.ask(url)
    message = answer.body.get("message")
    if answer.status != HTTPStatus.OK or not isinstance(message, str):
        raise LabError(f"{url} answers {answer}", why='{"message": VERSION} was expected', fix="make status")
    return message
