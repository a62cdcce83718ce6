"""When a reconcile comes again: the earliest of all reasons."""

import pytest

from hipbmm_operator.workqueue.outcome import Outcome


@pytest.mark.parametrize(
    ("again", "seconds", "comes"),
    [(None, None, None), (5.0, None, 5.0), (None, 3.0, 3.0), (5.0, 3.0, 3.0), (3.0, 5.0, 3.0), (5.0, 0.0, 0.0)],
)
def test_the_earlier_time_counts(again: float | None, seconds: float | None, comes: float | None) -> None:
    assert Outcome(again).at_latest(seconds).again == comes


def test_a_retry_stays_one() -> None:
    assert Outcome(retry=True, retry_after=7.0).at_latest(1.0) == Outcome(1.0, retry=True, retry_after=7.0)
