"""Checkov's checks of Kubernetes objects (https://www.checkov.io), without its service and without a network."""

from __future__ import annotations

import json
import os
import subprocess
from typing import TYPE_CHECKING, Final

from devtools.checks import Finding
from lab.host import extras

if TYPE_CHECKING:
    from pathlib import Path

TIME: Final = 300  # seconds; it takes five to start
# At most five, each with its reason.
EXCEPTIONS: Final = {
    "CKV_K8S_15": "Always would ask a registry, and the images are brought to the nodes without one",
    "CKV_K8S_35": "Gitea's own settings are environment variables, and its Pod may read its Secret either way",
    "CKV_K8S_40": "Gitea's image runs as user 1000; its files belong to that user",
    "CKV_K8S_43": "an image that was built here has no digest of a registry; its ID is compared instead",
}


def findings(folder: Path) -> list[Finding]:
    """Return what Checkov finds in a folder of YAML files, but for the exceptions.

    Raises:
        LabError: it can't be installed.
        RuntimeError: it did not run; says what it printed.
    """
    return [finding for check, finding in everything(folder) if check not in EXCEPTIONS]


def everything(folder: Path) -> list[tuple[str, Finding]]:
    """Return all that Checkov finds, each with the check's name."""
    program = extras.ensure("checkov") / "bin" / "checkov"
    command = [str(program), "--directory", str(folder), "--framework", "kubernetes", "--skip-download"]
    done = subprocess.run(
        [*command, "--output", "json", "--quiet"],
        env=os.environ | {"LOG_LEVEL": "ERROR", "BC_SKIP_MAPPING": "TRUE", "CHECKOV_RUN_SECRETS_MULTIPROCESS": "0"},
        capture_output=True,
        text=True,
        timeout=TIME,
        check=False,
    )
    try:
        report = json.loads(done.stdout)
        failed = report["results"]["failed_checks"]
    except (ValueError, TypeError, KeyError) as error:
        said = (done.stderr or done.stdout).strip()[-1000:]
        raise RuntimeError(f"Checkov did not check anything in {folder}: {said or 'it found no objects'}") from error
    return [(each["check_id"], _finding(each)) for each in failed]


def _finding(each: dict[str, object]) -> Finding:
    lines = each["file_line_range"]
    first = lines[0] if isinstance(lines, list) else 1
    what = f"{each['resource']}: {each['check_name']} ({each['check_id']})"
    return Finding(f"{str(each['file_path']).lstrip('/')}:{first}", what)
