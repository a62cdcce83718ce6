"""Lines that lost their end: where a glued line falls apart, and whether a kernel name was cut.

AITER appends a row with one unchecked `write`, so a full disk, a file-size limit or a copy made too early leaves part
of a row, and the next append continues on the same line. Both rows are then lost to AITER, but the second is whole.
"""

from collections.abc import Iterable
from itertools import pairwise

from hipbmm_kernel.rows import gemm

_FLAGS = ("true", "false")
_TRANS = ("T", "N")
STARTS = tuple(f"{pre},{row},{a},{b}," for pre in _FLAGS for row in _FLAGS for a in _TRANS for b in _TRANS)
"""How a row can begin; nothing inside a row looks like this, because kernel names hold no comma."""

_TENSILE = ("Cijk_", "Custom_Cijk_")
_WORK_GROUP = "_WG"
"""Close to the end of every Tensile kernel name."""


def pieces(text: str) -> list[str]:
    """The parts of a line, each but the first beginning where a row begins. One part when nothing is glued.

    What is in front of the first whole row must itself be the beginning of a row: an extra column in front is no
    torn row but a file that something else wrote.
    """
    cuts = {0, len(text)}
    for start in STARTS:
        at = text.find(start)
        while at >= 0:
            cuts.add(at)
            at = text.find(start, at + 1)
    bounds = sorted(cuts)
    found = [text[begin:end] for begin, end in pairwise(bounds)]
    begins = found and any(found[0].startswith(start) or start.startswith(found[0]) for start in STARTS)
    return found if begins else [text]


def complete_names(lines: Iterable[bytes]) -> frozenset[str]:
    """Kernel names of those of `lines` that have their line end and 20 columns."""
    found = set()
    for raw in lines:
        if raw.endswith(b"\n") and raw.count(b",") == len(gemm.COLUMNS) - 1:
            found.add(raw[raw.rindex(b",") + 1 : -1].decode("latin-1").removesuffix("\r"))
    return frozenset(found)


def is_cut(name: str, complete: frozenset[str]) -> bool:
    """Whether a kernel name without a line end after it shows signs of being cut.

    The index in front of it is whole in any case. A name that the same file has elsewhere is whole; one that begins
    another name, or lacks the end that the file's other Tensile names have, is not.
    """
    if name in complete or name == gemm.NO_NAME:
        return False
    if any(other.startswith(name) for other in complete):
        return True
    tensile = [other for other in complete if other.startswith(_TENSILE)]
    if not name.startswith(_TENSILE) or not tensile:
        return False
    return _WORK_GROUP not in name and all(_WORK_GROUP in other for other in tensile)
