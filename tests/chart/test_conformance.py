"""Strict API schemas (kubeconform) and a policy linter (kube-score) over every variant."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import yaml
from tests.chart import kubeschemas
from tests.chart.rendering import Rendering, render, variants
from tests.chart.tools import ROOT, run, tool

HERE = Path(__file__).parent
EXCEPTIONS: dict[str, str] = yaml.safe_load((HERE / "kube-score-exceptions.yaml").read_text())
CRDS = ROOT / "crds"
VARIANTS = pytest.mark.parametrize("file", [None, *variants()], ids=lambda path: path.stem if path else "defaults")


@pytest.fixture(scope="session")
def schema_folders(tmp_path_factory: pytest.TempPathFactory, monitoring_crds: list[dict[str, Any]]) -> list[Path]:
    own = [yaml.safe_load(path.read_text()) for path in sorted(CRDS.glob("*.yaml"))]
    custom = kubeschemas.crd_schemas([*monitoring_crds, *own], tmp_path_factory.mktemp("schemas"))
    return [kubeschemas.kubernetes_schemas(), custom]


def conform(text: str, folders: list[Path]) -> list[dict[str, Any]]:
    """Findings of kubeconform: one per object that is invalid or of an unknown kind."""
    locations = [
        part
        for path in folders
        for part in ("-schema-location", f"{path}/{{{{.ResourceKind}}}}{{{{.KindSuffix}}}}.json")
    ]
    done = run(tool("kubeconform"), "-strict", "-output", "json", *locations, stdin=text)
    report = json.loads(done.stdout)
    findings: list[dict[str, Any]] = report["resources"] or []
    return findings


def findings_of(rendering: Rendering) -> set[tuple[str, str]]:
    """(kind, check) of every kube-score finding that is worse than perfect."""
    # The CRD is no workload, and kube-score does not know its kind.
    done = run(
        tool("kube-score"),
        "score",
        "--kubernetes-version",
        "v1.37",
        "--output-format",
        "json",
        "-",
        stdin=rendering.text,
    )
    scored = json.loads(done.stdout)
    assert scored, done.stderr
    return {
        (item["type_meta"]["kind"], check["check"]["id"])
        for item in scored
        for check in item["checks"]
        if not check["skipped"] and check["grade"] < 10
    }


@VARIANTS
def test_objects_conform_to_the_api(file: Path | None, schema_folders: list[Path]) -> None:
    rendering = render({"networkPolicy": {"enabled": True}}, *([file] if file else []))
    assert conform(rendering.text, schema_folders) == []


@pytest.mark.parametrize(
    ("break_it", "message"),
    [
        ("replicaz: 1", "additional properties 'replicaz' not allowed"),
        ("replicas: one", "got string, want integer"),
    ],
)
def test_schemas_are_strict(break_it: str, message: str, schema_folders: list[Path]) -> None:
    (finding,) = conform(render().text.replace("replicas: 1", break_it), schema_folders)
    assert message in finding["msg"]


def test_unknown_kind_is_a_finding(schema_folders: list[Path]) -> None:
    (finding,) = conform("apiVersion: v1\nkind: Podd\nmetadata:\n  name: a\n", schema_folders)
    assert "could not find schema" in finding["msg"]


@VARIANTS
def test_kube_score_finds_nothing_but_the_reasoned_exceptions(file: Path | None) -> None:
    rendering = render({"networkPolicy": {"enabled": True}}, *([file] if file else []), tests=False)
    assert {check for _, check in findings_of(rendering)} <= set(EXCEPTIONS)


def test_every_exception_is_needed_and_has_a_reason() -> None:
    needed = {check for _, check in findings_of(render({"networkPolicy": {"enabled": True}}, tests=False))}
    assert needed == set(EXCEPTIONS)
    assert all(len(reason.split()) > 5 for reason in EXCEPTIONS.values())


def test_without_a_network_policy_kube_score_says_so() -> None:
    extra = {check for _, check in findings_of(render(tests=False))} - set(EXCEPTIONS)
    assert extra == {"pod-networkpolicy"}
