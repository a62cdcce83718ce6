"""The ServiceMonitor of a resource that asks for one, with and without the Prometheus operator's CRD."""

from typing import Any

import pytest
from tests.cluster.api import until
from tests.cluster.conftest import knows_monitors
from tests.cluster.world import World

from hipbmm_operator.kube import kinds

Json = dict[str, Any]

KIND = kinds.SERVICE_MONITOR
ASKED: Json = {"monitor": {"enabled": True, "interval": "30s", "labels": {"release": "prometheus"}}}


def find(world: World) -> Json | None:
    return world.api.find(KIND, world.namespace, "qwen")


@pytest.mark.usefixtures("prometheus_operator")
def test_it_is_made_repaired_and_taken_away(world: World) -> None:
    world.create(service=ASKED)
    made = until("the ServiceMonitor", lambda: find(world))
    assert made["metadata"]["labels"]["release"] == "prometheus"
    assert [(e["port"], e["interval"]) for e in made["spec"]["endpoints"]] == [("http", "30s"), ("hipbmm", "30s")]
    service = until("the Service", lambda: world.api.find(kinds.SERVICE, world.namespace, "qwen"))
    assert {port["name"]: port["port"] for port in service["spec"]["ports"]} == {"http": 80, "hipbmm": 9410}
    assert made["spec"]["selector"]["matchLabels"].items() <= service["metadata"]["labels"].items()
    world.serve(1)
    world.becomes("Ready", "True")
    world.api.delete(KIND, world.namespace, "qwen")
    # It is not watched: the next reconcile of the resource repairs it.
    world.change({"service": {"annotations": {"example.com/touched": "1"}}})
    until("the ServiceMonitor again", lambda: find(world))
    world.change({"service": {"monitor": {"enabled": False}}})
    until("no ServiceMonitor", lambda: find(world) is None)
    until("one port", lambda: len(world.api.get(kinds.SERVICE, world.namespace, "qwen")["spec"]["ports"]) == 1)


def test_without_its_kind_it_is_reported_and_everything_else_works(world: World) -> None:
    if knows_monitors(world.api):
        pytest.skip("this cluster has ServiceMonitors")
    world.create(service=ASKED)
    world.becomes("ConfigValid", "False", "MonitorNotInstalled")
    world.serve(1)
    world.becomes("Ready", "True")
    world.change({"service": {"monitor": {"enabled": False}}})
    world.becomes("ConfigValid", "True", "Valid")
