"""What a reconcile answers to the queue."""

from dataclasses import dataclass, replace
from typing import Self


@dataclass(frozen=True, slots=True)
class Outcome:
    """How a reconcile went: reconcile again after so long; retry with backoff when something was not done."""

    again: float | None = None
    retry: bool = False
    retry_after: float | None = None

    def at_latest(self, seconds: float | None) -> Self:
        """The outcome with a reconcile after so many seconds at the latest, if there is such a time."""
        waits = [wait for wait in (self.again, seconds) if wait is not None]
        return replace(self, again=min(waits, default=None))
