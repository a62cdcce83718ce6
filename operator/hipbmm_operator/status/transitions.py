"""Which changes of conditions are Events, each cause once. Pure."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Literal

from hipbmm_operator.api.status import Condition

_WARN = ("ConfigValid", "HardwareCompatible", "StorageReady", "Tuned", "Progressing")
"""Conditions whose False is an Event; Available and Ready only repeat the cause of one of these."""
_GOOD = ("Tuned", "Ready")
"""Conditions whose True is an Event."""
_EXPECTED = frozenset({"Tuning", "ApiUnavailable"})
"""Reasons of False that are part of a healthy start, or of the operator's own connection."""
_SILENT = frozenset({"Pending", "ClaimPending"})
"""Reasons of False that are no Event: many classes take minutes for a volume, and the claim has Events of its own."""


@dataclass(frozen=True, slots=True)
class Transition:
    """One Event to send."""

    type: Literal["Normal", "Warning"]
    reason: str
    message: str
    time: str


def transitions(before: Sequence[Condition], after: Sequence[Condition]) -> list[Transition]:
    """Events for what changed between two lists of conditions.

    The end of a failure is an Event where the resource served all the time; otherwise its becoming ready says so.
    """
    old = {condition.type: condition for condition in before}
    found: dict[str, Transition] = {}
    served = _is_ready(before) and _is_ready(after)
    for now in after:
        was = old.get(now.type)
        if was is not None and (was.status, was.reason) == (now.status, now.reason):
            continue
        if now.type == "Progressing" and (_waits(after) or (_waits(before) and now.status == "True")):
            continue  # StorageReady says why pods cannot be scheduled, and that they can
        transition = _transition(now, was, served=served)
        if transition is not None:
            found.setdefault(transition.reason, transition)
    if any(now.type == "Tuned" and now.status == "True" and now.reason in found for now in after):
        # A resource that serves warm as soon as it is tuned needs one Event.
        found.pop("AllReplicasWarm", None)
    return list(found.values())


def _waits(conditions: Iterable[Condition]) -> bool:
    """Whether a rollout waits for a claim."""
    found = {condition.type: (condition.status, condition.reason) for condition in conditions}
    return found.get("StorageReady", ("",))[0] == "False" and found.get("Progressing") == ("False", "StorageNotReady")


def _is_ready(conditions: Iterable[Condition]) -> bool:
    return any(condition.type == "Ready" and condition.status == "True" for condition in conditions)


def _transition(now: Condition, was: Condition | None, *, served: bool) -> Transition | None:
    if now.status == "False" and now.type in _WARN:
        severity: Literal["Normal", "Warning"] = "Normal" if now.reason in _EXPECTED else "Warning"
        silent = now.reason in _SILENT
        return None if silent else Transition(severity, now.reason, now.message, now.last_transition_time)
    failed = was is not None and was.status == "False" and was.reason not in _EXPECTED | _SILENT
    good = now.type in _GOOD and (was is None or was.status != "True")
    if now.status == "True" and (good or (served and failed and now.type in _WARN)):
        return Transition("Normal", now.reason, now.message, now.last_transition_time)
    return None
