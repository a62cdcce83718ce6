"""Rows on their way to a volume that may hang, be full, or refuse them."""

import errno
import os
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from tests.kernel.faults import FakeClock, FaultyVolume, failing_always
from tests.kernel.pods import row, rows

from hipbmm_kernel.identity.stack import Stack
from hipbmm_kernel.rows.gemm import Veto
from hipbmm_kernel.store import publish_queue, shard, table
from hipbmm_kernel.store import reader as store
from hipbmm_kernel.store.publish_queue import PublishQueue
from hipbmm_kernel.store.publisher import FULL_SECONDS, Publisher
from hipbmm_kernel.store.shard import Shard
from hipbmm_kernel.system.clock import Clock
from hipbmm_kernel.system.volume import Volume


class HangingVolume(Volume):
    """create() does not return until it is let go."""

    def __init__(self) -> None:
        self.let_go = threading.Event()

    def create(self, path: str, mode: int = 0o664, at: int | None = None) -> int:
        self.let_go.wait()
        return super().create(path, mode, at)


def queue(root: Path, stack: Stack, volume: Volume, lines: list[str], batch: int = 16) -> PublishQueue:
    publisher = Publisher(volume, Clock(), str(root), stack)
    return PublishQueue(publisher, Clock(), Shard(stack.key, "pod-a.warm", 0), lines.append, batch)


def stored(root: Path, stack: Stack) -> int:
    reader = store.Reader(Volume(), Clock(), stack.key, 60.0)
    return len(table.merge(reader.shards(str(root))).winners())


def _until(true: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 120
    while not true():
        assert time.monotonic() < deadline
        time.sleep(0.02)


def test_rows_are_published_in_batches_and_the_rest_at_the_end(tmp_path: Path, a_stack: Stack) -> None:
    lines: list[str] = []
    box = queue(tmp_path, a_stack, Volume(), lines)
    box.add(*rows(16))
    _until(lambda: stored(tmp_path, a_stack) == 16)
    box.add(*rows(3, first=100), Veto(row(m=9).key, 5, "slow"))
    assert box.close(60.0) == 0
    kinds = [shard.decode(path.read_bytes()).kind for path in tmp_path.glob("v1/*/shards/*")]
    assert sorted(kinds) == ["rows", "rows", "vetoes"]
    assert (box.published, box.failures, box.error) == (3, 0, "")


def no_room(_thread: threading.Thread) -> None:
    raise RuntimeError("can't start new thread")


@pytest.mark.parametrize("again", [True, False])
def test_a_pod_without_room_for_a_thread_publishes_later(
    tmp_path: Path, a_stack: Stack, monkeypatch: pytest.MonkeyPatch, again: bool
) -> None:
    box = queue(tmp_path, a_stack, Volume(), [], batch=1)
    with monkeypatch.context() as full:
        full.setattr(threading.Thread, "start", no_room)
        box.add(*rows(3))
        assert box.waiting() == 3
    if again:
        box.add(row(m=99))
    assert box.close(60.0) == 0
    assert stored(tmp_path, a_stack) == 3 + again


def test_a_volume_that_hangs_neither_blocks_the_tuner_nor_the_end(tmp_path: Path, a_stack: Stack) -> None:
    volume = HangingVolume()
    box = queue(tmp_path, a_stack, volume, [], batch=1)
    box.add(*rows(5))
    box.add(*rows(5, first=50))
    assert box.close(0.2) == 10
    assert box.error == "the volume did not answer in time"
    volume.let_go.set()


def test_a_full_volume_is_asked_for_a_while_and_no_longer(tmp_path: Path, a_stack: Stack) -> None:
    clock, lines = FakeClock(), list[str]()
    publisher = Publisher(FaultyVolume(failing_always("write", errno.ENOSPC)), clock, str(tmp_path), a_stack)
    box = PublishQueue(publisher, clock, Shard(a_stack.key, "pod-a.warm", 0), lines.append)
    box.add(*rows(3), Veto(row(m=9).key, 5, "slow"))
    assert box.close(60.0) == 4
    assert "ENOSPC" in box.error
    assert (box.failures, len(lines)) == (2, 2), "one try for the rows and one for the veto"
    assert clock.now - 1000.0 <= 2 * FULL_SECONDS


def test_closing_shortens_the_time_limit_of_a_shard_that_is_being_tried(tmp_path: Path, a_stack: Stack) -> None:
    lines: list[str] = []
    asked = threading.Event()

    def refused(called: str, _count: int) -> None:
        if called == "create":
            asked.set()
            raise OSError(errno.EIO, os.strerror(errno.EIO))

    box = queue(tmp_path, a_stack, FaultyVolume(refused), lines, batch=1)
    box.add(*rows(2))
    assert asked.wait(120)
    assert box.close(1.0) == 2
    assert "EIO" in box.error
    assert any("EIO" in line for line in lines), "why the rows are not in the store is said before the process ends"


def test_a_volume_that_was_hopeless_and_is_well_again_gets_the_last_rows_too(
    tmp_path: Path, a_stack: Stack, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(publish_queue, "BATCH_SECONDS", 0.0)  # what failed is tried again at once
    well = threading.Event()

    def read_only(called: str, _count: int) -> None:
        if called == "create" and not well.is_set():
            raise OSError(errno.EROFS, os.strerror(errno.EROFS))

    box = queue(tmp_path, a_stack, FaultyVolume(read_only), [], batch=2)
    box.add(*rows(2))
    _until(lambda: box.failures > 0)
    well.set()
    _until(lambda: box.published > 0)
    box.add(row(m=9))
    assert box.close(60.0) == 0
    assert stored(tmp_path, a_stack) == 3


def test_what_may_not_be_stored_takes_nothing_along(tmp_path: Path, a_stack: Stack) -> None:
    lines: list[str] = []
    box = queue(tmp_path, a_stack, Volume(), lines)
    box.add(row(m=1), row(m=2, index=0), Veto(row(m=9).key, 5, "slow, hung"), row(m=3)._replace(key="x"), row(m=4))
    assert box.close(60.0) == 0
    assert stored(tmp_path, a_stack) == 2
    assert sum("cannot be stored" in line for line in lines) == 3


def test_a_queue_without_rows_starts_no_thread(tmp_path: Path, a_stack: Stack) -> None:
    before = set(threading.enumerate())
    box = queue(tmp_path, a_stack, Volume(), [])
    assert set(threading.enumerate()) <= before
    assert box.close(1.0) == 0
