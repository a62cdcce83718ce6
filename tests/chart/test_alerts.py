"""Alerts and dashboard ask only for metrics that operator and sidecar expose, and every alert has a runbook."""

from __future__ import annotations

import json
import os
import re
import sys
from typing import Any

import pytest
import yaml
from tests.chart.rendering import render
from tests.chart.tools import CHART, ROOT, run

ALERTS: list[dict[str, Any]] = yaml.safe_load((CHART / "files" / "alerts.yaml").read_text())
DASHBOARD: dict[str, Any] = json.loads((CHART / "files" / "dashboard.json").read_text())
EXPRESSIONS = [alert["expr"] for alert in ALERTS] + [
    target["expr"] for panel in DASHBOARD["panels"] for target in panel["targets"]
]
LIST_METRICS = """
import json
from hipbmm_operator.telemetry import metrics
found = {}
for family in metrics.REGISTRY.collect():
    suffixes = {"counter": ["_total"], "histogram": ["_bucket", "_sum", "_count"]}.get(family.type, [""])
    for suffix in suffixes:
        found[family.name + suffix] = None
print(json.dumps(sorted(found)))
"""


@pytest.fixture(scope="module")
def exposed() -> set[str]:
    """Names of all time series: the operator's, from its registry, and the sidecar's, as its code names them."""
    done = run(
        sys.executable, "-c", LIST_METRICS, env={"PYTHONPATH": str(ROOT / "operator"), "PATH": os.environ["PATH"]}
    )
    assert done.returncode == 0, done.stderr
    sidecar = "".join(path.read_text() for path in (ROOT / "kernel/hipbmm_kernel/harvest").glob("*.py"))
    return {*json.loads(done.stdout), *re.findall(r'"(hipbmm_[a-z_]+)"', sidecar)}


@pytest.mark.parametrize("expression", EXPRESSIONS)
def test_expression_uses_metrics_that_exist(expression: str, exposed: set[str]) -> None:
    used = set(re.findall(r"\b(?:hipbmm|process)_[a-z_]+", expression))
    assert used
    assert used <= exposed


@pytest.mark.parametrize("expression", EXPRESSIONS)
def test_expression_is_balanced(expression: str) -> None:
    for opening, closing in ("()", "{}", "[]"):
        assert expression.count(opening) == expression.count(closing)


def test_every_alert_says_what_to_do_and_has_a_runbook() -> None:
    headings = set(re.findall(r"^#+ (Hipbmm\w+)$", (ROOT / "docs" / "troubleshooting.md").read_text(), re.MULTILINE))
    for alert in ALERTS:
        assert alert["labels"]["severity"] in {"critical", "warning"}
        assert set(alert["annotations"]) == {"summary", "description"}
        assert re.fullmatch(r"[0-9]+m", alert["for"])
    assert headings == {alert["alert"] for alert in ALERTS}


def test_rules_reach_prometheus_with_their_templates_and_runbooks() -> None:
    rules = render({"metrics": {"rules": {"enabled": True}}}).only("PrometheusRule")
    assert rules["spec"]["groups"][0]["rules"] == ALERTS
    url = "https://example.com/troubleshooting"
    linked = render({"metrics": {"rules": {"enabled": True, "runbookUrl": url}}}).only("PrometheusRule")
    for alert in linked["spec"]["groups"][0]["rules"]:
        assert alert["annotations"]["runbook_url"] == f"{url}#{alert['alert'].lower()}"


def test_dashboard_reaches_grafana_unchanged() -> None:
    config_map = render({"metrics": {"dashboard": {"enabled": True}}}).only("ConfigMap")
    assert config_map["metadata"]["labels"]["grafana_dashboard"] == "1"
    assert json.loads(config_map["data"]["hipbmm-operator.json"]) == DASHBOARD


def test_panels_do_not_overlap() -> None:
    cells: set[tuple[int, int]] = set()
    for panel in DASHBOARD["panels"]:
        place = panel["gridPos"]
        own = {
            (x, y)
            for x in range(place["x"], place["x"] + place["w"])
            for y in range(place["y"], place["y"] + place["h"])
        }
        assert not own & cells, panel["title"]
        assert place["x"] + place["w"] <= 24
        cells |= own
    ids = [panel["id"] for panel in DASHBOARD["panels"]]
    assert len(ids) == len(set(ids))
