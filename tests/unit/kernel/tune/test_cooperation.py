"""Pods that tune one plan: nearly no problem twice, none forgotten, whoever dies or comes late."""

import pytest
from bench.kernel_cooperation import simulate

from hipbmm_kernel.planner.plan import Options, build
from hipbmm_kernel.rows.gemm import Linear, Problem
from hipbmm_kernel.tune import cooperation

PROBLEMS = build(None, Options(linears=(Linear(10240, 5120), Linear(51200, 5120), Linear(5120, 8192)))).problems


@pytest.mark.parametrize(("pods", "gpus"), [(1, 1), (2, 1), (8, 1), (8, 8), (32, 1)])
def test_pods_that_start_together_share_the_plan(pods: int, gpus: int) -> None:
    result = simulate(PROBLEMS, pods, gpus)
    assert 1.0 <= result.tuned <= (1.2 if pods <= 8 else 1.6)
    alone = simulate(PROBLEMS, 1, gpus)
    assert result.seconds <= alone.seconds / min(pods, 8) * 1.5 + 15
    assert result.skew <= 20


@pytest.mark.parametrize("dead", [1, 3])
def test_the_dead_hold_nothing(dead: int) -> None:
    result = simulate(PROBLEMS, 4, dead=dead)
    assert result.tuned >= 1.0
    assert result.seconds < float("inf")


def test_who_comes_late_helps_or_finds_it_done() -> None:
    result = simulate(PROBLEMS, 8, late=60.0)
    assert 1.0 <= result.tuned <= 1.2


def test_what_belongs_to_a_pod_comes_first_and_hot() -> None:
    pods = ("a", "b", "c")
    mine = [problem for problem in PROBLEMS if cooperation.owner(pods, problem) == "a"]
    assert len(PROBLEMS) / 5 < len(mine) < len(PROBLEMS) / 2
    assert cooperation.pick(PROBLEMS, "a", pods, (), 1) == mine[0]


def test_a_helper_leaves_what_the_owner_is_at_until_nothing_comes() -> None:
    theirs = [problem for problem in PROBLEMS if cooperation.owner(("a", "b"), problem) == "b"]
    assert cooperation.pick(theirs, "a", ("a", "b"), (), 1) in theirs[cooperation.AHEAD :]
    near = theirs[: cooperation.AHEAD]
    assert cooperation.pick(near, "a", ("a", "b"), (), 1) is None
    assert cooperation.pick(near, "a", ("a", "b"), ("b",), 1) in near


def test_one_pod_more_takes_only_its_own_share() -> None:
    before = {problem: cooperation.owner(("a", "b"), problem) for problem in PROBLEMS}
    after = {problem: cooperation.owner(("a", "b", "c"), problem) for problem in PROBLEMS}
    assert {after[problem] for problem in PROBLEMS if after[problem] != before[problem]} == {"c"}


def test_nothing_is_left_is_nothing_to_do() -> None:
    none: tuple[Problem, ...] = ()
    assert cooperation.pick(none, "a", ("a",), (), 1) is None
