"""TODO: what hipbmm_operator.workqueue.outcome is."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Outcome:
    """How a reconcile went: look again after so long; retry with backoff when something was not done."""

    again: float | None = None
    retry: bool = False
    retry_after: float | None = None
