"""Products by the names that people and clouds give them: marketing names, accelerator labels, instance types.

Names are unstable (they change with the labeller's version, and boards drop the X: ``AMD_Instinct_MI325_OAM``), so they
only count where no device id is known.
"""

import re
from dataclasses import dataclass
from enum import Enum
from functools import lru_cache
from typing import Final

from hipbmm_operator.detect.catalogue.products import GpuModel, model_of_product
from hipbmm_operator.detect.sources.values import shown

# No left boundary: IBM writes "8mi300x". After the X a digit may follow ("gpu-mi300x1-192gb"), after a bare number it
# may not.
_MI3XX: Final = re.compile(r"mi[ _-]?(300a|300x|308x|325x|350x|350p|355x|(?:308|325|350|355)(?![0-9]))", re.IGNORECASE)
_SOME_MI3XX: Final = re.compile(r"mi[ _-]?3[0-9]{2}", re.IGNORECASE)
_OTHER_INSTINCT: Final = re.compile(r"(?<![a-z])mi[ _-]?[0-9]{1,3}", re.IGNORECASE)
_RADEON: Final = re.compile(r"radeon|firepro|vega|navi", re.IGNORECASE)
# libdrm's name for any id that its table lacks, MI3xx included.
_GENERIC: Final = re.compile(r"(?:amd[ _-])?radeon[ _-]graphics", re.IGNORECASE)
_VIRTUAL: Final = re.compile(r"(?:^|[ _-])vf(?:$|[ _-])", re.IGNORECASE)


class Naming(Enum):
    """What a name says about the product."""

    MI3XX = "one known MI3xx product"
    OTHER = "another AMD product"
    GENERIC = "a Radeon of no known kind"
    AMBIGUOUS = "an MI3xx, but not which"
    NOTHING = "nothing"


@dataclass(frozen=True, slots=True)
class Name:
    """A name and what it says; ``model`` is None for AMBIGUOUS and NOTHING."""

    naming: Naming
    model: GpuModel | None = None


def _product(written: str) -> str | None:
    found = _MI3XX.search(written)
    if found is None:
        return None
    suffix = found[1].upper()
    return f"MI{suffix}" if suffix[-1] in "AXP" else f"MI{suffix}X"


@lru_cache(maxsize=1024)
def read_name(written: str) -> Name:
    """Read a marketing name such as ``AMD_Instinct_MI300X_OAM``."""
    product = _product(written)
    if product is not None:
        virtual = True if _VIRTUAL.search(written) else None
        return Name(Naming.MI3XX, model_of_product(product, shown(written), virtual=virtual))
    if _SOME_MI3XX.search(written):
        return Name(Naming.AMBIGUOUS)
    other = GpuModel(key=f"name:{written.lower()}", shown=shown(written), arch=None)
    if _GENERIC.fullmatch(written.strip()):
        return Name(Naming.GENERIC, other)
    if _OTHER_INSTINCT.search(written) or _RADEON.search(written):
        return Name(Naming.OTHER, other)
    return Name(Naming.NOTHING)


@lru_cache(maxsize=1024)
def read_hint(written: str) -> GpuModel | None:
    """The MI3xx product that a cloud's model label or instance type names, or None."""
    product = _product(written)
    return None if product is None else model_of_product(product, shown(written))
