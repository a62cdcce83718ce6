"""Chart.yaml: versions that agree with the project's, and annotations that are true."""

from __future__ import annotations

import tomllib
from typing import Any

import yaml
from tests.chart.test_crds import own_crd
from tests.chart.tools import CHART, ROOT

METADATA: dict[str, Any] = yaml.safe_load((CHART / "Chart.yaml").read_text())


def test_versions_are_the_project_s() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    assert (METADATA["version"], METADATA["appVersion"]) == (project["version"], project["version"])


def test_annotated_crds_are_those_that_are_installed() -> None:
    entries = yaml.safe_load(METADATA["annotations"]["artifacthub.io/crds"])
    assert [entry["kind"] for entry in entries] == ["HipbmmDeployment", "HipbmmProfile"]
    for entry in entries:
        crd = own_crd(entry["kind"])
        assert entry["name"] == crd["metadata"]["name"]
        assert entry["version"] in {version["name"] for version in crd["spec"]["versions"]}


def test_annotated_example_is_the_minimal_one() -> None:
    (example,) = yaml.safe_load(METADATA["annotations"]["artifacthub.io/crdsExamples"])
    minimal = yaml.safe_load((ROOT / "examples" / "minimal.yaml").read_text())
    assert example["spec"] == minimal["spec"]
