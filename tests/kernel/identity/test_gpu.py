"""GPUs from sysfs, for the nodes that exist."""

import re
from pathlib import Path

import pytest
from tests.kernel.nodes import Node

from hipbmm_kernel.identity import gpu as identity_gpu
from hipbmm_kernel.identity.gpu import Gpu


@pytest.mark.parametrize(
    ("product", "arch", "units"),
    [("MI300X", "gfx942", 304), ("MI325X", "gfx942", 304), ("MI308X", "gfx942", 80), ("MI355X", "gfx950", 256)],
)
def test_products(write_node: Node, product: str, arch: str, units: int) -> None:
    notes: list[str] = []
    found = identity_gpu.read_gpus(*write_node(product=product), {}, notes)
    assert [gpu._replace(minor=0) for gpu in found] == [Gpu(0, arch, "sramecc+:xnack-", units, product, "SPX", "NPS1")]
    assert notes == []


def test_only_the_gpus_of_this_container_count(write_node: Node) -> None:
    found = identity_gpu.read_gpus(*write_node(mine=(1, 5), count=8), {}, [])
    assert [gpu.minor for gpu in found] == [128 + 8, 128 + 40]


def test_partitions_after_the_first_get_their_mode_from_their_gpu(write_node: Node) -> None:
    found = identity_gpu.read_gpus(*write_node(mine=(3,), partition="CPX", memory="NPS4", count=2), {}, [])
    assert [(gpu.compute_units, gpu.partition, gpu.memory_partition) for gpu in found] == [(38, "CPX", "NPS4")]


def _only_one_readable(root: Path, minor: int, location: int) -> None:
    """As a container with this device alone: the kernel refuses to show it the others' properties (kfd_topology.c)."""
    for path in root.rglob("nodes/*/properties"):
        text = path.read_text()
        if f"drm_render_minor {minor}\n" in text:
            path.write_text(re.sub(r"location_id \d+", f"location_id {location}", text))
        elif "simd_count 0\n" not in text:
            path.unlink()


@pytest.mark.parametrize(
    "location",
    [
        pytest.param(0x26 << 8 | 2, id="number in the function"),
        pytest.param(2 << 28 | 0x26 << 8, id="number in bits 28 to 31"),
        pytest.param(0x26 << 8, id="no number"),
    ],
)
def test_the_mode_of_a_partition_needs_no_other_partition(write_node: Node, tmp_path: Path, location: int) -> None:
    paths = write_node(mine=(10,), partition="CPX", memory="NPS4", count=2)
    _only_one_readable(tmp_path / "sys", 128 + 8 + 2, location)
    found = identity_gpu.read_gpus(*paths, {}, [])
    assert [(gpu.compute_units, gpu.partition, gpu.memory_partition) for gpu in found] == [(38, "CPX", "NPS4")]


def test_a_virtual_function_without_partition_files_is_spx_by_its_units(write_node: Node, tmp_path: Path) -> None:
    paths = write_node(virtual=True)
    for file in (tmp_path / "sys").rglob("current_*_partition"):
        file.unlink()
    notes: list[str] = []
    found, *_ = identity_gpu.read_gpus(*paths, {}, notes)
    assert (found.product, found.partition, found.memory_partition) == ("MI300X", "SPX", "NPS1")
    assert "SPX and NPS1 by its 304 CUs" in notes[0]


def test_a_partition_without_its_file_is_unknown(write_node: Node, tmp_path: Path) -> None:
    paths = write_node(partition="CPX")
    for file in (tmp_path / "sys").rglob("current_compute_partition"):
        file.unlink()
    assert identity_gpu.read_gpus(*paths, {}, [])[0].partition is None


@pytest.mark.parametrize(
    ("selector", "minors"),
    [
        ("1", [136]),
        ("2,0", [144, 128]),
        ("0,0,1", [128, 136]),
        ("0,9,1", [128]),
        ("", []),
        ("-1", []),
    ],
)
def test_the_gpus_that_the_runtime_is_told_to_show(write_node: Node, selector: str, minors: list[int]) -> None:
    notes: list[str] = []
    paths = write_node(mine=(0, 1, 2), count=3)
    found = identity_gpu.read_gpus(*paths, {"ROCR_VISIBLE_DEVICES": selector}, notes)
    assert [gpu.minor for gpu in found] == minors
    assert "ROCR_VISIBLE_DEVICES" in notes[-1]


@pytest.mark.parametrize(
    ("env", "gpus"),
    [
        ({}, ("0", "1", "2")),
        ({"HIP_VISIBLE_DEVICES": "2, 0"}, ("2", "0")),
        ({"CUDA_VISIBLE_DEVICES": "1,1"}, ("1",)),
        ({"HIP_VISIBLE_DEVICES": "1", "CUDA_VISIBLE_DEVICES": "0"}, ("1",)),
        ({"HIP_VISIBLE_DEVICES": "0,-1,1"}, ("0",)),
        ({"HIP_VISIBLE_DEVICES": "0,,1"}, ("0",)),
        ({"HIP_VISIBLE_DEVICES": "-1"}, ()),
        ({"HIP_VISIBLE_DEVICES": ""}, ("0", "1", "2")),
        ({"HIP_VISIBLE_DEVICES": "", "CUDA_VISIBLE_DEVICES": "2"}, ("2",)),
    ],
)
def test_no_gpu_is_tuned_on_that_hip_hides_from_the_server(env: dict[str, str], gpus: tuple[str, ...]) -> None:
    assert identity_gpu.visible_gpus(env, 3) == gpus


def test_a_gpu_is_named_by_its_unique_id_too(write_node: Node, tmp_path: Path) -> None:
    paths = write_node(mine=(0, 1), count=2)
    second = next(path for path in (tmp_path / "sys").rglob("properties") if "drm_render_minor 136" in path.read_text())
    unique = next(line.split()[1] for line in second.read_text().splitlines() if line.startswith("unique_id"))
    found = identity_gpu.read_gpus(*paths, {"ROCR_VISIBLE_DEVICES": f"GPU-{int(unique):016x}"}, [])
    assert [gpu.minor for gpu in found] == [136]


def test_xnack_is_the_processs_own_choice(write_node: Node) -> None:
    assert identity_gpu.read_gpus(*write_node(), {"HSA_XNACK": "1"}, [])[0].features == "sramecc+:xnack+"


@pytest.mark.parametrize("value", ["9" * 21, "9" * 5000, "-1", "1e3", "0x10", "", "\u0661", "1 2"])
def test_a_property_that_is_no_number_of_64_bits_is_not_there(write_node: Node, tmp_path: Path, value: str) -> None:
    paths = write_node()
    for file in (tmp_path / "sys").rglob("properties"):
        lines = [line for line in file.read_text().splitlines() if not line.startswith("simd_count")]
        file.write_text("\n".join([*lines, f"simd_count {value}"]))
    assert [gpu.compute_units for gpu in identity_gpu.read_gpus(*paths, {}, [])] == [None]
