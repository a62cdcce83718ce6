"""The table in memory: what a call costs over a bare one, and what AITER's own look-up costs beside it."""

from __future__ import annotations

import csv
import json
import statistics
import sys
import tempfile
import time
import tracemalloc
from pathlib import Path
from typing import TYPE_CHECKING

import torch

from hipbmm_kernel.dispatch import wrapper
from hipbmm_kernel.dispatch.recorder import Recorder
from hipbmm_kernel.dispatch.table import Entry

if TYPE_CHECKING:
    from collections.abc import Callable

LINEARS = ((10240, 5120), (5120, 8192), (51200, 5120), (5120, 25600))
CALLS = 20_000
ROUNDS = 7
SIZES = (204, 20_000)
FP8 = torch.float8_e4m3fn


def entries(count: int) -> list[Entry]:
    """So many problems, sizes first."""
    problems = [(m, n + 16 * more, k) for more in range(16) for m in range(1, 513) for n, k in LINEARS]
    found = [Entry(m, n, k, False, 1 + m, m) for m, n, k in problems]
    return found[:count]


def operands(entry: Entry) -> dict[str, torch.Tensor]:
    """Operands of that shape that take no memory."""
    return {
        "mat1": torch.empty((), dtype=FP8).expand(entry.m, entry.k),
        "mat2": torch.empty((), dtype=FP8).expand(entry.k, entry.n),
        "scaleA": torch.empty(()).expand(entry.m, 1),
        "scaleB": torch.empty(()).expand(1, entry.n),
    }


def bare(
    mat1: object,
    mat2: object,
    solution_index: int,
    bias: object = None,
    out_dtype: object = None,
    scaleA: object = None,  # noqa: N803 - AITER's name
    scaleB: object = None,  # noqa: N803 - same
    scaleOut: object = None,  # noqa: N803 - same
    bpreshuffle: object = None,
) -> None:
    """Takes a call and does nothing, so that what stays is the dispatcher."""


def microseconds(function: Callable[..., object], index: int, calls: list[dict[str, torch.Tensor]]) -> float:
    """Processor time of one call in microseconds, as vLLM makes it: the machine has other work, too."""
    began = time.thread_time()
    for number in range(CALLS):
        call = calls[number % len(calls)]
        function(
            call["mat1"], call["mat2"], solution_index=index, bias=None, out_dtype=torch.bfloat16,
            scaleA=call["scaleA"], scaleB=call["scaleB"], scaleOut=None, bpreshuffle=True,
        )  # fmt: skip
    return (time.thread_time() - began) / CALLS * 1e6


def overhead(function: Callable[..., object], calls: list[dict[str, torch.Tensor]]) -> float:
    """Microseconds of a call of `function` over a bare one: the median of rounds in which both take turns."""
    return statistics.median(microseconds(function, -1, calls) - microseconds(bare, 7, calls) for _ in range(ROUNDS))


def scan_microseconds(table: list[Entry]) -> float:
    """Mean time of AITER's own look-up over the rows: the file is opened and read line by line until the key is met.

    A stand-in with Python's compiled reader. AITER's own takes 7 us for the first of 204 rows and 58 us for the last.
    """
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "rows.csv"
        path.write_text("".join(f"0,0,{e.n},{e.m},{e.k},{'x' * 80},{e.solution}\n" for e in table))
        began = time.thread_time()
        for wanted in table:
            key = [str(wanted.n), str(wanted.m), str(wanted.k)]
            with path.open() as file:
                next(row for row in csv.reader(file) if row[2:5] == key)
        return (time.thread_time() - began) / len(table) * 1e6


def figures() -> dict[str, float]:
    """Overheads in microseconds, the ratio to a scan of 204 rows, MiB of 2,048 entries."""
    found: dict[str, float] = {}
    with tempfile.TemporaryDirectory() as folder:
        for size in SIZES:
            table = entries(size)
            calls = [operands(entry) for entry in table[:: max(1, size // 200)]]
            function = wrapper.make(bare, table, -1, (FP8, torch.bfloat16), Recorder(folder, 0))
            found[f"dispatch_overhead_us_{size}"] = overhead(function, calls)
        found["dispatch_scan_ratio"] = scan_microseconds(entries(SIZES[0])) / found["dispatch_overhead_us_204"]
        tracemalloc.start()
        kept = wrapper.make(bare, entries(2048), -1, (FP8, torch.bfloat16), Recorder(folder, 0))
        found["dispatch_mib_2048"] = tracemalloc.get_traced_memory()[0] / 2**20
        tracemalloc.stop()
        del kept
    return found


if __name__ == "__main__":
    sys.stdout.write(json.dumps(figures()))
