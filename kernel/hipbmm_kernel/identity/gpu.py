"""The GPUs of this container, from sysfs: what they are, and which of the node's GPUs are ours.

A container sees every GPU of its node in /sys/class/kfd, though it may not be able to read those that its device cgroup
leaves out. So a GPU is ours when its render node exists in /dev/dri. Files: kernel drivers/gpu/drm/amd
(kfd_topology.c, amdgpu_gfx.c, amdgpu_gmc.c).
"""

import itertools
import os
from collections.abc import Mapping
from typing import NamedTuple

from hipbmm_kernel.system.files import read_text

SELECTORS = ("HIP_VISIBLE_DEVICES", "CUDA_VISIBLE_DEVICES")
"""In the order in which HIP reads them; the first that is not empty wins (clr, rocdevice.cpp)."""
AMD = 0x1002
SRAM_ECC_CAPABILITY = 1 << 19
"""HSA_CAP_SRAM_EDCSUPPORTED in the node's `capability`."""

DEFAULT_SIMD_PER_CU = 4
ROCR_SELECTOR = "ROCR_VISIBLE_DEVICES"
UNREPORTED = "unreported"
"""A partition of which there is no file. With the GPU's CUs beside it in the stack, rows stay among their like."""

MAX_DIGITS = 20
"""Of a number of 64 bits."""


_PRODUCTS = {
    ("MI300A", 228): (0x74A0, 0x74B4),
    ("MI300X", 304): (0x74A1, 0x74B5),
    ("MI300X-HF", 304): (0x74A9, 0x74BD),
    ("MI308X", 80): (0x74A2, 0x74B6),
    ("MI308X-HF", 80): (0x74A8, 0x74BC),
    ("MI325X", 304): (0x74A5, 0x74B9),
    ("MI350X", 256): (0x75A0, 0x75B0),
    ("MI355X", 256): (0x75A3, 0x75B3),
    ("MI350P", 128): (0x75A8, 0x75B8),
}
PRODUCTS = {pci_id: product for product, ids in _PRODUCTS.items() for pci_id in ids}
"""By PCI id: a product's name and the CU count of the whole GPU. Its PF and VF ids run the same kernels."""

FP8_BY_ARCH = {"gfx940": "e4m3fnuz", "gfx941": "e4m3fnuz", "gfx942": "e4m3fnuz", "gfx950": "e4m3fn"}
"""aiter/utility/dtypes.py and vLLM's is_fp8_fnuz."""


class Gpu(NamedTuple):
    """One logical device. None: could not be read. `minor` is N of /dev/dri/renderDN.

    `product` is pci-<id> where the id is in no list of products, and a partition may be UNREPORTED.
    """

    minor: int
    arch: str | None
    features: str | None
    compute_units: int | None
    product: str | None
    partition: str | None
    memory_partition: str | None


def read_gpus(sysfs: str, dev: str, env: Mapping[str, str], notes: list[str]) -> list[Gpu]:
    """The visible AMD GPUs under `sysfs` (/sys) and `dev` (/dev), in the order HIP numbers them.

    Never raises: what cannot be read is None. What is odd is added to `notes`.
    """
    nodes = _nodes(f"{sysfs}/class/kfd/kfd/topology/nodes")
    visible = [node for node in nodes if os.path.exists(f"{dev}/dri/renderD{node['drm_render_minor']}")]
    if nodes and not visible:
        notes.append(f"{len(nodes)} GPUs in sysfs, none of them in {dev}/dri")
    if ROCR_SELECTOR in env:
        visible = _selected(visible, env[ROCR_SELECTOR])
        notes.append(f"{ROCR_SELECTOR}={env[ROCR_SELECTOR][:80]} leaves {len(visible)} GPUs")
    xnack = env.get("HSA_XNACK", "0") == "1"
    return [_gpu(sysfs, node, xnack, notes) for node in visible]


def visible_gpus(env: Mapping[str, str], count: int) -> tuple[str, ...]:
    """One value per GPU that HIP would show: the user's own selection if there is one, else all `count` of them."""
    for name in SELECTORS:
        if env.get(name):
            chosen = (part.strip() for part in env[name].split(","))
            # HIP ignores everything from the first entry that is no device on.
            return tuple(dict.fromkeys(itertools.takewhile(lambda part: part and part[0] != "-", chosen)))
    return tuple(str(number) for number in range(count))


def _selected(nodes: list[dict[str, int]], selector: str) -> list[dict[str, int]]:
    """What ROCR_VISIBLE_DEVICES leaves: numbers or GPU-<unique id>, up to the first that is none of these GPUs."""
    chosen: list[dict[str, int]] = []
    for word in (part.strip() for part in selector.split(",")):
        if word.isascii() and word.isdigit():
            found = nodes[int(word[:9]) :][:1]
        else:
            found = [node for node in nodes if word.lower() == f"gpu-{node.get('unique_id', 0):016x}"][:1]
        if not found:
            break
        chosen += [node for node in found if node not in chosen]
    return chosen


def _nodes(directory: str) -> list[dict[str, int]]:
    """The properties of every GPU node of the KFD topology, in node order."""
    try:
        names = [name for name in os.listdir(directory) if name.isdigit()]
    except OSError:
        return []
    nodes = [_properties(f"{directory}/{name}/properties") for name in sorted(names, key=int)]
    return [node for node in nodes if node.get("gfx_target_version") and node.get("drm_render_minor")]


def _properties(path: str) -> dict[str, int]:
    values = {}
    for line in read_text(path).splitlines():
        name, _, value = line.partition(" ")
        if value.isascii() and value.isdigit() and len(value) <= MAX_DIGITS:
            values[name] = int(value)
    return values


def _gpu(sysfs: str, node: dict[str, int], xnack: bool, notes: list[str]) -> Gpu:
    minor = node["drm_render_minor"]
    arch = _arch(node["gfx_target_version"])
    units = node.get("simd_count", 0) // (node.get("simd_per_cu") or DEFAULT_SIMD_PER_CU)
    pci_id = f"{node.get('device_id', 0):04x}"
    known = PRODUCTS.get(node.get("device_id", 0)) if node.get("vendor_id", AMD) == AMD else None
    if known is None:
        notes.append(f"renderD{minor}: PCI id {pci_id} is no known product")
    product, all_units = known or (f"pci-{pci_id}", None)
    compute = _partition_file(sysfs, node, "current_compute_partition")
    memory = _partition_file(sysfs, node, "current_memory_partition")
    if compute is None and units == all_units:
        # Virtual functions have no partition files; all CUs of the product in one device is what SPX means.
        notes.append(f"renderD{minor}: no partition file, SPX and NPS1 by its {units} CUs")
        compute, memory = "SPX", memory or "NPS1"
    if known is None:
        compute = compute or UNREPORTED
    if compute and not memory:
        notes.append(f"renderD{minor}: no memory partition file")
        memory = UNREPORTED
    return Gpu(
        minor=minor,
        arch=arch,
        features=_features(node, arch, xnack),
        compute_units=units or None,
        product=product,
        partition=compute,
        memory_partition=memory,
    )


def _arch(version: int) -> str:
    """gfx_target_version 90402 -> gfx942: major, minor and a stepping in hex."""
    return f"gfx{version // 10000}{version // 100 % 100}{version % 100:x}"


def _features(node: dict[str, int], arch: str, xnack: bool) -> str:
    """What follows the arch in gcnArchName. Old drivers show no capability; MI3xx always has SRAM ECC."""
    capability = node.get("capability")
    ecc = arch in FP8_BY_ARCH if capability is None else bool(capability & SRAM_ECC_CAPABILITY)
    return f"sramecc{'+' if ecc else '-'}:xnack{'+' if xnack else '-'}"


def _partition_file(sysfs: str, node: dict[str, int], name: str) -> str | None:
    """A partition file of the PCI device behind a node: partitions after the first are platform devices without it.

    `location_id` is the GPU's bus, device and function, with the partition's number in the function, or in bits 28 to
    31: the driver has had both.
    """
    location = node.get("location_id", 0)
    device = f"{node.get('domain', 0):04x}:{location >> 8 & 0xFF:02x}:{location >> 3 & 0x1F:02x}"
    own = f"{sysfs}/class/drm/renderD{node['drm_render_minor']}/device"
    for place in (own, *(f"{sysfs}/bus/pci/devices/{device}.{function}" for function in (location & 7, 0))):
        text = read_text(f"{place}/{name}").strip()
        if text.isalnum():
            return text.upper()
    return None
