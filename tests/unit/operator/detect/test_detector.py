"""The nodes of the fact sheet, expanded; each says all that is known about it."""

from typing import Any

import pytest
from tests.unit.operator.detect.nodes import codes, detect, device, node, resource_slice

Json = dict[str, Any]
EIGHT = {"amd.com/gpu": "8"}
ROWS: dict[str, tuple[Json, Json, set[str]]] = {
    "aks-mi300x-vf-no-name": (
        node(
            {
                "A:device-id": "74b5",
                "A:family": "AI",
                "A:cu-count": "304",
                "A:vram": "192G",
                "B:device-id.74b5": "8",
                "F:amd-vgpu": "true",
                "node.kubernetes.io/instance-type": "Standard_ND96isr_MI300X_v5",
            },
            EIGHT,
        ),
        {
            "state": "Available",
            "product": "MI300X",
            "arch": "gfx942",
            "virtual": True,
            "computeUnits": 304,
            "partition": "SPX",
            "fp8": "e4m3fnuz",
            "confidence": "High",
            "resource": "amd.com/gpu",
            "gpus": 8,
        },
        set(),
    ),
    "oke-mi300x-hint-only": (
        node(
            {"node.kubernetes.io/instance-type": "BM.GPU.MI300X.8", "amd.com/gpu": "true"},
            EIGHT,
            taints=["amd.com/gpu=present:NoSchedule"],
        ),
        {
            "state": "Available",
            "product": "MI300X",
            "arch": "gfx942",
            "virtual": None,
            "computeUnits": 304,
            "partition": "SPX",
            "confidence": "Low",
            "gpus": 8,
        },
        {"HintOnly", "PartitionAssumed"},
    ),
    "mi325-name-only": (
        node({"A:product-name": "AMD_Instinct_MI325_OAM"}, EIGHT),
        {"state": "Available", "product": "MI325X", "confidence": "Medium", "computeUnits": 304, "partition": "SPX"},
        {"PartitionAssumed"},
    ),
    "mi300x-cpx-single": (
        node(
            {
                "A:device-id": "74a1",
                "A:cu-count": "38",
                "A:simd-count": "152",
                "A:vram": "24G",
                "B:device-id.74a1": "8",
                "B:cu-count.38": "64",
            },
            {"amd.com/gpu": "64"},
        ),
        {
            "state": "Available",
            "product": "MI300X",
            "virtual": False,
            "computeUnits": 38,
            "partition": "CPX",
            "resource": "amd.com/gpu",
            "gpus": 64,
        },
        set(),
    ),
    "mi300x-mixed-hetero": (
        node(
            {
                "A:device-id": "74a1",
                "A:cu-count.304": "5",
                "A:cu-count.38": "24",
                "A:vram.192G": "5",
                "A:vram.24G": "24",
            },
            {"amd.com/spx_nps1": "5", "amd.com/cpx_nps1": "24"},
        ),
        {
            "state": "Available",
            "product": "MI300X",
            "resource": "amd.com/spx_nps1",
            "gpus": 5,
            "partition": "SPX",
            "computeUnits": 304,
        },
        {"SeveralPartitions"},
    ),
    "mi300x-stale-suffix": (
        node({"A:device-id": "74a1", "A:cu-count": "304", "A:cu-count.38": "24", "A:cu-count.304": "5"}, EIGHT),
        {"state": "Available", "product": "MI300X", "partition": "SPX", "computeUnits": 304},
        set(),
    ),
    "mi308x-trap": (
        node({"A:device-id": "74a2", "A:cu-count": "80", "A:vram": "192G"}, EIGHT),
        {"state": "Available", "product": "MI308X", "arch": "gfx942", "computeUnits": 80, "partition": "SPX"},
        set(),
    ),
    "nfd-only-new-node": (
        node({"F:amd-gpu": "true", "F:amd-gpu-mi300x": "true", "F:pci-1200_1002.present": "true"}),
        {"state": "NoDriver", "product": "MI300X", "confidence": "Medium", "resource": None, "gpus": 0},
        {"GPUResourceMissing"},
    ),
    "kubevirt-host": (
        node({"A:mode": "vf-passthrough", "A:device-id": "74b5", "F:amd-gpu": "true", "F:amd-vgpu": "true"}, EIGHT),
        {"state": "Excluded", "product": "MI300X", "virtual": True},
        {"Passthrough"},
    ),
    "driver-upgrade": (
        node(
            {"A:device-id": "74a5", "A:cu-count": "304"},
            {"amd.com/gpu": "0"},
            cap=EIGHT,
            taints=["amd-gpu-driver-upgrade=true:NoSchedule"],
        ),
        {"state": "NotAvailable", "product": "MI325X", "confidence": "High", "gpus": 0, "resource": "amd.com/gpu"},
        {"NodeTainted", "NoAllocatable"},
    ),
    "conflict": (
        node({"A:device-id": "74a1", "F:pci-1002_75a3.present": "true"}, EIGHT),
        {"state": "Conflict", "product": None, "arch": None, "fp8": None, "computeUnits": None, "confidence": None},
        {"ConflictingIds"},
    ),
    "unknown-gfx950": (
        node({"A:device-id": "75a2"}, EIGHT),
        {
            "state": "Available",
            "product": None,
            "arch": "gfx950",
            "fp8": "e4m3fn",
            "computeUnits": None,
            "confidence": "High",
        },
        {"UnknownProduct"},
    ),
    "mi210-trap": (
        node(
            {"A:device-id": "740f", "A:family": "AI", "A:cu-count": "104", "A:vram": "64G", "F:amd-gpu": "true"},
            {"amd.com/gpu": "4"},
        ),
        {"state": "NotMI3xx", "product": None, "arch": None, "fp8": None, "computeUnits": None},
        {"NotMI3xx"},
    ),
    "mixed-models": (
        node({"A:device-id.74a1": "4", "A:device-id.740f": "2"}, {"amd.com/gpu": "6"}),
        {"state": "Mixed", "product": None},
        {"MixedProducts"},
    ),
    "amd-unknown": (
        node({"F:pci-1200_1002.present": "true", "A:family": "AI"}, EIGHT),
        {"state": "UnknownAMD", "product": None, "arch": None, "resource": "amd.com/gpu", "gpus": 8},
        {"Unidentified"},
    ),
}


@pytest.mark.parametrize("name", ROWS)
def test_node_of_the_fact_sheet(name: str) -> None:
    subject, expected, reasons = ROWS[name]
    found = detect(subject)
    result = found.as_dict()
    assert {key: result[key] for key in expected} == expected
    assert reasons <= codes(found)
    if not reasons:
        assert not found.reasons


@pytest.mark.parametrize("version", ["v1", "v1beta2", "v1beta1"])
def test_dra_node_of_the_fact_sheet(version: str) -> None:
    published = [
        device(
            i,
            productName="",
            partitionProfile="spx_nps1",
            computeUnits="304",
            memory="196592Mi",
            __pciBusID=f"000{i}:00:02.0",
        )
        for i in range(8)
    ]
    found = detect(node({"F:amd-gpu": "true"}), slices=[resource_slice(published, version=version)])
    assert found.as_dict() == {
        "node": "n",
        "state": "Available",
        "product": "MI300X",
        "arch": "gfx942",
        "virtual": False,
        "computeUnits": 304,
        "partition": "SPX",
        "fp8": "e4m3fnuz",
        "confidence": "High",
        "resource": "dra",
        "gpus": 8,
        "reasons": [],
    }
