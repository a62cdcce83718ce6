"""The chart's CRDs are the generated ones, and uninstalling does not take them away."""

from __future__ import annotations

from typing import Any

import pytest
import yaml
from tests.chart.golden import assert_same
from tests.chart.rendering import render
from tests.chart.tools import CHART, ROOT

from hipbmm_operator.api import crd

FOLDER = CHART / "templates" / "crds"
FILES = {
    "HipbmmDeployment": "hipbmm.io_hipbmmdeployments.yaml",
    "HipbmmProfile": "hipbmm.io_hipbmmprofiles.yaml",
}
EACH = pytest.mark.parametrize("kind", FILES)
DEFINITIONS = {definition.kind.kind: definition for definition in crd.DEFINITIONS}


def own_crd(kind: str) -> dict[str, Any]:
    content: dict[str, Any] = yaml.safe_load(crd.plain(DEFINITIONS[kind]))
    return content


@EACH
def test_template_is_the_generated_one(kind: str) -> None:
    assert_same(FOLDER / FILES[kind], crd.helm(DEFINITIONS[kind]))


def test_rendered_crds_are_the_crds_of_the_models() -> None:
    rendered = {body["metadata"]["name"]: body["spec"] for body in render().of_kind("CustomResourceDefinition")}
    assert rendered == {(body := own_crd(kind))["metadata"]["name"]: body["spec"] for kind in DEFINITIONS}


@EACH
def test_file_in_crds_is_the_generated_one(kind: str) -> None:
    assert (ROOT / "crds" / FILES[kind]).read_text() == crd.plain(DEFINITIONS[kind])


def test_crds_are_kept_unless_asked_otherwise() -> None:
    for kept in render().of_kind("CustomResourceDefinition"):
        assert kept["metadata"]["annotations"] == {"helm.sh/resource-policy": "keep"}
    for removed in render({"crds": {"keep": False}}).of_kind("CustomResourceDefinition"):
        assert "annotations" not in removed["metadata"]


def test_crds_can_be_left_to_somebody_else() -> None:
    assert not render({"crds": {"enabled": False}}).of_kind("CustomResourceDefinition")


def test_chart_has_no_crds_folder_that_helm_would_never_upgrade() -> None:
    assert not (CHART / "crds").exists()
    assert sorted(path.name for path in FOLDER.iterdir()) == sorted(FILES.values())
