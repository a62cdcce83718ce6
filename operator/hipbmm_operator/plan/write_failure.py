"""Writes that were not done, and their reason in one word for a condition. Pure."""

from dataclasses import dataclass

from hipbmm_operator.kube import errors
from hipbmm_operator.kube.kinds import Kind


@dataclass(frozen=True, slots=True)
class Trouble:
    """One write that was not done."""

    kind: Kind
    name: str
    reason: str
    message: str
    retry: bool
    retry_after: float | None = None


class NameConflictError(errors.ApiError):
    """A foreign object has the name of a child."""

    def __init__(self, kind: Kind, name: str) -> None:
        super().__init__(409, "NameConflict", f"{kind.kind} {name} exists and was not made for this resource")


def of(kind: Kind, name: str, error: errors.ApiError) -> Trouble:
    """The trouble that an error means."""
    reason = reason_of(error)
    message = f"{kind.kind} {name}: {error.message or error}"
    return Trouble(kind, name, reason, message, retry=reason != "NamespaceTerminating", retry_after=error.retry_after)


_REASON_BY_TEXT = (
    ("being terminated", "NamespaceTerminating"),
    ("exceeded quota", "QuotaExceeded"),
    ("failed quota", "QuotaExceeded"),
)
_REASON_BY_CLASS: tuple[tuple[type[errors.ApiError], str], ...] = (
    (NameConflictError, "NameConflict"),
    (errors.ForbiddenError, "Forbidden"),
    (errors.InvalidError, "Rejected"),
    (errors.ConflictError, "Conflict"),
    (errors.AlreadyExistsError, "Conflict"),
)


def reason_of(error: errors.ApiError) -> str:
    """The error in one word for a condition."""
    message = error.message.lower()
    by_text = (reason for needle, reason in _REASON_BY_TEXT if needle in message)
    by_class = (reason for kind, reason in _REASON_BY_CLASS if isinstance(error, kind))
    return next(by_text, None) or next(by_class, "ApiUnavailable")
