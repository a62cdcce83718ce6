"""The stack of a container, from sysfs and files together."""

from pathlib import Path

import pytest
from tests.kernel.nodes import Node
from tests.kernel.pods import write_rocm

from hipbmm_kernel.identity import container
from hipbmm_kernel.identity import gpu as identity_gpu
from simulator import sysfs


def test_a_virtual_function_with_one_partition_file_has_a_key_of_its_own(write_node: Node, tmp_path: Path) -> None:
    write_rocm(tmp_path / "rocm")
    sys, dev = write_node(virtual=True)
    env = {"ROCM_PATH": str(tmp_path / "rocm")}
    whole = container.read_identity(sys, dev, env, simulated=True).stack
    for file in (tmp_path / "sys").rglob("current_memory_partition"):
        file.unlink()
    found = container.read_identity(sys, dev, env, simulated=True)
    assert (found.stack.partition, found.stack.memory_partition) == ("SPX", "unreported")
    assert not {"partition", "memoryPartition"} & set(found.stack.unknown())
    assert found.stack.canonical() != whole.canonical()
    assert any("no memory partition file" in note for note in found.notes)


@pytest.mark.parametrize("files", [True, False])
def test_a_product_that_is_in_no_list_has_a_key_of_its_own(write_node: Node, tmp_path: Path, files: bool) -> None:
    sys, dev = write_node(count=1)
    for path in (tmp_path / "sys").rglob("properties"):
        path.write_text(path.read_text().replace("device_id 29857", "device_id 29951"))
    for file in [] if files else list((tmp_path / "sys").rglob("current_*_partition")):
        file.unlink()
    found = container.read_identity(sys, dev, {}, simulated=True)
    assert (found.gpus, found.stack.arch, found.stack.product) == (1, "gfx942", "pci-74ff")
    assert found.stack.partition == ("SPX" if files else "unreported")
    assert not {"product", "partition", "memoryPartition", "computeUnits"} & set(found.stack.unknown())
    assert any("74ff is no known product" in note for note in found.notes)


def test_gpus_that_differ_make_the_stack_unknown(write_node: Node) -> None:
    kinds = (sysfs.Gpu("MI300X"), sysfs.Gpu("MI325X"))
    sys, dev = write_node(mine=(0, 1), gpus=kinds)
    found = container.read_identity(sys, dev, {}, simulated=True)
    assert found.stack.product is None
    assert "product" in found.stack.unknown()
    assert any("differ in product" in note for note in found.notes)


def test_a_container_without_gpus(write_node: Node, tmp_path: Path) -> None:
    sys, _ = write_node()
    found = container.read_identity(sys, str(tmp_path / "nothing"), {}, simulated=True)
    assert found.gpus == 0
    assert identity_gpu.read_gpus(str(tmp_path / "nothing"), str(tmp_path), {}, []) == []
