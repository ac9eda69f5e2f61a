"""Write images of the host's Docker engine to standard output: ``python -m components.docker.save IMAGE...``."""

from __future__ import annotations

import os
import sys

from components.core.errors import LabError
from components.docker import engine


def main() -> None:
    """Become Docker, so that whoever ends this ends Docker's work."""
    try:
        command = engine.save(sys.argv[1:])
    except LabError as error:
        sys.exit(str(error))
    os.execvp(command[0], command)  # noqa: S606 - arguments, no shell


if __name__ == "__main__":
    main()
