"""How long a status waits for the events that follow from a write of a child."""

from hipbmm_operator.kube.metadata import NamespacedName
from hipbmm_operator.workqueue.debounce import Debounce

KEY = NamespacedName("ns", "qwen")
Applied = tuple[bool, bool]
WROTE, NOTHING = (True, False), (False, False)
FAILED, WROTE_AND_FAILED = (False, True), (True, True)


def waits(*reconciles: tuple[float, Applied]) -> list[float | None]:
    """The answer after each reconcile: its time, and what was written."""
    times = iter([at for at, _ in reconciles])
    debounce = Debounce(1.0, lambda: next(times))
    return [debounce.status_wait(KEY, written=written, failed=failed) for _, (written, failed) in reconciles]


def test_nothing_written_nothing_to_wait_for() -> None:
    assert waits((0.0, NOTHING)) == [None]


def test_the_wait_ends_in_time_whatever_is_written_meanwhile() -> None:
    assert waits((10.0, WROTE), (10.25, NOTHING), (10.75, WROTE), (11.0, NOTHING)) == [1.0, 0.75, 0.25, None]


def test_a_write_after_the_wait_begins_another_one() -> None:
    assert waits((10.0, WROTE), (11.0, NOTHING), (12.0, WROTE)) == [1.0, None, 1.0]


def test_a_failure_is_reported_at_once() -> None:
    assert waits((10.0, WROTE_AND_FAILED), (10.5, NOTHING)) == [None, None]
    assert waits((10.0, WROTE), (10.5, FAILED)) == [1.0, None]


def test_a_resource_that_is_gone_leaves_no_window_to_its_successor() -> None:
    now = [10.0]
    debounce = Debounce(1.0, lambda: now[0])
    assert debounce.status_wait(KEY, written=True, failed=False) == 1.0
    debounce.forget(KEY)
    now[0] = 10.5
    assert debounce.status_wait(KEY, written=True, failed=False) == 1.0
