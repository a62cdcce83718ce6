"""Publishing a shard: whatever one call of the volume does, readers have the old or new table, and a retry heals."""

import errno
import os
from pathlib import Path

import pytest
from tests.kernel.faults import PUBLISHING, FakeClock, FaultyVolume, failing, failing_always
from tests.kernel.pods import row, rows

from hipbmm_kernel.identity.stack import Stack
from hipbmm_kernel.store import reader as store
from hipbmm_kernel.store import shard, table
from hipbmm_kernel.store.publisher import Publisher, PublishError
from hipbmm_kernel.store.shard import Shard
from hipbmm_kernel.store.table import Table
from hipbmm_kernel.system.volume import Volume

CODES = (errno.ENOSPC, errno.EIO, errno.EDQUOT, errno.ESTALE, errno.EACCES, errno.ENOLCK, errno.EINTR, errno.EROFS)
CALLS_OF_ONE_ATTEMPT = 4
DIRECTORIES, FILE = (1, 2, 3, 5), 4
"""Syncs of an attempt beside a stack.json: from the store's own directory to the one with the name."""
FILE_IN_A_NEW_STORE = FILE + 1
REFUSALS = [
    (call, code)
    for call in ("create", "write", "sync", "close", "open", "read")
    for code in CODES
    # An interrupted transfer is no refusal: it is repeated until it is not interrupted, see below.
    if not (code == errno.EINTR and call in ("write", "read"))
]
OLD = (row(m=1, index=7), row(m=2, index=8))
NEW = rows(40, first=1000)


def read(root: Path, stack: Stack) -> Table:
    reader = store.Reader(Volume(), FakeClock(), stack.key, 1.0)
    return table.merge(reader.shards(str(root)))


def publish(
    root: Path, stack: Stack, what: tuple[object, ...], volume: Volume | None = None, seconds: float = 30.0
) -> str:
    root.mkdir(exist_ok=True)
    publisher = Publisher(volume or Volume(), FakeClock(), str(root), stack)
    head = Shard(stack.key, "pod-a.warm", 0, rows=what)  # type: ignore[arg-type] # rows, by every caller
    return publisher.publish(head, seconds)


def expected(*parts: tuple[object, ...]) -> Table:
    return table.merge(Shard("0" * 16, "x.y", 1, rows=part) for part in parts)  # type: ignore[arg-type] # same


def test_a_published_shard_is_read_back(tmp_path: Path, a_stack: Stack) -> None:
    name = publish(tmp_path, a_stack, OLD)
    assert shard.is_name(name)
    assert read(tmp_path, a_stack) == expected(OLD)
    assert (tmp_path / "v1" / a_stack.key / "stack.json").read_bytes() == a_stack.canonical() + b"\n"


@pytest.mark.parametrize("code", CODES, ids=lambda code: errno.errorcode[code])
@pytest.mark.parametrize("call", PUBLISHING)
def test_an_error_at_any_call_once_is_healed_by_a_new_name(
    tmp_path: Path, a_stack: Stack, call: str, code: int
) -> None:
    publish(tmp_path, a_stack, OLD)
    for number in range(1, CALLS_OF_ONE_ATTEMPT + 1):
        root = tmp_path / str(number)
        publish(root, a_stack, OLD)
        volume = FaultyVolume(failing(call, number, code))
        publish(root, a_stack, NEW, volume)
        assert read(root, a_stack) == expected(OLD, NEW), volume.calls


@pytest.mark.parametrize(("call", "code"), REFUSALS, ids=lambda value: errno.errorcode.get(value, value))
def test_a_volume_that_always_refuses_keeps_the_old_table_and_is_given_up_in_time(
    tmp_path: Path, a_stack: Stack, call: str, code: int
) -> None:
    publish(tmp_path, a_stack, OLD)
    clock = FakeClock()
    publisher = Publisher(FaultyVolume(failing_always(call, code)), clock, str(tmp_path), a_stack)
    with pytest.raises(PublishError):
        publisher.publish(Shard(a_stack.key, "pod-b.warm", 0, rows=NEW), 20.0)
    assert clock.now - 1000.0 <= 20.0
    found = read(tmp_path, a_stack)
    assert found in (expected(OLD), expected(OLD, NEW)), "neither the old nor the new table"
    # A write that was refused published nothing; a failure to read back leaves a whole shard, which is no harm.
    if call in ("create", "write"):
        assert found == expected(OLD)


def test_short_writes_and_interrupted_ones_are_continued(tmp_path: Path, a_stack: Stack) -> None:
    volume = FaultyVolume(failing("write", 3, errno.EINTR))
    volume.short_writes = True
    publish(tmp_path, a_stack, NEW, volume)
    assert volume.calls.count("create") <= len(("shard", "stack.json"))
    assert read(tmp_path, a_stack) == expected(NEW)


@pytest.mark.parametrize("call", ["write", "read"])
def test_a_transfer_that_is_interrupted_again_and_again_is_repeated(tmp_path: Path, a_stack: Stack, call: str) -> None:
    def fault(called: str, count: int) -> None:
        if called == call and count % 20:
            raise InterruptedError(errno.EINTR, "interrupted")

    volume = FaultyVolume(fault)
    publish(tmp_path, a_stack, NEW, volume)
    assert volume.calls.count(call) >= 40
    assert volume.calls.count("create") <= len(("shard", "stack.json"))
    assert read(tmp_path, a_stack) == expected(NEW)


def test_a_descriptor_is_never_synced_twice_after_an_error(tmp_path: Path, a_stack: Stack) -> None:
    volume = FaultyVolume(failing("sync", FILE_IN_A_NEW_STORE, errno.EIO))
    publish(tmp_path, a_stack, NEW, volume)
    at = [number for number, call in enumerate(volume.calls) if call == "sync"][FILE_IN_A_NEW_STORE - 1]
    assert volume.calls[at + 1] == "close"


def test_one_walk_syncs_every_name_after_it_was_made(tmp_path: Path, a_stack: Stack) -> None:
    synced: list[tuple[str, list[str]]] = []

    class Watched(FaultyVolume):
        def sync(self, fd: int) -> None:
            path = Path(f"/proc/self/fd/{fd}").readlink()
            synced.append((path.name, [each.name for each in path.glob("*")]))
            super().sync(fd)

    volume = Watched()
    key = a_stack.key
    data = shard.encode(Shard(key, "pod-a.warm", 1, rows=NEW))
    name = shard.name_of(data)
    Publisher(volume, FakeClock(), str(tmp_path), key).put(name, data)
    assert synced == [(tmp_path.name, ["v1"]), ("v1", [key]), (key, ["shards"]), (name, []), ("shards", [name])]
    assert volume.calls.count("open_directory") == len((tmp_path, "v1", key, "shards"))


def test_every_attempt_has_its_own_name(tmp_path: Path, a_stack: Stack) -> None:
    names: list[str] = []

    class Refusing(FaultyVolume):
        def create(self, path: str, mode: int = 0o664, at: int | None = None) -> int:
            if path.endswith(".csv"):
                names.append(path)
            return super().create(path, mode, at)

    publish(tmp_path, a_stack, NEW, Refusing(failing("sync", FILE_IN_A_NEW_STORE, errno.ENOSPC)))
    assert len(names) == len(set(names)) == 2


def test_bytes_that_come_back_changed_are_not_published(tmp_path: Path, a_stack: Stack) -> None:
    class Flipping(Volume):
        def write(self, fd: int, data: memoryview) -> int:
            changed = bytearray(data)
            changed[len(changed) // 2] ^= 1
            return os.write(fd, changed)

    publisher = Publisher(Flipping(), FakeClock(), str(tmp_path), a_stack)
    with pytest.raises(PublishError, match="other bytes"):
        publisher.publish(Shard(a_stack.key, "pod-b.warm", 0, rows=NEW), 5.0)
    assert read(tmp_path, a_stack) == expected()


def test_a_shard_of_the_same_name_and_content_counts_as_published(tmp_path: Path, a_stack: Stack) -> None:
    assert publish(tmp_path, a_stack, NEW) == publish(tmp_path, a_stack, NEW)
    assert len(list((tmp_path / "v1" / a_stack.key / "shards").iterdir())) == 1


def test_a_link_in_the_way_is_not_followed(tmp_path: Path, a_stack: Stack) -> None:
    name = publish(tmp_path / "other", a_stack, NEW)
    place = tmp_path / "store/v1" / a_stack.key / "shards"
    place.mkdir(parents=True)
    target = tmp_path / "target"
    (place / name).symlink_to(target)
    publish(tmp_path / "store", a_stack, NEW)
    assert not target.exists()
    assert read(tmp_path / "store", a_stack) == expected(NEW)


@pytest.mark.parametrize("part", ["v1", "key", "shards"])
def test_a_link_inside_a_store_leads_nowhere(tmp_path: Path, a_stack: Stack, part: str) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    link = tmp_path / "store" / {"v1": "v1", "key": f"v1/{a_stack.key}", "shards": f"v1/{a_stack.key}/shards"}[part]
    link.parent.mkdir(parents=True)
    link.symlink_to(outside)
    with pytest.raises(PublishError, match="ENOTDIR"):
        publish(tmp_path / "store", a_stack, NEW, seconds=5.0)
    assert list(outside.rglob("*")) == []


@pytest.mark.parametrize("code", [errno.EIO, errno.ENOSPC, errno.EDQUOT, errno.ESTALE], ids=errno.errorcode.get)
@pytest.mark.parametrize("number", DIRECTORIES)
def test_a_name_that_may_be_lost_is_not_published(tmp_path: Path, a_stack: Stack, number: int, code: int) -> None:
    publish(tmp_path, a_stack, OLD)
    name = publish(tmp_path, a_stack, NEW, FaultyVolume(failing("sync", number, code)))
    assert name.split(".")[-3] == "2"


@pytest.mark.parametrize("code", [errno.EINVAL, errno.EACCES, errno.EOPNOTSUPP, errno.EBADF], ids=errno.errorcode.get)
def test_a_volume_that_knows_no_fsync_of_directories_is_fine(tmp_path: Path, a_stack: Stack, code: int) -> None:
    publish(tmp_path, a_stack, OLD)

    def fault(called: str, count: int) -> None:
        if called == "sync" and count in DIRECTORIES:
            raise OSError(code, os.strerror(code))

    volume = FaultyVolume(fault)
    publish(tmp_path, a_stack, NEW, volume)
    assert volume.calls.count("create") == 1


def test_a_shard_that_is_found_after_a_kill_is_synced_before_it_counts(tmp_path: Path, a_stack: Stack) -> None:
    publish(tmp_path, a_stack, NEW)
    synced = FaultyVolume()
    publish(tmp_path, a_stack, NEW, synced)
    assert synced.calls.count("sync") == 1 + len(DIRECTORIES), "the file, and each directory above it"
    lost = FaultyVolume(failing("sync", FILE, errno.EIO))
    publish(tmp_path, a_stack, NEW, lost)
    assert lost.calls.count("create") == 2, "the pages may be gone: another name"


def test_a_full_volume_gets_its_bytes_back(tmp_path: Path, a_stack: Stack) -> None:
    publisher = Publisher(FaultyVolume(failing_always("write", errno.ENOSPC)), FakeClock(), str(tmp_path), a_stack)
    with pytest.raises(PublishError):
        publisher.publish(Shard(a_stack.key, "pod-b.warm", 0, rows=NEW), 20.0)
    assert not list((tmp_path / "v1" / a_stack.key / "shards").iterdir())
