"""Estimates against the figures that were worked out for two models, and AITER's own allocations."""

from __future__ import annotations

import pytest
from tests.unit.kernel.configs import encoded

from hipbmm_kernel.planner import cost, plan
from hipbmm_kernel.planner.plan import Options
from hipbmm_kernel.rows.gemm import Problem


@pytest.mark.parametrize(
    ("model", "tensor", "least", "most"),
    [("qwen3-32b", 1, 27, 64), ("qwen3-32b", 8, 4, 9), ("llama-3.1-70b", 1, 47, 112), ("llama-3.1-70b", 8, 6, 15)],
)
def test_estimates_of_whole_plans(model: str, tensor: int, least: int, most: int) -> None:
    estimate = plan.build(encoded(model), Options(tensor)).estimate

    assert [round(estimate[0]), round(estimate[1])] == pytest.approx([least, most], abs=0.6)


@pytest.mark.parametrize(
    ("problem", "megabytes"),
    [
        (Problem(1, 5120, 25600), 787),
        (Problem(1, 8192, 28672), 1058),
        (Problem(64, 57344, 8192), 544),
        (Problem(1, 10240, 8192), 152),
    ],
)
def test_memory_of_tuning(problem: Problem, megabytes: int) -> None:
    assert cost.tuning_bytes(problem) / 1e6 == pytest.approx(megabytes, abs=1.1)


def test_small_problems_rotate_through_128_mib() -> None:
    for problem in (Problem(1, 1280, 5120), Problem(512, 768, 512), Problem(1, 16, 32)):
        assert cost.tuning_bytes(problem) <= 170e6


def test_a_launch_never_takes_less_than_its_floor_and_grows_with_m() -> None:
    assert cost.launch_us(Problem(1, 16, 32)) == cost.SHORTEST_US
    times = [cost.launch_us(Problem(m, 51200, 5120)) for m in (1, 64, 256, 512)]
    assert times == sorted(times)
    assert cost.launch_us(Problem(512, 51200, 5120), "MI308X") > times[-1]
    assert cost.launch_us(Problem(1, 51200, 5120), "unheard of") == times[0]
    assert cost.tuning_seconds(Problem(1, 16, 32)) == pytest.approx(6e-6 * 4800)
