"""Metrics of resources."""

from typing import Any

import pytest
from prometheus_client import CollectorRegistry, generate_latest

from hipbmm_operator.kube.metadata import NamespacedName
from hipbmm_operator.telemetry.status_metrics import RESOURCE, StatusMetrics, of_resource

Json = dict[str, Any]

SPEC: Json = {"model": {"name": "Qwen/Qwen3-32B"}, "image": "registry.example/vllm:1"}


STATUS: Json = {
    "phase": "Running",
    "conditions": [
        {"type": "Ready", "status": "True"},
        {"type": "Tuned", "status": "False"},
        {"type": "Warm", "status": "Unknown"},
    ],
    "hardware": {"product": "MI300X", "arch": "gfx942"},
    "tuning": {"key": "9f2c", "source": "Tuned", "problems": 204, "tuned": 200, "failed": 4, "seconds": 48},
}


INFO = (
    'arch="gfx942",image="registry.example/vllm:1",model="Qwen/Qwen3-32B",name="qwen",namespace="models",'
    'phase="Running",product="MI300X",source="Tuned",stack="9f2c"'
)


def text(resources: StatusMetrics) -> str:
    registry = CollectorRegistry()
    registry.register(resources)
    return generate_latest(registry).decode()


def test_a_resource_is_shown_as_its_status_says() -> None:
    resources = StatusMetrics(RESOURCE, of_resource)
    resources.show(NamespacedName("models", "qwen"), SPEC, STATUS)
    told = text(resources)
    of = 'name="qwen",namespace="models"'
    for sample in (
        f'hipbmm_deployment_condition{{{of},type="Ready"}} 1.0',
        f'hipbmm_deployment_condition{{{of},type="Tuned"}} 0.0',
        f'hipbmm_deployment_condition{{{of},type="Warm"}} -1.0',
        f'hipbmm_tuning_problems{{{of},state="tuned"}} 200.0',
        f'hipbmm_tuning_problems{{{of},state="failed"}} 4.0',
        f"hipbmm_tuning_duration_seconds{{{of}}} 48.0",
        f"hipbmm_tuning_wanted{{{of}}} 1.0",
        f"hipbmm_deployment_info{{{INFO}}} 1.0",
    ):
        assert sample in told.splitlines()


@pytest.mark.parametrize("state", ["NoPlan", "Unsupported", "Partial", "Disabled"])
def test_no_tuning_is_wanted_where_the_spec_switches_it_off(state: str) -> None:
    """Whatever the pods say: a model without eligible linears reports that it has no plan."""
    resources = StatusMetrics(RESOURCE, of_resource)
    spec, status = {"tuning": {"enabled": False}}, {"conditions": [], "tuning": {"state": state}}
    resources.show(NamespacedName("models", "qwen"), spec, status)
    assert 'hipbmm_tuning_wanted{name="qwen",namespace="models"} 0.0' in text(resources)


def test_a_resource_that_changes_has_one_info_and_one_that_goes_has_none() -> None:
    resources = StatusMetrics(RESOURCE, of_resource)
    resources.show(NamespacedName("models", "qwen"), SPEC, STATUS)
    resources.show(NamespacedName("models", "qwen"), SPEC | {"image": "registry.example/vllm:2"}, STATUS)
    assert text(resources).count("hipbmm_deployment_info{") == 1
    resources.withdraw(NamespacedName("models", "qwen"))
    resources.withdraw(NamespacedName("models", "never seen"))
    assert "qwen" not in text(resources)


@pytest.mark.parametrize("spec", [{}, {"model": None, "image": None}, {"model": "x"}])
def test_a_spec_that_cannot_be_used_is_shown_too(spec: Json) -> None:
    resources = StatusMetrics(RESOURCE, of_resource)
    resources.show(NamespacedName("models", "qwen"), spec, {"conditions": []})
    assert "hipbmm_deployment_info{" in text(resources)
