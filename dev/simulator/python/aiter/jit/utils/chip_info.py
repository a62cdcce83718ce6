"""AITER's questions about the chip. ``GPU_ARCHS`` and ``CU_NUM`` override the hardware here, as they do there."""

import os
from functools import lru_cache

from aiter_simulator import gpu

_NO_GPU = "Get GPU arch from rocminfo failed: no device"


@lru_cache(maxsize=1)
def get_gfx() -> str:
    """The architecture by ``GPU_ARCHS`` (the last of a list), else the GPU's."""
    named = os.getenv("GPU_ARCHS", "native")
    return get_gfx_runtime() if named == "native" else named.split(";")[-1]


@lru_cache(maxsize=1)
def get_gfx_runtime() -> str:
    """The architecture of the first GPU; RuntimeError without one."""
    devices = gpu.visible()
    if not devices:
        raise RuntimeError(_NO_GPU)
    return devices[0].arch


@lru_cache(maxsize=1)
def get_cu_num() -> int:
    """Compute units by ``CU_NUM``, else of the GPUs, which must be alike."""
    named = int(os.getenv("CU_NUM", "0"))
    if named:
        return named
    units = {device.cu for device in gpu.visible()}
    assert len(units) == 1  # noqa: S101 - AITER asserts this
    return units.pop()


@lru_cache(maxsize=1)
def get_device_name() -> str:
    """AITER's short name of the product family."""
    devices = gpu.visible()
    if not devices:
        raise RuntimeError(_NO_GPU)
    if devices[0].device_id in {0x74A2, 0x74A8, 0x74B6, 0x74BC}:
        return "MI308"
    return {"gfx942": "MI300", "gfx950": "MI350"}.get(devices[0].arch, "unknown")
