"""Waiting for a call that may never return: a hard-mounted volume whose server is gone blocks in the call itself.

No errno and no deadline inside the call helps there. The call runs in a daemon thread and is left behind when time is
up; the process can still end, since the kernel lets a fatal signal through to such a call.
"""

import signal
import threading
from collections.abc import Callable
from types import FrameType
from typing import ParamSpec, TypeVar

P = ParamSpec("P")
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


class TooLate(Exception):  # noqa: N818 - it is the world that is late
    """The call did not return in time."""


def within(seconds: float, call: Callable[P, T], *arguments: P.args, **keywords: P.kwargs) -> T:
    """What `call` returns, or TooLate after `seconds`. What it raises is raised here."""
    results: list[T] = []
    errors: list[BaseException] = []

    def run() -> None:
        try:
            results.append(call(*arguments, **keywords))
        except BaseException as error:  # noqa: BLE001 - handed on to the caller's thread, whatever it is
            errors.append(error)

    thread = threading.Thread(target=run, name="time limit", daemon=True)
    thread.start()
    thread.join(seconds)
    if errors:
        raise errors[0]
    if not results:
        raise TooLate(f"no answer in {seconds:.0f} s")
    return results[0]
