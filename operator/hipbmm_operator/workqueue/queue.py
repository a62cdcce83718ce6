"""The work queue: each key at most once, one worker per key, delays, and exponential backoff with full jitter.

What a person has asked for is urgent: it overtakes what follows from it, such as events of 1,000 starting pods.
"""

import asyncio
import heapq
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass, field

from hipbmm_operator.kube.namespaced_name import NamespacedName

_IN_A_ROW = 8
"""So many urgent keys are taken before one that is not: nothing waits for ever."""


@dataclass(slots=True)
class _State:
    """What is known of a key."""

    active: bool = False
    dirty: bool = False
    urgent: bool = False
    failures: int = 0
    due: float | None = None
    since: float | None = None


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
        self._states: dict[NamespacedName, _State] = {}
        self._ready: OrderedDict[NamespacedName, None] = OrderedDict()
        self._urgent: OrderedDict[NamespacedName, None] = OrderedDict()
        self._in_a_row = 0
        self._delayed: list[tuple[float, NamespacedName]] = []
        self._wake = asyncio.Event()
        self._turn = asyncio.Lock()

    def add(self, key: NamespacedName, after: float = 0.0, *, urgent: bool = False) -> None:
        """Ask for a reconcile, now or after so many seconds; the earliest ask counts. `urgent`: before the others."""
        if after > 0:
            self._delay(key, after)
            return
        state = self._states.setdefault(key, _State())
        if state.since is None:
            state.since = self._clock()
        state.urgent |= urgent
        if state.active:
            state.dirty = True
        else:
            self._line_up(key, state)
        self._wake.set()

    def retry(self, key: NamespacedName, retry_after: float | None = None) -> float:
        """Ask again after a failure; the seconds until then."""
        state = self._states.setdefault(key, _State())
        state.failures += 1
        waiting = self._backoff.delay(state.failures, retry_after)
        self._delay(key, waiting)
        return waiting

    def forgive(self, key: NamespacedName) -> None:
        """A reconcile succeeded: the next failure starts with a short delay again."""
        if key in self._states:
            self._states[key].failures = 0

    async def get(self) -> NamespacedName:
        """The next key; nobody else gets it until `done`."""
        # One waits for keys and the others for their turn: all woken for each key cost nearly as much as a reconcile.
        async with self._turn:
            await self._any()
            key = self._next()
            state = self._states[key]
            state.active, state.dirty, state.urgent, state.since = True, False, False, None
            return key

    async def _any(self) -> None:
        """Wait until a key is there."""
        while True:
            self._promote()
            if self._ready or self._urgent:
                return
            self._wake.clear()
            timeout = max(0.0, self._delayed[0][0] - self._clock()) if self._delayed else None
            try:
                # Not wait_for: before Python 3.12 it forgets a cancellation that comes together with the event.
                async with asyncio.timeout(timeout):
                    await self._wake.wait()
            except TimeoutError:
                continue

    def done(self, key: NamespacedName) -> None:
        """The reconcile has ended; what was asked meanwhile comes next."""
        state = self._states[key]
        state.active = False
        if state.dirty:
            self._line_up(key, state)
            self._wake.set()
        else:
            self._forget(key)

    def depth(self) -> int:
        """Keys that wait for a worker."""
        self._promote()
        return len(self._ready) + len(self._urgent)

    def oldest(self) -> float:
        """Seconds that the oldest waiting key has waited for a worker."""
        self._promote()
        now = self._clock()
        waiting = (*self._ready, *self._urgent)
        return max((now - (self._states[key].since or now) for key in waiting), default=0.0)

    def _line_up(self, key: NamespacedName, state: _State) -> None:
        if state.urgent:
            self._ready.pop(key, None)
            self._urgent.setdefault(key)
        else:
            self._ready.setdefault(key)

    def _next(self) -> NamespacedName:
        urgent = bool(self._urgent) and (self._in_a_row < _IN_A_ROW or not self._ready)
        self._in_a_row = self._in_a_row + 1 if urgent else 0
        key, _ = (self._urgent if urgent else self._ready).popitem(last=False)
        return key

    def _delay(self, key: NamespacedName, seconds: float) -> None:
        due = self._clock() + seconds
        state = self._states.setdefault(key, _State())
        if state.due is not None and state.due <= due:
            return
        state.due = due
        heapq.heappush(self._delayed, (due, key))
        self._wake.set()

    def _promote(self) -> None:
        now = self._clock()
        while self._delayed and self._delayed[0][0] <= now:
            due, key = heapq.heappop(self._delayed)
            state = self._states.get(key)
            if state is not None and state.due == due:
                state.due = None
                self.add(key)

    def _forget(self, key: NamespacedName) -> None:
        state = self._states[key]
        if not (state.failures or state.due is not None or key in self._ready or key in self._urgent):
            del self._states[key]
