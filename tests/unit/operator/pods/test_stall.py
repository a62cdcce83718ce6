"""When a tuner is reported as stalled: after what is long for it, not after what is long for another."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hipbmm_operator.pods.report import Progress
from hipbmm_operator.pods.stall import LEAST_SECONDS, Speed, stalled, step


def paced(*times: float, phase: str = "Tuning") -> Speed:
    """A row at each of these times."""
    pace = None
    for tuned, now in enumerate(times):
        pace = step(pace, Progress(phase, tuned, 204), now)
    assert pace is not None
    return pace


def test_no_progress_for_too_long() -> None:
    pace = paced(0, 2, 4)
    assert not stalled(pace, 4 + LEAST_SECONDS)
    assert stalled(pace, 4.1 + LEAST_SECONDS)


def test_a_slow_tuner_is_given_more_time() -> None:
    pace = paced(0, 40, 80)
    assert not stalled(pace, 80 + 200)
    assert stalled(pace, 80 + 201)


def test_progress_ends_the_stall() -> None:
    pace = step(paced(0, 2), Progress("Tuning", 2, 204, failed=1), 90)
    assert not stalled(pace, 91)


def test_other_phases_are_silent_for_long() -> None:
    assert not stalled(paced(0, 2, phase="Loading"), 10_000)


def test_a_verification_that_hangs_is_reported_like_a_tuning() -> None:
    pace = step(None, Progress("Tuning", 204, 204, verified=1), 0)
    pace = step(pace, Progress("Tuning", 204, 204, verified=2), 1)
    assert stalled(pace, 2 + LEAST_SECONDS)
    assert not stalled(step(pace, Progress("Tuning", 204, 204, verified=3), 2 + LEAST_SECONDS), 50)


LAST_STEPS = [
    Progress("Tuning", 204, 204, verified=204),
    Progress("Tuning", 201, 204, failed=3, verified=201),
    Progress("Improving", 204, 204, verified=204),
    Progress("Checking", 204, 204),  # where nothing is verified
    Progress("Publishing", 204, 204, verified=204),
    Progress("Done", 204, 204, verified=204),
]


@pytest.mark.parametrize("progress", LAST_STEPS, ids=lambda progress: f"{progress.phase}-{progress.failed}")
def test_with_all_problems_done_it_is_enough_that_warm_lives(progress: Progress) -> None:
    pace = step(paced(0, 2, 4), progress, 6)
    for seconds in range(15, 3600, 15):
        pace = step(pace, replace(progress, elapsed=seconds), 6 + seconds)
        assert not stalled(pace, 6 + seconds + LEAST_SECONDS)
    silent = step(pace, pace.progress, 10_000)
    assert stalled(silent, 10_000) == (progress.phase not in ("Publishing", "Done"))


@pytest.mark.parametrize(
    "progress",
    [
        Progress("Tuning", 203, 204, verified=203),
        Progress("Tuning", 201, 204, failed=2, verified=201),
        Progress("Tuning", 204, 204, verified=38),  # rows of the store that nobody has verified
    ],
)
def test_before_that_it_is_not(progress: Progress) -> None:
    pace = step(paced(0, 2), progress, 4)
    for seconds in range(15, 121, 15):
        pace = step(pace, replace(progress, elapsed=seconds), 4 + seconds)
    assert stalled(pace, 4 + 120)


def test_a_new_phase_starts_anew() -> None:
    assert step(paced(0, 500, phase="Probing"), Progress("Tuning", 2, 204), 501).longest == 0


@given(st.lists(st.floats(0, 1000), min_size=1, max_size=20).map(sorted))
def test_looking_again_changes_nothing(times: list[float]) -> None:
    pace = paced(*times)
    assert step(pace, pace.progress, times[-1] + 7) == pace
