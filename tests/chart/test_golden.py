"""The default rendering, line by line, so that a change of the chart is a change that somebody read."""

from __future__ import annotations

from pathlib import Path

from tests.chart.golden import assert_same
from tests.chart.rendering import render

GOLDEN = Path(__file__).parent / "golden"


def test_default_rendering() -> None:
    # The CRD has a test of its own.
    assert_same(GOLDEN / "default.yaml", render({"crds": {"enabled": False}}).text)


def test_namespaced_rendering() -> None:
    values = {"crds": {"enabled": False}, "watchNamespaces": ["team-a", "team-b"], "rbac": {"userRoles": False}}
    assert_same(GOLDEN / "namespaced.yaml", render(values).text)
