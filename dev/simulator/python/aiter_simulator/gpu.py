"""The GPUs this process may use.

Sysfs says what the node has, /dev/dri what the container has, HIP_VISIBLE_DEVICES what is left.

``HIPBMM_SIM_ARCH`` and ``HIPBMM_SIM_CU`` let the device answer otherwise than sysfs says: a stack that changed under a
running pod.
"""

import os
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

from aiter_simulator import settings

_DEFAULT_SYSFS = "/opt/simulator/sys"
_FEATURES = {"gfx942": ":sramecc+:xnack-", "gfx950": ":sramecc+:xnack-"}
# Bytes of HBM per microsecond of a whole GPU, dense FP8 flops per CU and microsecond: published peaks.
_PEAKS = {
    "gfx942": (5.3e6, 4096 * 2100.0),
    "gfx950": (8.0e6, 8192 * 2400.0),
}


@dataclass(frozen=True, slots=True)
class SimulatedGpu:
    """One visible logical device.

    ``arch`` is gfx942 or gfx950, ``vram`` in bytes, ``minor`` of /dev/dri/renderD<minor>.
    """

    arch: str
    cu: int
    vram: int
    minor: int
    device_id: int
    name: str
    bus: int

    @property
    def gcn_arch_name(self) -> str:
        """As HIP's gcnArchName, with the features of Instinct GPUs."""
        return self.arch + _FEATURES.get(self.arch, "")

    @property
    def bandwidth(self) -> float:
        """Bytes of HBM per microsecond: the whole GPU's, by the share of its CUs in this partition."""
        whole = {"gfx942": 80 if self.device_id in {0x74A2, 0x74B6} else 304, "gfx950": 256}.get(self.arch, self.cu)
        per_gpu = 6.0e6 if self.device_id in {0x74A5, 0x74B9} else _PEAKS.get(self.arch, _PEAKS["gfx942"])[0]
        return per_gpu * min(1.0, self.cu / whole)

    @property
    def fp8_flops(self) -> float:
        """Dense FP8 floating point operations per microsecond."""
        return self.cu * _PEAKS.get(self.arch, _PEAKS["gfx942"])[1]


@lru_cache(maxsize=1)
def visible() -> tuple[SimulatedGpu, ...]:
    """The devices of this process in HIP's order; fixed at the first question, as in a HIP runtime."""
    return _select(_container_gpus())


def _container_gpus() -> list[SimulatedGpu]:
    sysfs = Path(settings.text("SYSFS") or os.environ.get("HIPBMM_SYSFS") or _DEFAULT_SYSFS)
    dev = Path(settings.text("DEV") or os.environ.get("HIPBMM_DEV") or "/dev")
    nodes = sysfs / "class/kfd/kfd/topology/nodes"
    gpus = []
    for node in sorted((path for path in nodes.glob("*") if path.name.isdigit()), key=lambda path: int(path.name)):
        properties = _properties(node / "properties")
        if properties.get("simd_count", 0) and (dev / f"dri/renderD{properties['drm_render_minor']}").exists():
            gpus.append(_gpu(node, properties))
    return gpus


def _gpu(node: Path, properties: dict[str, int]) -> SimulatedGpu:
    target = properties["gfx_target_version"]
    arch = f"gfx{target // 10000}{target // 100 % 100}{target % 100:x}"
    cu = properties["simd_count"] // properties["simd_per_cu"]
    return SimulatedGpu(
        arch=settings.text("ARCH", arch),
        cu=int(settings.number("CU", cu)),
        vram=_properties(node / "mem_banks/0/properties")["size_in_bytes"],
        minor=properties["drm_render_minor"],
        device_id=properties["device_id"],
        name="AMD Instinct (simulated)",
        bus=properties["location_id"] >> 8,
    )


def _properties(path: Path) -> dict[str, int]:
    pairs = (line.partition(" ") for line in path.read_text(encoding="ascii").splitlines())
    return {name: int(value) for name, _, value in pairs if value.isdigit()}


def _select(gpus: list[SimulatedGpu]) -> tuple[SimulatedGpu, ...]:
    """ROCR_VISIBLE_DEVICES, then HIP_VISIBLE_DEVICES (or CUDA_VISIBLE_DEVICES).

    An invalid ordinal ends the list, as in HIP.
    """
    hip = os.environ.get("HIP_VISIBLE_DEVICES") or os.environ.get("CUDA_VISIBLE_DEVICES") or None
    for value in (os.environ.get("ROCR_VISIBLE_DEVICES"), hip):
        if value is not None:
            gpus = _pick(gpus, value)
    return tuple(gpus)


def _pick(gpus: list[SimulatedGpu], value: str) -> list[SimulatedGpu]:
    """The listed ordinals; the first invalid one ends the list."""
    chosen: list[SimulatedGpu] = []
    for item in value.split(","):
        if not item.strip().isdigit() or int(item) >= len(gpus):
            break
        chosen.append(gpus[int(item)])
    return chosen
