"""Rows on their way to the store, written by a thread of its own.

A shared volume may hang for minutes. The tuner goes on meanwhile: rows wait here, are published when 16 are ready or
the oldest is 20 s old, and stay here when the volume refuses them, until it takes them or time is up.
"""

import contextlib
import math
import threading
from collections.abc import Callable

from hipbmm_kernel.rows.gemm import Row, Veto
from hipbmm_kernel.store import shard as shards
from hipbmm_kernel.store.publisher import Publisher, PublishError
from hipbmm_kernel.store.shard import Shard
from hipbmm_kernel.store.shard_lines import LineError, row_line, veto_line
from hipbmm_kernel.system.clock import Clock

BATCH_ROWS = 16
BATCH_SECONDS = 20.0
PUBLISH_SECONDS = 60.0
MAX_ROWS = 4096


class PublishQueue:
    """Takes rows and vetoes of one stack. `log` gets a line for people about each shard and each failure."""

    def __init__(
        self,
        publisher: Publisher,
        clock: Clock,
        head: Shard,
        log: Callable[[str], None],
        batch_rows: int = BATCH_ROWS,
        batch_seconds: float = BATCH_SECONDS,
    ) -> None:
        self._publisher = publisher
        self._clock = clock
        self._head = head
        self._log = log
        self._batch_rows = batch_rows
        self._batch_seconds = batch_seconds
        self._changed = threading.Condition()
        self._waiting: dict[str, list[Row | Veto]] = {shards.ROWS: [], shards.VETOES: []}
        self._oldest: float | None = None
        self._not_before = 0.0
        self._hopeless = False
        self._closing_at: float | None = None
        self._thread: threading.Thread | None = None
        self.published = 0
        self.failures = 0
        self.last_published = 0.0
        self.error = ""

    def add(self, *items: Row | Veto) -> None:
        """Take rows and vetoes; the thread starts with the first. One that may not be stored is said and left out."""
        with self._changed:
            for item in items:
                try:
                    row_line(item) if isinstance(item, Row) else veto_line(item)
                except LineError as error:
                    self._log(f"store: {error}")
                    continue
                self._waiting[shards.ROWS if isinstance(item, Row) else shards.VETOES].append(item)
            if self._oldest is None:
                self._oldest = self._clock.monotonic()
            self._start()
            self._changed.notify()

    def waiting(self) -> int:
        """Rows and vetoes that are not on the volume yet."""
        with self._changed:
            return self._count()

    def close(self, seconds: float) -> int:
        """Publish what waits, for at most `seconds`; how many rows and vetoes could not be published."""
        with self._changed:
            self._closing_at = self._clock.monotonic() + seconds
            self._start()
            self._changed.notify()
        if self._thread is not None:
            # A volume that hangs in a system call is left behind: the thread is a daemon.
            self._thread.join(seconds + 1.0)
        with self._changed:
            if self._thread is not None and self._thread.is_alive():
                self.error = self.error or "the volume did not answer in time"
            return self._count()

    def _start(self) -> None:
        """Start the thread if it is missing and needed. Where a pod has no room for one now, a later call does it."""
        if self._thread is None and self._count():
            thread = threading.Thread(target=self._run, name="publish queue", daemon=True)
            with contextlib.suppress(RuntimeError):
                thread.start()
                self._thread = thread

    def _count(self) -> int:
        return sum(map(len, self._waiting.values()))

    def _run(self) -> None:
        while True:
            with self._changed:
                self._await_batch()
                if self._finished():
                    return
                batches = {kind: items[:MAX_ROWS] for kind, items in self._waiting.items() if items}
                closing = self._closing_at is not None
            done = {kind: self._publish(kind, items) for kind, items in batches.items()}
            with self._changed:
                for kind, items in batches.items():
                    del self._waiting[kind][: len(items) if done[kind] else 0]
                self._oldest = self._clock.monotonic() if self._count() else None
                # The publisher has tried for as long as it could: asking it again would only spin.
                self._hopeless = self._hopeless or (closing and not all(done.values()))

    def _await_batch(self) -> None:
        """Wait until a batch is due. Holds the lock."""
        while self._closing_at is None:
            now = self._clock.monotonic()
            due = float("inf") if self._oldest is None else self._oldest + self._batch_seconds
            due = max(now if self._count() >= self._batch_rows else due, self._not_before)
            if due <= now:
                return
            self._changed.wait(None if due == float("inf") else due - now)

    def _finished(self) -> bool:
        """Whether nothing is left to do, no time, or no hope. Holds the lock."""
        if self._closing_at is None:
            return False
        return not self._count() or self._hopeless or self._clock.monotonic() >= self._closing_at

    def _left(self) -> float:
        """Seconds until the end that `close` has set, also for a shard that is being tried."""
        if self._closing_at is None:
            return math.inf
        return max(0.0, self._closing_at - self._clock.monotonic())

    def _publish(self, kind: str, items: list[Row | Veto]) -> bool:
        shard = self._head._replace(kind=kind, **{kind: tuple(items)})  # type: ignore[arg-type] # its fields' names
        try:
            name = self._publisher.publish(shard, PUBLISH_SECONDS, self._left)
        except PublishError as error:
            self.failures += 1
            self._not_before = self._clock.monotonic() + BATCH_SECONDS
            self.error = str(error)
            self._hopeless = error.hopeless
            self._log(f"store: a shard of {len(items)} {kind} could not be published: {error}")
            return False
        self.published += 1
        self.last_published = self._clock.wall()
        self._hopeless, self.error = False, ""
        self._log(f"store: published {name} with {len(items)} {kind}")
        return True
