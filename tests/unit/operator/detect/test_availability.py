"""Whether pods can start now; what the node is must not depend on it."""

# ruff: noqa: E501 - one row of a table is one line

import json
from collections import Counter
from typing import Any

import pytest
from tests.unit.operator.detect.nodes import codes, detect, node, taint

from hipbmm_operator.cli.inventory import gpu_requests

Json = dict[str, Any]
LABELS = {"A:device-id": "74a1", "A:cu-count": "304"}
EIGHT = {"amd.com/gpu": "8"}


def identity(found: Any) -> tuple[Any, ...]:  # noqa: ANN401 - a Detection, by its fields
    return found.product, found.arch, found.compute_units, found.partition, found.confidence, found.gpus


@pytest.mark.parametrize(
    ("change", "code"),
    [
        ({"unschedulable": True}, "NodeCordoned"),
        ({"ready": "False"}, "NodeNotReady"),
        ({"ready": "Unknown"}, "NodeNotReady"),
        ({"taints": ["node.kubernetes.io/unreachable:NoExecute"]}, "NodeTainted"),
        ({"taints": ["sku=gpu:NoSchedule"]}, "NodeTainted"),
        ({"taints": ["nvidia.com/gpu=present:NoSchedule"]}, "NodeTainted"),
        ({"taints": ["amd.com/gpu:NoExecute"]}, "NodeTainted"),
    ],
)
def test_blocked_nodes_keep_their_identity(change: Json, code: str) -> None:
    found = detect(node(LABELS, EIGHT, **change))
    assert found.state == "NotAvailable"
    assert codes(found) == {code}
    assert identity(found) == identity(detect(node(LABELS, EIGHT)))


@pytest.mark.parametrize(
    "text", ["amd.com/gpu=present:NoSchedule", "amd.com/gpu:NoSchedule", "sku=gpu:PreferNoSchedule", "k=v:"]
)
def test_taints_that_do_not_block(text: str) -> None:
    assert detect(node(LABELS, EIGHT, taints=[text])).state == "Available"


TOLERATIONS: list[tuple[Json, str, bool]] = [
    ({"operator": "Exists"}, "sku=gpu:NoSchedule", True),
    ({"operator": "Exists"}, "sku=gpu:NoExecute", True),
    ({"operator": "Exists", "effect": "NoSchedule"}, "sku=gpu:NoExecute", False),
    ({"key": "sku", "operator": "Exists"}, "sku=gpu:NoSchedule", True),
    ({"key": "sku", "operator": "Equal", "value": "gpu"}, "sku=gpu:NoSchedule", True),
    ({"key": "sku", "value": "gpu"}, "sku=gpu:NoSchedule", True),
    ({"key": "sku", "value": "cpu"}, "sku=gpu:NoSchedule", False),
    ({"key": "sku"}, "sku:NoSchedule", True),
    ({"key": "sku"}, "sku=gpu:NoSchedule", False),
    ({"key": "sku", "value": "gpu", "effect": "NoSchedule"}, "sku=gpu:NoSchedule", True),
    ({"key": "sku", "value": "gpu", "effect": "NoExecute"}, "sku=gpu:NoSchedule", False),
    ({"key": "sk", "operator": "Exists"}, "sku=gpu:NoSchedule", False),
    ({"value": "gpu"}, "sku=gpu:NoSchedule", False),
    ({"key": "sku", "operator": "Like", "value": "gpu"}, "sku=gpu:NoSchedule", False),
    ({}, "sku=gpu:NoSchedule", False),
    ({"operator": "Exists"}, "amd-dcm=up:NoExecute", False),
    ({"key": "amd-gpu-unhealthy", "operator": "Exists"}, "amd-gpu-unhealthy=hang:NoSchedule", False),
    ({"key": "amd-gpu-driver-upgrade", "operator": "Exists"}, "amd-gpu-driver-upgrade=true:NoSchedule", False),
]


@pytest.mark.parametrize(("toleration", "text", "tolerated"), TOLERATIONS)
def test_tolerations(toleration: Json, text: str, tolerated: bool) -> None:
    found = detect(node(LABELS, EIGHT, taints=[text]), tolerations=[toleration])
    assert found.state == ("Available" if tolerated else "NotAvailable")


def test_every_taint_must_be_tolerated() -> None:
    taints = ["amd.com/gpu=present:NoSchedule", "sku=gpu:NoSchedule"]
    assert detect(node(LABELS, EIGHT, taints=taints)).state == "NotAvailable"
    both = [{"key": "amd.com/gpu", "operator": "Exists"}, {"key": "sku", "operator": "Exists"}]
    assert detect(node(LABELS, EIGHT, taints=taints), tolerations=both).state == "Available"


@pytest.mark.parametrize(
    ("conditions", "state"),
    [
        ([{"type": "Ready", "status": "True"}], "Available"),
        ([{"type": "Ready", "status": True}], "Available"),
        ([{"type": "MemoryPressure", "status": "False"}], "NotAvailable"),
        ([], "Available"),
        (None, "Available"),
        ("Ready", "Available"),
    ],
)
def test_readiness(conditions: object, state: str) -> None:
    subject = node(LABELS, EIGHT)
    subject["status"]["conditions"] = conditions
    found = detect(subject)
    assert found.state == state
    assert ("ReadyNotReported" in codes(found)) == (not isinstance(conditions, list) or not conditions)


def test_a_node_without_status_offers_nothing() -> None:
    subject = node(LABELS)
    del subject["status"]
    found = detect(subject)
    assert (found.state, found.product, found.gpus) == ("NoDriver", "MI300X", 0)


def test_a_node_that_is_being_deleted() -> None:
    subject = node(LABELS, EIGHT)
    subject["metadata"]["deletionTimestamp"] = "2026-01-01T00:00:00Z"
    assert codes(detect(subject)) == {"NodeTerminating"}


@pytest.mark.parametrize(
    ("written", "gpus"),
    [
        ("8", 8), (8, 8), ("8k", 8000), ("1e1", 10), ("8000m", 8), ("8.5", 8), ("1Ki", 1024), (" 8 ", 8), ("+8", 8), ("08", 8),
        ("-8", 0), ("0", 0), ("", 0), ("many", 0), (None, 0), ([], 0), (8.0, 8), ("1e99", 2**63 - 1), ("1e999999999", 0), ("\u0668", 0),
        (float("nan"), 0), (float("inf"), 0), (True, 0),
    ],
)  # fmt: skip
def test_quantities(written: object, gpus: int) -> None:
    found = detect(node(LABELS, {"amd.com/gpu": written}))
    assert (found.gpus, found.state) == (gpus, "Available" if gpus else "NotAvailable")


@pytest.mark.parametrize(
    ("request_", "used", "state", "code"),
    [
        (8, 0, "Available", None),
        (9, 0, "NotAvailable", "NotEnoughGPUs"),
        (4, 4, "Available", None),
        (4, 5, "NotAvailable", "GPUsTaken"),
    ],
)
def test_enough_devices(request_: int, used: int, state: str, code: str | None) -> None:
    found = detect(node(LABELS, EIGHT), request=request_, used={"amd.com/gpu": used})
    assert (found.state, found.gpus) == (state, 8)
    assert codes(found) == ({code} if code else set())


def pod(*limits: str, node_name: str = "n", phase: str = "Running", init: list[Json] | None = None) -> Json:
    return {
        "spec": {
            "nodeName": node_name,
            "containers": [{"resources": {"limits": {"amd.com/gpu": number, "cpu": "1"}}} for number in limits],
            "initContainers": init or [],
        },
        "status": {"phase": phase},
    }


def init_container(number: str, *, sidecar: bool = False) -> Json:
    return {"resources": {"limits": {"amd.com/gpu": number}}} | ({"restartPolicy": "Always"} if sidecar else {})


@pytest.mark.parametrize(
    ("pods", "used"),
    [
        ([pod("4")], 4),
        ([pod("2", "1")], 3),
        ([pod("4"), pod("2", phase="Pending")], 6),
        ([pod("4", phase="Succeeded"), pod("4", phase="Failed")], 0),
        ([pod("4", node_name="")], 0),
        ([pod("4", init=[init_container("4")])], 4),
        ([pod("1", init=[init_container("4")])], 4),
        ([pod("1", init=[init_container("1", sidecar=True), init_container("4")])], 5),
        ([pod("4", init=[init_container("1", sidecar=True), init_container("1")])], 5),
        ([{}], 0),
        ([{"spec": {"nodeName": "n", "containers": "none"}}], 0),
        ([pod("lots")], 0),
    ],
)
def test_what_pods_hold(pods: list[Json], used: int) -> None:
    assert gpu_requests(pods).get("n", Counter())["amd.com/gpu"] == used


def test_requests_without_limits_count() -> None:
    subject = {"spec": {"nodeName": "n", "containers": [{"resources": {"requests": {"amd.com/cpx_nps4": "3"}}}]}}
    assert gpu_requests([subject]) == {"n": {"amd.com/cpx_nps4": 3}}


def test_unhealthy_gpus_are_mentioned() -> None:
    labels = {
        **LABELS,
        "metricsexporter.amd.com.gpu.3.state": "unhealthy",
        "metricsexporter.amd.com.gpu.4.state": "healthy",
    }
    found = detect(node(labels, {"amd.com/gpu": "7"}, cap=EIGHT))
    assert (found.state, found.gpus) == ("Available", 7)
    assert [str(reason) for reason in found.reasons] == ["GPUsUnhealthy: 1 marked unhealthy by the metrics exporter"]


def test_the_json_is_plain() -> None:
    found = detect(node(LABELS, EIGHT, taints=["sku=gpu:NoSchedule"]))
    assert json.loads(json.dumps(found.as_dict()))["state"] == "NotAvailable"
    assert taint("sku=gpu:NoSchedule") == {"key": "sku", "value": "gpu", "effect": "NoSchedule"}
