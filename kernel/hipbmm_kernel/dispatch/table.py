"""The file with a pod's table: problems with their verified index, and the sizes that are padded. Pure.

One line with the sha256 of the rest, then one JSON object. A file that is cut, or was written by another format, is
refused as a whole: the server then runs as if there were no table.
"""

import json
from typing import NamedTuple

from hipbmm_kernel.identity import stack as stacks
from hipbmm_kernel.identity.stack import Stack
from hipbmm_kernel.rows.gemm import MAX_M
from hipbmm_kernel.system.digest import sha256

VARIABLE = "HIPBMM_DISPATCH_TABLE"
"""The variable with the path of the table. `exec` sets it; without it the plugin does nothing."""
FORMAT = "hipbmm-dispatch v1"
MAX_BYTES = 16 << 20
MAX_SIZE = 1 << 31
"""N, K and indices are 32-bit integers in hipBLASLt."""


class TableError(ValueError):
    """The file is no table of this format; the text says why."""


class Entry(NamedTuple):
    """What runs for one problem: index `solution` at `padded_m` tokens: `m`, or the next planned size."""

    m: int
    n: int
    k: int
    bias: bool
    solution: int
    padded_m: int


class Table(NamedTuple):
    """`entries` are of `stack`; a problem that has none is left to hipBLASLt's heuristic."""

    stack: Stack
    entries: tuple[Entry, ...]


def encode(table: Table) -> bytes:
    """The bytes of the file. ValueError for an entry that could not be read back."""
    for entry in table.entries:
        _checked(entry)
    body = {"stack": table.stack.canonical().decode(), "entries": [list(entry) for entry in table.entries]}
    data = json.dumps(body, separators=(",", ":")).encode()
    return f"#{FORMAT} sha256={sha256(data)}\n".encode() + data


def decode(data: bytes) -> Table:
    """The table in a file's bytes. TableError for anything else."""
    head, _, body = data.partition(b"\n")
    name, _, digest = head.partition(b" sha256=")
    if name != f"#{FORMAT}".encode():
        raise TableError(f"the file does not begin with #{FORMAT}")
    if sha256(body).encode() != digest:
        raise TableError("the file is cut or changed: its sha256 is not the one in its first line")
    try:
        found = json.loads(body)
        stack = stacks.parse(found["stack"].encode())
        entries = tuple(_checked(_entry(values)) for values in found["entries"])
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise TableError(f"the file is no table: {error}") from error
    if len({entry[:4] for entry in entries}) != len(entries):
        raise TableError("the file has two entries for one problem")
    return Table(stack, entries)


def _entry(values: object) -> Entry:
    if not isinstance(values, list) or len(values) != len(Entry._fields):
        raise ValueError(f"an entry has {len(Entry._fields)} values")
    return Entry(*values)


def _checked(entry: Entry) -> Entry:
    if [type(value) for value in entry] != [int, int, int, bool, int, int]:
        raise ValueError(f"{entry!r}: whole numbers, and true or false for bias")
    if not 1 <= entry.m <= entry.padded_m <= MAX_M:
        raise ValueError(f"{entry!r}: 1 <= m <= padded m <= {MAX_M}")
    if not (0 < entry.n < MAX_SIZE and 0 < entry.k < MAX_SIZE):
        raise ValueError(f"{entry!r}: n and k must be positive and fit 32 bits")
    if not 0 < entry.solution < MAX_SIZE:
        # Index 0 is what AITER's tuning writes when nothing was found (docs/architecture.md): it is no choice.
        raise ValueError(f"{entry!r}: a solution index is positive and fits 32 bits")
    return entry
