"""The chart's CRDs are the generated ones, and uninstalling does not take them away."""

from __future__ import annotations

import functools
import sys
from typing import Any

import pytest
import yaml
from tests.chart.golden import assert_same
from tests.chart.rendering import render
from tests.chart.tools import CHART, ROOT, run

FOLDER = CHART / "templates" / "crds"
FILES = {
    "HipbmmDeployment": "hipbmm.io_hipbmmdeployments.yaml",
    "HipbmmProfile": "hipbmm.io_hipbmmprofiles.yaml",
}
EACH = pytest.mark.parametrize("kind", FILES)


@functools.cache
def generated(kind: str, *arguments: str) -> str:
    command = (sys.executable, "-m", "hipbmm_operator.api.crd", "--kind", kind, *arguments)
    done = run(*command, env={"PYTHONPATH": str(ROOT / "operator")})
    assert done.returncode == 0, done.stderr
    return done.stdout


def own_crd(kind: str) -> dict[str, Any]:
    content: dict[str, Any] = yaml.safe_load(generated(kind))
    return content


@EACH
def test_template_is_the_generated_one(kind: str) -> None:
    assert_same(FOLDER / FILES[kind], generated(kind, "--helm"))


def test_rendered_crds_are_the_crds_of_the_models() -> None:
    rendered = {crd["metadata"]["name"]: crd["spec"] for crd in render().of_kind("CustomResourceDefinition")}
    assert rendered == {(crd := own_crd(kind))["metadata"]["name"]: crd["spec"] for kind in FILES}


@EACH
def test_file_in_crds_is_the_generated_one(kind: str) -> None:
    assert (ROOT / "crds" / FILES[kind]).read_text() == generated(kind)


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
