"""Times of Kubernetes: read and written in UTC; what is no time is none."""

from datetime import UTC, datetime, timedelta, timezone
from email.utils import format_datetime

import pytest

from hipbmm_operator.kube.times import ServerClock, moment, timestamp

MOMENT = datetime(2026, 11, 29, 23, 5, 7, tzinfo=UTC)


def test_what_is_written_is_read() -> None:
    assert timestamp(MOMENT) == "2026-11-29T23:05:07Z"
    assert moment(timestamp(MOMENT)) == MOMENT


def test_another_zone_is_written_in_utc() -> None:
    assert timestamp(MOMENT.astimezone(timezone(timedelta(hours=5, minutes=30)))) == "2026-11-29T23:05:07Z"


@pytest.mark.parametrize("text", ["2026-11-29T23:05:07.123456Z", "2026-11-30T04:35:07.123456+05:30"])
def test_the_microseconds_of_a_lease_are_read(text: str) -> None:
    assert moment(text) == MOMENT.replace(microsecond=123456)


@pytest.mark.parametrize("value", [None, 7, "", "yesterday", "2026-11-29T23:05:07", ["2026-11-29T23:05:07Z"]])
def test_what_is_no_time_is_none(value: object) -> None:
    assert moment(value) is None


@pytest.mark.parametrize("seconds", [-3600, -600, -30, 30, 600])
def test_the_time_is_that_of_the_api_server_where_this_machine_has_another(seconds: int) -> None:
    clock = ServerClock(lambda: MOMENT)
    assert clock.now() == MOMENT
    there = MOMENT + timedelta(seconds=seconds)
    clock.heard(format_datetime(there, usegmt=True))
    assert clock.now() == there
    for unheard in (None, "", "yesterday", f"Mon, 01 Jan 2026 00:00:00 {'9' * 20}", f"01 Jan {'9' * 20} 00:00:00 GMT"):
        clock.heard(unheard)
        assert clock.now() == there
    clock.heard(format_datetime(MOMENT - timedelta(seconds=4), usegmt=True))
    assert clock.now() == MOMENT, "an answer that was read late"


@pytest.mark.parametrize("seconds", [-10.5, 10.5, 600.5])
def test_the_time_does_not_go_to_and_fro_with_each_answer(seconds: float) -> None:
    """An answer has whole seconds: of clocks that are just too far apart, one says so and the next does not."""
    here = MOMENT
    clock = ServerClock(lambda: here)
    ahead = set()
    for quarter in range(1, 40):
        here = MOMENT + timedelta(seconds=quarter / 4)
        clock.heard(format_datetime(here + timedelta(seconds=seconds), usegmt=True))
        ahead.add(clock.now() - here)
    assert len(ahead - {timedelta()}) == 1
    assert clock.now() != here, "what is said now stays"
