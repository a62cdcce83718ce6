"""Products by the names that people and clouds give them: marketing names, accelerator labels, instance types.

Names are unstable (they change with the labeller's version, and boards drop the X: ``AMD_Instinct_MI325_OAM``), so they
only count where no device id is known.
"""

import re
from collections.abc import Mapping
from typing import Final

from hipbmm_operator.detect.catalogue.products import GpuModel, model_of_product
from hipbmm_operator.detect.sources.values import shown

# As far as they are known, with sources in docs/detection.md. An affinity compares whole values, so it has these; by
# another one that is read below a node is detected, and pods cannot be sent there (LabelsMissing).
MARKETING_NAMES: Final[Mapping[str, tuple[str, ...]]] = {
    "MI300A": ("MI300A",),
    "MI300X": ("MI300X", "MI300X_HF", "MI300X_HF_VF", "MI300X_OAM", "MI300X_VF"),
    "MI308X": ("MI308X", "MI308X_HF", "MI308X_HF_VF", "MI308X_OAM", "MI308X_VF"),
    "MI325X": ("MI325X", "MI325X_OAM", "MI325X_VF", "MI325_OAM"),
    "MI350P": ("MI350P", "MI350P_VF"),
    "MI350X": ("MI350X", "MI350X_OAM", "MI350X_VF", "MI350_OAM"),
    "MI355X": ("MI355X", "MI355X_OAM", "MI355X_VF", "MI355_OAM"),
}
INSTANCE_TYPES: Final[Mapping[str, tuple[str, ...]]] = {
    "MI300X": (
        "BM.GPU.MI300X.8",
        "Standard_ND96is_MI300X_v5",
        "Standard_ND96isr_MI300X_v5",
        "gpu-mi300x1-192gb",
        "gpu-mi300x1-192gb-devcloud",
        "gpu-mi300x8-1536gb",
        "gpu-mi300x8-1536gb-devcloud",
        "gx3d-208x1792x8mi300x",
        "mi300x-192gb-ib.8x",
        "vbm-256c-2048gb-8-mi300x-gpu",
    ),
    "MI325X": ("gpu-mi325x1-256gb", "gpu-mi325x8-2048gb", "vbm-256c-3072gb-8-mi325x-gpu"),
    "MI350X": ("gpu-mi350x1-288gb",),
    "MI355X": ("BM.GPU.MI355X-v0.8", "BM.GPU.MI355X-v1.8", "BM.GPU.MI355X.8", "gpu-mi355x1-288gb"),
}

# No left boundary: IBM writes "8mi300x". After the X a digit may follow ("gpu-mi300x1-192gb"), after a bare number it
# may not.
_MI3XX: Final = re.compile(r"mi[ _-]?(300a|300x|308x|325x|350x|350p|355x|(?:308|325|350|355)(?![0-9]))", re.IGNORECASE)
_SOME_MI3XX: Final = re.compile(r"mi[ _-]?3[0-9]{2}", re.IGNORECASE)
_OTHER_INSTINCT: Final = re.compile(r"(?<![a-z])mi[ _-]?[0-9]{1,3}", re.IGNORECASE)
_RADEON: Final = re.compile(r"radeon|firepro|vega|navi", re.IGNORECASE)
# libdrm's name for any id that its table lacks, MI3xx included.
_GENERIC: Final = re.compile(r"(?:amd[ _-])?radeon[ _-]graphics", re.IGNORECASE)
_VIRTUAL: Final = re.compile(r"(?:^|[ _-])vf(?:$|[ _-])", re.IGNORECASE)


def _product(written: str) -> str | None:
    found = _MI3XX.search(written)
    if found is None:
        return None
    suffix = found[1].upper()
    return f"MI{suffix}" if suffix[-1] in "AXP" else f"MI{suffix}X"


def read_name(written: str) -> GpuModel | None:
    """What a marketing name such as ``AMD_Instinct_MI300X_OAM`` says; None for one of no product.

    And for an MI3xx of which nobody knows which.
    """
    product = _product(written)
    if product is not None:
        virtual = True if _VIRTUAL.search(written) else None
        return model_of_product(product, shown(written), virtual=virtual)
    generic = _GENERIC.fullmatch(written.strip()) is not None
    if _SOME_MI3XX.search(written) or not (generic or _OTHER_INSTINCT.search(written) or _RADEON.search(written)):
        return None
    return GpuModel(key=f"name:{written.lower()}", shown=shown(written), arch=None, generic=generic)


def read_hint(written: str) -> GpuModel | None:
    """The MI3xx product that a cloud's model label or instance type names, or None."""
    product = _product(written)
    return None if product is None else model_of_product(product, shown(written))
