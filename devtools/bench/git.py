"""Set up the Git server of the plain script: python -m devtools.bench.git FILE, with the resource's inputs in it."""

from __future__ import annotations

import json
import sys
from pathlib import Path

from components.docker import container_provider
from components.gitops import git_provider

if __name__ == "__main__":
    inputs = json.loads(Path(sys.argv[1]).read_text(encoding="utf-8"))
    git_provider.set_up(container_provider.spec(inputs), inputs, "")
