"""The one way to wait for something: look, again and again, until it is so or the time is up."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, TypeVar

from components.core.errors import LabError

if TYPE_CHECKING:
    from collections.abc import Callable

T = TypeVar("T")


def until(look: Callable[[], T], *, timeout: float, every: float, also: Callable[[LabError], bool] | None = None) -> T:
    """Call a function until it does not raise a LabError, and return what it returns.

    Args:
        look: says by a LabError that it is not so yet, and why.
        timeout: seconds after which that error is raised; it is called once at least.
        every: seconds between two calls.
        also: says of an error whether it is worth waiting; None means that every one is.

    Raises:
        LabError: the last one.
    """
    end = time.monotonic() + timeout
    while True:
        try:
            return look()
        except LabError as error:
            if time.monotonic() > end or not (also is None or also(error)):
                raise
        time.sleep(every)
