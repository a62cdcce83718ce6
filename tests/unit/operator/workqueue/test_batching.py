"""How long a status waits for what becomes of children that were just written."""

from hipbmm_operator.kube.key import Key
from hipbmm_operator.workqueue.batching import News

KEY = Key("ns", "qwen")
Applied = tuple[bool, bool]
WROTE, NOTHING = (True, False), (False, False)
FAILED, WROTE_AND_FAILED = (False, True), (True, True)


def waits(*looks: tuple[float, Applied], first: bool = False) -> list[float | None]:
    """What is said at each look: when, and what was written."""
    times = iter([at for at, _ in looks])
    news = News(1.0, lambda: next(times))
    return [news.wait(KEY, written=written, failed=failed, first=first) for _, (written, failed) in looks]


def test_nothing_written_nothing_to_wait_for() -> None:
    assert waits((0.0, NOTHING)) == [None]


def test_the_wait_ends_in_time_whatever_is_written_meanwhile() -> None:
    assert waits((10.0, WROTE), (10.25, NOTHING), (10.75, WROTE), (11.0, NOTHING)) == [1.0, 0.75, 0.25, None]


def test_a_new_deployment_has_more_to_tell() -> None:
    assert waits((10.0, WROTE), (12.0, NOTHING), (13.0, NOTHING), first=True) == [3.0, 1.0, None]


def test_what_follows_from_a_claim_is_still_to_come() -> None:
    news = News(1.0, lambda: 0.0)
    assert (news.gather(KEY), news.gather(KEY, first=True)) == (1.0, 3.0)


def test_a_write_after_the_wait_begins_another_one() -> None:
    assert waits((10.0, WROTE), (11.0, NOTHING), (12.0, WROTE)) == [1.0, None, 1.0]


def test_a_trouble_is_told_at_once() -> None:
    assert waits((10.0, WROTE_AND_FAILED), (10.5, NOTHING)) == [None, None]
    assert waits((10.0, WROTE), (10.5, FAILED)) == [1.0, None]


def test_a_status_that_says_next_to_nothing_new_waits_for_one_that_does() -> None:
    now = [10.0]
    news = News(1.0, lambda: now[0])
    assert news.linger(KEY, trifle=True) == 30.0
    now[0] = 25.0
    assert news.linger(KEY, trifle=True) == 15.0
    assert news.linger(KEY, trifle=False) is None
    assert news.linger(KEY, trifle=True) == 30.0
    now[0] = 55.0
    assert news.linger(KEY, trifle=True) is None


def test_many_resources_with_news_at_once_wait_for_longer_each_up_to_ten_times() -> None:
    news = News(1.0, lambda: 0.0)
    keys = [Key("ns", f"r-{number}") for number in range(400)]
    delays = [news.gather(key) for key in keys]
    assert news.many()
    assert (delays[0], delays[18], delays[19], delays[39], delays[-1]) == (1.0, 1.0, 2.0, 3.0, 10.0)
    assert news.wait(KEY, written=True, failed=False, first=True) == 10.0
    for key in keys[:390]:
        news.taken(key)
    assert news.gather(keys[0]) == 1.0
    assert not news.many()
    for key in keys:
        news.forget(key)
    assert news.wait(Key("ns", "other"), written=True, failed=False, first=True) == 3.0
