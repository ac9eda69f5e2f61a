"""The Pulumi program: read the settings, deploy the part that the stack is, export its outputs."""

import signal
import sys
from pathlib import Path

import pulumi

from components import parts
from components.core import project
from components.core.errors import LabError, said_of

# When a resource fails, the engine interrupts this program. The error is the resource's: Python's own report of the
# interruption would bury it under a traceback.
signal.signal(signal.SIGINT, signal.SIG_DFL)
# By this exit code the engine knows that all has been said: pulumi/sdk/python/cmd/pulumi-language-python/main.go
SAID = 32

root = Path(__file__).resolve().parent
try:
    settings = project.settings(pulumi.get_stack(), root)
    for name, value in parts.deploy(settings, root).items():
        pulumi.export(name, value)
except LabError as error:
    pulumi.log.error(said_of(pulumi.get_stack(), str(error)))
    sys.exit(SAID)
