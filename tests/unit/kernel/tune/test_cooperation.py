"""Pods that tune one plan: nearly no problem twice, none forgotten, whoever dies or comes late."""

import pytest
from bench.kernel_cooperation import Start, simulate

from hipbmm_kernel.planner.plan import Options, build
from hipbmm_kernel.rows.gemm import Linear, Problem
from hipbmm_kernel.tune import cooperation
from hipbmm_kernel.tune.cooperation import AHEAD, STALLED_SECONDS, Silence

PROBLEMS = build(None, Options(linears=(Linear(10240, 5120), Linear(51200, 5120), Linear(5120, 8192)))).problems
FEW = PROBLEMS[::3][:48]

KINDS = {
    "together": Start(8),
    "eight GPUs each": Start(8, gpus=8),
    "within a minute": Start(8, spread=60.0),
    "one whose children come 10 s later": Start(8, late=1, ready_late=10.0),
    "one whose children come 30 s later": Start(8, late=1, ready_late=30.0),
    "two whose children come 60 s later": Start(8, late=2, ready_late=60.0),
    "two that start 30 s later": Start(8, late=2, name_late=30.0),
    "one that dies": Start(8, dead=1),
    "three that die": Start(8, dead=3),
    "seven that die": Start(8, dead=7),
    "names of eight that have ended": Start(8, gone=8),
    "a slow volume": Start(8, refresh=5.0, lag=1.0),
    "a slow volume, and one is late": Start(8, refresh=5.0, lag=1.0, late=1, ready_late=30.0),
    "a slow machine": Start(8, slow=5.0),
    "a slow machine, and one is late": Start(8, slow=5.0, late=1, ready_late=30.0),
    "a machine that stands still": Start(8, paused=9.0),
}


@pytest.mark.parametrize("pods", [1, 2, 8, 32])
@pytest.mark.parametrize("start", KINDS.values(), ids=KINDS)
def test_a_plan_is_tuned_nearly_once(start: Start, pods: int) -> None:
    start = start._replace(pods=max(pods, start.late + start.dead + 1))
    result = simulate(FEW, start)
    assert result.tuned <= 1.2, result
    assert result.most <= 3, result
    assert result.seconds < 60.0 * start.slow + start.name_late + start.ready_late + 45.0


@pytest.mark.parametrize(("pods", "gpus"), [(1, 1), (2, 1), (8, 1), (8, 8), (32, 1)])
def test_pods_that_start_together_share_the_plan(pods: int, gpus: int) -> None:
    result = simulate(PROBLEMS, Start(pods, gpus))
    assert 1.0 <= result.tuned <= 1.2
    alone = simulate(PROBLEMS, Start(1, gpus))
    assert result.seconds <= alone.seconds / min(pods, 8) * 1.5 + 15
    assert result.skew <= 20


@pytest.mark.parametrize("dead", [1, 3, 7])
def test_the_dead_hold_nothing_for_long(dead: int) -> None:
    alone = simulate(FEW, Start(1))
    assert simulate(FEW, Start(8, dead=dead)).seconds <= alone.seconds + 30.0


def test_what_belongs_to_a_pod_comes_first_and_hot() -> None:
    pods = ("a", "b", "c")
    mine = [problem for problem in PROBLEMS if cooperation.owner(pods, problem) == "a"]
    assert len(PROBLEMS) / 5 < len(mine) < len(PROBLEMS) / 2
    assert cooperation.pick(PROBLEMS, "a", pods, {}, AHEAD) == mine[0]


def test_a_helper_leaves_what_the_owner_is_at_until_nothing_comes() -> None:
    theirs = [problem for problem in PROBLEMS if cooperation.owner(("a", "b"), problem) == "b"]
    assert cooperation.pick(theirs, "a", ("a", "b"), {}, AHEAD) == theirs[-1]
    near = theirs[:AHEAD]
    assert cooperation.pick(near, "a", ("a", "b"), {}, AHEAD) is None
    assert cooperation.pick(near, "a", ("a", "b"), {"b": STALLED_SECONDS}, AHEAD) == near[-1]


def test_what_nobody_tunes_gets_one_helper_then_two_more_then_all() -> None:
    pods = [f"pod-{number}" for number in range(8)]
    problem = PROBLEMS[0]
    owner = cooperation.owner(pods, problem)
    helpers = {
        seconds: sum(
            cooperation.pick([problem], pod, pods, dict.fromkeys(pods, seconds), AHEAD) is not None
            for pod in pods
            if pod != owner
        )
        for seconds in (9.0, 10.0, 15.0, 20.0)
    }
    assert helpers == {9.0: 0, 10.0: 1, 15.0: 3, 20.0: 7}


def test_a_helper_does_not_wait_for_one_that_has_much_of_its_own() -> None:
    pods = ("a", "b", "c")
    theirs = [problem for problem in PROBLEMS if cooperation.owner(pods, problem) != "a"]
    left, found = list(theirs), set()
    while (problem := cooperation.pick(left, "a", pods, {}, AHEAD)) is not None:
        left.remove(problem)
        found.add(problem)
    assert len(found) >= len(theirs) - 3 * AHEAD


def test_silence_is_of_who_publishes_and_one_reading_makes_nobody_stalled() -> None:
    silence = Silence()
    silence.note(("a", "b"), {"a": 1}, 1.0, 1000.0)
    assert silence.seconds == {"a": 0.0, "b": 0.0}
    silence.note(("a", "b"), {"a": 2}, 1.0, 15.0)
    assert silence.seconds["a"] == 0.0
    assert 0.0 < silence.seconds["b"] < STALLED_SECONDS
    silence.note(("a", "b", "c"), {"a": 2}, 1.0, 15.0)
    assert silence.seconds["b"] >= STALLED_SECONDS > silence.seconds["a"]
    assert silence.seconds["c"] == 0.0
    silence.note(("a", "b"), {"a": 2, "b": 1}, 1.0, 0.0)
    assert silence.seconds["b"] == 0.0


def test_a_reading_that_shows_less_is_no_sign_of_life() -> None:
    """A volume that fails now and then, and a compaction, which publishes the lines of others as its own."""
    silence = Silence()
    for published in (4, 1, 4, 0, 4):
        silence.note(("a",), {"a": published}, STALLED_SECONDS / 4, 0.0)
    assert silence.seconds["a"] >= STALLED_SECONDS


def test_one_pod_more_takes_only_its_own_share() -> None:
    before = {problem: cooperation.owner(("a", "b"), problem) for problem in PROBLEMS}
    after = {problem: cooperation.owner(("a", "b", "c"), problem) for problem in PROBLEMS}
    assert {after[problem] for problem in PROBLEMS if after[problem] != before[problem]} == {"c"}


def test_nothing_is_left_is_nothing_to_do() -> None:
    none: tuple[Problem, ...] = ()
    assert cooperation.pick(none, "a", ("a",), {}, AHEAD) is None
