"""The report of `warm`: the whole of it in a file, and what fits in 4096 bytes as the container's termination message.

Kubernetes cuts a termination message at 4096 bytes, which would leave no JSON at all; so it is trimmed here, the least
telling parts first.
"""

import json
import math
from collections.abc import Iterable
from typing import NamedTuple

from hipbmm_kernel.identity.stack import Stack, json_name
from hipbmm_kernel.rows.gemm import Row
from hipbmm_kernel.system import json_text
from hipbmm_kernel.system import volume as volumes
from hipbmm_kernel.system.volume import Volume

VERSION = 1
MAX_MESSAGE_BYTES = 4096
MAX_BYTES = 4 << 20
"""Of report.json."""

COMPLETE = "Complete"
PARTIAL = "Partial"
UNSUPPORTED = "Unsupported"
DISABLED = "Disabled"
NO_PLAN = "NoPlan"
FAILED = "Failed"

MAX_ERRORS = 8
MAX_NOTES = 8
MAX_TEXT = 400
MAX_SHORT = 60


class Report(NamedTuple):
    """What `warm` did; the fields are those of docs/pod-contract.md."""

    state: str
    reason: str
    message: str
    key: str = ""
    stack: Stack | None = None
    plan_source: str = "None"
    architecture: str | None = None
    linears: int = 0
    problems: int = 0
    tuned: int = 0
    failed: int = 0
    restored: int = 0
    vetoed: int = 0
    doubted: int = 0
    skipped: int = 0
    unverified: int = 0
    source: str = "None"
    seconds: float = 0.0
    geomean: str | None = None
    spread: str | None = None
    rows: int = 0
    digest: str = ""
    children: int = 0
    torch_imported: bool = False
    hipbmm: bool = True
    unproven: tuple[str, ...] = ()
    unplanned: int = 0
    refused: bool = False
    dispatch: str = "File"
    dispatch_reason: str = ""
    storage_writable: bool = False
    storage_error: str = ""
    errors: tuple[str, ...] = ()
    mirror_shards: tuple[str, ...] = ()
    mirror_lines: int = 0
    failures: tuple[tuple[str, str], ...] = ()
    notes: tuple[str, ...] = ()

    def document(self) -> dict[str, object]:
        """The report as JSON, everything in it: fields by their own names, those of one thing as an object."""
        fields = self._asdict()
        for name in ("plan", "storage", "mirror"):
            parts = [field for field in fields if field.startswith(f"{name}_")]
            fields[name] = {field[len(name) + 1 :]: fields.pop(field) for field in parts}
        fields["plan"] |= {name: fields.pop(name) for name in ("architecture", "linears")}
        fields |= {
            "seconds": round(self.seconds, 3),
            "failures": [{"problem": problem, "reason": reason} for problem, reason in self.failures],
            "stack": self.stack.summary() if self.stack else {},
            "stack_document": self.stack.document() if self.stack else None,
        }
        return {"v": VERSION, **{json_name(name): value for name, value in fields.items()}}


def whole(report: Report) -> bytes:
    """The report for report.json."""
    return json.dumps(report.document(), indent=1, ensure_ascii=True).encode("ascii") + b"\n"


def read(volume: Volume, path: str) -> tuple[dict[str, object] | None, str]:
    """A report, or another of the pod's own JSON objects; None, and why, when there is none that can be used."""
    try:
        document = json_text.parsed(volumes.read_file(volume, path, MAX_BYTES))
    except (OSError, ValueError) as error:
        return None, f"{path} cannot be used: {error}"
    return (document, "") if isinstance(document, dict) else (None, f"{path} holds no object")


def termination_message(report: Report) -> bytes:
    """The report as one line of at most 4096 bytes: detail goes first, then errors, then long texts are cut."""
    for part in (1, 2, 4):
        encoded = _line(_trimmed(report, MAX_TEXT // part, MAX_ERRORS // part, MAX_NOTES // part))
        if len(encoded) <= MAX_MESSAGE_BYTES:
            return encoded
    return _line(_trimmed(report, MAX_SHORT, 0, 0))


def _trimmed(report: Report, texts: int, errors: int, notes: int) -> dict[str, object]:
    """The document without its detail, with so many errors and notes and every text cut to `texts` characters."""
    document = report.document()
    for name in ("stackDocument", "failures"):
        del document[name]
    document |= {"notes": report.notes[:notes]}
    document |= {"errors": report.errors[:errors], "unproven": report.unproven[:errors]}
    cut = _cut(document, texts)
    return cut if isinstance(cut, dict) else {}


def _cut(value: object, length: int) -> object:
    if isinstance(value, str):
        return value[:length]
    if isinstance(value, dict):
        return {name: _cut(item, length) for name, item in value.items()}
    return [_cut(item, length) for item in value] if isinstance(value, (list, tuple)) else value


def _line(document: dict[str, object]) -> bytes:
    return json.dumps(document, separators=(",", ":"), ensure_ascii=True).encode("ascii")


def geomean(rows: Iterable[Row]) -> str | None:
    """Geometric mean of default time / tuned time over the measured rows, as text; None when none was measured."""
    logs = [
        math.log(row.default_us / row.tuned_us)
        for row in rows
        if row.tuned_us is not None and row.default_us is not None
    ]
    return f"{math.exp(math.fsum(logs) / len(logs)):.2f}" if logs else None
