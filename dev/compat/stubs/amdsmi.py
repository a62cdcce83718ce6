"""As much of ROCm's `amdsmi` as vLLM asks at import, for one MI300X: with it vLLM takes its ROCm platform."""

from __future__ import annotations

import enum
from typing import Any

GFX = "gfx942"
MEMORY = 192 << 30
HANDLES = tuple(f"gpu{number}" for number in range(8))


class AmdSmiException(Exception):  # noqa: N818 - the name vLLM imports
    """Never raised here."""


class AmdSmiMemoryType(enum.Enum):
    """The one kind vLLM asks for."""

    VRAM = 0


def amdsmi_init(*_: object) -> None:
    """Nothing to open."""


def amdsmi_shut_down() -> None:
    """Nothing to close."""


def amdsmi_get_processor_handles() -> list[str]:
    """The GPUs of a whole node."""
    return list(HANDLES)


def amdsmi_get_gpu_asic_info(_: str) -> dict[str, Any]:
    """What an MI300X says of itself."""
    return {"market_name": "AMD Instinct MI300X", "device_id": "0x74a1", "target_graphics_version": GFX}


def amdsmi_get_gpu_memory_total(_: str, __: AmdSmiMemoryType) -> int:
    """Bytes of HBM."""
    return MEMORY


def amdsmi_get_gpu_device_uuid(handle: str) -> str:
    """A name that differs for each GPU."""
    return f"uuid-{handle}"


def amdsmi_topo_get_link_type(_: str, __: str) -> dict[str, int]:
    """One hop over xGMI."""
    return {"hops": 1, "type": 2}


def amdsmi_topo_get_numa_node_number(_: str) -> int:
    """One node."""
    return 0
