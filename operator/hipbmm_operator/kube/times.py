"""Times as Kubernetes writes them, and its clock."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime

_SAME = timedelta(seconds=10)
"""An answer has a time of whole seconds, and may be read late: clocks so close to each other are taken for the same."""


class ServerClock:
    """The time by the API server's clock, as of its last answer: objects have times of it, and not of this machine."""

    def __init__(self, here: Callable[[], datetime]) -> None:
        self._here = here
        self._ahead = timedelta()

    def heard(self, date: str | None) -> None:
        """An answer has come, with this `Date`. What is known of the clocks stands while it is near enough."""
        try:
            ahead = parsedate_to_datetime(date or "").astimezone(UTC) - self._here()
        except (ValueError, OverflowError):
            return
        if abs(ahead - self._ahead) > _SAME:
            self._ahead = timedelta() if abs(ahead) <= _SAME else ahead

    def now(self) -> datetime:
        """The time."""
        return self._here() + self._ahead


def timestamp(moment: datetime) -> str:
    """A Kubernetes time."""
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def moment(text: object) -> datetime | None:
    """A Kubernetes time, or None."""
    if not isinstance(text, str):
        return None
    try:
        parsed = datetime.fromisoformat(text)
    except ValueError:
        return None
    return parsed if parsed.tzinfo else None
