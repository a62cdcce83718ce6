"""The time that a tuning has: it runs from the first child's being ready, since a build is not tuning."""

from hipbmm_kernel.tune.handover import Handover


class Budget:
    """The time for everything that children do. It runs from the first child's being ready: a build is not tuning."""

    def __init__(self, handover: Handover) -> None:
        self._clock = handover.clock
        self._seconds = handover.settings.budget_seconds
        self._began: float | None = None

    def start(self) -> None:
        """Let it run; later calls change nothing."""
        if self._began is None:
            self._began = self._clock.monotonic()

    def deadline(self) -> float:
        """When it is used up, on the monotonic clock; infinity before it runs."""
        return float("inf") if self._began is None else self._began + self._seconds

    def left(self) -> float:
        """Seconds that are left."""
        return max(0.0, min(self._seconds, self.deadline() - self._clock.monotonic()))
