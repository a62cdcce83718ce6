"""Reading stores: volumes that lag, fail for a while, or hold anything."""

import errno
import gzip
import os
from pathlib import Path

import pytest
from tests.kernel.faults import FakeClock, FaultyVolume, failing, failing_always
from tests.kernel.pods import row, rows

from hipbmm_kernel.identity.stack import Stack
from hipbmm_kernel.store import reader as store
from hipbmm_kernel.store import shard, table
from hipbmm_kernel.store.shard import Shard
from hipbmm_kernel.store.table import Table
from hipbmm_kernel.system.volume import Volume

SOME = rows(20)


def put(root: Path, key: str, what: tuple[object, ...], origin: str = "pod-a.warm", digest: str = "-") -> Path:
    data = shard.encode(Shard(key, origin, 1, token=digest, rows=what))  # type: ignore[arg-type] # rows, by every caller
    place = root / "v1" / key / "shards"
    place.mkdir(parents=True, exist_ok=True)
    path = place / shard.name_of(data)
    path.write_bytes(data)
    return path


def read(
    root: Path, stack: Stack, volume: Volume | None = None, mirrors: tuple[str, ...] = (), retune: str = ""
) -> tuple[Table, store.Reading, FakeClock]:
    clock = FakeClock()
    reader = store.Reader(volume or Volume(), clock, stack.key, 90.0)
    return table.merge(reader.shards(str(root), mirrors), retune), reader.reading, clock


def expected(*parts: tuple[object, ...]) -> Table:
    return table.merge(Shard("0" * 16, "x.y", 1, rows=part) for part in parts)  # type: ignore[arg-type] # same


def test_a_store_that_does_not_exist_is_empty_and_not_waited_for(tmp_path: Path, a_stack: Stack) -> None:
    found, reading, clock = read(tmp_path / "nothing", a_stack)
    assert found == expected()
    assert (clock.slept, reading.errors) == ([], [])


@pytest.mark.parametrize("code", [errno.EIO, errno.ESTALE, errno.ETIMEDOUT, errno.EAGAIN, errno.EBUSY])
@pytest.mark.parametrize("call", ["names", "open", "read", "stat"])
def test_an_error_that_goes_away_is_waited_for(tmp_path: Path, a_stack: Stack, call: str, code: int) -> None:
    put(tmp_path, a_stack.key, SOME)
    found, reading, clock = read(tmp_path, a_stack, FaultyVolume(failing(call, 1, code)))
    assert found == expected(SOME)
    assert clock.slept
    assert reading.errors == []


def test_an_error_that_stays_ends_at_the_deadline_and_is_reported(tmp_path: Path, a_stack: Stack) -> None:
    put(tmp_path, a_stack.key, SOME)
    found, reading, clock = read(tmp_path, a_stack, FaultyVolume(failing_always("names", errno.EIO)))
    assert found == expected()
    assert 80 < clock.now - 1000.0 <= 90
    assert reading.errors[0].startswith(f"{tmp_path}: EIO")


def test_the_time_limit_is_for_all_files_together(tmp_path: Path, a_stack: Stack) -> None:
    for number in range(5):
        put(tmp_path, a_stack.key, SOME, origin=f"pod-{number}.warm")
    _, reading, clock = read(tmp_path, a_stack, FaultyVolume(failing_always("open", errno.ESTALE)))
    assert clock.now - 1000.0 <= 90
    assert reading.refused_count == 5


def test_a_listed_name_that_cannot_be_opened_yet_is_waited_for(tmp_path: Path, a_stack: Stack) -> None:
    put(tmp_path, a_stack.key, SOME)
    found, _, clock = read(tmp_path, a_stack, FaultyVolume(failing("open", 1, errno.ENOENT)))
    assert found == expected(SOME)
    assert clock.slept


def test_a_name_that_a_compaction_removed_meanwhile_is_not_waited_for(tmp_path: Path, a_stack: Stack) -> None:
    gone = put(tmp_path, a_stack.key, SOME)
    kept = put(tmp_path, a_stack.key, SOME, origin="pod-b.warm")

    class Compacted(Volume):
        def open(self, path: str, follow: bool = False, at: int | None = None) -> int:
            gone.unlink(missing_ok=True)
            return super().open(path, follow, at)

    found, reading, clock = read(tmp_path, a_stack, Compacted())
    assert kept.exists()
    assert found == expected(SOME)
    assert (clock.slept, reading.refused_count) == ([], 0)


def test_what_took_the_place_of_vanished_names_is_read(tmp_path: Path, a_stack: Stack) -> None:
    """A listing taken just before a compaction names nothing that is still there."""
    old = [put(tmp_path, a_stack.key, (row(m=1 + at),), origin=f"pod-{at}.warm") for at in range(5)]

    class CompactedSinceTheListing(FaultyVolume):
        def names(self, directory: int) -> list[str]:
            found = super().names(directory)
            if self.calls.count("names") == 1:
                put(tmp_path, a_stack.key, tuple(row(m=1 + at) for at in range(5)), origin="compact.compact")
                for path in old:
                    path.unlink()
            return found

    found, reading, clock = read(tmp_path, a_stack, CompactedSinceTheListing())
    assert found == expected(tuple(row(m=1 + at) for at in range(5)))
    assert (clock.slept, reading.errors, reading.refused_count) == ([], [], 0)


@pytest.mark.parametrize("written", [0, 1, 300], ids="{} bytes".format)
def test_a_compaction_that_was_half_written_when_it_was_read_is_read_again(
    tmp_path: Path, a_stack: Stack, written: int
) -> None:
    """Its inputs may be gone before they are read: then it is the only file with their rows."""
    some = tuple(row(m=1 + at) for at in range(5))
    old = [put(tmp_path, a_stack.key, (each,), origin=f"pod-{at}.warm") for at, each in enumerate(some)]
    compaction = put(tmp_path, a_stack.key, some, origin="compact.compact")
    whole = compaction.read_bytes()
    compaction.write_bytes(whole[:written])

    class CompactedMeanwhile(Volume):
        def open(self, path: str, follow: bool = False, at: int | None = None) -> int:
            if path == old[0].name:
                compaction.write_bytes(whole)
                for each in old:
                    each.unlink(missing_ok=True)
            return super().open(path, follow, at)

    found, reading, clock = read(tmp_path, a_stack, CompactedMeanwhile())
    assert found == expected(some)
    assert (clock.slept, reading.errors, reading.refused_count) == ([], [], 0)


def test_a_damaged_shard_beside_names_that_vanish_is_read_and_refused_once(tmp_path: Path, a_stack: Stack) -> None:
    damaged = put(tmp_path, a_stack.key, SOME)
    damaged.write_bytes(damaged.read_bytes()[:-1])
    put(tmp_path, a_stack.key, SOME, origin="pod-b.warm")
    volume = FaultyVolume(failing("open", 4, errno.ENOENT))
    found, reading, _ = read(tmp_path, a_stack, volume)
    assert found == expected(SOME)
    assert [each.name for each in reading.refused] == [damaged.name]


def test_a_name_that_stays_unreadable_until_the_deadline_is_an_error(tmp_path: Path, a_stack: Stack) -> None:
    put(tmp_path, a_stack.key, SOME)
    found, reading, clock = read(tmp_path, a_stack, FaultyVolume(failing_always("open", errno.ENOENT)))
    assert found == expected()
    assert 80 < clock.now - 1000.0 <= 90
    assert "1 shards could not be read in time: ENOENT" in reading.errors[0]


def test_a_shard_by_another_name_than_its_content_has_is_refused(tmp_path: Path, a_stack: Stack) -> None:
    """Otherwise anybody could put other rows where a compaction promises its inputs to be."""
    path = put(tmp_path, a_stack.key, SOME)
    for name in (path.name.replace("pod-a", "pod-b"), path.name.replace(".1.", ".2."), f"pod-a.warm.1.{'0' * 12}.csv"):
        path.with_name(name).write_bytes(path.read_bytes())
    found, reading, _ = read(tmp_path, a_stack)
    assert found == expected(SOME)
    assert reading.shards == 1
    assert {refused.reason for refused in reading.refused} == {"its name is not the one that its content has"}


@pytest.mark.parametrize("part", ["v1", "key", "shards"])
def test_a_link_inside_a_store_is_not_followed(tmp_path: Path, a_stack: Stack, part: str) -> None:
    inner = put(tmp_path / "real", a_stack.key, SOME).parent
    target = {"v1": inner.parent.parent, "key": inner.parent, "shards": inner}[part]
    link = tmp_path / "store" / target.relative_to(tmp_path / "real")
    link.parent.mkdir(parents=True)
    link.symlink_to(target)
    found, reading, _ = read(tmp_path / "store", a_stack)
    assert found == expected()
    assert "ENOTDIR" in reading.errors[0]


def test_one_publisher_does_not_hide_the_others(tmp_path: Path, a_stack: Stack) -> None:
    """Beyond what a start reads, everybody loses only what is too much of his own."""
    for number in range(30):
        rows_of = tuple(row(m=1 + at, n=16 * (1 + number)) for at in range(100))
        put(tmp_path, a_stack.key, rows_of, origin=f"0hostile.{number}")
    honest = tuple(row(m=1 + at, n=4096) for at in range(40))
    put(tmp_path, a_stack.key, honest, origin="pod-z.warm")
    reader = store.Reader(Volume(), FakeClock(), a_stack.key, 1.0, store.Limits(600, 1 << 20))
    found = table.merge(reader.shards(str(tmp_path)))
    assert {each.key for each in honest} <= found.rows.keys()
    assert len(found.rows) <= 600
    assert reader.reading.refused_count >= 24


def test_thousands_of_publishers_do_not_hide_what_was_there_before(tmp_path: Path, a_stack: Stack) -> None:
    place = put(tmp_path, a_stack.key, SOME).parent
    for number in range(200):
        (place / f"{number:012x}.warm.1.0123456789ab.csv").write_bytes(b"x" * shard.MIN_BYTES)
    reader = store.Reader(Volume(), FakeClock(), a_stack.key, 1.0, store.Limits(600, 1 << 20))
    assert table.merge(reader.shards(str(tmp_path))) == expected(SOME)


@pytest.mark.parametrize("lines", [1, 100, 600])
def test_a_compaction_that_names_the_shards_of_others_does_not_hide_them(
    tmp_path: Path, a_stack: Stack, lines: int
) -> None:
    """It contains none of what it says, and its writer fills the store with what no compaction names."""
    honest = tuple(row(m=1 + at, n=4096) for at in range(40))
    named = [put(tmp_path, a_stack.key, honest[at : at + 8], origin=f"pod-{at}.warm").name for at in range(0, 40, 8)]
    for number in range(3):
        forged = Shard(a_stack.key, f"{number}bad.compact", 1, inputs=tuple(named), rows=rows(lines))
        (tmp_path / f"v1/{a_stack.key}/shards" / shard.name_of(shard.encode(forged))).write_bytes(shard.encode(forged))
    for number in range(200):
        put(tmp_path, a_stack.key, (row(m=1, n=16 * (1 + number)),), origin=f"0bad.{number}")
    reader = store.Reader(Volume(), FakeClock(), a_stack.key, 1.0, store.Limits(1200, 1 << 20))
    found = table.merge(reader.shards(str(tmp_path)))
    assert {each.key for each in honest} <= found.rows.keys()
    assert reader.reading.refused_count > 0


@pytest.mark.parametrize("content", [b"\0", b"\n", b"#input pod-a.warm.1.0123456789ab.csv\n"])
def test_files_that_are_named_like_compactions_do_not_hide_shards(
    tmp_path: Path, a_stack: Stack, content: bytes
) -> None:
    path = put(tmp_path, a_stack.key, SOME)
    for number in range(20):
        size = (64 << 10) // len(content)
        path.with_name(f"{number}.compact.{number}.0123456789ab.csv").write_bytes(content * size)
    reader = store.Reader(Volume(), FakeClock(), a_stack.key, 1.0, store.Limits(600, 1 << 20))
    assert table.merge(reader.shards(str(tmp_path))) == expected(SOME)
    assert reader.reading.refused_count == 20


def test_refused_files_cost_as_much_as_shards(tmp_path: Path, a_stack: Stack) -> None:
    path = put(tmp_path, a_stack.key, SOME)
    for number in range(100):
        path.with_name(f"pod-b.warm.{number}.0123456789ab.csv").write_bytes(b"some line\n" * 100)
    volume = FaultyVolume()
    reader = store.Reader(volume, FakeClock(), a_stack.key, 1.0, store.Limits(600, 1 << 20))
    assert table.merge(reader.shards(str(tmp_path))) == expected(SOME)
    assert volume.calls.count("open") < 20


def test_sizes_that_no_shard_has_are_refused_without_opening(tmp_path: Path, a_stack: Stack) -> None:
    path = put(tmp_path, a_stack.key, SOME)
    path.with_name("pod-b.warm.1.0123456789ab.csv").write_bytes(b"")
    with path.with_name("pod-c.warm.1.0123456789ab.csv").open("wb") as sparse:
        sparse.truncate(1 << 40)
    volume = FaultyVolume()
    found, reading, _ = read(tmp_path, a_stack, volume)
    assert found == expected(SOME)
    assert (volume.calls.count("open"), reading.refused_count) == (1, 2)
    assert len(shard.encode(Shard(a_stack.key, "a", 0))) > shard.MIN_BYTES


@pytest.mark.parametrize(
    ("damage", "reason"),
    [
        (lambda data: data[:-1], "incomplete"),
        (lambda data: data[: len(data) // 2], "incomplete"),
        (lambda _: b"", "incomplete"),
        (lambda data: data[:100] + bytes(50) + data[150:], "incomplete"),
        (lambda data: data + b"\n", "incomplete"),
    ],
)
def test_a_damaged_shard_does_not_exist(tmp_path: Path, a_stack: Stack, damage: object, reason: str) -> None:
    path = put(tmp_path, a_stack.key, SOME)
    path.write_bytes(damage(path.read_bytes()))  # type: ignore[operator] # one of the functions above
    found, reading, _ = read(tmp_path, a_stack)
    assert found == expected()
    assert reason in reading.refused[0].reason


def test_a_whole_shard_of_another_key_is_refused(tmp_path: Path, a_stack: Stack) -> None:
    path = put(tmp_path, "0123456789abcdef", SOME)
    place = tmp_path / "v1" / a_stack.key / "shards"
    place.mkdir(parents=True)
    path.rename(place / path.name)
    found, reading, _ = read(tmp_path, a_stack)
    assert found == expected()
    assert reading.refused[0].reason == "its key is 0123456789abcdef"


def test_a_mirror_holds_the_shards_of_several_stacks(tmp_path: Path, a_stack: Stack) -> None:
    mirror = tmp_path / "mirror"
    mirror.mkdir()
    for key in ("0123456789abcdef", a_stack.key):
        path = put(tmp_path, key, SOME)
        path.rename(mirror / path.name)
    found, reading, _ = read(tmp_path / "nothing", a_stack, mirrors=(str(mirror),))
    assert found == expected(SOME)
    assert (reading.shards, reading.refused_count) == (1, 0)


def test_what_is_no_regular_file_is_refused_without_blocking(tmp_path: Path, a_stack: Stack) -> None:
    path = put(tmp_path, a_stack.key, SOME)
    os.mkfifo(path.with_name("pod-b.warm.1.0123456789ab.csv"))
    path.with_name("pod-c.warm.1.0123456789ab.csv").mkdir()
    path.with_name("pod-d.warm.1.0123456789ab.csv").symlink_to(path)
    found, reading, _ = read(tmp_path, a_stack)
    assert found == expected(SOME)
    assert {refused.name[:5] for refused in reading.refused} == {"pod-b", "pod-c", "pod-d"}


def test_names_that_no_shard_has_are_not_opened(tmp_path: Path, a_stack: Stack) -> None:
    path = put(tmp_path, a_stack.key, SOME)
    for name in ("README", ".nfs0001", "x.csv", "pod.warm.1.0123456789ab.csv.tmp", "..1.0123456789ab.csv"):
        path.with_name(name).write_bytes(b"x")
    volume = FaultyVolume()
    found, reading, _ = read(tmp_path, a_stack, volume)
    assert found == expected(SOME)
    assert (volume.calls.count("open"), reading.refused_count) == (1, 0)


def test_a_shard_larger_than_any_is_not_read(tmp_path: Path, a_stack: Stack, monkeypatch: pytest.MonkeyPatch) -> None:
    put(tmp_path, a_stack.key, SOME)
    monkeypatch.setattr(shard, "MAX_BYTES", 100)
    found, reading, _ = read(tmp_path, a_stack)
    assert found == expected()
    assert reading.refused[0].reason == "larger than 100 bytes"


def test_too_many_files_are_bounded_and_counted(
    tmp_path: Path, a_stack: Stack, monkeypatch: pytest.MonkeyPatch
) -> None:
    for number in range(6):
        put(tmp_path, a_stack.key, (row(m=number + 1),), origin=f"pod-{number}.warm")
    monkeypatch.setattr(store, "MAX_NAMES", 4)
    found, reading, _ = read(tmp_path, a_stack)
    assert len(found.rows) == 4
    assert reading.refused_count == 2


def test_one_publisher_of_too_many_files_does_not_hide_the_others(
    tmp_path: Path, a_stack: Stack, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(store, "MAX_NAMES", 40)
    for number in range(3):
        put(tmp_path, a_stack.key, (row(m=number + 1),), origin=f"pod-{number}.warm")
    place = next(tmp_path.glob("v1/*/shards"))
    for number in range(200):
        (place / f"0.warm.{number}.0123456789ab.csv").write_bytes(b"x" * 300)
    found, reading, _ = read(tmp_path, a_stack)
    assert len(found.rows) == 3
    assert reading.refused_count == 200


def test_a_mirror_may_be_flat_linked_and_gzipped(tmp_path: Path, a_stack: Stack) -> None:
    # What the kubelet makes of a ConfigMap: ..data -> a dated directory, each key a link into it.
    whole = put(tmp_path / "made", a_stack.key, SOME)
    other = put(tmp_path / "made", a_stack.key, (row(m=300, index=9),), origin="pod-b.warm")
    dated = tmp_path / "mirror" / "..2026_11_23"
    dated.mkdir(parents=True)
    (dated / f"{whole.name}.gz").write_bytes(gzip.compress(whole.read_bytes()))
    (dated / other.name).write_bytes(other.read_bytes())
    (tmp_path / "mirror" / "..data").symlink_to(dated.name)
    for name in (f"{whole.name}.gz", other.name):
        (tmp_path / "mirror" / name).symlink_to(f"..data/{name}")
    found, reading, _ = read(tmp_path / "store", a_stack, mirrors=(str(tmp_path / "mirror"),))
    assert found == expected(SOME, (row(m=300, index=9),))
    assert reading.refused_count == 0


def test_a_gzip_bomb_in_a_mirror_is_refused(tmp_path: Path, a_stack: Stack, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shard, "MAX_BYTES", 100_000)
    mirror = tmp_path / "mirror"
    mirror.mkdir()
    (mirror / "pod-a.warm.1.0123456789ab.csv.gz").write_bytes(gzip.compress(bytes(50_000_000)))
    found, reading, _ = read(tmp_path / "store", a_stack, mirrors=(str(mirror),))
    assert found == expected()
    assert reading.refused_count == 1


def test_rows_of_another_retune_token_are_not_used(tmp_path: Path, a_stack: Stack) -> None:
    old, new = (row(m=1, index=5),), (row(m=2, index=6),)
    put(tmp_path, a_stack.key, old, digest=shard.token_digest("a"))
    put(tmp_path, a_stack.key, new, digest=shard.token_digest("b"), origin="pod-b.warm")
    assert read(tmp_path, a_stack, retune="b")[0] == expected(new)
    assert read(tmp_path, a_stack)[0] == expected(old, new)


@pytest.mark.parametrize(
    "content",
    [b"\xff\n", b"#input \xfe\n", b"#hipbmm-shard v1\n#input \xff\n", b"#input a\n", b"#input \n", b"#input "],
)
@pytest.mark.parametrize("limits", [store.START, store.Limits(600, 1 << 20)])
def test_whatever_is_named_like_a_compaction_is_not_read_as_one(
    tmp_path: Path, a_stack: Stack, content: bytes, limits: store.Limits, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What it names is read before it is proven, when there is no room for the rest of it."""
    monkeypatch.setattr(store, "MAX_NAMES", 100)
    path = put(tmp_path, a_stack.key, SOME)
    head = f"#hipbmm-shard v1 key={a_stack.key} origin=0bad.compact seq=1 kind=rows token=-\n".encode()
    for number, start in enumerate((b"", head)):
        path.with_name(f"{number}bad.compact.1.0123456789ab.csv").write_bytes(start + content * 150_000)
    reader = store.Reader(Volume(), FakeClock(), a_stack.key, 1.0, limits)
    assert table.merge(reader.shards(str(tmp_path))) == expected(SOME)
    assert len(reader.reading.covered) <= store.MAX_NAMES


class Changing(Volume):
    """A directory in which another file has come, and is gone again, whenever it is listed."""

    listings = 0

    def names(self, directory: int) -> list[str]:
        self.listings += 1
        return [*super().names(directory), f"pod-b.warm.{self.listings}.0123456789ab.csv"]


def test_a_directory_whose_names_always_change_is_read_and_left_at_the_deadline(tmp_path: Path, a_stack: Stack) -> None:
    put(tmp_path, a_stack.key, SOME)
    volume = Changing()
    found, reading, clock = read(tmp_path, a_stack, volume)
    assert found == expected(SOME)
    assert volume.listings < 100
    assert sum(clock.slept) <= 90
    assert len(reading.errors) == 1


def test_what_gzip_bombs_cost_counts(tmp_path: Path, a_stack: Stack) -> None:
    path = put(tmp_path, a_stack.key, SOME)
    mirror = tmp_path / "mirror"
    mirror.mkdir()
    for number in range(12):
        bomb = gzip.compress(bytes(4 << 20), mtime=0)
        (mirror / f"{number}bad.warm.1.0123456789ab.csv.gz").write_bytes(bomb)
    reader = store.Reader(Volume(), FakeClock(), a_stack.key, 1.0, store.Limits(600, 10 << 20))
    assert table.merge(reader.shards(str(tmp_path), (str(mirror),))) == expected(SOME)
    assert [each.reason for each in reader.reading.refused].count(store.TOO_MUCH) >= 9
    assert path.exists()
