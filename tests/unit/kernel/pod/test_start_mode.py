"""The mode of a start: what the ends before it say, and a day without one."""

import pytest

from hipbmm_kernel.pod import start_mode
from hipbmm_kernel.pod.start_mode import NO_AITER, NO_HIPBMM, NO_TABLE, TUNED, State, next_start

DAY = 86_400.0
WINDOW = 1800.0


def modes(*ran: float, report: dict[str, object] | None = None, window: float = WINDOW) -> list[str]:
    """The modes of the starts of a server that ran so many seconds each time."""
    state, now, found = State(), 1000.0, []
    for seconds in (0.0, *ran):
        now += seconds
        state = next_start(state, {"hipbmm": True} if report is None else report, now, "boot", window)
        found.append(state.mode)
    return found


def test_the_modes_follow_the_ends() -> None:
    assert modes(*[5.0] * 5) == [TUNED, TUNED, NO_TABLE, NO_HIPBMM, NO_AITER, NO_AITER]
    assert modes(5.0, 5.0, report={"hipbmm": False, "reason": "NoSolution"}) == [NO_HIPBMM, NO_HIPBMM, NO_AITER]


def test_aiter_alone_is_not_tried_where_its_choice_was_found_wrong() -> None:
    assert modes(*[5.0] * 4, report={"hipbmm": True, "doubted": 1}) == [TUNED, TUNED, NO_HIPBMM, NO_AITER, NO_AITER]
    assert modes(5.0, 5.0, DAY, DAY, report={"hipbmm": True, "doubted": 1}) == [TUNED, TUNED, *[NO_HIPBMM] * 3]


def test_arguments_that_vllm_refuses_are_no_crashes_of_ours() -> None:
    refused: dict[str, object] = {"hipbmm": True, "refused": True}
    assert modes(*[15.0] * 6, report=refused) == [TUNED] * 7
    # One that ran was not refused after all: the answer may be wrong, the count may not.
    assert modes(*[90.0] * 4, report=refused) == modes(*[90.0] * 4)


def test_ends_after_good_days_are_none_of_the_table() -> None:
    assert modes(*[10 * DAY] * 6) == [TUNED] * 7
    assert modes(5.0, 10 * DAY, 5.0, 10 * DAY) == [TUNED] * 5


@pytest.mark.parametrize("window", [10.0, 30.0, 60.0, 1800.0])
@pytest.mark.parametrize("ran", [31 * 60.0, 5 * 3600.0, 20 * 3600.0])
def test_a_row_that_ends_the_server_after_hours_counts_however_soon_it_is_ready(window: float, ran: float) -> None:
    assert modes(*[ran] * 4, window=window) == [TUNED, TUNED, NO_TABLE, NO_HIPBMM, NO_AITER]


def test_a_mode_in_which_a_server_ran_for_a_day_stays() -> None:
    assert modes(5.0, 5.0, 5.0, DAY, DAY, DAY) == [TUNED, TUNED, NO_TABLE, *[NO_HIPBMM] * 4]


def test_ends_of_another_boot_are_not_counted() -> None:
    first = next_start(State(), {}, 100.0, "boot-1", WINDOW)
    assert next_start(first, {}, 120.0, "boot-2", WINDOW).crashes == 0
    assert next_start(first, {}, 99.0, "boot-1", WINDOW).crashes == 0
    assert start_mode.blocked(first._replace(mode=NO_TABLE, reason="it ended"), {"state": "Complete"}) == "it ended"


def test_orderly_ends_are_none_of_the_table_but_no_loop_of_them_is_ours() -> None:
    state = State()
    found = []
    for at in range(30):
        state = next_start(state, {"hipbmm": True}, 10.0 * at, "boot", WINDOW, orderly=True)
        found.append(state.mode)
    assert found[:20] == [TUNED] * 20
    assert found[-1] == NO_AITER
