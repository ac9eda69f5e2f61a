"""Where the lab keeps its local things. All but the virtual environment is in .lab/, which Git ignores."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Final

ROOT: Final = Path(__file__).resolve().parents[2]
VENV: Final = ROOT / ".venv"
LAB: Final = ROOT / ".lab"
BIN: Final = LAB / "bin"
CHARTS: Final = LAB / "charts"
STATE: Final = LAB / "state"
RUN: Final = LAB / "run"
MISE: Final = LAB / "mise"
PULUMI_HOME: Final = LAB / "pulumi"
PASSPHRASE: Final = LAB / "passphrase"

OFFLINE: Final = "IOT_OFFLINE_DIR"
OFFLINE_DEFAULT: Final = Path("/usr/local/share/iot-lab")


def offline() -> Path | None:
    """Return the folder with files for machines without a network, or None when there is none.

    It is what ``IOT_OFFLINE_DIR`` names, or else /usr/local/share/iot-lab: ``bin/`` has tools, ``charts/`` the chart.
    """
    folder = Path(os.environ.get(OFFLINE) or OFFLINE_DEFAULT)
    return folder if folder.is_dir() else None
