"""Few shards in place of many on a volume, while others read, write and compact."""

import errno
import fcntl
import io
import json
import os
import random
import threading
from pathlib import Path

import pytest
from tests.kernel.faults import FaultyVolume, failing, failing_always
from tests.kernel.pods import row, rows
from tests.kernel.store.stores import DAY, age, names, put, read

from hipbmm_kernel.cli import stores as cli_stores
from hipbmm_kernel.identity.stack import Stack
from hipbmm_kernel.rows.gemm import Row, Veto
from hipbmm_kernel.store import compactor, table
from hipbmm_kernel.store import reader as store
from hipbmm_kernel.system.clock import Clock
from hipbmm_kernel.system.volume import Volume


def compact(root: Path, stack: Stack, grace: float = DAY, volume: Volume | None = None) -> compactor.Compacted:
    return compactor.compact_key(volume or Volume(), Clock(), str(root), stack.key, 1.0, grace)


def five(at: int) -> tuple[Row, ...]:
    """Rows of keys that no other `at` has."""
    return tuple(row(m=1 + 5 * at + more, index=7) for more in range(5))


def shards_of(root: Path) -> list[Path]:
    return sorted(root.glob("v1/*/shards/*"))


@pytest.fixture
def full(tmp_path: Path, a_stack: Stack) -> Path:
    """A store with three shards."""
    root = tmp_path / "store"
    put(root, a_stack, *rows(20))
    put(root, a_stack, *rows(20, first=500), origin="pod-b.warm")
    put(root, a_stack, Veto(row().key, 3, "wrong"), origin="pod-c.warm")
    return root


def test_a_compaction_changes_nothing_and_its_inputs_go_when_it_is_old(tmp_path: Path, a_stack: Stack) -> None:
    old = [put(tmp_path, a_stack, *five(at), origin=f"pod-{at}.warm", old=True) for at in (1, 50)]
    before = read(tmp_path, a_stack)
    done = compact(tmp_path, a_stack)
    assert (done.before, len(done.published), done.removed, done.errors) == (2, 1, 0, ())
    assert compact(tmp_path, a_stack)[1:] == ((), 0, ()), "the compaction is young, however old its inputs are"
    age(*(path for path in shards_of(tmp_path) if path not in old))
    assert compact(tmp_path, a_stack)[1:] == ((), 2, ())
    assert names(tmp_path) == set(done.published)
    assert read(tmp_path, a_stack) == before


def test_one_file_is_left_after_the_grace_whatever_comes_meanwhile(tmp_path: Path, a_stack: Stack) -> None:
    before = table.EMPTY
    for at in range(6):
        put(tmp_path, a_stack, *five(at), origin=f"pod-{at}.warm")
        before = read(tmp_path, a_stack)
        compact(tmp_path, a_stack)
        assert read(tmp_path, a_stack) == before
    age(*shards_of(tmp_path))
    compact(tmp_path, a_stack)
    assert len(names(tmp_path)) == 1
    assert read(tmp_path, a_stack) == before


def test_vetoes_survive(full: Path, a_stack: Stack) -> None:
    put(full, a_stack, Veto(row(m=5).key, 9, "slow"), origin="pod-d.warm")
    before = read(full, a_stack)
    for _ in range(2):
        compact(full, a_stack, grace=0)
    assert read(full, a_stack) == before
    assert len(names(full)) == 2


def test_two_compactors_at_once_lose_nothing_and_the_next_leaves_one_file(tmp_path: Path, a_stack: Stack) -> None:
    for at in range(40):
        put(tmp_path, a_stack, *five(at), origin=f"pod-{at}.warm")
    before = read(tmp_path, a_stack)
    for _ in range(2):
        both = [threading.Thread(target=compact, args=(tmp_path, a_stack, 0.0)) for _ in range(2)]
        for one in both:
            one.start()
        for one in both:
            one.join()
        assert read(tmp_path, a_stack) == before
    # Two that write at once may each leave a file. The next compaction makes one of them; the one after removes these.
    for _ in range(2):
        compact(tmp_path, a_stack, 0.0)
    assert read(tmp_path, a_stack) == before
    assert len(names(tmp_path)) == 1


@pytest.mark.timeout(600)
def test_readers_during_compactions_see_every_row(tmp_path: Path, a_stack: Stack) -> None:
    """Without any grace, which is the worst case: what a reader has listed is gone when it opens it."""
    acknowledged: list[int] = []
    for at in range(12):
        put(tmp_path, a_stack, *five(at), origin=f"pod-{at}.warm")
    acknowledged.append(60)
    stop = threading.Event()

    def compact_on() -> None:
        at = 12
        while not stop.is_set():
            put(tmp_path, a_stack, *five(at), origin=f"pod-{at}.warm")
            acknowledged.append(5 * (at + 1))
            at = min(at + 1, 99)
            compact(tmp_path, a_stack, grace=0)

    worker = threading.Thread(target=compact_on)
    worker.start()
    try:
        few = 0
        for _ in range(1000):
            least = acknowledged[-1]
            reader = store.Reader(Volume(), Clock(), a_stack.key, 120.0)
            few += len(table.merge(reader.shards(str(tmp_path))).rows) < least
            assert reader.reading.errors == []
    finally:
        stop.set()
        worker.join()
    assert few == 0
    assert len(acknowledged) > 2


def test_a_bounded_compaction_waits_until_it_is_worth_it(tmp_path: Path, a_stack: Stack) -> None:
    def bounded() -> compactor.Compacted:
        return compactor.compact_key(Volume(), Clock(), str(tmp_path), a_stack.key, 1.0, bounded=True)

    for at in range(store.MANY // 2):
        put(tmp_path, a_stack, row(m=1 + at), origin=f"pod-{at}.warm")
    assert bounded().published == ()
    put(tmp_path, a_stack, row(m=400), origin="pod-x.warm")
    assert len(bounded().published) == 1
    assert bounded().published == ()


def test_no_store_outgrows_what_a_start_can_read(
    tmp_path: Path, a_stack: Stack, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Bounded compactions alone, in any order of writes, end with few files and all rows, a part at a time."""
    monkeypatch.setattr(compactor, "BOUNDED", store.Limits(2000, 1 << 20))
    rng = random.Random(3)
    for at in range(300):
        put(tmp_path, a_stack, *five(rng.randrange(90)), origin=f"pod-{at}.warm")
    before = read(tmp_path, a_stack)
    for _ in range(12):
        compactor.compact_key(Volume(), Clock(), str(tmp_path), a_stack.key, 1.0, bounded=True)
        assert read(tmp_path, a_stack) == before
        age(*shards_of(tmp_path))
    assert len(names(tmp_path)) < 40


@pytest.mark.parametrize("code", [errno.EIO, errno.EACCES, errno.ENOSPC, errno.ESTALE], ids=errno.errorcode.get)
@pytest.mark.parametrize("call", ["create", "write", "sync", "close", "open", "open_directory", "read", "remove"])
def test_an_error_at_any_call_of_a_compaction_loses_nothing(full: Path, a_stack: Stack, call: str, code: int) -> None:
    before = read(full, a_stack)
    for number in range(1, 8):
        for _ in range(2):
            compact(full, a_stack, 0.0, FaultyVolume(failing(call, number, code)))
            found = store.Reader(Volume(), Clock(), a_stack.key, 1.0)
            assert table.merge(found.shards(str(full))) == before


def test_a_compaction_that_may_not_be_on_the_device_removes_nothing(full: Path, a_stack: Stack) -> None:
    """Whoever wrote it may be at that still, and a crash of the node takes it away."""
    (name,) = compact(full, a_stack, 0.0).published
    before = names(full)
    assert name in before
    assert compact(full, a_stack, 0.0, FaultyVolume(failing_always("sync", errno.EIO))).removed == 0
    assert names(full) >= before


@pytest.mark.parametrize("code", [errno.EACCES, errno.EBADF, errno.EINVAL, errno.EROFS], ids=errno.errorcode.get)
def test_a_volume_without_fsync_of_what_is_open_for_reading_is_compacted(full: Path, a_stack: Stack, code: int) -> None:
    class Reading(Volume):
        def sync(self, fd: int) -> None:
            if fcntl.fcntl(fd, fcntl.F_GETFL) & os.O_ACCMODE == os.O_RDONLY:
                raise OSError(code, os.strerror(code))
            super().sync(fd)

    before, table_before = names(full), read(full, a_stack)
    for _ in range(2):
        compactor.compact_key(Reading(), Clock(), str(full), a_stack.key, 1.0, 0.0)
    assert len(names(full)) < len(before)
    assert read(full, a_stack) == table_before


def test_what_else_lies_in_a_store_is_left_alone(full: Path, a_stack: Stack) -> None:
    plans = full / "v1/plans"
    plans.mkdir()
    (plans / "0123456789abcdef.json").write_text("{}")
    beside = full / "v1" / a_stack.key / "notes.txt"
    beside.write_text("x")
    stdout, stderr = io.StringIO(), io.StringIO()
    for _ in range(2):
        cli_stores.compact_command([str(full), "--keep-hours", "0"], stdout, stderr)
    assert (plans / "0123456789abcdef.json").read_text() == "{}"
    assert beside.exists()


def test_the_command_says_what_it_did(full: Path, a_stack: Stack) -> None:
    stdout, stderr = io.StringIO(), io.StringIO()
    assert cli_stores.compact_command([str(full), "--keep-hours", "0"], stdout, stderr) == 0
    assert stdout.getvalue() == f"{a_stack.key}: 3 shards, 1 new, 0 removed\n"
    stdout = io.StringIO()
    assert cli_stores.compact_command([str(full), "--keep-hours", "0", "-o", "json"], stdout, stderr) == 0
    answer = json.loads(stdout.getvalue())[a_stack.key]
    assert (answer["before"], answer["removed"]) == (4, 2)
    assert cli_stores.compact_command(["--no-such"], stdout, stderr) == 2
    assert cli_stores.compact_command([str(full / "nothing")], stdout, stderr) == 1
