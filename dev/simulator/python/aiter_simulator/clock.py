"""The clock of the simulated device: kernels advance it, events read it, nothing else does.

Simulated time is free; ``HIPBMM_SIM_SLEEP`` (0 by default) makes each simulated second also last that many real
seconds, so that a demonstration shows a tuning at the speed of real hardware (1) or ten times as fast (0.1).
"""

import threading
import time

from aiter_simulator import settings

_SLEEP_QUANTUM_S = 0.01  # shorter sleeps cost more than they wait


class DeviceClock:
    """Microseconds since the process began to use the device; safe for several threads."""

    def __init__(self, sleep_scale: float) -> None:
        self._us = 0.0
        self._owed_s = 0.0
        self._sleep_scale = sleep_scale
        self._lock = threading.Lock()

    def now_us(self) -> float:
        """The simulated time in microseconds."""
        return self._us

    def advance(self, us: float) -> None:
        """Let ``us`` microseconds of device time pass."""
        with self._lock:
            self._us += us
            self._owed_s += us * 1e-6 * self._sleep_scale
            if self._owed_s < _SLEEP_QUANTUM_S:
                return
            pause, self._owed_s = self._owed_s, 0.0
        time.sleep(pause)


DEVICE = DeviceClock(settings.number("SLEEP", 0.0))
