"""The Pulumi program: read the settings, deploy the part that the stack is, export its outputs."""

import signal
from pathlib import Path

import pulumi

from components import parts, project

# When a resource fails, the engine interrupts this program. The error is the resource's: Python's own report of the
# interruption would bury it under a traceback.
signal.signal(signal.SIGINT, signal.SIG_DFL)

root = Path(__file__).resolve().parent
settings = project.settings(pulumi.get_stack(), root)
for name, value in parts.deploy(settings, root).items():
    pulumi.export(name, value)
