"""Calls that never return."""

import threading

import pytest

from hipbmm_kernel.system.time_limits import TooLate, within


def test_a_call_that_returns_is_waited_for() -> None:
    assert within(120.0, lambda: 42) == 42
    with pytest.raises(KeyError):
        within(120.0, lambda: dict[str, int]()["missing"])


def test_a_call_that_hangs_is_left_behind() -> None:
    never = threading.Event()
    with pytest.raises(TooLate):
        within(0.1, never.wait)
    never.set()
