"""The chart's CRD is the generated one, and uninstalling does not take it away."""

from __future__ import annotations

import functools
import sys
from typing import Any

import yaml
from tests.chart.golden import assert_same
from tests.chart.rendering import render
from tests.chart.tools import CHART, ROOT, run

TEMPLATE = CHART / "templates" / "crds" / "hipbmm.io_hipbmmdeployments.yaml"


@functools.cache
def generated(*arguments: str) -> str:
    done = run(sys.executable, "-m", "hipbmm_operator.api.crd", *arguments, env={"PYTHONPATH": str(ROOT / "operator")})
    assert done.returncode == 0, done.stderr
    return done.stdout


def own_crd() -> dict[str, Any]:
    content: dict[str, Any] = yaml.safe_load(generated())
    return content


def test_template_is_the_generated_one() -> None:
    assert_same(TEMPLATE, generated("--helm"))


def test_rendered_crd_is_the_crd_of_the_models() -> None:
    rendered = render().only("CustomResourceDefinition")
    assert rendered["spec"] == own_crd()["spec"]
    assert rendered["metadata"]["name"] == own_crd()["metadata"]["name"]


def test_file_in_crds_is_the_generated_one() -> None:
    assert (ROOT / "crds" / TEMPLATE.name).read_text() == generated()


def test_crd_is_kept_unless_asked_otherwise() -> None:
    kept = render().only("CustomResourceDefinition")["metadata"]
    assert kept["annotations"] == {"helm.sh/resource-policy": "keep"}
    removed = render({"crds": {"keep": False}}).only("CustomResourceDefinition")["metadata"]
    assert "annotations" not in removed


def test_crd_can_be_left_to_somebody_else() -> None:
    assert not render({"crds": {"enabled": False}}).of_kind("CustomResourceDefinition")


def test_chart_has_no_crds_folder_that_helm_would_never_upgrade() -> None:
    assert not (CHART / "crds").exists()
    assert list(TEMPLATE.parent.iterdir()) == [TEMPLATE]
