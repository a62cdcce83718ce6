"""Times in a child's messages, which the child may have garbled."""

import pytest

from hipbmm_kernel.tune.protocol import median, times


@pytest.mark.parametrize(
    ("value", "found"),
    [
        ([1.5, 2.5], [1.5, 2.5]),
        ([1.5, 0.0, -1.0, None, "2.5", 3], [1.5]),
        ([float("nan")], []),
        (1.5, []),
        (None, []),
    ],
)
def test_only_times_are_taken(value: object, found: list[float]) -> None:
    assert times(value) == found


@pytest.mark.parametrize(
    ("found", "us"),
    [
        ([], None),
        ([3.0], 3.0),
        ([3.0, 1.0, 100.0], 3.0),
        ([1.0, 2.0], 1.5),
        ([1.23456], 1.235),
        ([1e-9], None),
        ([1e12], None),
    ],
)
def test_the_median_is_one_that_a_shard_can_carry(found: list[float], us: float | None) -> None:
    assert median(found) == us
