"""The environment that the chart gives to the operator is one that the operator reads."""

from __future__ import annotations

import dataclasses
from typing import Any

import pytest
from tests.chart.rendering import render

from hipbmm_operator import settings


def environment(**values: Any) -> dict[str, str]:  # noqa: ANN401 (chart values)
    """Variables as the process sees them; references to the pod are filled in."""
    pod = {"metadata.namespace": "hipbmm-system", "metadata.name": "hipbmm-operator-abc"}
    return {
        item["name"]: item["value"] if "value" in item else pod[item["valueFrom"]["fieldRef"]["fieldPath"]]
        for item in render(values).container["env"]
    }


def test_operator_knows_every_variable() -> None:
    known = {entry.metadata["env"] for entry in dataclasses.fields(settings.Settings)}
    assert set(environment(watchNamespaces=["a"])) <= known


def test_defaults_are_the_operator_s_own() -> None:
    parsed = settings.parse(environment())
    default = settings.Settings()
    for name in ("namespaces", "workers", "resync_seconds", "http_port", "log_level", "log_format"):
        assert getattr(parsed, name) == getattr(default, name), name


def test_values_reach_the_settings() -> None:
    parsed = settings.parse(
        environment(
            watchNamespaces=["a", "b"],
            workers=3,
            resyncSeconds=60,
            log={"level": "debug", "format": "text"},
            image={"registry": "r.example", "pullPolicy": "Always"},
        )
    )
    assert parsed.namespaces == ("a", "b")
    assert (parsed.workers, parsed.resync_seconds) == (3, 60)
    assert (parsed.log_level, parsed.log_format) == ("debug", "text")
    assert (parsed.namespace, parsed.identity) == ("hipbmm-system", "hipbmm-operator-abc")


@pytest.mark.parametrize("values", [{}, {"image": {"digest": "sha256:" + "0" * 64}}])
def test_pods_get_the_kernel_program_from_the_operator_s_own_image(values: dict[str, Any]) -> None:
    parsed = settings.parse(environment(**values))
    container = render(values).container
    assert (parsed.payload_image, parsed.payload_pull_policy) == (container["image"], container["imagePullPolicy"])


def test_port_is_the_one_that_is_probed_and_scraped() -> None:
    (port,) = render().container["ports"]
    assert settings.parse(environment()).http_port == port["containerPort"]
