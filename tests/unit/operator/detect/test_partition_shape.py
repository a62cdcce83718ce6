"""Partition mode, compute units, and the choice of the resource."""

# ruff: noqa: E501 - one row of a table is one line

from typing import Any

import pytest
from tests.unit.operator.detect.nodes import codes, detect, node, node_feature

Json = dict[str, Any]

GEOMETRY = [
    ("74a1", 304, 192, {"SPX": 1, "DPX": 2, "QPX": 4, "CPX": 8}),
    ("74a5", 304, 256, {"SPX": 1, "DPX": 2, "QPX": 4, "CPX": 8}),
    ("74a2", 80, 192, {"SPX": 1, "DPX": 2, "CPX": 4}),
    ("74a0", 228, 0, {"SPX": 1, "TPX": 3, "CPX": 6}),
    ("75a0", 256, 288, {"SPX": 1, "DPX": 2, "QPX": 4, "CPX": 8}),
    ("75a3", 256, 288, {"SPX": 1, "DPX": 2, "QPX": 4, "CPX": 8}),
    ("75a8", 128, 144, {"SPX": 1, "DPX": 2, "CPX": 4}),
]
MODES = [(*row[:3], mode, ways) for row in GEOMETRY for mode, ways in row[3].items()]


@pytest.mark.parametrize(("device_id", "whole", "gib", "mode", "ways"), MODES)
@pytest.mark.parametrize(
    "sign", ["resource", "label", "label without gpu.", "cu-count", "beta cu-count", "count", "feature"]
)
def test_every_mode_of_every_product_by_every_sign(
    device_id: str, whole: int, gib: int, mode: str, ways: int, sign: str
) -> None:
    labels: Json = {"A:device-id": device_id}
    profile = f"{mode.lower()}_nps1"
    alloc = {f"amd.com/{profile}" if sign == "resource" else "amd.com/gpu": str(8 * ways)}
    labels |= {
        "label": {"A:compute-memory-partition": profile},
        "label without gpu.": {"amd.com/compute-memory-partition": profile},
        "cu-count": {"A:cu-count": str(whole // ways)} | ({"A:vram": f"{gib // ways}G"} if gib else {}),
        "beta cu-count": {f"B:cu-count.{whole // ways}": str(8 * ways)},
        "count": {f"B:device-id.{device_id}": "8"},
    }.get(sign, {})
    features = [node_feature([("1200", "1002", device_id)] * 8)] if sign == "feature" else []
    found = detect(node(labels, alloc), features=features)
    assert (found.state, found.partition, found.compute_units, found.gpus) == (
        "Available",
        mode,
        whole // ways,
        8 * ways,
    )
    assert found.whole == (mode == "SPX")
    assert not found.reasons


SHAPES: list[tuple[str, Json, Json, tuple[str | None, int | None], set[str]]] = [
    ("nothing says", {}, {"amd.com/gpu": "8"}, ("SPX", 304), {"PartitionAssumed"}),
    ("simd-count does not count", {"A:simd-count": "304"}, {"amd.com/gpu": "8"}, ("SPX", 304), {"PartitionAssumed"}),
    ("memory of a partition", {"A:vram": "24G"}, {"amd.com/gpu": "64"}, ("CPX", 38), {"PartitionFromMemory"}),
    ("memory of a whole GPU", {"A:vram": "192G"}, {"amd.com/gpu": "8"}, ("SPX", 304), {"PartitionAssumed"}),
    ("units of no mode", {"A:cu-count": "300"}, {"amd.com/gpu": "8"}, ("SPX", 300), {"LabelsStale", "PartitionAssumed"}),
    ("units beyond the GPU", {"A:cu-count": "999"}, {"amd.com/gpu": "8"}, ("SPX", 304), {"LabelsStale", "PartitionAssumed"}),
    ("units of an MI308X", {"A:cu-count": "80"}, {"amd.com/gpu": "8"}, ("SPX", 80), {"LabelsStale", "PartitionAssumed"}),
    ("zero units", {"A:cu-count": "0"}, {"amd.com/gpu": "8"}, ("SPX", 304), {"PartitionAssumed"}),
    ("memory of another product", {"A:cu-count": "304", "A:vram": "256G"}, {"amd.com/gpu": "8"}, ("SPX", 304), {"LabelsStale"}),
    ("memory of a smaller device", {"A:cu-count": "304", "A:vram": "24G"}, {"amd.com/gpu": "8"}, ("CPX", 38), {"LabelsStale"}),
    ("label says SPX, units say CPX", {"A:compute-memory-partition": "spx_nps1", "A:cu-count": "38"}, {"amd.com/gpu": "64"}, ("CPX", 38), {"LabelsStale"}),
    ("label says CPX, units say SPX", {"A:compute-memory-partition": "cpx_nps4", "A:cu-count": "304"}, {"amd.com/gpu": "64"}, ("CPX", 38), {"LabelsStale"}),
    ("resource says CPX, units are stale", {"A:cu-count": "304"}, {"amd.com/cpx_nps4": "64"}, ("CPX", 38), {"LabelsStale"}),
    ("resource says SPX, units are stale", {"A:cu-count": "38"}, {"amd.com/spx_nps1": "8"}, ("SPX", 38), {"LabelsStale"}),
    ("repartitioned after the labeller started", {"A:cu-count": "304", "B:device-id.74a1": "8"}, {"amd.com/gpu": "64"}, ("CPX", 38), {"LabelsStale"}),
    ("a plugin that counts too few", {"A:cu-count": "38", "B:device-id.74a1": "8"}, {"amd.com/gpu": "8"}, ("CPX", 38), set()),
    ("63 of 64", {"A:cu-count": "38", "B:device-id.74a1": "8"}, {"amd.com/gpu": "63"}, ("CPX", 38), set()),
    ("one GPU broken", {"B:device-id.74a1": "8"}, {"amd.com/gpu": "7"}, ("SPX", 304), {"PartitionAssumed"}),
    ("a mode that the product lacks", {"A:compute-memory-partition": "tpx_nps1"}, {"amd.com/gpu": "8"}, ("TPX", None), {"LabelsStale"}),
    ("different units, one resource", {"A:cu-count.304": "4", "A:cu-count.38": "32"}, {"amd.com/gpu": "36"}, (None, 38), {"PartitionsDiffer"}),
    ("a label that is no profile", {"A:compute-memory-partition": "???"}, {"amd.com/gpu": "8"}, ("SPX", 304), {"PartitionAssumed"}),
    ("upper case profile", {"A:compute-memory-partition": "CPX_NPS4"}, {"amd.com/gpu": "64"}, ("CPX", 38), set()),
    ("a sharing scheduler does not count devices", {"B:device-id.74a1": "8"}, {"amd.com/gpu": "64", "amd.com/gpumem": "1", "amd.com/gpucores": "1"}, ("SPX", 304), {"GPUsShared", "PartitionAssumed"}),
]  # fmt: skip


@pytest.mark.parametrize(
    ("labels", "alloc", "shape", "reasons"), [row[1:] for row in SHAPES], ids=[row[0] for row in SHAPES]
)
def test_shapes_of_an_mi300x(
    labels: Json, alloc: Json, shape: tuple[str | None, int | None], reasons: set[str]
) -> None:
    found = detect(node({"A:device-id": "74a1", **labels}, alloc))
    assert (found.state, found.product) == ("Available", "MI300X")
    assert ((found.partition, found.compute_units), codes(found)) == (shape, reasons)


FRACTIONS: list[tuple[str, Json, str, tuple[str | None, int]]] = [
    ("one of eight", {"A:cu-count": "38"}, "1", (None, 38)),
    ("one of eight, counted", {"A:cu-count": "38", "B:device-id.74b5": "1"}, "1", (None, 38)),
    ("eight of them", {"A:cu-count": "38", "B:device-id.74b5": "8"}, "8", (None, 38)),
    ("a partitioned function", {"A:cu-count": "38", "B:device-id.74b5": "8"}, "64", ("CPX", 38)),
    ("a whole function", {"A:cu-count": "304", "B:device-id.74b5": "8"}, "8", ("SPX", 304)),
    ("the label knows", {"A:cu-count": "38", "A:compute-memory-partition": "cpx_nps1"}, "1", ("CPX", 38)),
]


@pytest.mark.parametrize(("labels", "gpus", "shape"), [row[1:] for row in FRACTIONS], ids=[row[0] for row in FRACTIONS])
def test_a_part_of_a_gpu_under_a_virtual_id(labels: Json, gpus: str, shape: tuple[str | None, int]) -> None:
    found = detect(node({"A:device-id": "74b5", **labels}, {"amd.com/gpu": gpus}))
    assert (found.partition, found.compute_units) == shape
    assert ("VirtualFraction" in codes(found)) == (shape[0] is None)


def test_one_partition_of_a_physical_gpu_is_a_partition() -> None:
    found = detect(node({"A:device-id": "74a1", "A:cu-count": "38"}, {"amd.com/gpu": "1"}))
    assert (found.partition, found.compute_units) == ("CPX", 38)


@pytest.mark.parametrize("vram", ["192G", "128G"])
def test_both_memory_sizes_of_an_mi308x_are_believed(vram: str) -> None:
    found = detect(node({"A:device-id": "74a2", "A:cu-count": "80", "A:vram": vram}, {"amd.com/gpu": "8"}))
    assert (found.compute_units, found.reasons) == (80, ())


def test_the_memory_of_an_mi300a_is_never_compared() -> None:
    found = detect(node({"A:device-id": "74a0", "A:cu-count": "228", "A:vram": "501G"}, {"amd.com/gpu": "4"}))
    assert (found.compute_units, found.reasons) == (228, ())


def test_units_never_change_an_identity() -> None:
    for device_id, units in (("75a8", "128"), ("75a3", "128"), ("74a2", "304"), ("74a1", "256")):
        by_id = detect(node({"A:device-id": device_id}, {"amd.com/gpu": "8"}))
        assert (
            detect(node({"A:device-id": device_id, "A:cu-count": units}, {"amd.com/gpu": "8"})).product == by_id.product
        )


def test_units_of_an_unknown_product_are_as_reported() -> None:
    found = detect(node({"A:device-id": "75a2", "A:cu-count": "200"}, {"amd.com/gpu": "8"}))
    assert (found.product, found.compute_units, found.whole) == (None, 200, False)


RESOURCES: list[tuple[str, Json, Json, tuple[str | None, int], str]] = [
    ("partition before gpu", {"amd.com/gpu": "8", "amd.com/cpx_nps1": "8"}, {}, ("amd.com/cpx_nps1", 8), "Available"),
    ("gpu when the partition is used up", {"amd.com/gpu": "8", "amd.com/cpx_nps1": "0"}, {}, ("amd.com/gpu", 8), "Available"),
    ("partition when gpu is gone", {"amd.com/gpu": "0", "amd.com/spx_nps1": "8"}, {}, ("amd.com/spx_nps1", 8), "Available"),
    ("largest devices first", {"amd.com/cpx_nps4": "64", "amd.com/qpx_nps4": "1", "amd.com/dpx_nps1": "0"}, {}, ("amd.com/qpx_nps4", 1), "Available"),
    ("largest devices when none is allocatable", {"amd.com/cpx_nps4": "0", "amd.com/qpx_nps4": "0"}, {}, ("amd.com/qpx_nps4", 0), "NotAvailable"),
    ("more devices of equal size", {"amd.com/cpx_nps4": "8", "amd.com/cpx_nps1": "16"}, {}, ("amd.com/cpx_nps1", 16), "Available"),
    ("nps2", {"amd.com/dpx_nps2": "16"}, {}, ("amd.com/dpx_nps2", 16), "Available"),
    ("no such partition", {"amd.com/spx_nps3": "8"}, {}, (None, 0), "NoDriver"),
    ("upper case is another resource", {"amd.com/SPX_NPS1": "8"}, {}, (None, 0), "NoDriver"),
    ("another vendor's", {"nvidia.com/gpu": "8"}, {}, (None, 0), "NoDriver"),
    ("capacity alone", {}, {"amd.com/gpu": "8"}, ("amd.com/gpu", 0), "NotAvailable"),
    ("both zero", {"amd.com/gpu": "0"}, {"amd.com/gpu": "0"}, ("amd.com/gpu", 0), "NotAvailable"),
]  # fmt: skip


@pytest.mark.parametrize(
    ("alloc", "cap", "expected", "state"), [row[1:] for row in RESOURCES], ids=[row[0] for row in RESOURCES]
)
def test_the_resource(alloc: Json, cap: Json, expected: tuple[str | None, int], state: str) -> None:
    found = detect(node({"A:device-id": "74a1"}, alloc, cap=cap or None))
    assert ((found.resource, found.gpus), found.state) == (expected, state)


def test_two_live_resources_are_said() -> None:
    migrating = detect(node({"A:device-id": "74a1"}, {"amd.com/gpu": "8", "amd.com/spx_nps1": "8"}))
    assert "ResourcesInTransition" in codes(migrating)
    hetero = detect(node({"A:device-id": "74a1"}, {"amd.com/spx_nps1": "4", "amd.com/cpx_nps1": "32"}))
    assert "SeveralPartitions" in codes(hetero)
