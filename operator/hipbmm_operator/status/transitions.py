"""TODO: what hipbmm_operator.status.transitions is."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

_WARN = ("ConfigValid", "HardwareCompatible", "StorageReady", "Tuned", "Progressing")
"""Conditions whose False is told; Available and Ready only repeat the cause of one of these."""


_TELL = ("Tuned", "Ready")
"""Conditions whose True is told."""


_EXPECTED = frozenset({"Tuning", "ApiUnavailable"})
"""Reasons of False that are part of a healthy start, or of the operator's own connection."""


_UNTOLD = frozenset({"Pending", "ClaimPending"})
"""Reasons of False that need time and nobody: many classes take minutes for a volume, and the claim has Events of its
own. What is wrong with a claim has a reason of its own as well."""


@dataclass(frozen=True, slots=True)
class Transition:
    """One Event to send."""

    type: Literal["Normal", "Warning"]
    reason: str
    message: str
    time: str


def transitions(before: Iterable[Mapping[str, Any]], after: Sequence[Mapping[str, Any]]) -> list[Transition]:
    """Events for what changed between two lists of conditions, each cause once.

    That a cause is gone is told where the resource served all the time; otherwise its becoming ready says so.
    """
    old = {entry.get("type"): entry for entry in before}
    found: dict[str, Transition] = {}
    served = all(_is_ready(conditions) for conditions in (old.values(), after))
    for entry in after:
        was = old.get(entry["type"], {})
        if was.get("status") == entry["status"] and was.get("reason") == entry["reason"]:
            continue
        if entry["type"] == "Progressing" and (_waits(after) or (_waits(old.values()) and entry["status"] == "True")):
            continue  # StorageReady tells why pods cannot be scheduled, and that they can
        transition = _transition(entry, was, served=served)
        if transition is not None:
            found.setdefault(transition.reason, transition)
    if any(entry["type"] == "Tuned" and entry["status"] == "True" and entry["reason"] in found for entry in after):
        # That a resource serves warm as soon as it is tuned is no second piece of news.
        found.pop("AllReplicasWarm", None)
    return list(found.values())


def _waits(conditions: Iterable[Mapping[str, Any]]) -> bool:
    """Whether a rollout waits for a claim."""
    found = {entry.get("type"): (entry.get("status"), entry.get("reason")) for entry in conditions}
    return found.get("StorageReady", ("",))[0] == "False" and found.get("Progressing") == ("False", "StorageNotReady")


def _is_ready(conditions: Iterable[Mapping[str, Any]]) -> bool:
    return any(entry["type"] == "Ready" and entry["status"] == "True" for entry in conditions)


def _transition(entry: Mapping[str, Any], was: Mapping[str, Any], *, served: bool) -> Transition | None:
    kind, status, reason = entry["type"], entry["status"], entry["reason"]
    if status == "False" and kind in _WARN:
        severity: Literal["Normal", "Warning"] = "Normal" if reason in _EXPECTED else "Warning"
        return (
            None if reason in _UNTOLD else Transition(severity, reason, entry["message"], entry["lastTransitionTime"])
        )
    recovered = served and was.get("status") == "False" and was.get("reason") not in _EXPECTED | _UNTOLD
    news = kind in _TELL and was.get("status") != "True"
    if status == "True" and (news or (recovered and kind in _WARN)):
        return Transition("Normal", reason, entry["message"], entry["lastTransitionTime"])
    return None
