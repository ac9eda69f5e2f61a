"""A load generator that is bounded: so many requests a second at most, to one address of this host's own network."""

from __future__ import annotations

import http.client
import threading
import time
from collections import Counter
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from types import TracebackType

    from typing_extensions import Self

TIMEOUT = 5.0  # seconds for one request


class Load:
    """Requests in the background, for as long as the context lasts.

    Args:
        address: who is asked.
        host: the Host header.
        workers: how many ask at the same time; odd ones keep their connection, even ones make a new one each time.
        pause: seconds between two requests of one worker.
        port: of the address.
    """

    def __init__(self, address: str, host: str, workers: int = 4, pause: float = 0.02, port: int = 80) -> None:
        self.answers: Counter[str] = Counter()
        self.problems: list[str] = []
        self._address, self._host, self._pause, self._port = address, host, pause, port
        self._end = threading.Event()
        self._threads = [threading.Thread(target=self._ask, args=(number % 2 == 1,)) for number in range(workers)]

    def __enter__(self) -> Self:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._end.set()
        for thread in self._threads:
            thread.join(TIMEOUT * 2)

    def _ask(self, keep: bool) -> None:
        connection = http.client.HTTPConnection(self._address, self._port, timeout=TIMEOUT)
        while not self._end.is_set():
            started = time.monotonic()
            try:
                connection.request("GET", "/", headers={"Host": self._host})
                response = connection.getresponse()
                body = response.read().decode()
                # Which version answered, of {"status":"ok","message":"v1",...}.
                key = body.split('"')[7] if response.status == 200 else f"status {response.status}"
            except (OSError, http.client.HTTPException) as error:
                key = type(error).__name__
            self.answers[key] += 1
            if key.startswith("status") or key[0].isupper():
                self.problems.append(f"{key} after {time.monotonic() - started:.2f} s")
                connection.close()
            if not keep:
                connection.close()
            self._end.wait(self._pause)
        connection.close()
