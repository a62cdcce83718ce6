"""Counters of a serving process: exact, bounded, and readable after the process is gone."""

import os
import signal
import threading
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hipbmm_kernel.dispatch import recorder as recorders
from hipbmm_kernel.dispatch.demand_lines import MAX_DEMAND, Demand, merged, read_demand
from hipbmm_kernel.dispatch.recorder import Recorder, read_calls


def calls_of(folder: Path) -> dict[str, int] | None:
    (path,) = folder.glob("calls-*.bin")
    return read_calls(path.read_bytes())


def demand_of(folder: Path) -> list[Demand]:
    (path,) = folder.glob("demand-*.csv")
    return read_demand(path.read_text())


def test_no_call_is_lost_between_threads_however_often_it_is_read(tmp_path: Path) -> None:
    recorder = Recorder(str(tmp_path), 0)

    def count() -> None:
        for number in range(20_000):
            next(recorder.ticks[number % 2])

    threads = [threading.Thread(target=count) for _ in range(4)]
    for thread in threads:
        thread.start()
    while any(thread.is_alive() for thread in threads):
        assert sum(recorder.totals()) <= 80_000
    assert recorder.totals() == (40_000, 40_000, 0)


def test_both_files_say_what_was_counted(tmp_path: Path) -> None:
    recorder = Recorder(str(tmp_path), 3)
    recorder.start()
    for tick, count in zip(recorder.ticks, (5, 3, 2), strict=True):
        for _ in range(count):
            next(tick)
    for _ in range(2):
        recorder.missed((7, 256, 512, True))
    recorder.missed((600, 256, 512, False))
    recorder.write()
    assert calls_of(tmp_path) == {"verified": 5, "padded": 3, "heuristic": 2}
    assert demand_of(tmp_path) == [Demand(7, 256, 512, True, 2), Demand(600, 256, 512, False, 1)]
    names = sorted(path.name for path in tmp_path.iterdir())
    assert names == [
        f"calls-3-{os.getpid()}.bin",
        f"demand-3-{os.getpid()}.csv",
    ]


def test_whoever_reads_the_counters_while_they_are_written_sees_them_grow(tmp_path: Path) -> None:
    recorder = Recorder(str(tmp_path), 0)
    recorder.start()
    next(recorder.ticks[0])
    recorder.write()
    (path,) = tmp_path.glob("calls-*.bin")
    child = os.fork()
    if child == 0:
        for _ in range(1_000_000):
            recorder._write_calls()
        os._exit(0)
    with path.open("rb") as file:
        seen = {os.pread(file.fileno(), recorders.COUNTERS.size, 0) for _ in range(300_000)}
    os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)
    assert seen == {recorders.COUNTERS.pack(1, 0, 0)}


def test_a_process_that_is_killed_leaves_its_counters(tmp_path: Path) -> None:
    child = os.fork()
    if child == 0:
        recorder = Recorder(str(tmp_path), 0)
        recorder.start()
        next(recorder.ticks[0])
        recorder.write()
        os.kill(os.getpid(), 9)
    os.waitpid(child, 0)
    assert calls_of(tmp_path) == {"verified": 1, "padded": 0, "heuristic": 0}


def test_a_container_that_starts_again_with_the_same_process_ids_goes_on_counting(tmp_path: Path) -> None:
    for at in range(3):
        recorder = Recorder(str(tmp_path), 0)
        recorder.start()
        next(recorder.ticks[2])
        recorder.missed((1, 16, 512, False))
        recorder.missed((2 + at, 16, 512, True))
        recorder.write()
    assert calls_of(tmp_path) == {"verified": 0, "padded": 0, "heuristic": 3}
    assert demand_of(tmp_path) == [
        Demand(1, 16, 512, False, 3),
        *(Demand(2 + at, 16, 512, True, 1) for at in range(3)),
    ]


@pytest.mark.parametrize(
    "text",
    [
        *("", "x", "\0" * 99),
        *(f"m,n,k,bias,calls\n1,16,512,0,{calls}\n1,16,512,0,{calls}\n" for calls in (1 << 70, (1 << 64) - 1)),
    ],
)
def test_damaged_counts_of_before_are_left_out(tmp_path: Path, text: str) -> None:
    (tmp_path / f"demand-0-{os.getpid()}.csv").write_text(text)
    recorder = Recorder(str(tmp_path), 0)
    recorder.start()
    for m in (1, 2):
        recorder.missed((m, 16, 512, False))
    assert Demand(2, 16, 512, False, 1) in recorder.demand()


def test_no_server_waits_for_counts_of_before_that_are_no_file(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / f"demand-0-{os.getpid()}.csv")
    starting = threading.Thread(target=Recorder(str(tmp_path), 0).start, daemon=True)
    starting.start()
    starting.join(60)
    assert not starting.is_alive()


def test_demand_is_bounded_and_known_problems_go_on_counting(tmp_path: Path) -> None:
    recorder = Recorder(str(tmp_path), 0)
    for n in range(MAX_DEMAND + 100):
        recorder.missed((1, 16 * (n + 1), 512, False))
    recorder.missed((1, 16, 512, False))
    found = recorder.demand()
    assert len(found) == MAX_DEMAND
    assert found[0] == Demand(1, 16, 512, False, 2)


class Interrupted(tuple[int, int, int, bool]):  # noqa: SLOT001 - a tuple takes no slots
    """A problem that another thread overtakes while it gets its place."""

    overtake: Callable[[], None]

    def __hash__(self) -> int:
        overtake, self.overtake = self.overtake, lambda: None
        overtake()
        return super().__hash__()

    def __eq__(self, other: object) -> bool:
        return super().__eq__(other)


def test_problems_that_threads_miss_at_one_moment_are_counted_apart(tmp_path: Path) -> None:
    recorder = Recorder(str(tmp_path), 0)

    def again() -> None:  # the first hash looks the problem up, the second gives it its place
        slow.overtake = lambda: recorder.missed((2, 16, 512, False))

    slow = Interrupted((1, 16, 512, False))
    slow.overtake = again
    recorder.missed(slow)
    assert sorted(recorder.demand()) == [Demand(1, 16, 512, False, 1), Demand(2, 16, 512, False, 1)]


def test_a_volume_that_is_gone_costs_the_numbers_only(tmp_path: Path) -> None:
    folder = tmp_path / "gone"
    folder.mkdir()
    recorder = Recorder(str(folder), 0)
    recorder.start()
    for path in folder.iterdir():
        path.unlink()
    folder.rmdir()
    recorder.missed((1, 16, 512, False))
    recorder.write()
    assert recorder.demand() == [Demand(1, 16, 512, False, 1)]


demands = st.lists(
    st.builds(Demand, st.integers(1, 512), st.integers(1, 64), st.integers(1, 64), st.booleans(), st.integers(1, 99)),
    max_size=8,
)


@given(demands, demands, demands)
def test_demand_of_processes_joins_in_any_order_and_repetition(
    a: list[Demand], b: list[Demand], c: list[Demand]
) -> None:
    whole = merged([a, b, c])
    assert whole == merged([merged([c, a]), b]) == merged([whole, a, b, b])
    assert all(max(item.calls for item in (*a, *b, *c) if item[:4] == one[:4]) == one.calls for one in whole)


@given(st.text(max_size=300))
def test_any_text_is_read_without_an_error(text: str) -> None:
    assert all(item.calls > 0 for item in read_demand(text))


def test_another_file_has_no_counters() -> None:
    assert read_calls(b"x" * (recorders.COUNTERS.size + 1)) is None
