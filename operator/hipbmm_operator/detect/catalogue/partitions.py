"""Partition geometry: how many compute units and how much memory one logical device has in each mode of a product.

Derived from XCDs x compute units and confirmed by samples of the DRA driver's tests; the memory of a device is the
memory of the GPU divided by its logical devices, whatever the NPS mode (kernel ``amdgpu_amdkfd_xcp_memory_size``).
"""

import re
from typing import Final

from hipbmm_operator.detect.catalogue.products import Product

GPU_RESOURCE: Final = "amd.com/gpu"
SPX: Final = "SPX"
# From the largest device to the smallest; holds for every product.
MODES: Final = ("SPX", "DPX", "TPX", "QPX", "CPX")
_PROFILE: Final = re.compile(r"(spx|dpx|tpx|qpx|cpx)(?:_nps[1248])?", re.IGNORECASE)
_RESOURCE: Final = re.compile(r"amd\.com/(spx|dpx|tpx|qpx|cpx)_nps[1248]")
_ROUNDING_GIB: Final = 1


def mode_of_profile(written: str) -> str | None:
    """``CPX`` for ``cpx_nps4`` or ``cpx``; None when it is no profile."""
    found = _PROFILE.fullmatch(written.strip())
    return found[1].upper() if found else None


def mode_of_resource(name: str) -> str | None:
    """``CPX`` for the resource ``amd.com/cpx_nps4``; None for any other resource name."""
    found = _RESOURCE.fullmatch(name)
    return found[1].upper() if found else None


def compute_units_of(product: Product, mode: str) -> int | None:
    """Compute units of one logical device, or None when the product has no such mode."""
    ways = product.modes.get(mode)
    return None if ways is None else product.compute_units // ways


def mode_of_compute_units(product: Product, compute_units: int) -> str | None:
    """The mode whose devices have exactly so many compute units."""
    return next((mode for mode, ways in product.modes.items() if compute_units * ways == product.compute_units), None)


def mode_of_devices(product: Product, logical: int, physical: int) -> str | None:
    """The mode in which so many GPUs appear as so many devices; only an exact ratio counts."""
    if physical <= 0:
        return None
    return next((mode for mode, ways in product.modes.items() if logical == physical * ways), None)


def modes_of_memory(product: Product, gib: int) -> tuple[str, ...]:
    """The modes whose devices have so much memory, give or take the rounding of the labeller."""
    return tuple(
        mode
        for mode, ways in product.modes.items()
        if any(abs(gib - whole / ways) <= _ROUNDING_GIB for whole in product.memory_gib)
    )
