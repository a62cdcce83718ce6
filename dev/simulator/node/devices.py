"""What the agent tells the kubelet and the API server about a sysfs tree: devices, mounts and labels.

Values in, values out.
"""

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

RESOURCE = "amd.com/gpu"
SIMULATED_LABEL = "hipbmm.io/simulated"
_VENDOR = "0x1002"
_GIB = 1 << 30
_SIMD_PER_CU = 4


@dataclass(frozen=True, slots=True)
class NodeDevice:
    """One KFD node: ``id`` for the kubelet, ``minor`` of its render node, CUs, bytes of VRAM, PCI facts of its GPU.

    ``device_id`` and ``product`` are empty for partitions other than a GPU's first, as their platform devices have
    none.
    """

    id: str
    minor: int
    cu: int
    vram: int
    device_id: str
    product: str
    numa: int


def read_devices(sysfs: Path) -> list[NodeDevice]:
    """The GPU nodes of a tree in KFD order. OSError or KeyError when the tree is not one."""
    nodes = sysfs / "class/kfd/kfd/topology/nodes"
    devices = []
    for node in sorted(nodes.iterdir(), key=lambda path: int(path.name)):
        properties = _properties(node / "properties")
        if properties["simd_count"]:
            devices.append(_device(sysfs, node, properties))
    return devices


def _device(sysfs: Path, node: Path, properties: dict[str, int]) -> NodeDevice:
    minor = properties["drm_render_minor"]
    pci = sysfs / f"class/drm/renderD{minor}/device"
    is_function = _text(pci / "vendor") == _VENDOR
    return NodeDevice(
        id=pci.resolve().name if is_function else f"amdgpu_xcp_{minor}",
        minor=minor,
        cu=properties["simd_count"] // _SIMD_PER_CU,
        vram=_properties(node / "mem_banks/0/properties")["size_in_bytes"],
        device_id=_text(pci / "device").removeprefix("0x"),
        product=_text(pci / "product_name"),
        numa=int(_text(pci / "numa_node") or 0),
    )


def labels(devices: Iterable[NodeDevice]) -> dict[str, str]:
    """The labels of AMD's node labeller with its usual flags, and the one that says that nothing of it is real."""
    devices = list(devices)
    kinds = {
        "device-id": [device.device_id for device in devices],
        "family": ["AI" for device in devices if device.device_id],
        "product-name": [_label_value(device.product) for device in devices],
        "vram": [f"{round(device.vram / _GIB)}G" for device in devices],
        "simd-count": [str(device.cu * _SIMD_PER_CU) for device in devices],
        "cu-count": [str(device.cu) for device in devices],
    }
    result = {SIMULATED_LABEL: "true"}
    for kind, values in kinds.items():
        counts = Counter(value for value in values if value)
        result |= {f"beta.amd.com/gpu.{kind}.{value}": str(count) for value, count in counts.items()}
        if len(counts) == 1:
            (value,) = counts
            result |= {f"amd.com/gpu.{kind}": value, f"beta.amd.com/gpu.{kind}": value}
        else:
            result |= {f"amd.com/gpu.{kind}.{value}": str(count) for value, count in counts.items()}
    return result


def allocation(devices: Iterable[NodeDevice], wanted: Iterable[str], host: Path) -> dict[str, str]:
    """Container path -> host path of the files that stand for the wanted devices.

    KeyError for an id that does not exist.
    """
    by_id = {device.id: device for device in devices}
    files = {"/dev/kfd": str(host / "kfd")}
    for device_id in wanted:
        name = f"renderD{by_id[device_id].minor}"
        files[f"/dev/dri/{name}"] = str(host / "dri" / name)
    return files


def _label_value(product: str) -> str:
    return product.replace(" ", "_").replace("(", "").replace(")", "")


def _properties(path: Path) -> dict[str, int]:
    pairs = (line.partition(" ") for line in path.read_text(encoding="ascii").splitlines())
    return {name: int(value) for name, _, value in pairs if value.isdigit()}


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="ascii").strip()
    except FileNotFoundError:
        return ""
