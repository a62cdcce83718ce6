"""Helm 3 and Helm 4 render the same objects of the same values, and refuse the same values in the same words."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest
import yaml
from tests.chart.rendering import KUBE_VERSION, variants
from tests.chart.tools import CHART, run, tool

from localkube import builder, modules
from localkube.console import Console

if TYPE_CHECKING:
    from pathlib import Path

# The first run builds Helm 3.
pytestmark = [pytest.mark.long, pytest.mark.timeout(900)]

INJECTION = {"enabled": True, "webhook": {"enabled": True, "certManager": True}}
VALUES: tuple[dict[str, Any], ...] = (
    {},
    {"injection": INJECTION},
    {"crds": {"enabled": False}, "podAnnotations": {"a": "1e3", "b": "on"}},
    {"image": {"tag": "1e3"}, "extraObjects": ["kind: ConfigMap\napiVersion: v1\nmetadata: {name: x}\n"]},
)
REFUSED: tuple[dict[str, Any], ...] = (
    {"nope": 1},
    {"watchNamespaces": None},
    {"watchNamespaces": ["a", "a"]},
    {"extraEnv": [{"name": "HIPBMM_HTTP_PORT", "value": "1"}]},
    {"metrics": {"serviceMonitor": {"enabled": True}, "service": {"enabled": False}}},
    {"injection": {**INJECTION, "webhook": {**INJECTION["webhook"], "secretName": "mine"}}},  # type: ignore[dict-item]
)


@pytest.fixture(scope="module")
def helms() -> tuple[str, str]:
    return tool("helm"), str(builder.binaries(modules.load("helm-3"), Console()) / "helm")


def rendered(helm: str, values: dict[str, Any], *files: Path) -> tuple[list[str], str]:
    """The objects, in no order: each Helm sorts kinds that it does not know in its own; and what it refuses."""
    arguments = ["template", "hipbmm", str(CHART), "--namespace", "system", "--kube-version", KUBE_VERSION]
    for file in files:
        arguments += ["--values", str(file)]
    done = run(
        helm, *arguments, "--api-versions", "monitoring.coreos.com/v1", "--values", "-", stdin=json.dumps(values)
    )
    return sorted(json.dumps(each) for each in yaml.safe_load_all(done.stdout) if each), done.stderr


@pytest.mark.parametrize("file", [None, *variants()], ids=lambda path: path.stem if path else "defaults")
def test_both_render_the_same(helms: tuple[str, str], file: Path | None) -> None:
    for values in VALUES:
        four, three = (rendered(helm, values, *([file] if file else [])) for helm in helms)
        assert three == four
        assert three[0], three[1]


@pytest.mark.parametrize("values", REFUSED, ids=json.dumps)
def test_both_refuse_the_same(helms: tuple[str, str], values: dict[str, Any]) -> None:
    (four, why_four), (three, why_three) = (rendered(helm, values) for helm in helms)
    assert four == three == []
    assert why_three == why_four != ""


def test_helm_3_finds_nothing_to_complain_about(helms: tuple[str, str]) -> None:
    done = run(helms[1], "lint", "--strict", str(CHART))
    assert (done.returncode, "[WARNING]" in done.stdout) == (0, False), done.stdout + done.stderr
