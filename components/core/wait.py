"""The one way to wait for something: look, again and again, until it is so or the time is up, and not in silence."""

from __future__ import annotations

import threading
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING, Final, TypeVar

from components.core.errors import LabError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

T = TypeVar("T")
FIRST: Final = 5.0  # seconds that nobody has to be told of
EVERY: Final = 15.0  # seconds between two lines


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


@contextmanager
def told(what: str, *, most: float, left: Callable[[], str] = str) -> Iterator[None]:
    """Say what is waited for while something takes its time; `pulumi up` shows what providers and Commands print.

    Args:
        what: such as "pulling an image".
        most: seconds that it may take.
        left: says what is left, where that can be known; a LabError means that it can't just now.
    """
    begin, done = time.monotonic(), threading.Event()

    def tell() -> None:
        pause = FIRST
        while not done.wait(pause):
            pause = EVERY
            try:
                more = left()
            except LabError:
                more = ""
            print(f"{what}: {time.monotonic() - begin:.0f} of at most {most:.0f} s{more and f', {more}'}", flush=True)

    thread = threading.Thread(target=tell, daemon=True)
    thread.start()
    try:
        yield
    finally:
        done.set()
        thread.join()
