"""The fingerprint: equal for heartbeats, different for whatever detection reads."""

import copy
from typing import Any

import pytest
from tests.unit.operator.detect.nodes import node

from hipbmm_operator.detect import fingerprint

Json = dict[str, Any]


def subject() -> Json:
    made = node(
        {"A:device-id": "74a1", "F:amd-gpu": "true"},
        {"amd.com/gpu": "8"},
        taints=["amd.com/gpu:NoSchedule", "a=b:NoExecute"],
    )
    made["metadata"] |= {"resourceVersion": "1", "annotations": {"a": "b"}, "managedFields": [{}]}
    made["status"]["images"] = [{"names": ["x"], "sizeBytes": 1}]
    made["status"]["conditions"][1]["lastHeartbeatTime"] = "2026-01-01T00:00:00Z"
    return made


def changed(path: list[Any], value: object) -> Json:
    made = copy.deepcopy(subject())
    inner: Any = made
    for key in path[:-1]:
        inner = inner[key]
    inner[path[-1]] = value
    return made


@pytest.mark.parametrize(
    ("path", "value"),
    [
        (["metadata", "resourceVersion"], "2"),
        (["metadata", "annotations"], {"a": "c"}),
        (["metadata", "managedFields"], []),
        (["metadata", "labels", "topology.kubernetes.io/zone"], "z"),
        (["metadata", "labels", "feature.node.kubernetes.io/cpu-cpuid.AVX"], "true"),
        (["status", "images"], []),
        (["status", "allocatable", "cpu"], "191"),
        (["status", "conditions", 1, "lastHeartbeatTime"], "2026-01-01T00:00:10Z"),
        (["status", "conditions", 0, "status"], "True"),
        (["spec", "podCIDR"], "10.0.0.0/24"),
    ],
)
def test_heartbeats_and_other_noise(path: list[Any], value: object) -> None:
    assert fingerprint(changed(path, value)) == fingerprint(subject())


@pytest.mark.parametrize(
    ("path", "value"),
    [
        (["metadata", "labels", "amd.com/gpu.device-id"], "74a5"),
        (["metadata", "labels", "beta.amd.com/gpu.device-id.74a1"], "8"),
        (["metadata", "labels", "amd.com/compute-memory-partition"], "cpx_nps4"),
        (["metadata", "labels", "feature.node.kubernetes.io/pci-1002_74a1.present"], "true"),
        (["metadata", "labels", "feature.node.kubernetes.io/aim-accelerator.MI300X"], "8"),
        (["metadata", "labels", "gpu.operator.amd.com/ns.dc.driver"], "vf-passthrough"),
        (["metadata", "labels", "node.kubernetes.io/instance-type"], "BM.GPU.MI300X.8"),
        (["metadata", "labels", "doks.digitalocean.com/gpu-model"], "mi300x"),
        (["metadata", "labels", "metricsexporter.amd.com.gpu.0.state"], "unhealthy"),
        (["metadata", "labels", "hipbmm.io/gpu-product"], "MI300X"),
        (["metadata", "deletionTimestamp"], "2026-01-01T00:00:00Z"),
        (["spec", "unschedulable"], True),
        (["spec", "taints"], []),
        (["spec", "taints", 0, "effect"], "NoExecute"),
        (["spec", "taints", 1, "value"], "c"),
        (["status", "conditions", 1, "status"], "Unknown"),
        (["status", "conditions"], []),
        (["status", "allocatable", "amd.com/gpu"], "7"),
        (["status", "capacity", "amd.com/gpu"], "7"),
        (["status", "allocatable", "amd.com/cpx_nps4"], "8"),
        (["status", "capacity", "amd.com/gpumem"], "8"),
    ],
)
def test_what_matters(path: list[Any], value: object) -> None:
    assert fingerprint(changed(path, value)) != fingerprint(subject())


def test_the_order_of_labels_and_taints_does_not_matter() -> None:
    made = subject()
    made["metadata"]["labels"] = dict(reversed(made["metadata"]["labels"].items()))
    made["spec"]["taints"].reverse()
    assert fingerprint(made) == fingerprint(subject())


def test_values_cannot_be_shifted_between_fields() -> None:
    one = node({"A:x": "1', ('amd.com/gpu.y', '2"})
    two = node({"A:x": "1", "A:y": "2"})
    assert fingerprint(one) != fingerprint(two)


def test_it_is_text_of_fixed_length() -> None:
    assert fingerprint({}) == fingerprint({"metadata": None, "spec": [], "status": "x"})
    assert len(fingerprint(subject())) == 32
    assert fingerprint({"metadata": {"labels": {"amd.com/x": "\ud800"}}})
