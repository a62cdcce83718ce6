"""hipb_mm: lookup, tuning, heuristic or explicit index, then the multiplication.

In AITER's order and with its failures.
"""

import os
import time
from dataclasses import dataclass

import torch

from aiter_simulator import counters, epilogue, faults, generation, library, process, runtime, stable, table, tuning
from aiter_simulator.call import Call, Memory
from aiter_simulator.cstdio import STDOUT
from aiter_simulator.memory import MEMORY, MIB
from aiter_simulator.operands import check, describe
from aiter_simulator.problem import Gemm

_DECODE_MAX_M = 512
_WORKSPACE = 256 * MIB


@dataclass(slots=True)
class _Extension:
    """The globals of module_hipbsolgemm: one handle and one workspace for a process."""

    handles: int = 0


_EXTENSION = _Extension()
_MEMORY = Memory()


def create_extension() -> None:
    """Create the handle and a workspace of 256 MiB; a second call leaks another."""
    MEMORY.reserve(runtime.current_gpu(), _WORKSPACE, 1382)
    _EXTENSION.handles += 1


def destroy_extension() -> None:
    """Frees the workspace; calls of hipb_mm afterwards are errors."""
    if _EXTENSION.handles == 0:
        process.exit_hipblas("HIPBLAS_STATUS_NOT_INITIALIZED", 1, 1404)
    _EXTENSION.handles = 0
    MEMORY.release(_WORKSPACE)


@dataclass(frozen=True, slots=True)
class _Choice:
    """What will run: an index (0 for an entry that hipBLASLt left unset) and how it was found."""

    index: int
    on: str


def multiply(call: Call, solution_index: int) -> torch.Tensor:
    """One call of hipb_mm. Raises RuntimeError where AITER has a TORCH_CHECK; ends the process where AITER does."""
    if _EXTENSION.handles == 0:
        process.exit_hipblas("HIPBLAS_STATUS_NOT_INITIALIZED", 1, 1011)
    prepared = _MEMORY.prepare(call)
    gemm = prepared.gemm
    solutions = library.load(runtime.current_gpu())
    choice = _choose(solutions, gemm, solution_index, gelu=call.gelu)
    bias = "with" if gemm.bias else "without"
    faults.strike(M=gemm.M, N=gemm.N, K=gemm.K, index=choice.index, on=choice.on, bias=bias)
    usable = _launch(solutions, gemm, choice)
    rule = faults.find("wrong", M=gemm.M, N=gemm.N, K=gemm.K, index=choice.index, on=choice.on, bias=bias)
    if rule is not None:
        return epilogue.spoil(prepared.result(), rule.arguments.get("how", "all"))
    return prepared.result() if usable else epilogue.spoil(prepared.result(), "all")


def find_all(
    mat1: torch.Tensor,
    mat2: torch.Tensor,
    bias: torch.Tensor | None,
    out_dtype: torch.dtype | None,
    scales: tuple[torch.Tensor | None, torch.Tensor | None],
    *,
    preshuffle: bool,
) -> list[int]:
    """All indices that hipBLASLt says support the problem."""
    gemm = describe(mat1, mat2, bias, out_dtype, scales, preshuffle=preshuffle)
    return library.load(runtime.current_gpu()).all_algorithms(gemm)


def kernel_name(index: int) -> str:
    """getHipblasltKernelName: exit(1) for an index this build does not have."""
    solutions = library.load(runtime.current_gpu())
    solution = solutions.get(index)
    if solution is None:
        process.exit_hipblas("HIPBLAS_STATUS_INVALID_VALUE", 3, 1421)
    return solutions.kernel_name(solution)


def _choose(solutions: library.Library, gemm: Gemm, explicit: int, *, gelu: bool) -> _Choice:
    tuning_on = os.environ.get("HIP_ONLINE_TUNING") in {"1", "true"} and not gelu
    if tuning_on and MEMORY.free(solutions.device) <= 128 * MIB:
        STDOUT.write("No space left for hipBLASLt online tuning.\n", flush=True)
        tuning_on = False
    if not tuning_on or gemm.M > _DECODE_MAX_M:
        if explicit < 0:
            return _heuristic(solutions, gemm)
        counters.COUNTERS.chosen += 1
        return _Choice(explicit, "explicit")
    _slow_file("lookup", gemm)
    index = table.lookup(gemm.key())  # an explicit index is overwritten, found or not
    if index >= 0:
        counters.COUNTERS.hits += 1
        return _Choice(index, "lookup")
    counters.COUNTERS.misses += 1
    return _tune(solutions, gemm)


def _tune(solutions: library.Library, gemm: Gemm) -> _Choice:
    STDOUT.write(f"Tuning hip GEMM ({gemm.N}, {gemm.M}, {gemm.K})\n")
    faults.strike(M=gemm.M, N=gemm.N, K=gemm.K, on="tuning")
    slowdown = _slowdown(gemm, "tune")
    index = tuning.tune(solutions, gemm, slowdown, capturing=runtime.capturing())
    solution = solutions.get(index)
    name = "" if solution is None else solutions.kernel_name(solution)
    facts = {"M": gemm.M, "N": gemm.N, "K": gemm.K, "index": index}
    _slow_file("append", gemm)
    if not faults.find("lost-append", **facts):
        partial = faults.find("partial-line", **facts)
        cut = None if partial is None else int(partial.argument("bytes", 60))
        table.append(gemm.key(), index, name, cut=cut)
    return _Choice(index, "tune")


def _heuristic(solutions: library.Library, gemm: Gemm) -> _Choice:
    found = solutions.candidates(gemm, 1)
    if found:
        return _Choice(found[0].index, "heuristic")
    shape = f"{gemm.trans_a}{gemm.trans_b} ({gemm.N}, {gemm.M}, {gemm.K})"
    flags = f"use_rowwise: {int(gemm.rowwise)}, bpreshuffle: {int(gemm.preshuffle)}, request_solutions: 1"
    check(
        generation.OLD,
        f"hipblasLtMatmulAlgoGetHeuristic found 0 valid solutions for {shape}, "
        f"intype: {_hip_type(gemm.in_type)}, outtype: {_hip_type(gemm.out_type)}, {flags}",
    )
    return _Choice(0, "heuristic")


def _hip_type(name: str) -> int:
    """The number of hipDataType, which is what the message prints."""
    return {"float32": 0, "float16": 2, "int8": 3, "bfloat16": 14, "float8_e4m3fn": 28, "float8_e4m3fnuz": 1000}[name]


def _launch(solutions: library.Library, gemm: Gemm, choice: _Choice) -> bool:
    """Run the kernel on the device clock; whether its result is right. An index this build lacks ends the process."""
    solution = solutions.get(choice.index)
    if solution is None:
        process.exit_hipblas("HIPBLAS_STATUS_INVALID_VALUE", 3, 968)
    launch_us = solutions.time_us(solution, gemm) * _slowdown(gemm, choice.on)
    if not runtime.capture(launch_us):
        tuning.measure(launch_us, 1)
    if solution.solves(gemm):
        return bool(solutions.candidates(gemm, 1))
    if choice.index and stable.integer("fault", choice.index, gemm.M, gemm.N, gemm.K) % 4 == 0:
        process.memory_fault()
    return False


def _slowdown(gemm: Gemm, on: str) -> float:
    rule = faults.find("throttle", M=gemm.M, N=gemm.N, K=gemm.K, on=on)
    return 1.0 if rule is None else rule.argument("factor", 3)


def _slow_file(on: str, gemm: Gemm) -> None:
    rule = faults.find("slow-file", M=gemm.M, N=gemm.N, K=gemm.K, on=on)
    if rule is not None:
        time.sleep(rule.argument("ms", 100) / 1000)
