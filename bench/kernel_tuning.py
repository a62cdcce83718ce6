"""How well the tuner's order keeps GPUs busy: simulated from predicted costs, hence exact and repeatable."""

from hipbmm_kernel import cost
from hipbmm_kernel.gemm import Linear
from hipbmm_kernel.plan import Options, build
from hipbmm_kernel.tune import schedule

QWEN3_32B_TP1 = ((10240, 5120), (5120, 8192), (51200, 5120), (5120, 25600))
GPUS = 8


def measure() -> dict[str, float]:
    plan = build(None, Options(linears=tuple(Linear(n, k) for n, k in QWEN3_32B_TP1)))
    costs = [cost.tuning_seconds(problem) for problem in plan.problems]
    return {
        "tuning_problems": len(costs),
        "tuning_efficiency_8_gpus": schedule.efficiency(costs, GPUS),
    }
