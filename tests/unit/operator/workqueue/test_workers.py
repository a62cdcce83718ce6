"""Workers on a real queue: what comes again and when, whatever a reconcile does."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

import pytest
from tests.unit.operator.apiserver import eventually

from hipbmm_operator.kube import errors
from hipbmm_operator.kube.metadata import NamespacedName
from hipbmm_operator.telemetry import logs, metrics
from hipbmm_operator.workqueue.queue import Backoff, Queue
from hipbmm_operator.workqueue.workers import Outcome, Workers

KEY = NamespacedName("ns", "qwen")


class Harness:
    """A queue with its workers, and a reconciler that does what a test says."""

    def __init__(self) -> None:
        self.now = 0.0
        self.queue = Queue(Backoff(4.0, 60.0, lambda: 1.0), lambda: self.now)
        self.may_start = asyncio.Event()
        self.may_start.set()
        self.workers = Workers(self.queue, self.reconcile, self.start)
        self.done: list[NamespacedName] = []
        self.does: Callable[[], Outcome] = Outcome
        self.hold = asyncio.Event()
        self.hold.set()

    async def start(self) -> None:
        await self.may_start.wait()

    async def reconcile(self, key: NamespacedName) -> Outcome:
        about = logs.OBJECT.get()
        assert about is not None
        assert about["object"] == key._asdict()
        self.done.append(key)
        await self.hold.wait()
        return self.does()

    async def after(self, seconds: float) -> int:
        """How many reconciles there have been, so many seconds from the start."""
        self.now = seconds
        for number in range(2):
            # What is due lines up behind the first one, and is done before the second.
            probe = NamespacedName("ns", f"probe-{number}")
            before = self.done.count(probe)
            self.queue.add(probe)
            await eventually(lambda probe=probe, before=before: self.done.count(probe) > before)  # type: ignore[misc]
        return self.done.count(KEY)


@asynccontextmanager
async def working(count: int = 1) -> AsyncIterator[Harness]:
    harness = Harness()
    tasks = [asyncio.create_task(harness.workers.run()) for _ in range(count)]
    yield harness
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)


def fails(error: Exception) -> Callable[[], Outcome]:
    def does() -> Outcome:
        raise error

    return does


def counted(result: str) -> float:
    return float(metrics.RECONCILES.labels(result)._value.get())  # no other way to read a counter


@pytest.mark.parametrize(
    ("does", "result", "again"),
    [
        (Outcome, "ok", None),
        (lambda: Outcome(again=7.0), "ok", 7.0),
        (lambda: Outcome(retry=True), "trouble", 4.0),
        (lambda: Outcome(retry=True, retry_after=5.0), "trouble", 9.0),
        (fails(errors.UnavailableError(503, "Unavailable", "not now")), "error", 4.0),
        (fails(errors.UnavailableError(429, "TooMany", "slower", retry_after=3.0)), "error", 7.0),
        (fails(ZeroDivisionError()), "defect", 4.0),
    ],
)
async def test_a_key_comes_again_as_its_outcome_says(
    does: Callable[[], Outcome], result: str, again: float | None
) -> None:
    before = counted(result)
    async with working() as harness:
        harness.does = does
        harness.queue.add(KEY)
        assert await harness.after(0.0) == 1
        harness.does = Outcome
        assert counted(result) - before >= 1
        if again is None:
            assert await harness.after(1000.0) == 1
        else:
            assert await harness.after(again - 0.5) == 1
            assert await harness.after(again) == 2


async def test_nothing_starts_before_the_process_may_write_and_what_runs_is_waited_for() -> None:
    async with working(count=3) as harness:
        harness.may_start.clear()
        await asyncio.sleep(0)
        harness.hold.clear()
        harness.may_start.set()
        harness.queue.add(KEY)
        await eventually(lambda: harness.done == [KEY])
        stopping = asyncio.create_task(harness.workers.stop(60.0))
        await asyncio.sleep(0)
        harness.queue.add(NamespacedName("ns", "late"))
        assert not stopping.done()
        harness.hold.set()
        await asyncio.wait_for(stopping, 60)
        assert harness.done == [KEY]


async def test_a_worker_that_waits_for_a_key_when_the_lease_is_lost_starts_nothing() -> None:
    async with working() as harness:
        harness.queue.add(KEY)
        await eventually(lambda: harness.done == [KEY])
        harness.may_start.clear()
        harness.queue.add(NamespacedName("ns", "later"))
        for _ in range(20):
            await asyncio.sleep(0)
        assert harness.done == [KEY]
        harness.may_start.set()
        await eventually(lambda: harness.done == [KEY, NamespacedName("ns", "later")])


async def test_a_reconcile_that_does_not_end_is_not_waited_for_longer_than_asked() -> None:
    async with working() as harness:
        harness.hold.clear()
        harness.queue.add(KEY)
        await eventually(lambda: harness.done == [KEY])
        await harness.workers.stop(0.01)


@pytest.mark.parametrize(
    ("again", "seconds", "comes"),
    [(None, None, None), (5.0, None, 5.0), (None, 3.0, 3.0), (5.0, 3.0, 3.0), (3.0, 5.0, 3.0), (5.0, 0.0, 0.0)],
)
def test_the_earlier_time_counts(again: float | None, seconds: float | None, comes: float | None) -> None:
    assert Outcome(again).at_latest(seconds).again == comes


def test_a_retry_stays_one() -> None:
    assert Outcome(retry=True, retry_after=7.0).at_latest(1.0) == Outcome(1.0, retry=True, retry_after=7.0)
