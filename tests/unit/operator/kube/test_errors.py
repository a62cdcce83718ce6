"""Answers of the API server as errors."""

import pytest

from hipbmm_operator.kube import errors


@pytest.mark.parametrize(
    ("status", "reason", "kind"),
    [
        (404, "NotFound", errors.NotFoundError),
        (409, "AlreadyExists", errors.AlreadyExistsError),
        (409, "Conflict", errors.ConflictError),
        (403, "Forbidden", errors.ForbiddenError),
        (422, "Invalid", errors.InvalidError),
        (429, "TooManyRequests", errors.UnavailableError),
        (500, "InternalError", errors.UnavailableError),
        (418, "", errors.UnavailableError),
    ],
)
def test_every_status_has_a_class(status: int, reason: str, kind: type[errors.ApiError]) -> None:
    error = errors.from_status(status, {"reason": reason, "message": "m"}, "3")
    assert type(error) is kind
    assert error.retry_after == 3.0


@pytest.mark.parametrize("text", [None, "", "soon", "Wed, 21 Oct 2026 07:28:00 GMT", "-1", "inf", "nan"])
def test_a_retry_after_that_is_no_time_is_ignored(text: str | None) -> None:
    assert errors.seconds(text) is None


def test_the_words_of_a_webhook_have_no_control_characters() -> None:
    error = errors.from_status(403, {"reason": "Forbidden", "message": "denied: \x1b[31mno\r\u2028\nsee the policy"})
    assert error.message == "denied: no  \nsee the policy"
