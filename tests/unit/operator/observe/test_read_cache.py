"""Answers that are kept: asked for again when they are old, and not after an error."""

import asyncio

import pytest

from hipbmm_operator.kube import errors
from hipbmm_operator.observe.read_cache import ReadCache


class Source:
    """Counts what it is asked; raises while `broken`."""

    def __init__(self) -> None:
        self.asked = 0
        self.broken = False

    async def __call__(self) -> int:
        self.asked += 1
        if self.broken:
            raise errors.ForbiddenError(403, "Forbidden", "")
        return self.asked


async def test_an_answer_is_kept_for_its_time() -> None:
    now = [0.0]
    kept, source = ReadCache(lambda: now[0]), Source()
    answers = []
    for now[0] in (0.0, 29.9, 30.0, 59.9, 60.0):
        answers.append(await kept.get("key", 30.0, source))
    assert answers == [1, 1, 2, 2, 3]


async def test_each_key_has_its_own() -> None:
    kept, one, other = ReadCache(lambda: 0.0), Source(), Source()
    assert [await kept.get("one", 30.0, one), await kept.get("other", 30.0, other)] == [1, 1]
    assert (one.asked, other.asked) == (1, 1)


async def test_an_error_is_not_kept_and_does_not_hide_the_next_answer() -> None:
    now = [0.0]
    kept, source = ReadCache(lambda: now[0]), Source()
    assert await kept.get("key", 30.0, source) == 1
    now[0], source.broken = 31.0, True
    with pytest.raises(errors.ForbiddenError):
        await kept.get("key", 30.0, source)
    source.broken = False
    assert await kept.get("key", 30.0, source) == 3


async def test_what_nobody_asks_for_any_more_takes_no_memory() -> None:
    now = [0.0]
    kept, source = ReadCache(lambda: now[0]), Source()
    for now[0] in range(0, 100_000, 100):
        await kept.get(now[0], 30.0, source)
    assert len(kept._known) <= 7  # memory is what is asked about


async def test_what_many_want_at_the_same_time_is_asked_for_once() -> None:
    kept, source, goes_on = ReadCache(lambda: 0.0), Source(), asyncio.Event()

    async def slow() -> int:
        await goes_on.wait()
        return await source()

    wanting = [asyncio.create_task(kept.get("key", 30.0, slow)) for _ in range(3)]
    await asyncio.sleep(0)
    wanting[0].cancel()
    goes_on.set()
    assert await asyncio.gather(*wanting[1:]) == [1, 1]
    assert (source.asked, kept.last("key"), "key" in kept) == (1, 1, True)


async def test_without_a_time_nothing_is_forgotten_but_what_is_too_much() -> None:
    now = [0.0]
    kept, source = ReadCache(lambda: now[0], forgotten=float("inf")), Source()
    for now[0] in range(17_000):
        await kept.get(now[0], 30.0, source)
    assert len(kept._known) == 16_384
    assert (0 in kept, kept.last(0), kept.last(16_999)) == (False, None, 17_000)
