"""The work queue: each key at most once, one worker per key, delays, and exponential backoff with full jitter.

What a person has asked for is urgent: it overtakes what follows from it, such as events of 1,000 starting pods.
"""

import asyncio
import contextlib
import heapq
import math
from collections.abc import Callable
from dataclasses import dataclass, field

from hipbmm_operator.kube.metadata import NamespacedName

_IN_A_ROW = 8
"""So many urgent keys are taken before one that is not: nothing waits for ever."""


@dataclass(slots=True)
class Backoff:
    """Full jitter: a uniform share of an exponentially growing ceiling, so that failing keys spread out."""

    first: float
    longest: float
    jitter: Callable[[], float] = field(repr=False)

    def delay(self, failures: int, retry_after: float | None) -> float:
        """Seconds before the retry after `failures` failures in a row; at least what the server asked for."""
        exponent = min(failures - 1, 16)
        ceiling = min(self.longest, self.first * 2.0**exponent)
        waiting = ceiling * self.jitter()
        return waiting if retry_after is None else min(retry_after, self.longest) + waiting


class Queue:
    """Keys that want a reconcile. All methods but `get` are immediate; one event loop."""

    def __init__(self, backoff: Backoff, clock: Callable[[], float]) -> None:
        self._backoff = backoff
        self._clock = clock
        self._others: dict[NamespacedName, float] = {}
        self._urgent: dict[NamespacedName, float] = {}
        """Keys that wait, in their order, and since when: what is asked for while a worker has it waits as well."""
        self._active: set[NamespacedName] = set()
        self._failures: dict[NamespacedName, int] = {}
        self._in_a_row = 0
        self._due: dict[NamespacedName, float] = {}
        self._delayed: list[tuple[float, NamespacedName]] = []
        """A heap; an entry counts if it is the one in `_due`."""
        self._wake = asyncio.Event()
        self._turn = asyncio.Lock()

    def add(self, key: NamespacedName, after: float = 0.0, *, urgent: bool = False) -> None:
        """Ask for a reconcile, now or after so many seconds; the earliest ask counts. `urgent`: before the others."""
        now = self._clock()
        if after <= 0:
            if urgent:
                self._urgent.setdefault(key, self._others.pop(key, now))
            elif key not in self._urgent:
                self._others.setdefault(key, now)
        elif now + after < self._due.get(key, math.inf):
            self._due[key] = now + after
            heapq.heappush(self._delayed, (now + after, key))
        self._wake.set()

    def retry(self, key: NamespacedName, retry_after: float | None = None) -> float:
        """Ask again after a failure; the seconds until then."""
        self._failures[key] = self._failures.get(key, 0) + 1
        waiting = self._backoff.delay(self._failures[key], retry_after)
        self.add(key, waiting)
        return waiting

    def forgive(self, key: NamespacedName) -> None:
        """A reconcile succeeded: the next failure starts with a short delay again."""
        self._failures.pop(key, None)

    async def get(self) -> NamespacedName:
        """The next key; nobody else gets it until `done`."""
        # One waits for keys and the others for their turn: all woken for each key cost nearly as much as a reconcile.
        async with self._turn:
            while (key := self._next()) is None:
                self._wake.clear()
                timeout = max(0.0, self._delayed[0][0] - self._clock()) if self._delayed else None
                # Not wait_for: before Python 3.12 it forgets a cancellation that comes together with the event.
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(timeout):
                        await self._wake.wait()
            self._active.add(key)
            return key

    def done(self, key: NamespacedName) -> None:
        """The reconcile has ended; what was asked meanwhile comes next."""
        self._active.discard(key)
        self._wake.set()

    def depth(self) -> int:
        """Keys that wait for a worker."""
        return len(self._waiting())

    def oldest(self) -> float:
        """Seconds that the oldest waiting key has waited for a worker."""
        return max((self._clock() - since for since in self._waiting()), default=0.0)

    def _waiting(self) -> list[float]:
        """Since when keys wait for a worker."""
        self._promote()
        return [
            since for lane in (self._others, self._urgent) for key, since in lane.items() if key not in self._active
        ]

    def _next(self) -> NamespacedName | None:
        """Take the key whose turn it is; None when there is none."""
        self._promote()
        urgent, other = (
            next((key for key in lane if key not in self._active), None) for lane in (self._urgent, self._others)
        )
        first = urgent is not None and (self._in_a_row < _IN_A_ROW or other is None)
        if (key := urgent if first else other) is not None:
            self._in_a_row = self._in_a_row + 1 if first else 0
            del (self._urgent if first else self._others)[key]
        return key

    def _promote(self) -> None:
        """Line up what is due."""
        while self._delayed and self._delayed[0][0] <= self._clock():
            due, key = heapq.heappop(self._delayed)
            if self._due.get(key) == due:
                del self._due[key]
                self.add(key)
