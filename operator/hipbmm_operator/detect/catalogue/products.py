"""The MI3xx products by PCI device id, and what follows from an id: arch, FP8 type, compute units, memory.

The device id is the only identity that is both precise and widely present; nothing in the Kubernetes API carries
``gfx942`` or ``gfx950``. Ids are those of the gpu-operator's NodeFeatureRule, device-metrics-exporter, the labeller's
``amdgpu.ids`` and the MxGPU marketing-name table; 74b4, 75a2 and 75b2 are known from rocprofiler-compute alone.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

GFX942: Final = "gfx942"
GFX950: Final = "gfx950"
FP8_TYPES: Final[Mapping[str, str]] = {GFX942: "e4m3fnuz", GFX950: "e4m3fn"}

_ID: Final = re.compile(r"[0-9a-f]{4}")
_DRA_ID: Final = re.compile(r"0x[0-9a-fA-F]{4}")
# The bare prefixes 74 and 75 are wrong: 7408..7410 are MI2xx, 744x and 746x RDNA3, 755x and 7590 RDNA4.
_RANGE: Final = re.compile(r"(?P<prefix>7[45])(?P<function>[ab])(?P<number>[0-9a-f])")
_ARCH_BY_PREFIX: Final = {"74": GFX942, "75": GFX950}
# A virtual function's id is the physical one's plus this; holds for every known pair.
_VIRTUAL_STEP: Final = {"74": 0x14, "75": 0x10}


@dataclass(frozen=True, slots=True)
class Product:
    """One product.

    ``modes`` maps a compute partition mode to the logical devices one GPU has in it; ``memory_gib`` lists the sizes of
    a whole GPU that are seen.
    """

    name: str
    arch: str
    physical_ids: tuple[str, ...]
    virtual_ids: tuple[str, ...]
    compute_units: int
    memory_gib: tuple[int, ...]
    modes: Mapping[str, int]

    @property
    def ids(self) -> tuple[str, ...]:
        """Physical ids, then virtual ones."""
        return self.physical_ids + self.virtual_ids


def _modes(**ways: int) -> Mapping[str, int]:
    return {"SPX": 1, **ways}


_EIGHT_XCD: Final = _modes(DPX=2, QPX=4, CPX=8)
# The "HF" variants (74a9, 74a8 and their virtual functions) have the geometry of their product and count as it.
# MI300A's memory is shared with the CPU and is never compared. MI308X reports 192 GiB in the field, 128 in one vendor
# table.
PRODUCTS: Final[tuple[Product, ...]] = (
    Product("MI300A", GFX942, ("74a0",), ("74b4",), 228, (), _modes(TPX=3, CPX=6)),
    Product("MI300X", GFX942, ("74a1", "74a9"), ("74b5", "74bd"), 304, (192,), _EIGHT_XCD),
    Product("MI308X", GFX942, ("74a2", "74a8"), ("74b6", "74bc"), 80, (192, 128), _modes(DPX=2, CPX=4)),
    Product("MI325X", GFX942, ("74a5",), ("74b9",), 304, (256,), _EIGHT_XCD),
    Product("MI350P", GFX950, ("75a8",), ("75b8",), 128, (144,), _modes(DPX=2, CPX=4)),
    Product("MI350X", GFX950, ("75a0",), ("75b0",), 256, (288,), _EIGHT_XCD),
    Product("MI355X", GFX950, ("75a3",), ("75b3",), 256, (288,), _EIGHT_XCD),
)
PRODUCT_NAMES: Final[tuple[str, ...]] = tuple(product.name for product in PRODUCTS)
_BY_NAME: Final[Mapping[str, Product]] = {product.name: product for product in PRODUCTS}
_BY_ID: Final[Mapping[str, Product]] = {device_id: product for product in PRODUCTS for device_id in product.ids}


@dataclass(frozen=True, slots=True)
class GpuModel:
    """One kind of GPU as one piece of evidence names it.

    ``key`` is equal for evidence of the same product (a virtual function and its physical GPU, an HF variant and its
    product); ``shown`` is the id or the name as read; ``arch`` is None when it is no MI3xx; ``product`` is None when
    the id is in the MI3xx range but unknown; ``virtual`` is None when the evidence does not say it; ``generic``: a
    Radeon of no known kind, as libdrm calls MI3xx, too.
    """

    key: str
    shown: str
    arch: str | None
    product: str | None = None
    virtual: bool | None = None
    generic: bool = False


def product_named(name: str | None) -> Product | None:
    """The product of exactly this name, or None."""
    return _BY_NAME.get(name) if name is not None else None


def model_of_product(name: str, shown: str, *, virtual: bool | None = None) -> GpuModel:
    """The model for evidence that names a product; KeyError for a name not in PRODUCT_NAMES."""
    return GpuModel(key=name, shown=shown, arch=_BY_NAME[name].arch, product=name, virtual=virtual)


def device_id(written: str) -> str | None:
    """Four lower-case hex digits of a device id as labels write it (upper case and ``0x`` are accepted), or None."""
    folded = written.strip().lower().removeprefix("0x")
    return folded if _ID.fullmatch(folded) else None


def dra_device_id(written: str) -> str | None:
    """The device id of a DRA attribute: ``0x`` and four hex digits; driver v0.1.0 wrote serial numbers there."""
    return written[2:].lower() if _DRA_ID.fullmatch(written) else None


def model_of_id(folded: str) -> GpuModel:
    """What a device id (four lower-case hex digits) says: an unknown one in the MI3xx range has an arch, no product."""
    found = _RANGE.fullmatch(folded)
    if found is None:
        return GpuModel(key=f"id:{folded}", shown=folded, arch=None)
    virtual = found["function"] == "b"
    arch = _ARCH_BY_PREFIX[found["prefix"]]
    product = _BY_ID.get(folded)
    if product is not None:
        return GpuModel(key=product.name, shown=folded, arch=arch, product=product.name, virtual=virtual)
    physical = int(folded, 16) - (_VIRTUAL_STEP[found["prefix"]] if virtual else 0)
    return GpuModel(key=f"id:{physical:04x}", shown=folded, arch=arch, virtual=virtual)
