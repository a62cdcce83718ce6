"""What a node was judged to be, and why: a state, and a stable code with a sentence for people."""

from dataclasses import dataclass
from enum import StrEnum


class State(StrEnum):
    """The state of a node; when several apply, the first of these."""

    EXCLUDED = "Excluded"
    CONFLICT = "Conflict"
    MIXED = "Mixed"
    NOT_MI3XX = "NotMI3xx"
    UNKNOWN_AMD = "UnknownAMD"
    NO_DRIVER = "NoDriver"
    NOT_AVAILABLE = "NotAvailable"
    AVAILABLE = "Available"


@dataclass(frozen=True, slots=True)
class Reason:
    """One reason; prints as ``Code: detail``."""

    code: str
    detail: str

    def __str__(self) -> str:
        return f"{self.code}: {self.detail}"
