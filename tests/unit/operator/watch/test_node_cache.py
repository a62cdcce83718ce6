"""Nodes in memory: heartbeats are no change, whatever detection reads is one, and what follows from it."""

import copy
from typing import Any

import pytest
from tests.unit.operator.detect.nodes import device, node, resource_slice

from hipbmm_operator.detect.identity import HOLD_SECONDS
from hipbmm_operator.kube import kinds
from hipbmm_operator.watch.node_cache import NodeCache
from hipbmm_operator.watch.pruning import CachedObject, prune

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


def cached(body: Json) -> CachedObject:
    return prune(kinds.NODE, body)


@pytest.mark.parametrize(
    ("path", "value"),
    [
        (["metadata", "resourceVersion"], "2"),
        (["metadata", "annotations"], {"a": "c"}),
        (["metadata", "managedFields"], []),
        (["status", "images"], []),
        (["status", "conditions", 1, "lastHeartbeatTime"], "2026-01-01T00:00:10Z"),
        (["spec", "podCIDR"], "10.0.0.0/24"),
    ],
)
def test_heartbeats_are_no_change(path: list[Any], value: object) -> None:
    assert cached(changed(path, value)).same(cached(subject()))


@pytest.mark.parametrize(
    ("path", "value"),
    [
        (["metadata", "labels", "topology.kubernetes.io/zone"], "z"),
        (["metadata", "labels", "feature.node.kubernetes.io/cpu-cpuid.AVX"], "true"),
        (["status", "allocatable", "cpu"], "191"),
        (["status", "conditions", 0, "status"], "True"),
    ],
)
def test_what_detection_does_not_read_changes_no_detection(path: list[Any], value: object) -> None:
    book = NodeCache()
    assert book.put(cached(subject()).body(), 0.0)
    assert not book.put(cached(changed(path, value)).body(), 1.0)


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
    assert not cached(changed(path, value)).same(cached(subject()))


def test_an_identity_that_outlives_its_labels_is_judged_again_until_it_is_given_up() -> None:
    book = NodeCache()
    book.put(subject(), 0.0)
    bare = node({}, {"amd.com/gpu": "8"})
    assert book.put(bare, 1.0)
    assert book.stale == {"n"}
    assert not book.put(bare, 2.0)
    assert book.put(bare, 1.0 + HOLD_SECONDS + 1.0)
    assert not book.stale


def test_what_dra_publishes_about_a_node_has_it_judged_anew() -> None:
    book = NodeCache()
    slices = {"n": [prune(kinds.RESOURCE_SLICES[0], resource_slice([device()]))]}
    assert book.attach("slices", slices) == {"n"}
    assert not book.attach("slices", slices)
    assert book.extend({"amd.com/gpu": False}) == {"n"}
    assert not book.extend({"amd.com/gpu": False})
    assert book.extend({"amd.com/gpu": True}) == {"n"}
    assert book.attach("features", slices) == {"n"}
    assert book.attach("slices", {}) == {"n"}
    assert not book.extend({})
    assert book.attach("features", {}) == {"n"}
    assert not book.attach("features", {})


def test_a_node_that_was_not_known_is_removed_without_a_change() -> None:
    book = NodeCache()
    assert not book.remove("n")
    book.put(subject(), 0.0)
    assert book.remove("n")
    assert book.shown() == frozenset()
