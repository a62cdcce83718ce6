"""A bound on the processor time of work on untrusted input, such as regular expressions that come with a model.

Python's `re` backtracks inside one call, where no check of a clock comes by; but it lets signal handlers run. Processor
time is counted, not the clock's: a busy machine makes nothing fail.
"""

from __future__ import annotations

import signal
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import FrameType
    from typing import TypeVar

    T = TypeVar("T")


class Overtime(Exception):  # noqa: N818 - a limit was reached; what that means is the caller's to say
    """The work took more processor time than it may."""


def within_processor_seconds(seconds: float, work: Callable[[], T]) -> T:
    """`work()`, or Overtime after `seconds` of this process's time. In the main thread only, not nested."""

    def give_up(_number: int, _frame: FrameType | None) -> None:
        raise Overtime(f"more than {seconds:.0f} s of processor time")

    before = signal.signal(signal.SIGPROF, give_up)
    signal.setitimer(signal.ITIMER_PROF, seconds)
    try:
        return work()
    finally:
        signal.setitimer(signal.ITIMER_PROF, 0)
        signal.signal(signal.SIGPROF, before)
