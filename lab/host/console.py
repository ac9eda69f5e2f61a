"""What the commands tell the user while they work. On stderr, so that stdout is the result of a command alone."""

from __future__ import annotations

import sys

GREEN, RED, PLAIN = "\033[32m", "\033[31m", "\033[0m"


def say(message: str) -> None:
    """Print one line about what happens now."""
    print(f"lab: {message}", file=sys.stderr, flush=True)


def ask(question: str) -> bool:
    """Ask a yes-or-no question. Without a terminal nobody is there to answer, which means no."""
    if not (sys.stdin.isatty() and sys.stderr.isatty()):
        return False
    print(f"lab: {question} [y/N] ", end="", file=sys.stderr, flush=True)
    return sys.stdin.readline().strip().lower() in {"y", "yes"}
