"""What the children of the checks do on the device. Each program takes JSON arguments and reports what it sees.

All of them call the op that serves (`linear.op`) on operands that the tuner uses (`tune.child.operands`).
"""

import os
import resource
import statistics
import time
from collections.abc import Callable, Iterable
from pathlib import Path
from types import ModuleType
from typing import Any

import torch

from hipbmm_kernel.contract.settings import ONLINE_TUNING, SERVED_NAME
from hipbmm_kernel.dispatch import wrapper
from hipbmm_kernel.dispatch.recorder import RESULTS, Recorder
from hipbmm_kernel.dispatch.table import Entry
from hipbmm_kernel.linear import gate, probe
from hipbmm_kernel.linear.hipbmm import AiterHipbMMPerTokenFp8ScaledMMLinearKernel
from hipbmm_kernel.linear.libraries import loaded_libraries
from hipbmm_kernel.linear.op import ensure_extension, hipb_mm_fp8
from hipbmm_kernel.rows.gemm import Linear, Problem, problem_of
from hipbmm_kernel.tune import protocol
from hipbmm_kernel.tune.child.device import Device
from hipbmm_kernel.tune.child.operands import Operands
from hipbmm_kernel.tune.child.tasks import Tasks

Report = Callable[[str, Any], None]
Arguments = dict[str, Any]

MIB = 1 << 20
_FIRST_CHUNK = 64 * MIB
_LARGEST_CHUNK = 8192 * MIB


class Calls:
    """The op on one device, with the operands of each linear made once."""

    def __init__(self, problems: Iterable[Problem]) -> None:
        self.device = Device()
        ensure_extension(self.device.torch_device)
        rows = {(problem.n, problem.k): problem.m for problem in sorted(problems)}  # the largest M comes last
        self._operands = {
            (n, k): Operands(self.device, Linear(n, k, bias=False), most) for (n, k), most in rows.items()
        }

    def __call__(self, problem: Problem) -> torch.Tensor:
        """One call as the server makes it; returns when the device is done."""
        result = self.launch(problem)
        torch.cuda.synchronize()
        return result

    def launch(self, problem: Problem) -> torch.Tensor:
        """The same without waiting, for graph capture."""
        return self._operands[problem.n, problem.k].launch(problem.m)

    def verdict(self, problem: Problem, result: torch.Tensor) -> str | None:
        """Why a result differs from the fp32 product, or None."""
        return self._operands[problem.n, problem.k].expected.compare(result)


def inspect(_arguments: Arguments, report: Report) -> None:
    """The device, the libraries, the gate, the op's registration and the probe, in the order of rising risk."""
    device = Device()
    report("device", {**device.description(), "count": torch.cuda.device_count(), "fp8": _name(device.fp8)})
    reason = AiterHipbMMPerTokenFp8ScaledMMLinearKernel.unsupported(gate.current_platform(), os.environ)
    report("gate", {"accepted": reason is None, "reason": reason})
    library = ensure_extension(device.torch_device)
    has_gemm = hasattr(library, "hipb_mm")
    report("library", {"loaded": loaded_libraries(), "hipb_mm": has_gemm, "fp8": _fp8_of(library)})
    report("probe", {"reason": probe.probe(device.torch_device, device.fp8)})


def register(arguments: Arguments, report: Report) -> None:
    """`torch.library.opcheck` and one compiled graph of the op over AITER itself."""
    problem = _problems(arguments)[0]
    calls = Calls([problem])
    operands = calls._operands[problem.n, problem.k]  # noqa: SLF001 - the raw arguments are what opcheck wants
    x, x_scale = operands.tokens(problem.m)
    given = (x, operands.copies[0], x_scale, operands.weight_scale)
    # test_schema compares inputs by torch.allclose, which PyTorch does not have for FP8.
    tests = ("test_autograd_registration", "test_faketensor", "test_aot_dispatch_dynamic")
    report("opcheck", torch.library.opcheck(hipb_mm_fp8, given, test_utils=tests))
    compiled = torch.compile(hipb_mm_fp8, fullgraph=True, backend="aot_eager")
    report("compiled", {"verdict": calls.verdict(problem, compiled(*given))})


def multiply(arguments: Arguments, report: Report) -> None:
    """Call each problem `calls` times; reports seconds, the table's size after each call, the last result's verdict.

    With `limit` the process may not let any file grow: what a full or read-only disk does to the table.
    """
    problems = _problems(arguments)
    calls = Calls(problems)
    if arguments.get("limit"):
        size = _table_bytes()
        resource.setrlimit(resource.RLIMIT_FSIZE, (size, size))
    for problem in problems:
        seconds, sizes = [], []
        result = None
        for _ in range(arguments["calls"]):
            began = time.perf_counter()
            result = calls(problem)
            seconds.append(time.perf_counter() - began)
            sizes.append(_table_bytes())
        verdict = None if result is None else calls.verdict(problem, result)
        report("problem", {"problem": list(problem), "seconds": seconds, "bytes": sizes, "verdict": verdict})


def race(arguments: Arguments, report: Report) -> None:
    """Each row's index against the heuristic's choice, by the tuner's own verification."""
    tasks = Tasks(Device())
    rows = {problem_of(row["key"]): row for row in arguments["rows"]}
    most = max(problem.m for problem in rows)
    for problem, row in rows.items():
        command = {"do": protocol.VERIFY, **problem._asdict(), "bias": False, "rows": most, "key": row["key"]}
        command |= {"index": row["index"], "rounds": arguments["rounds"], "default": True}
        found = tasks.run(command, lambda _message: None)
        report("row", {"problem": list(problem), "index": row["index"], **found})


def both_ways(arguments: Arguments, report: Report) -> None:
    """Call each row's problem by AITER's file, then all of them by the table in memory: host time and verdict of both.

    The host time is that of a call without waiting for the device, the median of `calls`.
    """
    rows = {problem_of(row["key"]): row["index"] for row in arguments["rows"]}
    calls = Calls(rows)
    by_file = {problem: _timed(calls, problem, arguments["calls"]) for problem in rows}
    library = ensure_extension(calls.device.torch_device)
    some = next(iter(rows))
    entries = [Entry(*problem, False, index, problem.m) for problem, index in rows.items()]
    recorder = Recorder(os.curdir, 0)
    device = calls.launch(some).get_device()
    dtypes = (calls.device.fp8, torch.bfloat16)
    library.hipb_mm = wrapper.make(library.hipb_mm, entries, device, dtypes, recorder)  # type: ignore[attr-defined]
    os.environ.pop(ONLINE_TUNING, None)
    for problem, file in by_file.items():
        memory = _timed(calls, problem, arguments["calls"])
        report("row", {"problem": list(problem), "index": rows[problem], "file": file, "memory": memory})
    report("calls", dict(zip(RESULTS, recorder.totals(), strict=True)))


def _timed(calls: Calls, problem: Problem, count: int) -> dict[str, Any]:
    verdict = calls.verdict(problem, calls(problem))
    times = []
    for _ in range(count):
        began = time.perf_counter()
        calls.launch(problem)
        times.append(time.perf_counter() - began)
    torch.cuda.synchronize()
    return {"hostUs": statistics.median(times) * 1e6, "verdict": verdict}


def fill_memory(arguments: Arguments, report: Report) -> None:
    """Fill the device's memory until `free` bytes are left, then call the problem twice."""
    (problem,) = _problems(arguments)
    calls = Calls([problem])
    held = _fill(calls.device, arguments["free"])
    report("free", {"bytes": calls.device.free_bytes(), "blocks": len(held)})
    if calls.device.free_bytes() > arguments["most"]:
        return
    calls(problem)
    calls(problem)
    report("survived", {"bytes": _table_bytes()})


def watch(arguments: Arguments, report: Report) -> None:
    """Sample the device's free memory until the file `stop` appears; reports the extremes."""
    device = Device()
    free = device.free_bytes()
    least = most = free
    report("watching", {"free": free})
    stop, samples, until = Path(arguments["stop"]), 0, time.monotonic() + arguments["most"]
    while not stop.exists() and time.monotonic() < until:
        free = int(torch.cuda.mem_get_info(device.torch_device)[0])
        least, most, samples = min(least, free), max(most, free), samples + 1
    report("watched", {"least": least, "most": most, "samples": samples})


def allocate(arguments: Arguments, report: Report) -> None:
    """Tune one problem between two pauses; reports the free memory just before."""
    (problem,) = _problems(arguments)
    calls = Calls([problem])
    torch.cuda.synchronize()
    report("before", {"free": calls.device.free_bytes()})
    calls(problem)
    report("after", {"free": calls.device.free_bytes()})


def capture(arguments: Arguments, report: Report) -> None:
    """Capture one call in a graph, after an eager one when `warm`, and replay it."""
    (problem,) = _problems(arguments)
    calls = Calls([problem])
    if arguments["warm"]:
        calls(problem)
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        result = calls.launch(problem)
    report("captured", {"bytes": _table_bytes()})
    try:
        graph.replay()
    except NotImplementedError as error:
        report("replayed", {"possible": False, "why": str(error)})
        return
    torch.cuda.synchronize()
    report("replayed", {"possible": True, "verdict": calls.verdict(problem, result)})


PROGRAMS: dict[str, Callable[[Arguments, Report], None]] = {
    program.__name__: program
    for program in (inspect, register, multiply, race, both_ways, fill_memory, watch, allocate, capture)
}


def _problems(arguments: Arguments) -> list[Problem]:
    return [Problem(*sizes) for sizes in arguments["problems"]]


def _table_bytes() -> int:
    """Size of the table in the working directory; 0 when there is none."""
    try:
        return Path(SERVED_NAME).stat().st_size
    except OSError:
        return 0


def _fill(device: Device, keep: int) -> list[torch.Tensor]:
    """Blocks that leave about `keep` bytes free.

    Ends when neither of two blocks lowers what is free (a simulator); one may lie in a segment that PyTorch holds.
    """
    held: list[torch.Tensor] = []
    chunk, unmoved = _FIRST_CHUNK, 0
    free = device.free_bytes()
    while free - keep > MIB and unmoved < 2:  # noqa: PLR2004 - two blocks
        size = min(chunk, free - keep)
        held.append(torch.empty(size, dtype=torch.uint8, device=device.torch_device))
        before, free = free, device.free_bytes()
        unmoved = unmoved + 1 if before - free < size // 2 else 0
        chunk = _FIRST_CHUNK * 16 if unmoved else _LARGEST_CHUNK
    return held


def _fp8_of(library: ModuleType) -> str:
    """AITER's own choice of the FP8 type; "" when this version does not say."""
    chosen = getattr(getattr(library, "dtypes", None), "fp8", None)
    return "" if chosen is None else _name(chosen)


def _name(dtype: torch.dtype) -> str:
    return str(dtype).removeprefix("torch.").removeprefix("float8_")
