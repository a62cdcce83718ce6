"""Writes the parts of /sys and /dev that identify AMD GPUs: KFD topology, DRM nodes, the amdgpu module.

The layout is that of a real node: CPU nodes first in the KFD topology, one KFD node per logical device, render minors
that are eight apart in SPX (each GPU reserves minors for its partitions), and partitions beyond a GPU's first behind a
platform device without PCI files. A container sees all of it; only the render nodes in /dev/dri say which GPUs are its
own.
"""

import hashlib
import os
from dataclasses import dataclass
from pathlib import Path

from simulator.products import GFX950, PRODUCTS, Product, logical_devices, vram_bytes

FIRST_MINOR = 128
_MINORS_PER_GPU = 8
_VENDOR_AMD = 0x1002
_BUSES = (0x05, 0x26, 0x46, 0x65, 0x85, 0xA6, 0xC6, 0xE5)


@dataclass(frozen=True, slots=True)
class Gpu:
    """One physical GPU to be written.

    ``partition`` and ``memory`` as in current_compute_partition and current_memory_partition.
    """

    product: str = "MI300X"
    partition: str = "SPX"
    memory: str = "NPS1"
    virtual: bool = False


@dataclass(frozen=True, slots=True)
class LogicalDevice:
    """What was written for one KFD node.

    ``minor`` N of /dev/dri/renderN, its KFD node number, CUs and bytes of VRAM.
    """

    node: int
    minor: int
    gpu: int
    cu: int
    vram: int


def write_tree(
    root: Path,
    product: str = "MI300X",
    count: int = 8,
    partition: str = "SPX",
    memory: str = "NPS1",
    *,
    virtual: bool = False,
    gpus: tuple[Gpu, ...] | None = None,
    driver: str = "6.12.12",
    sockets: int = 2,
) -> list[LogicalDevice]:
    """Write a sysfs tree under ``root`` (which stands for /sys) and return its logical devices in KFD order.

    ``gpus`` gives a mixed node and replaces product, count, partition, memory and virtual. At most 8 GPUs.
    """
    chosen = gpus if gpus is not None else (Gpu(product, partition, memory, virtual),) * count
    if len(chosen) > len(_BUSES):
        raise ValueError(f"a node holds at most {len(_BUSES)} GPUs, not {len(chosen)}")
    nodes = root / "class/kfd/kfd/topology/nodes"
    for socket in range(sockets):
        _write_cpu_node(nodes / str(socket), socket)
    devices: list[LogicalDevice] = []
    for index, gpu in enumerate(chosen):
        devices += _write_gpu(root, index, gpu, sockets + len(devices))
    topology = nodes.parent
    _text(topology / "generation_id", "2")
    _text(topology / "system_properties", "platform_oem 0\nplatform_id 0\nplatform_rev 0")
    _text(root / "module/amdgpu/version", driver)
    _text(root / "module/amdgpu/srcversion", hashlib.sha256(driver.encode()).hexdigest()[:23].upper())
    return devices


def write_dev(root: Path, devices: list[LogicalDevice]) -> None:
    """Write /dev as a container with these devices sees it: kfd and one renderN each, as empty regular files."""
    _text(root / "kfd", "")
    (root / "dri").mkdir(parents=True, exist_ok=True)
    for device in devices:
        _text(root / f"dri/renderD{device.minor}", "")


def _write_gpu(root: Path, index: int, gpu: Gpu, first_node: int) -> list[LogicalDevice]:
    product = PRODUCTS[gpu.product]
    parts = logical_devices(product, gpu.partition)
    unique = int.from_bytes(hashlib.sha256(f"{gpu.product}/{index}".encode()).digest()[:8], "big")
    pci = _write_pci(root, index, gpu, product, unique)
    devices = []
    for part in range(parts):
        minor = FIRST_MINOR + index * _MINORS_PER_GPU + part
        device = LogicalDevice(first_node + part, minor, index, product.cu // parts, vram_bytes(product, gpu.partition))
        _write_gpu_node(root, device, product, gpu, unique)
        target = pci if part == 0 else _write_platform(root, index * _MINORS_PER_GPU + part)
        _link_drm(root, f"renderD{minor}", target)
        devices.append(device)
    _link_drm(root, f"card{index * _MINORS_PER_GPU + 1}", pci)
    return devices


def _write_pci(root: Path, index: int, gpu: Gpu, product: Product, unique: int) -> Path:
    path = root / f"devices/pci0000:{_BUSES[index]:02x}/0000:{_BUSES[index]:02x}:00.0"
    device_id = product.virtual_id if gpu.virtual else product.device_id
    files = {
        "vendor": f"0x{_VENDOR_AMD:04x}",
        "device": f"0x{device_id:04x}",
        "subsystem_vendor": f"0x{_VENDOR_AMD:04x}",
        "subsystem_device": f"0x{product.device_id:04x}",
        "class": "0x120000",
        "revision": "0x00",
        "numa_node": str(index * 2 // len(_BUSES)),
        "unique_id": f"{unique:016x}",
        "mem_info_vram_total": str(vram_bytes(product, "SPX")),
        "mem_info_vram_used": str(298_844_160),
        "current_compute_partition": gpu.partition,
        "current_memory_partition": gpu.memory,
        "available_compute_partition": "SPX, DPX, QPX, CPX",
        "available_memory_partition": "NPS1, NPS4" if product.target < GFX950 else "NPS1, NPS2",
    }
    if not gpu.virtual:  # a virtual function has no FRU, hence no product name
        files["product_name"] = product.board
    for name, value in files.items():
        _text(path / name, value)
    bus = root / "bus/pci/devices"
    bus.mkdir(parents=True, exist_ok=True)
    (bus / path.name).symlink_to(os.path.relpath(path, bus))
    return path


def _write_platform(root: Path, number: int) -> Path:
    path = root / f"devices/platform/amdgpu_xcp_{number}"
    _text(path / "modalias", "platform:amdgpu_xcp")
    return path


def _link_drm(root: Path, name: str, device: Path) -> None:
    directory = root / "class/drm" / name
    directory.mkdir(parents=True, exist_ok=True)
    _text(directory / "dev", f"226:{name.removeprefix('renderD').removeprefix('card')}")
    (directory / "device").symlink_to(os.path.relpath(device, directory))


def _write_cpu_node(node: Path, socket: int) -> None:
    properties = {"cpu_cores_count": 96, "simd_count": 0, "mem_banks_count": 1, "cpu_core_id_base": socket * 96}
    properties |= {"gfx_target_version": 0, "vendor_id": 0, "device_id": 0, "drm_render_minor": 0, "num_xcc": 0}
    _text(node / "properties", _lines(properties))
    _text(node / "name", "")
    _text(node / "gpu_id", "0")
    bank = {"heap_type": 0, "size_in_bytes": 1_082_331_750_400, "flags": 0, "width": 64, "mem_clk_max": 4800}
    _text(node / "mem_banks/0/properties", _lines(bank))


def _write_gpu_node(root: Path, device: LogicalDevice, product: Product, gpu: Gpu, unique: int) -> None:
    node = root / "class/kfd/kfd/topology/nodes" / str(device.node)
    xcds = product.xcds * device.cu // product.cu
    properties = {
        "cpu_cores_count": 0,
        "simd_count": device.cu * 4,
        "mem_banks_count": 1,
        "io_links_count": 8,
        "simd_id_base": 2147487744 + device.node * 4096,
        "max_waves_per_simd": 8,
        "lds_size_in_kb": 64 if product.target < GFX950 else 160,
        "wave_front_size": 64,
        "array_count": xcds * 4,
        "simd_arrays_per_engine": 1,
        "cu_per_simd_array": 10,
        "simd_per_cu": 4,
        "max_slots_scratch_cu": 32,
        "gfx_target_version": product.target,
        "vendor_id": _VENDOR_AMD,
        "device_id": product.virtual_id if gpu.virtual else product.device_id,
        "location_id": _BUSES[device.gpu] << 8 | (device.minor - FIRST_MINOR) % _MINORS_PER_GPU,
        "domain": 0,
        "drm_render_minor": device.minor,
        "num_sdma_engines": 2,
        "num_cp_queues": 24,
        "max_engine_clk_fcompute": 2100 if product.target < GFX950 else 2400,
        "local_mem_size": 0,
        "unique_id": unique,
        "num_xcc": xcds,
        "max_engine_clk_ccompute": 3700,
    }
    _text(node / "properties", _lines(properties))
    _text(node / "name", "ip discovery")
    _text(node / "gpu_id", str((unique >> 16 ^ device.minor * 2654435761) % 65521 + 1))
    bank = {"heap_type": 1, "size_in_bytes": device.vram, "flags": 0, "width": 8192, "mem_clk_max": 1300}
    _text(node / "mem_banks/0/properties", _lines(bank))


def _lines(properties: dict[str, int]) -> str:
    return "\n".join(f"{name} {value}" for name, value in properties.items())


def _text(path: Path, value: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(f"{value}\n" if value else "", encoding="ascii")
