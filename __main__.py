"""The Pulumi program: read the settings, deploy the part that the stack is, export its outputs."""

from pathlib import Path

import pulumi

from components import parts, project

root = Path(__file__).resolve().parent
settings = project.settings(pulumi.get_stack(), root)
for name, value in parts.deploy(settings, root).items():
    pulumi.export(name, value)
