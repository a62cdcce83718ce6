"""Keeps what was read for a while, and at most so many entries."""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from typing import Any, TypeVar

from hipbmm_operator.kube import errors

LOG = logging.getLogger(__name__)
T = TypeVar("T")

_FORGOTTEN_SECONDS = 600.0
"""What nobody has asked for again in so long is most likely about something that is gone."""
_MAX_ENTRIES = 16_384
"""Entries of one memory: one or two for each pod of a large cluster."""


def trim(memory: dict[Any, Any]) -> None:
    """Forget the entries that were put in first: most likely of objects that are gone."""
    while len(memory) > _MAX_ENTRIES:
        del memory[next(iter(memory))]


class ReadCache:
    """Answers by key: asked for once for all that want one at the same time, and again after so many seconds."""

    def __init__(self, clock: Callable[[], float], forgotten: float = _FORGOTTEN_SECONDS) -> None:
        self._clock = clock
        self._forgotten = forgotten
        self._known: dict[object, tuple[float, Any]] = {}
        """The last answers and when they came, the oldest first."""
        self._asked: dict[object, asyncio.Task[Any]] = {}

    def __contains__(self, key: object) -> bool:
        return key in self._known

    def last(self, key: object) -> Any:  # noqa: ANN401  # what was answered
        """The last answer, however old it is; None when there is none."""
        return self._known[key][1] if key in self._known else None

    def drop(self, key: object) -> None:
        """Nobody will ask for it again."""
        self._known.pop(key, None)

    async def get(self, key: object, seconds: float, ask: Callable[[], Awaitable[T]]) -> T:
        """The answer, asked for when the last one is older; raises what `ask` raises."""
        if key in self._known and self._clock() - self._known[key][0] < seconds:
            known: T = self._known[key][1]
            return known
        if key not in self._asked:
            self._asked[key] = asyncio.create_task(self._ask(key, ask))
        answer: T = await asyncio.shield(self._asked[key])
        return answer

    async def latest(self, key: tuple[str, str], seconds: float, ask: Callable[[], Awaitable[T]]) -> T | None:
        """The same; what cannot be read now is as it was, None when it never was. `key`: what is read, and of what."""

        async def read() -> T | None:
            try:
                return await ask()
            except errors.ApiError as error:
                LOG.debug("Could not read %s of %s: %s", *key, error)
                before: T | None = self.last(key)
                return before

        return await self.get(key, seconds, read)

    async def _ask(self, key: object, ask: Callable[[], Awaitable[T]]) -> T:
        try:
            answer = await ask()
        finally:
            del self._asked[key]
        now = self._clock()
        self._known.pop(key, None)
        self._known[key] = (now, answer)
        while now - next(iter(self._known.values()))[0] >= self._forgotten:
            del self._known[next(iter(self._known))]
        trim(self._known)
        return answer
