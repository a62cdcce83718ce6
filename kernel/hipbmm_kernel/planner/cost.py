"""What a problem costs: time of one launch by roofline, time and device memory of tuning it.

Published peaks of the GPUs, and the shares of them that tuned kernels of AITER's own tables reach at best. An estimate
for scheduling and for people, not a promise.
"""

from collections.abc import Iterable
from typing import NamedTuple

from hipbmm_kernel.rows.gemm import Problem

MIB = 2**20
DEFAULT_PRODUCT = "MI300X"


class Peak(NamedTuple):
    """HBM bandwidth in bytes per second and dense FP8 rate in operations per second."""

    bandwidth: float
    flops: float


PEAKS = {
    "MI300X": Peak(5.3e12, 2614.9e12),
    "MI300A": Peak(5.3e12, 1961.2e12),
    "MI308X": Peak(5.3e12, 688e12),
    "MI325X": Peak(6.0e12, 2614.9e12),
    "MI350X": Peak(8.0e12, 4614e12),
    "MI355X": Peak(8.0e12, 5033e12),
}
"""By product; any other counts as DEFAULT_PRODUCT. MI308X is computed (80 CU at 2.1 GHz), the others are published."""

BANDWIDTH_SHARE = 0.55
FLOPS_SHARE = 0.35
SHORTEST_US = 6.0
"""Launch and tail of the shortest GEMM."""

CANDIDATES = 32
FEWEST_LAUNCHES = CANDIDATES * 50 + 400
"""Launches of one tuning when nearly all candidates are given up after their 50 warm-ups."""

MOST_LAUNCHES = CANDIDATES * 150
"""Launches when every candidate is timed for 100 more."""

_ROTATING_BYTES = 128 * MIB
_MOST_COPIES = 100


def launch_us(problem: Problem, product: str | None = None) -> float:
    """Microseconds of one launch: FP8 operands read, bf16 result written, or the multiply-adds, whichever is longer."""
    transfer, compute = _at_peak_us(problem, product)
    return max(transfer / BANDWIDTH_SHARE, compute / FLOPS_SHARE, SHORTEST_US)


def _at_peak_us(problem: Problem, product: str | None) -> tuple[float, float]:
    m, n, k = problem
    peak = PEAKS.get(product or "", PEAKS[DEFAULT_PRODUCT])
    return (n * k + m * k + 2 * m * n) / peak.bandwidth * 1e6, 2 * m * n * k / peak.flops * 1e6


LEAST_SHARE = 0.5
"""Of the time that HBM or the matrix cores need at their published peaks: what no launch can undercut. Half, because
clocks may exceed the published ones and a part of the operands may lie in a cache."""


def least_us(problem: Problem, product: str | None = None) -> float:
    """Microseconds below which a measured time of one launch with cold operands is an error or a lie."""
    return LEAST_SHARE * max(_at_peak_us(problem, product))


def tuning_seconds(problem: Problem, product: str | None = None) -> float:
    """Most seconds of one online tuning of `problem`."""
    return launch_us(problem, product) * MOST_LAUNCHES * 1e-6


def estimate(problems: Iterable[Problem], product: str | None = None) -> tuple[float, float]:
    """Least and most seconds of tuning all problems on one GPU, process start and JIT not included."""
    total = sum(launch_us(problem, product) for problem in problems) * 1e-6
    return total * FEWEST_LAUNCHES, total * MOST_LAUNCHES


def tuning_bytes(problem: Problem) -> int:
    """Device memory that AITER allocates to tune `problem`, on top of the operands themselves.

    It rotates copies of the operands through 128 MiB and sizes the activations K x K instead of K x M
    (gradlib/csrc/hipbsolgemm.cu), so a large K needs far more than the operands.
    """
    m, n, k = problem
    total = n * k + k * k + 2 * m * n
    copies = min(max(-(-_ROTATING_BYTES // total), 1), _MOST_COPIES)
    return total * copies
