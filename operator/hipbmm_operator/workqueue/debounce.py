"""The debounce window: events and writes that belong together become one reconcile and one status.

A status waits only for the events that follow from a write of a child. The first status, a status without a write and
a status with a write failure are written at once.
"""

from collections.abc import Callable

from hipbmm_operator.kube.metadata import NamespacedName


class Debounce:
    """The open windows of all resources."""

    def __init__(self, seconds: float, clock: Callable[[], float]) -> None:
        self.seconds = seconds
        self._clock = clock
        self._ends: dict[NamespacedName, float] = {}

    def status_wait(self, key: NamespacedName, *, written: bool, failed: bool) -> float | None:
        """Seconds until the status is due, None when it is due now.

        `written`: children were written just now. Further writes do not extend the window; a failure ends it.
        """
        now = self._clock()
        if written:
            self._ends.setdefault(key, now + self.seconds)
        left = self._ends.get(key, now) - now
        if left > 0 and not failed:
            return left
        self._ends.pop(key, None)
        return None

    def forget(self, key: NamespacedName) -> None:
        """The resource is gone."""
        self._ends.pop(key, None)
