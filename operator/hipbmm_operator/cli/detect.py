"""The command `detect`: what the operator would make of the nodes in a file, without a cluster."""

import argparse
import json
import re
import sys
from collections.abc import Mapping, Sequence
from contextlib import redirect_stderr, redirect_stdout
from pathlib import Path
from typing import Any, Final, NoReturn, TextIO

from hipbmm_operator.cli import output
from hipbmm_operator.cli.inventory import Inventory, gpu_requests, read_inventory
from hipbmm_operator.detect.availability import default_tolerations
from hipbmm_operator.detect.detection import Detection
from hipbmm_operator.detect.detector import detect_node
from hipbmm_operator.detect.sources.dra import extended_resources

FINE: Final = 0
FOUND_WRONG: Final = 1
WRONG_USAGE: Final = 2
LARGEST_BYTES: Final = 128 * 2**20
_ABOUT: Final = "What the operator would make of the nodes in a file, without a cluster (docs/detection.md)."
_STDIN: Final = "-"
_HEADER: Final = ("NODE", "STATE", "PRODUCT", "ARCH", "CU", "PARTITION", "RESOURCE", "GPUS", "CONFIDENCE", "WHY")
_UNKNOWN: Final = "-"
_TOLERATION: Final = re.compile(
    r"(?P<key>[A-Za-z0-9][-A-Za-z0-9_./]*)(?:=(?P<value>[-A-Za-z0-9_.]*))?(?::(?P<effect>NoSchedule|NoExecute|PreferNoSchedule))?"
)


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        self.exit(WRONG_USAGE, f"{self.format_usage()}error: {message}\n")


def _parser() -> _Parser:
    parser = _Parser(prog="hipbmm_operator detect", description=_ABOUT, add_help=False, allow_abbrev=False)
    parser.add_argument("-h", "--help", action="help", help="show this text")
    parser.add_argument(
        "-f",
        "--filename",
        metavar="FILE",
        help="YAML or JSON with Node, ResourceSlice, DeviceClass, NodeFeature and Pod; - is stdin",
    )
    parser.add_argument("-o", "--output", choices=("table", "json"), default="table")
    parser.add_argument(
        "--request", type=_positive, default=1, metavar="N", help="devices that one pod wants (default 1)"
    )
    parser.add_argument(
        "--tolerate",
        action="append",
        default=[],
        type=_toleration,
        metavar="KEY[=VALUE][:EFFECT]",
        help="a taint that pods tolerate beside amd.com/gpu:NoSchedule; may be repeated",
    )
    return parser


def _positive(written: str) -> int:
    if not re.fullmatch(r"[1-9][0-9]{0,5}", written):
        raise argparse.ArgumentTypeError(f"{written!r} is no number from 1 to 999999")
    return int(written)


def _toleration(written: str) -> Mapping[str, str]:
    found = _TOLERATION.fullmatch(written)
    if found is None:
        raise argparse.ArgumentTypeError(f"{written!r} is not KEY[=VALUE][:EFFECT]")
    toleration = {"key": found["key"], "operator": "Exists" if found["value"] is None else "Equal"}
    return toleration | {key: found[key] for key in ("value", "effect") if found[key] is not None}


def detect_command(argv: Sequence[str], stdout: TextIO, stderr: TextIO) -> int:
    """Run the command; the result goes to ``stdout``, everything else to ``stderr``.

    0: all objects were read, whatever the states of the nodes. 1: an object or the file is malformed (the nodes that
    could be read are still printed). 2: wrong usage, or a file that cannot be opened.
    """
    parser = _parser()
    try:
        with redirect_stdout(stdout), redirect_stderr(stderr):
            options = parser.parse_args(argv)
            if options.filename is None:
                parser.error("-f FILE is needed (- for standard input)")
            inventory = _inventory(options.filename, parser)
    except SystemExit as ended:
        return WRONG_USAGE if ended.code else FINE
    detections = detect_inventory(inventory, [*default_tolerations(), *options.tolerate], options.request)
    if options.output == "json":
        output.write(stdout, json.dumps([detection.as_dict() for detection in detections], indent=2) + "\n")
    else:
        output.write(stdout, _table(detections))
    return _report(inventory, stderr)


def detect_inventory(inventory: Inventory, tolerations: Sequence[Mapping[str, Any]], request: int) -> list[Detection]:
    """The detections of all nodes of an inventory, by name, without memory of earlier ones."""
    used, extended = gpu_requests(inventory.pods), extended_resources(inventory.classes)
    return [
        detect_node(
            node,
            inventory.slices.get(name, ()),
            inventory.features.get(name, ()),
            tolerations,
            None,
            0.0,
            used=used.get(name),
            request=request,
            extended=extended,
        )
        for name, node in sorted(inventory.nodes.items())
    ]


def _table(detections: Sequence[Detection]) -> str:
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


def _inventory(filename: str, parser: argparse.ArgumentParser) -> Inventory:
    try:
        if filename == _STDIN:
            content = sys.stdin.buffer.read(LARGEST_BYTES + 1)
        else:
            with Path(filename).open("rb") as stream:
                content = stream.read(LARGEST_BYTES + 1)
    except (OSError, ValueError) as error:  # ValueError: a NUL in the name
        parser.error(f"cannot read {filename}: {error}")
    if len(content) > LARGEST_BYTES:
        return Inventory(problems=[f"{filename}: larger than {LARGEST_BYTES >> 20} MiB"])
    try:
        written = content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        return Inventory(problems=[f"{filename}: not UTF-8 at byte {error.start}"])
    return read_inventory(written)


def _report(inventory: Inventory, stderr: TextIO) -> int:
    if inventory.passed_over:
        stderr.write(f"passed over {inventory.passed_over} objects of other kinds\n")
    if not inventory.nodes and not inventory.problems:
        stderr.write("no Node in the file\n")
    stderr.writelines(f"error: {problem}\n" for problem in inventory.problems)
    return FOUND_WRONG if inventory.problems else FINE
