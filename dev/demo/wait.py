"""Waiting for a state of the world, with a deadline and an answer that says what was seen last."""

import time
from collections.abc import Callable
from typing import TypeVar

from demo.failure import DemoError

T = TypeVar("T")


def until(what: str, probe: Callable[[], T | None], seconds: float, interval: float = 1.0) -> T:
    """Call `probe` until it gives something; raises DemoError after `seconds` of monotonic time."""
    deadline = time.monotonic() + seconds
    while True:
        answer = probe()
        if answer is not None:
            return answer
        if time.monotonic() > deadline:
            raise DemoError(f"{what}: not so within {seconds:.0f} s")
        time.sleep(interval)
