"""Faults that an image is built with, to show what happens to a version that has them."""

from __future__ import annotations

import threading
import time
from typing import TYPE_CHECKING

from flask import abort

if TYPE_CHECKING:
    from collections.abc import Callable

    from app.settings import Settings


def of(settings: Settings) -> Callable[[], None]:
    """Return what a request goes through before it is answered: it waits, and every so-and-so-many-th one fails.

    The share is exact, and the same in every run: of 100 requests one after the other, ``fail_percent`` fail. What
    waits has one of the server's few threads to itself: with as many at once, the probes wait as well.
    """
    lock = threading.Lock()
    asked = 0

    def suffer() -> None:
        nonlocal asked
        if settings.delay_ms:
            time.sleep(settings.delay_ms / 1000)
        if not settings.fail_percent:
            return
        with lock:
            before, asked = asked, asked + 1
        if (before + 1) * settings.fail_percent // 100 > before * settings.fail_percent // 100:
            abort(500, f"this version fails {settings.fail_percent} of 100 requests, as it was built to")

    return suffer
