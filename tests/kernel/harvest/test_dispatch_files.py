"""Calls of the serving processes reach /metrics, and survive the processes."""

from pathlib import Path

import pytest

from hipbmm_kernel.dispatch.recorder import COUNTERS, Recorder
from hipbmm_kernel.harvest import metrics
from hipbmm_kernel.harvest.dispatch_files import DispatchFiles
from hipbmm_kernel.system.volume import Volume


@pytest.fixture
def table(tmp_path: Path) -> str:
    (tmp_path / "dispatch").mkdir()
    return f"{tmp_path}/dispatch/table"


def served(table: str, rank: int, *calls: int) -> Recorder:
    """A serving process of this process id that has counted `calls` by result."""
    recorder = Recorder(str(Path(table).parent), rank)
    recorder.start()
    for tick, count in zip(recorder.ticks, calls, strict=True):
        for _ in range(count):
            next(tick)
    recorder.write()
    return recorder


def page(table: str) -> list[str]:
    text = metrics.render(DispatchFiles(Volume(), table).metrics()).decode()
    return [line for line in text.splitlines() if line and not line.startswith("#")]


def test_each_rank_has_its_calls_by_result(table: str) -> None:
    served(table, 0, 5, 3, 2)
    served(table, 1, 7, 0, 0)
    (Path(table).parent / "calls-1-1.bin").write_bytes(COUNTERS.pack(100, 10, 1))
    assert page(table) == [
        'hipbmm_dispatch_calls_total{rank="0",result="verified"} 5',
        'hipbmm_dispatch_calls_total{rank="0",result="padded"} 3',
        'hipbmm_dispatch_calls_total{rank="0",result="heuristic"} 2',
        'hipbmm_dispatch_calls_total{rank="1",result="verified"} 107',
        'hipbmm_dispatch_calls_total{rank="1",result="padded"} 10',
        'hipbmm_dispatch_calls_total{rank="1",result="heuristic"} 1',
    ]


def test_a_container_that_starts_again_with_the_same_process_ids_goes_on_counting(table: str) -> None:
    served(table, 0, 5, 3, 2)
    served(table, 0, 1, 0, 1)
    assert [line.rpartition(" ")[2] for line in page(table)] == ["6", "3", "3"]


def test_without_counters_there_is_no_family(table: str) -> None:
    assert page(table) == []
    Path(table).parent.rmdir()
    assert page(table) == []


def test_files_that_are_no_counters_count_nothing(table: str) -> None:
    folder = Path(table).parent
    (folder / "calls-0-1.bin").write_bytes(COUNTERS.pack(1, 2, 3))
    for name, data in (("calls-0-2.bin", b""), ("calls-0-3.bin", bytes(4096)), ("calls-x-1.bin", bytes(24))):
        (folder / name).write_bytes(data)
    (folder / "calls-0-4.bin").mkdir()
    (folder / "calls-0-5.bin").symlink_to("/dev/zero")
    assert [line.rpartition(" ")[2] for line in page(table)] == ["1", "2", "3"]


def test_demand_of_ranks_is_one(table: str) -> None:
    for rank, calls in ((0, 3), (1, 4)):
        recorder = Recorder(str(Path(table).parent), rank)
        for _ in range(calls):
            recorder.missed((7, 256, 512, False))
        recorder.missed((8 + rank, 256, 512, False))
        recorder.write()
    (Path(table).parent / "demand-0-1.csv").write_text("m,n,k,bias,calls\n1,2\n-1,2,3,0,9\nx\n")
    found = DispatchFiles(Volume(), table).demand()
    assert [(item.m, item.calls) for item in found] == [(7, 4), (8, 1), (9, 1)]
