"""The short schema of Argo CD's own kinds agrees with the definitions in the chart."""

from __future__ import annotations

import tarfile
from typing import Any

import pytest
import yaml

from components.core.versions import ARGOCD_CHART
from devtools.checks import schemas
from lab.host import chart

pytestmark = pytest.mark.preview


def definition(kind: str) -> dict[str, Any]:
    """Return the schema of a kind in the chart that is kept."""
    with tarfile.open(chart.kept(ARGOCD_CHART)) as archive:
        file = archive.extractfile(f"argo-cd/templates/crds/crd-{kind.lower()}.yaml")
        assert file
        text = file.read().decode()
    # Helm's own lines, which are no YAML, stand alone.
    content = yaml.safe_load("\n".join(line for line in text.splitlines() if "{{" not in line))
    versions = {each["name"]: each for each in content["spec"]["versions"]}
    found: dict[str, Any] = versions["v1alpha1"]["schema"]["openAPIV3Schema"]
    return found


def differences(ours: dict[str, Any], theirs: dict[str, Any], where: str) -> list[str]:
    """Return the fields of a schema that the other one has not, or of another type."""
    found = []
    for name, schema in ours.get("properties", {}).items():
        if name not in theirs.get("properties", {}):
            found.append(f"{where}.{name}")
            continue
        other = theirs["properties"][name]
        if "type" in schema and schema["type"] != other.get("type"):
            found.append(f"{where}.{name} is {other.get('type')}")
        found += differences(schema, other, f"{where}.{name}")
        found += differences(schema.get("items", {}), other.get("items", {}), f"{where}.{name}[]")
    return found


@pytest.mark.parametrize("kind", ["Application", "AppProject"])
def test_every_field_is_one_of_the_charts(kind: str) -> None:
    ours = yaml.safe_load(schemas.OTHERS["argoproj.io"][1].read_text(encoding="utf-8"))[kind]["properties"]["spec"]
    theirs = definition(kind)["properties"]["spec"]
    assert differences(ours, theirs, "spec") == []
    # What the chart asks for, the short schema asks for too.
    assert set(theirs.get("required", [])) <= set(ours["required"]), theirs.get("required")
