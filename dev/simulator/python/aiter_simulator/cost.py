"""How long an ideal kernel takes.

A roofline at the efficiency real FP8 kernels reach, never below a launch's own time.
"""

from aiter_simulator.gpu import SimulatedGpu
from aiter_simulator.problem import Gemm

# 55 % of HBM and 35 % of the FP8 peak are what AITER's shipped tables show for mid-sized GEMMs; 6 us is the floor of
# one launch.
_BANDWIDTH_SHARE = 0.55
_PEAK_SHARE = 0.35
_FLOOR_US = 6.0


def ideal_us(gemm: Gemm, device: SimulatedGpu) -> float:
    """Microseconds for one launch of a perfect kernel with cold caches."""
    size = 1 if gemm.in_type.startswith("float8") else 2
    moved = size * (gemm.N * gemm.K + gemm.M * gemm.K) + 2 * gemm.M * gemm.N
    flops = 2.0 * gemm.M * gemm.N * gemm.K * size
    return max(moved / (_BANDWIDTH_SHARE * device.bandwidth), flops / (_PEAK_SHARE * device.fp8_flops), _FLOOR_US)
