"""The ServiceMonitor of a resource that asks for one, with and without the Prometheus operator's CRD."""

from collections.abc import Iterator
from typing import Any

import pytest
from tests.cluster.api import Api, until
from tests.cluster.world import World

from hipbmm_operator import kinds

Json = dict[str, Any]

CRDS = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions"
KIND = kinds.SERVICE_MONITOR
CRD: Json = {
    "apiVersion": "apiextensions.k8s.io/v1",
    "kind": "CustomResourceDefinition",
    "metadata": {"name": f"{KIND.plural}.{KIND.group}"},
    "spec": {
        "group": KIND.group,
        "scope": "Namespaced",
        "names": {"kind": KIND.kind, "plural": KIND.plural, "singular": "servicemonitor"},
        "versions": [
            {
                "name": KIND.version,
                "served": True,
                "storage": True,
                "schema": {"openAPIV3Schema": {"type": "object", "x-kubernetes-preserve-unknown-fields": True}},
            }
        ],
    },
}
ASKED: Json = {"monitor": {"enabled": True, "interval": "30s", "labels": {"release": "prometheus"}}}


@pytest.fixture
def installed(api: Api) -> Iterator[None]:
    """The CRD of the Prometheus operator."""
    name = CRD["metadata"]["name"]
    api.request("POST", CRDS, CRD)

    def served() -> bool:
        conditions = (api.request("GET", f"{CRDS}/{name}").get("status") or {}).get("conditions") or []
        return any(c["type"] == "Established" and c["status"] == "True" for c in conditions)

    until("the CRD", served)
    yield
    api.request("DELETE", f"{CRDS}/{name}")


def find(world: World) -> Json | None:
    return world.api.find(KIND, world.namespace, "qwen")


def test_it_is_made_repaired_and_taken_away(world: World, installed: None) -> None:
    world.create(service=ASKED)
    made = until("the ServiceMonitor", lambda: find(world))
    assert made["metadata"]["labels"]["release"] == "prometheus"
    assert [(e["port"], e["interval"]) for e in made["spec"]["endpoints"]] == [("http", "30s"), ("hipbmm", "30s")]
    service = world.api.get(kinds.SERVICE, world.namespace, "qwen")
    assert {port["name"]: port["port"] for port in service["spec"]["ports"]} == {"http": 80, "hipbmm": 9410}
    assert made["spec"]["selector"]["matchLabels"].items() <= service["metadata"]["labels"].items()
    world.serve(1)
    world.becomes("Ready", "True")
    world.api.delete(KIND, world.namespace, "qwen")
    # It is not watched: the next look at the resource repairs it.
    world.change({"service": {"annotations": {"example.com/touched": "1"}}})
    until("the ServiceMonitor again", lambda: find(world))
    world.change({"service": {"monitor": {"enabled": False}}})
    until("no ServiceMonitor", lambda: find(world) is None)
    until("one port", lambda: len(world.api.get(kinds.SERVICE, world.namespace, "qwen")["spec"]["ports"]) == 1)


def test_without_its_kind_it_is_told_and_everything_else_works(world: World) -> None:
    world.create(service=ASKED)
    world.becomes("ConfigValid", "False", "MonitorNotInstalled")
    world.serve(1)
    world.becomes("Ready", "True")
    world.change({"service": {"monitor": {"enabled": False}}})
    world.becomes("ConfigValid", "True", "Valid")
