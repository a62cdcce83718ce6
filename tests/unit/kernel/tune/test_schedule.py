"""The order in which GPUs draw problems: every one once, hot ones early, all GPUs busy to the end."""

import pytest
from bench.kernel_tuning import efficiency, makespan
from hypothesis import given
from hypothesis import strategies as st

from hipbmm_kernel.planner import cost
from hipbmm_kernel.planner.plan import Options, build
from hipbmm_kernel.rows.gemm import Linear
from hipbmm_kernel.tune import schedule

QWEN3_32B = ((10240, 5120), (5120, 8192), (51200, 5120), (5120, 25600))
LLAMA_70B_TP8 = ((1280, 8192), (8192, 1024), (7168, 8192), (8192, 3584))


def costs(shapes: tuple[tuple[int, int], ...]) -> list[float]:
    plan = build(None, Options(linears=tuple(Linear(n, k) for n, k in shapes)))
    assert len(plan.problems) == 204
    return [cost.tuning_seconds(problem) for problem in plan.problems]


@pytest.mark.parametrize("shapes", [QWEN3_32B, LLAMA_70B_TP8])
@pytest.mark.parametrize("workers", [1, 2, 4, 8])
def test_no_gpu_idles(shapes: tuple[tuple[int, int], ...], workers: int) -> None:
    assert efficiency(costs(shapes), workers) >= 0.95


def test_what_is_cut_off_is_the_coldest() -> None:
    every = costs(QWEN3_32B)
    drawn = schedule.order(every, 8)
    assert set(drawn[:40]) < set(range(60))
    assert set(drawn[-20:]) < set(range(130, 204))


@given(st.lists(st.floats(0.001, 10.0), max_size=300), st.integers(1, 16))
def test_every_problem_is_drawn_once(every: list[float], workers: int) -> None:
    assert sorted(schedule.order(every, workers)) == list(range(len(every)))


@given(st.lists(st.floats(0.001, 10.0), min_size=1, max_size=300), st.integers(1, 16))
def test_the_makespan_is_never_worse_than_lists_can_be(every: list[float], workers: int) -> None:
    last = makespan(every, schedule.order(every, workers), workers)
    assert sum(every) / workers - 1e-9 <= last <= sum(every) / workers + max(every) + 1e-9
