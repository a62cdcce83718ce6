"""The work queue, on a clock that only the test moves."""

import asyncio

import pytest

from hipbmm_operator.kube.metadata import NamespacedName
from hipbmm_operator.workqueue.queue import Backoff, Queue

A, B, C = NamespacedName("ns", "a"), NamespacedName("ns", "b"), NamespacedName("ns", "c")


class Clock:
    """Time that stands still, and how often it was asked for."""

    def __init__(self) -> None:
        self.now = 100.0
        self.asked = 0

    def __call__(self) -> float:
        self.asked += 1
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def queue(clock: Clock) -> Queue:
    return Queue(Backoff(1.0, 60.0, lambda: 1.0), clock)


async def taken(queue: Queue) -> NamespacedName | None:
    """The next key if there is one now."""
    task = asyncio.create_task(queue.get())
    for _ in range(5):
        await asyncio.sleep(0)
    if not task.done():
        task.cancel()
        return None
    return task.result()


async def test_a_key_is_there_once_however_often_it_was_asked_for(queue: Queue) -> None:
    for key in (A, B, A, A):
        queue.add(key)
    assert [await taken(queue), await taken(queue), await taken(queue)] == [A, B, None]


async def test_no_two_workers_have_the_same_key(queue: Queue) -> None:
    queue.add(A)
    assert await taken(queue) == A
    queue.add(A)
    assert await taken(queue) is None
    queue.done(A)
    assert await taken(queue) == A


async def test_what_was_not_asked_again_does_not_come_again(queue: Queue) -> None:
    queue.add(A)
    assert await taken(queue) == A
    queue.done(A)
    assert await taken(queue) is None


async def test_a_delayed_key_comes_when_it_is_due(queue: Queue, clock: Clock) -> None:
    queue.add(A, 5.0)
    assert await taken(queue) is None
    clock.now += 4.9
    assert await taken(queue) is None
    clock.now += 0.2
    assert await taken(queue) == A


async def test_the_earliest_of_several_delays_counts(queue: Queue, clock: Clock) -> None:
    queue.add(A, 50.0)
    queue.add(A, 5.0)
    queue.add(A, 20.0)
    clock.now += 5.1
    assert await taken(queue) == A
    queue.done(A)
    clock.now += 100
    assert await taken(queue) is None


async def test_an_immediate_ask_does_not_wait_for_a_delay(queue: Queue) -> None:
    queue.add(A, 50.0)
    queue.add(A)
    assert await taken(queue) == A


async def test_failures_back_off_exponentially_up_to_the_longest(queue: Queue) -> None:
    assert [queue.retry(A) for _ in range(8)] == [1, 2, 4, 8, 16, 32, 60, 60]
    queue.forgive(A)
    assert queue.retry(A) == 1


async def test_retry_after_is_a_minimum(queue: Queue) -> None:
    assert queue.retry(A, 7.0) == 8.0
    assert Backoff(1.0, 60.0, lambda: 0.0).delay(3, 7.0) == 7.0
    assert Backoff(1.0, 60.0, lambda: 0.0).delay(3, 1e9) == 60.0


async def test_full_jitter_spreads_from_zero_to_the_ceiling() -> None:
    assert Backoff(1.0, 60.0, lambda: 0.0).delay(4, None) == 0.0
    assert Backoff(1.0, 60.0, lambda: 0.5).delay(4, None) == 4.0


async def test_a_failing_key_does_not_hold_back_the_others(queue: Queue, clock: Clock) -> None:
    queue.add(A)
    assert await taken(queue) == A
    queue.retry(A)
    queue.done(A)
    queue.add(B)
    assert await taken(queue) == B
    clock.now += 1.1
    assert await taken(queue) == A


async def test_depth_and_age_tell_what_waits(queue: Queue, clock: Clock) -> None:
    queue.add(A)
    clock.now += 3
    queue.add(B)
    assert (queue.depth(), queue.oldest()) == (2, 3.0)
    await taken(queue)
    await taken(queue)
    assert (queue.depth(), queue.oldest()) == (0, 0.0)


async def test_a_waiting_worker_is_woken(queue: Queue) -> None:
    worker = asyncio.create_task(queue.get())
    await asyncio.sleep(0)
    queue.add(C)
    assert await asyncio.wait_for(worker, 60) == C


async def test_of_many_waiting_workers_few_are_woken(queue: Queue, clock: Clock) -> None:
    workers = [asyncio.create_task(queue.get()) for _ in range(50)]
    for _ in range(5):
        await asyncio.sleep(0)
    clock.asked = 0
    queue.add(A)
    for _ in range(5):
        await asyncio.sleep(0)
    assert sum(worker.done() for worker in workers) == 1
    assert clock.asked < 10
    for worker in workers:
        worker.cancel()


async def test_a_worker_that_is_ended_while_it_waits_leaves_its_turn_to_another(queue: Queue) -> None:
    first, second = asyncio.create_task(queue.get()), asyncio.create_task(queue.get())
    await asyncio.sleep(0)
    first.cancel()
    queue.add(A)
    assert await asyncio.wait_for(second, 60) == A


async def test_what_is_urgent_comes_first_and_keeps_nothing_back_for_ever(queue: Queue) -> None:
    queue.add(A)
    urgent = [NamespacedName("ns", f"u{number}") for number in range(20)]
    for key in urgent:
        queue.add(key, urgent=True)
    order = [await taken(queue) for _ in range(21)]
    assert order[0] == urgent[0]
    assert 1 < order.index(A) < 20
    assert await taken(queue) is None


async def test_a_waiting_key_that_becomes_urgent_is_there_once(queue: Queue) -> None:
    for key in (A, B, C):
        queue.add(key)
    queue.add(C, urgent=True)
    queue.add(C)
    assert [await taken(queue) for _ in range(4)] == [C, A, B, None]


async def test_what_became_urgent_while_it_was_worked_on_comes_first_afterwards(queue: Queue) -> None:
    queue.add(A)
    assert await taken(queue) == A
    queue.add(B)
    queue.add(A, urgent=True)
    queue.done(A)
    assert [await taken(queue), await taken(queue)] == [A, B]
    queue.done(A)
    queue.done(B)
    assert queue.depth() == 0
    assert not any((queue._others, queue._urgent, queue._active, queue._failures, queue._due))


@pytest.mark.parametrize("turns", range(4))
async def test_a_cancellation_that_comes_with_news_is_obeyed(queue: Queue, turns: int) -> None:
    # An operator that was asked to stop just when an event came never ended.
    queue.add(A, after=60.0)
    waiting = asyncio.create_task(queue.get())
    for _ in range(5):
        await asyncio.sleep(0)
    queue._wake.set()
    for _ in range(turns):
        await asyncio.sleep(0)
    waiting.cancel()
    await asyncio.wait({waiting}, timeout=60)
    assert waiting.cancelled()
