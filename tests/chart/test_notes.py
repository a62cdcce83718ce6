"""NOTES.txt: the next command, and a warning for each insecure or surprising choice."""

from __future__ import annotations

import json
from typing import Any

import pytest
import yaml
from tests.chart.tools import CHART, run, tool


def notes(values: dict[str, Any] | None = None) -> str:
    arguments = ["install", "hipbmm-operator", str(CHART), "--namespace", "system", "--dry-run=client", "--values", "-"]
    done = run(tool("helm"), *arguments, stdin=json.dumps(values or {}))
    assert done.returncode == 0, done.stderr
    return done.stdout.partition("\nNOTES:\n")[2]


def warnings(values: dict[str, Any] | None = None) -> list[str]:
    found = [line for line in notes(values).splitlines() if line.startswith("WARNING: ")]
    return [line.removeprefix("WARNING: ") for line in found]


PUSHED = {"image": {"registry": "registry.example"}}


def test_next_commands_name_what_was_installed() -> None:
    text = notes()
    assert "kubectl -n system rollout status deployment/hipbmm-operator" in text
    assert "kubectl get hbd -A -w" in text
    assert "in all namespaces" in text


def test_sample_is_a_minimal_deployment() -> None:
    body = notes().partition("<<YAML\n")[2].partition("\n   YAML")[0]
    sample = yaml.safe_load(body)
    assert sample["kind"] == "HipbmmDeployment"
    assert set(sample["spec"]) == {"image", "model"}


def test_namespaced_mode_names_its_namespaces() -> None:
    text = notes({**PUSHED, "watchNamespaces": ["a", "b"]})
    assert "in namespaces a, b" in text
    assert "kubectl get hbd -n a -w" in text


def test_safe_choices_have_no_warning() -> None:
    assert warnings(PUSHED) == []


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ({"image": {}}, "exists only on nodes into which it was loaded"),
        ({**PUSHED, "admissionPolicy": {"enabled": False}}, "can run any image"),
        ({**PUSHED, "admissionPolicy": {"actions": ["Audit"]}}, "has no Deny"),
        ({**PUSHED, "rbac": {"create": False}}, "can do nothing until"),
        ({**PUSHED, "crds": {"enabled": False}}, "must be there in the version of this chart"),
        ({**PUSHED, "injection": {"enabled": True}}, "injects no pod: this API server has no MutatingAdmissionPolicy"),
        ({**PUSHED, "injection": {"enabled": True, "policy": "Never"}}, "injects no pod: injection.policy is Never"),
        ({**PUSHED, "crds": {"keep": False}}, "will delete every HipbmmDeployment"),
        ({**PUSHED, "securityContext": {"readOnlyRootFilesystem": False}}, "weaker than the chart's own"),
        ({**PUSHED, "podSecurityContext": {"runAsNonRoot": False}}, "weaker than the chart's own"),
    ],
)
def test_surprising_choice_has_one_warning(values: dict[str, Any], words: str) -> None:
    (warning,) = warnings(values)
    assert words in warning
