"""Reading stores: volumes that lag, fail for a while, or hold anything."""

import errno
import gzip
import os
from pathlib import Path

import pytest
from tests.kernel.faults import FaultyVolume, failing, failing_always
from tests.kernel.pods import row
from tests.kernel.store.readings import SOME, expected, put, read

from hipbmm_kernel.identity.stack import Stack
from hipbmm_kernel.store import reader as store
from hipbmm_kernel.store import shard
from hipbmm_kernel.system.volume import Volume


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


@pytest.mark.parametrize("becomes", ["a directory", "large", "gone"])
def test_a_damaged_shard_that_becomes_something_else_meanwhile_is_refused_for_what_it_is(
    tmp_path: Path, a_stack: Stack, becomes: str
) -> None:
    damaged = put(tmp_path, a_stack.key, SOME)
    damaged.write_bytes(damaged.read_bytes()[:10])
    vanishing = [put(tmp_path, a_stack.key, (row(m=at),), origin=f"pod-{at}.warm") for at in (1, 2)]

    class Changing(Volume):
        def open(self, path: str, follow: bool = False, at: int | None = None) -> int:
            if path == vanishing[0].name and vanishing[0].exists():
                damaged.unlink()
                for each in vanishing:
                    each.unlink()
                if becomes == "a directory":
                    damaged.mkdir()
                elif becomes == "large":
                    with damaged.open("wb") as file:
                        file.truncate(shard.MAX_BYTES + 1)
            return super().open(path, follow, at)

    _, reading, _ = read(tmp_path, a_stack, Changing())
    reasons = {"a directory": ["not a regular file"], "large": [f"larger than {shard.MAX_BYTES} bytes"]}
    refused = [each.reason for each in reading.refused]
    assert refused == reasons.get(becomes, [store.INCOMPLETE])
    assert reading.refused_count == len(refused)


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


def test_rows_of_another_retune_token_are_not_used(tmp_path: Path, a_stack: Stack) -> None:
    old, new = (row(m=1, index=5),), (row(m=2, index=6),)
    put(tmp_path, a_stack.key, old, digest=shard.token_digest("a"))
    put(tmp_path, a_stack.key, new, digest=shard.token_digest("b"), origin="pod-b.warm")
    assert read(tmp_path, a_stack, retune="b")[0] == expected(new)
    assert read(tmp_path, a_stack)[0] == expected(old, new)


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
