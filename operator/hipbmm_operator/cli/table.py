"""Detections as a table for people."""

from collections.abc import Sequence
from typing import Final

from hipbmm_operator.detect.detection import Detection

_HEADER: Final = ("NODE", "STATE", "PRODUCT", "ARCH", "CU", "PARTITION", "RESOURCE", "GPUS", "CONFIDENCE", "WHY")
_UNKNOWN: Final = "-"


def table(detections: Sequence[Detection]) -> str:
    """One line for each node, columns aligned; WHY is the first reason. Names from outside cannot move the cursor."""
    rows = [_HEADER, *(_row(detection) for detection in detections)]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines = ("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows)
    return "".join(f"{line}\n" for line in lines)


def _row(detection: Detection) -> tuple[str, ...]:
    virtual = " VF" if detection.virtual else ""
    cells = (
        detection.node,
        detection.state.value,
        f"{detection.product}{virtual}" if detection.product else None,
        detection.arch,
        detection.compute_units,
        detection.partition,
        detection.resource,
        detection.gpus,
        detection.confidence,
        str(detection.reasons[0]) if detection.reasons else "",
    )
    return tuple(_UNKNOWN if cell is None else _printable(str(cell)) for cell in cells)


def _printable(cell: str) -> str:
    return cell if cell.isprintable() else ascii(cell)[1:-1]
