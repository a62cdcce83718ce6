"""What was read is kept for a while, and within a bound."""

from collections.abc import Awaitable, Callable
from typing import Any, TypeVar

T = TypeVar("T")

_FORGOTTEN_SECONDS = 600.0
"""What nobody has asked for again in so long is most likely about something that is gone."""


_MAX_ENTRIES = 4096
"""Entries of one memory: some for each pod of a large cluster."""


def trim(memory: dict[Any, Any], most: int = _MAX_ENTRIES) -> None:
    """Forget the entries that were put in first: most likely of objects that are gone."""
    while len(memory) > most:
        del memory[next(iter(memory))]


class Kept:
    """Answers by key, each asked for again after so many seconds."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._known: dict[object, tuple[float, Any]] = {}

    async def get(self, key: object, seconds: float, ask: Callable[[], Awaitable[T]]) -> T:
        """The answer, asked for when the last one is older; raises what `ask` raises."""
        now = self._clock()
        if key not in self._known or now - self._known[key][0] >= seconds:
            answer = await ask()
            self._known.pop(key, None)
            self._known = {key: known for key, known in self._known.items() if now - known[0] < _FORGOTTEN_SECONDS}
            self._known[key] = (now, answer)
        known: T = self._known[key][1]
        return known
