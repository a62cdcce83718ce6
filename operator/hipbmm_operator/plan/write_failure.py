"""Writes that were refused, by us or by Kubernetes on our behalf, and their reason in one word. Pure."""

import re
from dataclasses import dataclass

from hipbmm_operator.api.reasons import Reason, Refusal, Write
from hipbmm_operator.kube import errors
from hipbmm_operator.kube.kinds import Kind
from hipbmm_operator.observe.observed import Deployment


@dataclass(frozen=True, slots=True)
class WriteFailure:
    """One write that was not done."""

    reason: Reason
    message: str
    retry: bool
    retry_after: float | None = None


def altered(wanted: int, live: Deployment) -> tuple[WriteFailure, ...]:
    """That a Deployment, as it was written, has not so many replicas; another write would meet the same."""
    if live.replicas == wanted:
        return ()
    stored = f"Deployment {live.meta.name} is stored with {live.replicas} replicas in place of {wanted}"
    return (WriteFailure("Conflict", f"{stored}: an admission policy or another controller changes it", retry=False),)


class NameConflictError(errors.ApiError):
    """A foreign object has the name of a child."""

    def __init__(self, kind: Kind, name: str) -> None:
        super().__init__(409, "NameConflict", f"{kind.kind} {name} exists and was not made for this resource")


def of(kind: Kind, name: str, error: errors.ApiError) -> WriteFailure:
    """The failure that an error of the API means."""
    reason = reason_of(error)
    message = f"{kind.kind} {name}: {error.message or error}"
    retry = reason != "NamespaceTerminating"
    return WriteFailure(reason, message, retry=retry, retry_after=error.retry_after)


_NAMES = re.compile(r'"[^"]*"')
"""Names that people chose: an object may be called `limitrange`."""
_FOR_EVER = ("typed patch object", "request is too large")
"""The API server answers 500, and will for the same object again: its own schema refuses the patch, such as one with
two mounts at a path, or a field that is there twice; or etcd takes no object of that size."""
_DENIED = re.compile(r"\bdenied (?:the )?request\b")
"""By a webhook or a policy: the rest names policies, and is in the words of whoever wrote them."""
_NO_RIGHT = re.compile(r"is forbidden: (?:user \"\" cannot|cannot set blockownerdeletion)")
"""How the API server says that a right is missing (`forbiddenMessage` of k8s.io/apiserver; the plugin
OwnerReferencesPermissionEnforcement). What else is forbidden, admission refuses."""
_QUOTA = re.compile(r"\bexceeded (?:\w+ )?quota\b|\bfailed quota\b|\binsufficient quota to match these scopes\b")
"""Of ResourceQuotas, and of what counts for several namespaces by a webhook (hierarchical, cluster)."""
_POD_SECURITY = 'violates podsecurity "'
"""Then the level: by the API server, and by the webhook of Kubernetes for the same rules."""
_REFUSALS: tuple[tuple[str, Refusal], ...] = (
    (" usage per container", "LimitRangeRejected"),
    ("limit to request ratio per ", "LimitRangeRejected"),
    (" usage per pod", "LimitRangeRejected"),
    (" usage per persistentvolumeclaim", "LimitRangeRejected"),
    ("being terminated", "NamespaceTerminating"),
)
_REASON_BY_CLASS: tuple[tuple[type[errors.ApiError], Write], ...] = (
    (NameConflictError, "NameConflict"),
    (errors.InvalidError, "Rejected"),
    (errors.ConflictError, "Conflict"),
    (errors.AlreadyExistsError, "Conflict"),
)


def reason_of(error: errors.ApiError) -> Reason:
    """The error in one word for a condition. Only a refusal (403) is read for its cause."""
    if any(words in error.message for words in _FOR_EVER):
        return "Rejected"
    if isinstance(error, errors.ForbiddenError):
        text = _NAMES.sub('""', error.message.lower())
        denied = _DENIED.search(text) or ("is forbidden: " in text and not _NO_RIGHT.search(text))
        return refusal(error.message) or ("Rejected" if denied else "Forbidden")
    return next((reason for kind, reason in _REASON_BY_CLASS if isinstance(error, kind)), "ApiUnavailable")


def refusal(message: str) -> Refusal | None:
    """Why an admission plugin of Kubernetes refuses an object, from its message; None for another one."""
    text = _NAMES.sub('""', message.lower())
    if _QUOTA.search(text):
        return "QuotaExceeded"
    if _POD_SECURITY in text:
        return "PodSecurityRejected"
    known = () if _DENIED.search(text) else _REFUSALS
    return next((reason for needle, reason in known if needle in text), None)


def pod_refusal(message: str) -> Refusal:
    """Why Kubernetes does not let the Deployment create pods."""
    # A request of ours above a limit that is not ours: a LimitRange put it there.
    text = message.lower()
    limited = "must be less than or equal to" in text and not _DENIED.search(text)
    return refusal(message) or ("LimitRangeRejected" if limited else "PodCreationRefused")
