"""ResourceSlices of the AMD DRA driver: versions, generations, old drivers, partitions, devices that do not count."""

from dataclasses import replace
from typing import Any

import pytest
from tests.unit.operator.detect.nodes import WHOLE, codes, detect, device, device_class, node, resource_slice

from hipbmm_operator.detect.node_fit import Want, summary
from hipbmm_operator.detect.sources.dra import extended_resources

Json = dict[str, Any]


def eight(**attributes: str | int) -> list[Json]:
    return [device(i, __pciBusID=f"000{i}:00:02.0", **attributes) for i in range(8)]


@pytest.mark.parametrize("version", ["v1", "v1beta2", "v1beta1"])
def test_api_versions_read_the_same(version: str) -> None:
    found = detect(node(), slices=[resource_slice(eight(deviceID="0x75a3"), version=version)])
    assert (found.state, found.product, found.resource, found.gpus) == ("Available", "MI355X", "dra", 8)


def test_one_slice_in_two_api_versions_counts_once() -> None:
    slices = [resource_slice(eight(), version=version) for version in ("v1", "v1beta1")]
    assert detect(node(), slices=slices).gpus == 8


def test_only_the_highest_generation_of_a_pool_counts() -> None:
    old = resource_slice(eight(deviceID="0x740f"), generation=9, name="old")
    new = resource_slice(eight()[:3], generation=10, name="new")
    for slices in ([old, new], [new, old]):
        found = detect(node(), slices=slices)
        assert (found.state, found.product, found.gpus) == ("Available", "MI300X", 3)


def test_the_slices_of_one_generation_add_up() -> None:
    devices = eight()
    slices = [resource_slice(devices[:4], count=2, name="a"), resource_slice(devices[4:], count=2, name="b")]
    assert detect(node(), slices=slices).gpus == 8
    incomplete = detect(node(), slices=slices[:1])
    assert (incomplete.state, incomplete.gpus) == ("Available", 4)
    assert "SlicesIncomplete" in codes(incomplete)


@pytest.mark.parametrize(
    "other",
    [
        resource_slice(eight(), driver="gpu.nvidia.com"),
        resource_slice(eight(), node="m"),
        {"spec": {"driver": "gpu.amd.com", "allNodes": True, "pool": {"name": "n"}, "devices": eight()}},
        {"spec": {"driver": "gpu.amd.com", "nodeName": "n", "devices": []}},
        {"spec": {"driver": "gpu.amd.com", "nodeName": "n", "devices": "none"}},
        {"spec": None},
        {},
    ],
)
def test_slices_that_publish_nothing_for_the_node(other: Json) -> None:
    found = detect(node(), slices=[other])
    assert (found.state, found.resource, found.amd) == ("NotMI3xx", None, False)


def test_a_slice_without_node_name_is_of_the_node_its_pool_is_named_after() -> None:
    made = resource_slice(eight())
    del made["spec"]["nodeName"]
    assert detect(node(), slices=[made]).product == "MI300X"


@pytest.mark.parametrize("written", ["994913940318892495", "74a1", "0x74a", "0x74a1f", "0x74g1", "", "0x74a1\n"])
def test_what_is_no_hexadecimal_device_id_is_rejected(written: str) -> None:
    found = detect(node(), slices=[resource_slice(eight(deviceID=written, productName=""))])
    assert (found.state, found.product, found.resource, found.gpus) == ("UnknownAMD", None, "dra", 8)
    assert ("DeviceIdRejected" in codes(found)) == bool(written)


def test_a_v0_driver_is_identified_by_its_product_name() -> None:
    devices = eight(deviceID="994913940318892495", productName="AMD_Instinct_MI300X_OAM", family="AI", cardIndex=40)
    found = detect(node(), slices=[resource_slice(devices)])
    assert (found.state, found.product, found.confidence) == ("Available", "MI300X", "Medium")


def test_a_v0_driver_yields_to_the_labels_ids() -> None:
    devices = eight(deviceID="994913940318892495", productName="AMD_Instinct_MI300X_OAM")
    found = detect(node({"A:device-id": "74a5"}), slices=[resource_slice(devices)])
    assert (found.product, found.confidence, found.resource) == ("MI325X", "High", "dra")


def test_a_partitions_parent_id_counts() -> None:
    devices = [
        {
            "name": f"p{i}",
            "attributes": {"type": {"string": "amdgpu-partition"}, "parentDeviceID": {"string": "0x74A1"}},
        }
        for i in range(8)
    ]
    assert detect(node(), slices=[resource_slice(devices)]).product == "MI300X"


def test_attributes_may_carry_the_drivers_domain() -> None:
    made: Json = {"name": "g", "attributes": {"gpu.amd.com/deviceID": {"string": "0x74a1"}}}
    assert detect(node(), slices=[resource_slice([made])]).product == "MI300X"


def test_vfio_devices_are_not_ours() -> None:
    vfio = [resource_slice(eight(type="vfio"))]
    alone = detect(node(), slices=vfio)
    assert (alone.state, alone.resource, alone.gpus) == ("UnknownAMD", None, 0)
    assert "VfioIgnored" in codes(alone)
    labelled = detect(node({"A:device-id": "74a1"}), slices=vfio)
    assert (labelled.state, labelled.product, labelled.resource) == ("NoDriver", "MI300X", None)
    some = detect(node(), slices=[resource_slice([*eight()[:2], *eight(type="vfio", deviceID="0x740f")[2:]])])
    assert (some.state, some.product, some.gpus) == ("Available", "MI300X", 2)


def test_two_products_are_mixed() -> None:
    devices = [*eight()[:4], *eight(deviceID="0x740f")[4:]]
    assert detect(node(), slices=[resource_slice(devices)]).state == "Mixed"


def test_the_driver_and_the_labels_disagree() -> None:
    conflict = detect(node({"A:device-id": "75a3"}), slices=[resource_slice(eight())])
    assert conflict.state == "Conflict"
    assert "74a1 (gfx942)" in str(conflict.reasons[0])
    assert "75a3 (gfx950)" in str(conflict.reasons[0])
    agreed = detect(node({"A:device-id": "74b5"}), slices=[resource_slice(eight())])
    assert (agreed.state, agreed.product, agreed.virtual) == ("Available", "MI300X", False)
    other = detect(node({"A:device-id": "74a5"}), slices=[resource_slice(eight())])
    assert (other.state, other.product) == ("Available", "MI300X")
    assert "ProductMismatch" in codes(other)


def test_static_partitions_count_as_devices() -> None:
    devices = [
        device(
            g * 8 + p,
            type="amdgpu-partition",
            partitionProfile="cpx_nps4",
            computeUnits="38",
            memory="24Gi",
            __pciBusID=f"000{g}:00:02.0",
        )
        for g in range(2)
        for p in range(8)
    ]
    found = detect(node(), slices=[resource_slice(devices)])
    assert (found.partition, found.compute_units, found.gpus) == ("CPX", 38, 16)
    assert not found.reasons
    for made in devices:
        del made["attributes"]["partitionProfile"], made["capacity"]
    counted = detect(node(), slices=[resource_slice(devices)])
    assert (counted.partition, counted.compute_units) == ("CPX", 38)


def test_the_sample_of_the_drivers_own_tests() -> None:
    devices = [
        device(
            g * 2 + p, type="amdgpu-partition", partitionProfile="dpx_nps1", computeUnits="152", memory="98296Mi",
            __pciBusID=f"000{g}:00:02.0",
        )
        for g in range(8)
        for p in range(2)
    ]  # fmt: skip
    found = detect(node(), slices=[resource_slice(devices)])
    assert (found.partition, found.compute_units, found.gpus, found.reasons) == ("DPX", 152, 16, ())


def test_different_partitions_on_one_node_leave_the_shape_open() -> None:
    devices = [
        *eight(partitionProfile="spx_nps1", computeUnits="304")[:4],
        device(9, partitionProfile="cpx_nps1", computeUnits="38"),
    ]
    found = detect(node(), slices=[resource_slice(devices)])
    assert (found.partition, found.compute_units) == (None, 38)
    assert "PartitionsDiffer" in codes(found)


def auto(modes: list[str], gpus: int = 8, **attributes: str | int) -> list[Json]:
    units = {"spx": "304", "dpx": "152", "cpx": "38"}
    return [
        device(
            gpu,
            f"gpu-{gpu}-{mode.replace('_', '-')}",
            partitionProfile=mode,
            computePartition=mode.split("_")[0],
            computeUnits=units[mode.split("_")[0]],
            gpuIndex=gpu,
            **({"__pciBusID": f"000{gpu}:00:02.0"} | attributes),
        )
        for gpu in range(gpus)
        for mode in modes
    ]


def test_auto_partition_counts_gpus_once() -> None:
    found = detect(node(), slices=[resource_slice(auto(["spx_nps1", "dpx_nps1", "cpx_nps1", "cpx_nps4"]))])
    assert (found.state, found.product, found.gpus) == ("Available", "MI300X", 8)
    assert (found.partition, found.compute_units) == (None, None)
    assert "AutoPartition" in codes(found)


def test_auto_partition_without_bus_ids() -> None:
    devices = auto(["spx_nps1", "cpx_nps1"])
    for made in devices:
        del made["attributes"]["resource.kubernetes.io/pciBusID"]
    assert detect(node(), slices=[resource_slice(devices)]).gpus == 8
    for made in devices:
        del made["attributes"]["gpuIndex"]
    assert detect(node(), slices=[resource_slice(devices)]).gpus == 8


def test_auto_partition_with_one_mode_has_its_shape() -> None:
    found = detect(node(), slices=[resource_slice(auto(["spx_nps1"]))])
    assert (found.partition, found.compute_units, found.gpus) == ("SPX", 304, 8)


def test_tainted_devices_are_not_allocatable() -> None:
    conflict = [{"key": "gpu.amd.com/memory-partition-conflict", "effect": "NoSchedule"}]
    devices = eight()
    devices[0]["taints"] = conflict
    devices[1]["taints"] = [{"key": "k", "effect": "None"}]
    found = detect(node(), slices=[resource_slice(devices)])
    assert (found.state, found.gpus) == ("Available", 7)
    assert "DevicesTainted" in codes(found)
    for made in devices:
        made["taints"] = conflict
    none = detect(node(), slices=[resource_slice(devices)])
    assert (none.state, none.product, none.gpus, none.resource) == ("NotAvailable", "MI300X", 0, "dra")
    modes = auto(["spx_nps1", "cpx_nps4"])
    for made in modes[1::2]:
        made["taints"] = conflict
    assert detect(node(), slices=[resource_slice(modes)]).gpus == 8


@pytest.mark.parametrize("memory", ["0", "80Gi", "20Gi", "lots"])
def test_memory_that_could_not_be_read_is_no_contradiction(memory: str) -> None:
    found = detect(
        node(), slices=[resource_slice(eight(partitionProfile="spx_nps1", computeUnits="304", memory=memory))]
    )
    assert (found.compute_units, found.reasons) == (304, ())


def test_migration_between_plugin_and_driver() -> None:
    labels = {"A:device-id": "74a1", "A:cu-count": "304"}
    both = detect(node(labels, {"amd.com/gpu": "8"}), slices=[resource_slice(eight())])
    assert (both.resource, both.gpus) == ("amd.com/gpu", 8)
    assert "ResourcesInTransition" in codes(both)
    draining = detect(node(labels, {"amd.com/gpu": "0"}, cap={"amd.com/gpu": "8"}), slices=[resource_slice(eight())])
    assert (draining.state, draining.resource, draining.gpus) == ("Available", "dra", 8)
    assert "ResourcesInTransition" in codes(draining)
    gone = detect(node(labels, {"amd.com/gpu": "0"}), slices=[resource_slice(eight())])
    assert (gone.state, gone.resource) == ("Available", "dra")
    assert "ResourcesInTransition" not in codes(gone)


BY_HAND = {"hipbmm.io/gpu-product": "MI355X"}
SLICES = [resource_slice(eight(deviceID="0x75a3", partitionProfile="spx_nps1", computeUnits="256"))]


def test_devices_with_an_extended_name_count_as_that_resource() -> None:
    found = detect(node(BY_HAND), slices=SLICES, extended={"amd.com/gpu": False})
    assert (found.state, found.product, found.resource, found.gpus) == ("Available", "MI355X", "amd.com/gpu", 8)
    fit = summary([found], Want(products=("MI355X",), request=8))
    assert (fit.status.nodes, fit.status.partition, fit.status.compute_units) == (1, "SPX", 256)


def test_devices_without_one_are_told_what_is_missing() -> None:
    found = detect(node(BY_HAND), slices=SLICES)
    assert found.resource == "dra"
    fit = summary([found], Want())
    assert fit.finding.reason == "ResourceMismatch"
    assert "DRA devices need a DeviceClass of gpu.amd.com with extendedResourceName: amd.com/gpu" in fit.finding.message


def test_a_device_plugin_goes_before_an_extended_name() -> None:
    offers = {"amd.com/gpu": "4"}
    found = detect(node(BY_HAND, offers), slices=SLICES, extended={"amd.com/gpu": False})
    assert (found.resource, found.gpus) == ("amd.com/gpu", 4)


def test_partitions_with_an_extended_name_are_no_whole_gpus() -> None:
    slices = [resource_slice(eight(deviceID="0x75a3", partitionProfile="cpx_nps1", computeUnits="32"))]
    found = detect(node(BY_HAND), slices=slices, extended={"amd.com/gpu": False})
    assert summary([found], Want()).finding.reason == "PartitionMismatch"


def test_gpus_that_are_partitioned_stay_so_whatever_the_device_class_chooses() -> None:
    slices = [resource_slice(eight(deviceID="0x75a3", partitionProfile="cpx_nps1", computeUnits="32"))]
    found = detect(node(BY_HAND), slices=slices, extended=extended_resources([WHOLE]))
    assert (found.partition, found.compute_units) == ("CPX", 32)
    assert summary([found], Want()).finding.reason == "PartitionMismatch"
    assert summary([found], CLAIMS).status.partition == "CPX"


@pytest.mark.parametrize(
    ("chosen", "partition", "units", "reason"),
    [(WHOLE, "SPX", 304, "NodesMatched"), (device_class(), None, None, "PartitionMismatch")],
)
def test_auto_partition_hands_out_what_its_device_class_chooses(
    chosen: Json, partition: str | None, units: int | None, reason: str
) -> None:
    slices = [resource_slice(auto(["spx_nps1", "dpx_nps1", "cpx_nps1", "cpx_nps4"]))]
    found = detect(node({"hipbmm.io/gpu-product": "MI300X"}), slices=slices, extended=extended_resources([chosen]))
    assert (found.resource, found.gpus, found.claimable) == ("amd.com/gpu", 8, {"MI300X": 8})
    assert (found.partition, found.compute_units) == (partition, units)
    assert summary([found], Want(products=("MI300X",), request=8)).finding.reason == reason
    claims = summary([found], Want(products=("MI300X",), resource="dra", request=8)).status
    assert (claims.nodes, claims.partition, claims.compute_units) == (1, None, None), "the claim decides"


CLAIMS = Want(products=("MI355X",), resource="dra", request=8)


@pytest.mark.parametrize("extended", [{}, {"amd.com/gpu": False}, {"amd.com/gpu": True}])
def test_a_claim_fits_a_node_that_no_label_names(extended: dict[str, bool]) -> None:
    found = detect(node(), slices=SLICES, extended=extended)
    assert summary([found], CLAIMS).status.nodes == 1
    assert summary([found], Want(products=("MI355X",), request=8)).status.nodes == 0
    assert summary([found], replace(CLAIMS, request=9)).finding.reason == "NotEnoughGPUs"
    assert summary([found], replace(CLAIMS, products=("MI300X",))).finding.reason == "NoMatchingNodes"


def test_a_claim_fits_no_node_of_the_device_plugin_alone() -> None:
    found = detect(node(BY_HAND, {"amd.com/gpu": "8"}))
    assert summary([found], CLAIMS).finding.reason == "ResourceMismatch"
    both = detect(node(BY_HAND, {"amd.com/gpu": "4"}), slices=SLICES)
    assert summary([both], CLAIMS).status.nodes == 1


def test_a_claim_chooses_among_the_gpus_of_a_mixed_node() -> None:
    older = [device(i, __pciBusID=f"00f{i}:00:02.0", deviceID="0x740f") for i in range(4)]
    mine = [device(i + 4, __pciBusID=f"000{i}:00:02.0", deviceID="0x75a3") for i in range(2)]
    found = detect(node(), slices=[resource_slice([*older, *mine])])
    assert found.state == "Mixed"
    assert found.claimable == {"MI355X": 2}
    assert summary([found], replace(CLAIMS, request=2)).status.nodes == 1
    assert summary([found], replace(CLAIMS, request=3)).finding.reason == "NotEnoughGPUs"
