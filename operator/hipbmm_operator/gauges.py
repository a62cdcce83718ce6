"""Metrics of one resource, from its status."""

from typing import Any

from hipbmm_operator import metrics
from hipbmm_operator.store import Key

Json = dict[str, Any]

_VALUE = {"True": 1, "False": 0, "Unknown": -1}
_STATES = ("problems", "tuned", "failed")


def export(key: Key, status: Json) -> None:
    """Show a status as metrics."""
    for condition in status["conditions"]:
        metrics.CONDITION.labels(*key, condition["type"]).set(_VALUE[condition["status"]])
    tuning = status.get("tuning") or {}
    for state in _STATES:
        metrics.PROBLEMS.labels(*key, state).set(tuning.get(state, 0))
    metrics.TUNING_SECONDS.labels(*key).set(tuning.get("seconds", 0))


def withdraw(key: Key) -> None:
    """The resource is gone: so are its metrics."""
    labels = {"namespace": key.namespace, "name": key.name}
    for gauge in (metrics.CONDITION, metrics.PROBLEMS, metrics.TUNING_SECONDS):
        gauge.remove_by_labels(labels)
