"""The generated trees have the geometry of real nodes, and the node agent reads from them what AMD's labeller would."""

from pathlib import Path

import pytest

from simulator import sysfs
from simulator.node.devices import allocation, labels, read_devices


def properties(root: Path, node: int) -> dict[str, str]:
    path = root / f"class/kfd/kfd/topology/nodes/{node}/properties"
    return dict(line.split() for line in path.read_text().splitlines())


def test_eight_mi300x(tmp_path: Path) -> None:
    devices = sysfs.write_tree(tmp_path)
    assert [device.minor for device in devices] == [128, 136, 144, 152, 160, 168, 176, 184]
    assert {(device.cu, device.vram) for device in devices} == {(304, 206_141_652_992)}
    first = properties(tmp_path, 2)
    assert (first["gfx_target_version"], first["simd_count"], first["simd_per_cu"]) == ("90402", "1216", "4")
    assert (first["device_id"], first["drm_render_minor"], first["num_xcc"]) == ("29857", "128", "8")
    assert properties(tmp_path, 0)["simd_count"] == "0"
    pci = tmp_path / "class/drm/renderD128/device"
    assert (pci / "vendor").read_text() == "0x1002\n"
    assert (pci / "device").read_text() == "0x74a1\n"
    assert (pci / "current_compute_partition").read_text() == "SPX\n"
    assert (pci / "current_memory_partition").read_text() == "NPS1\n"
    assert pci.resolve().name == "0000:05:00.0"
    assert (tmp_path / "module/amdgpu/version").read_text() == "6.12.12\n"


@pytest.mark.parametrize(
    ("product", "partition", "per_gpu", "cu", "gib"),
    [
        ("MI300X", "DPX", 2, 152, 96),
        ("MI300X", "QPX", 4, 76, 48),
        ("MI300X", "CPX", 8, 38, 24),
        ("MI325X", "CPX", 8, 38, 32),
        ("MI308X", "SPX", 1, 80, 192),
        ("MI308X", "CPX", 4, 20, 48),
        ("MI300A", "TPX", 3, 76, 43),
        ("MI355X", "SPX", 1, 256, 288),
        ("MI355X", "CPX", 8, 32, 36),
    ],
)
def test_partitions(tmp_path: Path, product: str, partition: str, per_gpu: int, cu: int, gib: int) -> None:
    devices = sysfs.write_tree(tmp_path, product, count=2, partition=partition)
    assert len(devices) == 2 * per_gpu
    assert {(device.cu, round(device.vram / 2**30)) for device in devices} == {(cu, gib)}
    assert len({device.minor for device in devices}) == len(devices)


def test_partitions_beyond_the_first_have_no_pci_files(tmp_path: Path) -> None:
    sysfs.write_tree(tmp_path, partition="CPX", count=1)
    assert (tmp_path / "class/drm/renderD128/device/vendor").exists()
    assert (tmp_path / "class/drm/renderD129/device").resolve().name == "amdgpu_xcp_1"
    assert not (tmp_path / "class/drm/renderD129/device/vendor").exists()


def test_a_virtual_function_has_its_own_id_and_no_product_name(tmp_path: Path) -> None:
    sysfs.write_tree(tmp_path, count=1, virtual=True)
    pci = tmp_path / "class/drm/renderD128/device"
    assert (pci / "device").read_text() == "0x74b5\n"
    assert (pci / "subsystem_device").read_text() == "0x74a1\n"
    assert not (pci / "product_name").exists()


def test_impossible_nodes_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="MI300X has no compute partition mode 'TPX'"):
        sysfs.write_tree(tmp_path, partition="TPX")
    with pytest.raises(ValueError, match="at most 8"):
        sysfs.write_tree(tmp_path, count=9)


def test_dev_holds_the_chosen_devices_only(tmp_path: Path) -> None:
    devices = sysfs.write_tree(tmp_path / "sys")
    sysfs.write_dev(tmp_path / "dev", devices[2:4])
    assert sorted(path.name for path in (tmp_path / "dev/dri").iterdir()) == ["renderD144", "renderD152"]


def test_labels_of_a_whole_node(tmp_path: Path) -> None:
    sysfs.write_tree(tmp_path)
    found = labels(read_devices(tmp_path))
    expected = {"device-id": "74a1", "family": "AI", "cu-count": "304", "simd-count": "1216", "vram": "192G"}
    expected["product-name"] = "AMD_Instinct_MI300X_OAM"
    for kind, value in expected.items():
        assert found.pop(f"amd.com/gpu.{kind}") == value
        assert found.pop(f"beta.amd.com/gpu.{kind}") == value
        assert found.pop(f"beta.amd.com/gpu.{kind}.{value}") == "8"
    assert found == {"hipbmm.io/simulated": "true"}


def test_labels_count_gpus_by_id_and_partitions_by_size(tmp_path: Path) -> None:
    sysfs.write_tree(tmp_path, partition="CPX")
    found = labels(read_devices(tmp_path))
    assert found["beta.amd.com/gpu.device-id.74a1"] == "8"
    assert found["beta.amd.com/gpu.cu-count.38"] == "64"
    assert found["beta.amd.com/gpu.vram.24G"] == "64"


def test_labels_of_a_mixed_node_have_no_singular_key(tmp_path: Path) -> None:
    sysfs.write_tree(tmp_path, gpus=(sysfs.Gpu("MI300X"), sysfs.Gpu("MI300X"), sysfs.Gpu("MI308X")))
    found = labels(read_devices(tmp_path))
    assert "amd.com/gpu.device-id" not in found
    assert (found["amd.com/gpu.device-id.74a1"], found["amd.com/gpu.device-id.74a2"]) == ("2", "1")
    assert found["amd.com/gpu.vram"] == "192G"


def test_allocation_is_the_files_of_the_wanted_devices(tmp_path: Path) -> None:
    sysfs.write_tree(tmp_path)
    devices = read_devices(tmp_path)
    assert [device.id for device in devices][:2] == ["0000:05:00.0", "0000:26:00.0"]
    assert allocation(devices, ["0000:26:00.0"], Path("/host")) == {
        "/dev/kfd": "/host/kfd",
        "/dev/dri/renderD136": "/host/dri/renderD136",
    }
    with pytest.raises(KeyError):
        allocation(devices, ["0000:00:00.0"], Path("/host"))
