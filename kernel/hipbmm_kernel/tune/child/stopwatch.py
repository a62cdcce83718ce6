"""Timing one call on the device, without the host's share.

A decode GEMM takes 6 us and a torch op 10 us to enqueue, so a plain loop would time the host. A sleep kernel in front
keeps the device busy until all launches of a round are queued; what then passes between two events is the device's own.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

if TYPE_CHECKING:
    from collections.abc import Callable

HOST_US_PER_LAUNCH = 40.0
CALIBRATION_CYCLES = 1_000_000
MIN_LAUNCHES = 5
MAX_LAUNCHES = 40
ROUND_US = 600.0
"""An event resolves about 1 us: 0.2 % of a round, below the spread between rounds."""


class Stopwatch:
    """Times calls on the current device."""

    def __init__(self) -> None:
        self._cycles_per_us = self._calibrate()

    def launches_for(self, us: float) -> int:
        """How many launches make a round of ROUND_US."""
        return int(min(MAX_LAUNCHES, max(MIN_LAUNCHES, ROUND_US / max(us, 0.1))))

    def time(self, call: Callable[[], object], launches: int) -> float:
        """Microseconds of one `call`, as the mean of `launches` that run back to back."""
        start, end = (torch.cuda.Event(enable_timing=True) for _ in range(2))
        self._occupy(launches * HOST_US_PER_LAUNCH)
        start.record()
        for _ in range(launches):
            call()
        end.record()
        end.synchronize()
        return float(start.elapsed_time(end)) * 1000.0 / launches

    def _occupy(self, us: float) -> None:
        if self._cycles_per_us:
            torch.cuda._sleep(int(us * self._cycles_per_us))  # noqa: SLF001 - torch's own tests time with it

    @staticmethod
    def _calibrate() -> float:
        """Cycles of the sleep kernel in one microsecond; 0 where torch has none, and the host's share counts."""
        start, end = (torch.cuda.Event(enable_timing=True) for _ in range(2))
        try:
            torch.cuda._sleep(CALIBRATION_CYCLES)  # noqa: SLF001 - same; the first one loads the kernel
            start.record()
            torch.cuda._sleep(CALIBRATION_CYCLES)  # noqa: SLF001 - same
            end.record()
        except (AttributeError, RuntimeError):
            return 0.0
        end.synchronize()
        us = float(start.elapsed_time(end)) * 1000.0
        return CALIBRATION_CYCLES / us if us > 0 else 0.0
