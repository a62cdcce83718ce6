"""Reading stores: what one reading may cost, and that no writer hides the shards of the others."""

import gzip
from pathlib import Path

import pytest
from tests.kernel.faults import FakeClock, FaultyVolume
from tests.kernel.pods import row, rows
from tests.kernel.store.readings import SOME, expected, put, read

from hipbmm_kernel.identity.stack import Stack
from hipbmm_kernel.store import reader as store
from hipbmm_kernel.store import shard, table
from hipbmm_kernel.store.shard import Shard
from hipbmm_kernel.system.volume import Volume


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


def test_a_gzip_bomb_in_a_mirror_is_refused(tmp_path: Path, a_stack: Stack, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shard, "MAX_BYTES", 100_000)
    mirror = tmp_path / "mirror"
    mirror.mkdir()
    (mirror / "pod-a.warm.1.0123456789ab.csv.gz").write_bytes(gzip.compress(bytes(50_000_000)))
    found, reading, _ = read(tmp_path / "store", a_stack, mirrors=(str(mirror),))
    assert found == expected()
    assert reading.refused_count == 1


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
