"""Errors of the API server by who must act, and the one table from HTTP status to class."""

from hipbmm_operator.kube.json_text import Json
from hipbmm_operator.kube.text import printable

FIRST_ERROR = 400
"""Smallest HTTP status that is an error."""


class ApiError(Exception):
    """A request that the API server did not fulfil. `message` is the server's own words."""

    def __init__(self, status: int, reason: str, message: str, retry_after: float | None = None) -> None:
        super().__init__(f"{status} {reason}: {message}")
        self.status = status
        self.reason = reason
        self.message = message
        self.retry_after = retry_after


class UnavailableError(ApiError):
    """Nothing is wrong with the request: retry later (network, timeout, 429, 5xx, 401)."""


class NotFoundError(ApiError):
    """The object, its namespace or its kind does not exist."""

    @property
    def of_object(self) -> bool:
        """Whether the kind is served: an unknown one is answered in plain text, a missing object with a Status."""
        return self.reason == "NotFound"


class AlreadyExistsError(ApiError):
    """A create met an object of that name."""


class ConflictError(ApiError):
    """Another manager owns a field, or a precondition (uid, resourceVersion) does not hold."""


class ForbiddenError(ApiError):
    """RBAC, quota or admission refuses; somebody must change something."""


class InvalidError(ApiError):
    """The object itself is refused (422, 400); the same request never succeeds."""


class GoneError(ApiError):
    """A continue token or resourceVersion is too old; list again."""


NOT_TO_BE_READ = (NotFoundError, ForbiddenError)
"""What is not there, or no right to read it: all the same where nobody has to have it."""

_BY_STATUS: dict[int, type[ApiError]] = {
    400: InvalidError,
    403: ForbiddenError,
    404: NotFoundError,
    409: ConflictError,
    410: GoneError,
    413: InvalidError,
    415: InvalidError,
    422: InvalidError,
}


def from_status(status: int, body: Json, retry_after: str | None = None) -> ApiError:
    """The error for an HTTP status >= 400 and the server's `Status` object (may be empty)."""
    reason = str(body.get("reason") or status)
    message = printable(str(body.get("message") or ""))
    kind = AlreadyExistsError if reason == "AlreadyExists" else _BY_STATUS.get(status, UnavailableError)
    return kind(status, reason, message, seconds(retry_after))


def seconds(text: str | None) -> float | None:
    """Seconds of a Retry-After header; dates and nonsense are ignored."""
    try:
        value = float(text) if text else None
    except ValueError:
        return None
    return value if value is not None and 0 <= value < float("inf") else None
