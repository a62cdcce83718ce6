"""Workers: take a key, reconcile it; the outcome says when it is reconciled again."""

import asyncio
import contextlib
import itertools
import logging
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace
from typing import Self

from hipbmm_operator.kube import errors
from hipbmm_operator.kube.metadata import NamespacedName
from hipbmm_operator.telemetry import metrics
from hipbmm_operator.telemetry.logs import OBJECT
from hipbmm_operator.workqueue.queue import Queue

LOG = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Outcome:
    """How a reconcile went: reconcile again after so long; retry with backoff when something was not done."""

    again: float | None = None
    retry: bool = False
    retry_after: float | None = None

    def at_latest(self, seconds: float | None) -> Self:
        """The outcome with a reconcile after so many seconds at the latest, if there is such a time."""
        waits = [wait for wait in (self.again, seconds) if wait is not None]
        return replace(self, again=min(waits, default=None))


class Workers:
    """A fixed number of tasks on one queue. They work only while this process may write."""

    def __init__(
        self,
        queue: Queue,
        reconcile: Callable[[NamespacedName], Awaitable[Outcome]],
        may_start: Callable[[], Awaitable[None]],
    ) -> None:
        self._queue = queue
        self._reconcile = reconcile
        self._may_start = may_start
        self._ids = itertools.count(1)
        self._stopping = False
        self._busy = 0
        self._idle = asyncio.Event()
        self._idle.set()

    async def run(self) -> None:
        """One worker, until it is cancelled."""
        while True:
            await self._may_start()
            key = await self._queue.get()
            await self._may_start()  # the key may have come long after
            if self._stopping:
                return
            self._busy += 1
            self._idle.clear()
            try:
                await self._one(key)
            finally:
                self._busy -= 1
                if not self._busy:
                    self._idle.set()
                self._queue.done(key)

    async def stop(self, seconds: float) -> None:
        """Start nothing new and wait for what runs, at most so long."""
        self._stopping = True
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._idle.wait()

    async def _one(self, key: NamespacedName) -> None:
        token = OBJECT.set({"object": key._asdict(), "reconcile": f"{next(self._ids):x}"})
        started, result = time.monotonic(), "ok"
        try:
            outcome = await self._reconcile(key)
            if outcome.retry:
                result = "trouble"
        except errors.ApiError as error:
            LOG.warning("Reconcile failed: %s", error)
            outcome, result = Outcome(retry=True, retry_after=error.retry_after), "error"
        except Exception:
            # A defect met by one resource must not stop the others; it is logged in full, counted, and tried again.
            LOG.exception("Reconcile failed with a defect")
            outcome, result = Outcome(retry=True), "defect"
        finally:
            metrics.RECONCILE_SECONDS.observe(time.monotonic() - started)
            OBJECT.reset(token)
        metrics.RECONCILES.labels(result).inc()
        if outcome.retry:
            self._queue.retry(key, outcome.retry_after)
        else:
            self._queue.forgive(key)
        if outcome.again is not None:
            self._queue.add(key, outcome.again)
