"""Conditions as metav1 wants them: transition times that move only with the status."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Literal

from hipbmm_operator.api.reasons import Foreign, Reason
from hipbmm_operator.api.status import Condition
from hipbmm_operator.kube.times import timestamp

State = Literal["True", "False", "Unknown"]

TYPES = (
    "Ready",
    "ConfigValid",
    "HardwareCompatible",
    "StorageReady",
    "Tuned",
    "Warm",
    "Available",
    "Progressing",
)
STALLED = "Stalled"
"""There only while it is True, as kstatus wants it (sigs.k8s.io/cli-utils, pkg/kstatus/README.md)."""
_MAX_MESSAGE = 2048


@dataclass(frozen=True, slots=True)
class Finding:
    """The value of one condition."""

    type: str
    state: State
    reason: Reason | Foreign
    message: str = ""


def true(kind: str, reason: Reason | Foreign, message: str = "") -> Finding:
    """The condition holds."""
    return Finding(kind, "True", reason, message)


def false(kind: str, reason: Reason | Foreign, message: str = "") -> Finding:
    """The condition does not hold."""
    return Finding(kind, "False", reason, message)


def unknown(kind: str, reason: Reason | Foreign, message: str = "") -> Finding:
    """Nothing is known about the condition."""
    return Finding(kind, "Unknown", reason, message)


def outdated_crd(dropped: str) -> Finding:
    """ConfigValid where the API server does not keep the whole status: a field of it, or what was said about it."""
    message = f"the CRD is older than the operator and drops {dropped}: upgrade it with the chart"
    return false("ConfigValid", "OutdatedCRD", message)


def merge(
    previous: Iterable[Condition], findings: Sequence[Finding], generation: int, now: datetime
) -> list[Condition]:
    """A condition for each finding, in their order."""
    before = {condition.type: condition for condition in previous}
    return [_condition(before.get(finding.type), finding, generation, now) for finding in findings]


def _condition(before: Condition | None, finding: Finding, generation: int, now: datetime) -> Condition:
    same = before is not None and before.status == finding.state
    return Condition(
        type=finding.type,
        status=finding.state,
        observed_generation=generation,
        last_transition_time=before.last_transition_time if before is not None and same else timestamp(now),
        reason=finding.reason,
        message=finding.message[:_MAX_MESSAGE],
    )
