"""AITER's online tuning of one problem.

32 heuristic candidates, 50 warm-up and 100 timed launches each, no check of the result.
"""

from aiter_simulator import clock, process, settings, stable
from aiter_simulator.library import HEURISTIC_CANDIDATES, Library, Solution
from aiter_simulator.memory import MEMORY, tuning_bytes
from aiter_simulator.problem import Gemm

_WARM_UPS, _LAUNCHES = 50, 100
_SKIP_RATIO = 0.8
_FAILED_LAUNCH_US = 1.5  # a launch that returns an error at once: the status is ignored, so it looks fast
_ALLOCATION_US = 900.0  # three hipMalloc and three hipFree, which synchronise

_jitter = settings.number("JITTER", 0.01)
_measurements = iter(range(1 << 62))


def tune(library: Library, gemm: Gemm, slowdown: float, *, capturing: bool) -> int:
    """The index AITER would pick, and record.

    Memory that does not suffice and a capture in progress end the process.
    """
    if capturing:
        process.exit_hip("operation not permitted when stream is capturing", 900, 607)
    size = tuning_bytes(gemm)
    MEMORY.allocate(library.device, size, 607)
    candidates: list[Solution | None] = [*library.candidates(gemm, HEURISTIC_CANDIDATES)]
    # The loop runs over all 32 entries of the vector; those that the heuristic did not fill are zero, that is index 0.
    candidates += [None] * (HEURISTIC_CANDIDATES - len(candidates))
    best, best_us, best_warm_us = None, float("inf"), float("inf")
    for candidate in candidates:
        launch_us = _FAILED_LAUNCH_US if candidate is None else library.time_us(candidate, gemm) * slowdown
        warm_us = measure(launch_us, _WARM_UPS)
        best_warm_us = min(best_warm_us, warm_us)
        if warm_us * _SKIP_RATIO > best_warm_us:
            continue
        timed_us = measure(launch_us, _LAUNCHES)
        if timed_us < best_us:
            best, best_us = candidate, timed_us
    clock.DEVICE.advance(_ALLOCATION_US)
    MEMORY.release(size)
    return 0 if best is None else best.index


def measure(launch_us: float, launches: int) -> float:
    """Let launches pass on the device clock; microseconds of all of them, with the jitter of a real measurement."""
    noise = 1.0 + _jitter * (2.0 * stable.fraction("jitter", next(_measurements)) - 1.0)
    elapsed = launch_us * launches * noise
    clock.DEVICE.advance(elapsed)
    return elapsed
