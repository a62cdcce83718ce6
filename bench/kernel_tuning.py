"""How well the tuner's order keeps eight GPUs busy: sum of costs over eight times the makespan.

Once with the costs that the order was made from, and once with what AITER's online tuning takes on the simulated GPU,
which the order does not know. Both are computed, hence exact and repeatable.
"""

import heapq
import os
import sys
import tempfile
from collections.abc import Sequence
from importlib import import_module
from pathlib import Path
from unittest import mock

from hipbmm_kernel.planner import cost
from hipbmm_kernel.planner.plan import Options, build
from hipbmm_kernel.rows.gemm import Linear, Problem
from hipbmm_kernel.tune import schedule
from simulator import sysfs

QWEN3_32B_TP1 = ((10240, 5120), (5120, 8192), (51200, 5120), (5120, 25600))
GPUS = 8
SIMULATOR = str(Path(__file__).parents[1] / "dev/simulator/python")


def measure() -> dict[str, float]:
    plan = build(None, Options(linears=tuple(Linear(n, k) for n, k in QWEN3_32B_TP1)))
    predicted = [cost.tuning_seconds(problem) for problem in plan.problems]
    taken = simulated(plan.problems)
    drawn = schedule.order(predicted, GPUS)
    return {
        "tuning_problems": len(predicted),
        "tuning_efficiency_8_gpus": efficiency(predicted, GPUS),
        "tuning_efficiency_8_simulated_gpus": sum(taken) / (GPUS * makespan(taken, drawn, GPUS)),
    }


def makespan(costs: Sequence[float], drawn: Sequence[int], workers: int) -> float:
    """Seconds until the last worker is done when each, once free, draws the next of `drawn`."""
    free_at = [0.0] * workers
    for position in drawn:
        heapq.heappush(free_at, heapq.heappop(free_at) + costs[position])
    return max(free_at)


def efficiency(costs: Sequence[float], workers: int) -> float:
    """The share of the workers' time that is spent on problems: 1.0 when all end together."""
    total = sum(costs)
    return total / (workers * makespan(costs, schedule.order(costs, workers), workers)) if total else 1.0


def simulated(problems: tuple[Problem, ...]) -> list[float]:
    """Seconds of simulated device time that AITER's online tuning of each problem takes."""
    with tempfile.TemporaryDirectory() as directory:
        root = Path(directory)
        sysfs.write_dev(root / "dev", sysfs.write_tree(root / "sys", count=GPUS))
        with mock.patch.dict(os.environ, {"HIPBMM_SYSFS": str(root / "sys"), "HIPBMM_DEV": str(root / "dev")}):
            sys.path.append(SIMULATOR)
            tuning, clock, library, gpu, problem_of = (
                import_module(f"aiter_simulator.{name}") for name in ("tuning", "clock", "library", "gpu", "problem")
            )
            solutions = library.load(gpu.visible()[0])
            found = []
            for m, n, k in problems:
                began = clock.DEVICE.now_us()
                tuning.tune(solutions, problem_of.Gemm(m, n, k, lda=k, ldb=k, ldc=n), 1.0, capturing=False)
                found.append((clock.DEVICE.now_us() - began) * 1e-6)
    return found
