"""Compacting the shards of one key on a volume, in one pass over them: by hand all of it, by itself a bounded part.

A compaction's inputs are removed once it is older than the grace: whoever listed the directory before it was there has
read it by then. Until then both are there, and the table is the same with either.
"""

from collections.abc import Iterator
from typing import NamedTuple

from hipbmm_kernel.store import read_order
from hipbmm_kernel.store.compaction import Compaction
from hipbmm_kernel.store.publisher import Publisher, PublishError
from hipbmm_kernel.store.reader import MANY, WHOLE, Found, Limits, Reader
from hipbmm_kernel.system import volume as volumes
from hipbmm_kernel.system.clock import Clock
from hipbmm_kernel.system.volume import Volume

GRACE_SECONDS = 24 * 3600.0
PUBLISH_SECONDS = 30.0
BOUNDED = Limits(30_000, 24 << 20)
"""What a compaction that nobody asked for may cost: half a second of processor time, and less than the memory that the
sidecar may have."""


class Compacted(NamedTuple):
    """What was done: shards before, names of the new ones, how many were removed, and what went wrong."""

    before: int
    published: tuple[str, ...]
    removed: int
    errors: tuple[str, ...]


def compact_key(
    volume: Volume,
    clock: Clock,
    store: str,
    key: str,
    read_seconds: float,
    grace: float = GRACE_SECONDS,
    *,
    bounded: bool = False,
) -> Compacted:
    """Compact the shards of `key`, and remove those that old compactions contain. Never raises OSError.

    `bounded` as a pod does it by itself: only what is worth it, and a part of a large store at a time.
    """
    limits, least = (BOUNDED, MANY // 2) if bounded else (WHOLE, 1)
    try:
        directory = volumes.open_below(volume, store, "v1", key, "shards")
    except FileNotFoundError:
        return Compacted(0, (), 0, ())
    except OSError as error:
        return Compacted(0, (), 0, (volumes.describe(error),))
    reader = Reader(volume, clock, key, read_seconds, limits)
    compaction = Compaction(reader.reading.covered)
    with volumes.closing(volume, directory):
        removed, errors = _read(volume, clock, directory, grace, reader.found(store), compaction)
    errors += reader.reading.errors
    published = []
    publisher = Publisher(volume, clock, store, key)
    for shard in compaction.made(least, not bounded):
        try:
            published.append(publisher.publish(shard, PUBLISH_SECONDS))
        except PublishError as error:
            errors.append(str(error))
    return Compacted(reader.reading.shards, tuple(published), removed, tuple(errors))


def _read(
    volume: Volume, clock: Clock, directory: int, grace: float, found: Iterator[Found], compaction: Compaction
) -> tuple[int, list[str]]:
    """Take every shard, and remove those that old compactions contain: how many, and errors."""
    errors: list[str] = []
    removed = 0
    containers = True
    for name, shard, _ in found:
        if containers and not read_order.is_compaction(name):
            containers = False
            removed += sum(_removed(volume, directory, each, errors) for each in compaction.end_containers())
        if containers:
            compaction.add_container(name, shard, _age(volume, clock, directory, name) >= grace)
        elif compaction.add(name, shard):
            removed += _removed(volume, directory, name, errors)
    if containers:
        removed += sum(_removed(volume, directory, each, errors) for each in compaction.end_containers())
    return removed, errors


def _age(volume: Volume, clock: Clock, directory: int, name: str) -> float:
    """Seconds since a shard was written, by the clocks of volume and node; less than any grace when not known.

    It is on the device then: what it contains may be removed, and its writer may not have come to that yet.
    """
    try:
        with volumes.closing(volume, volume.open(name, at=directory)) as fd:
            # As of a directory: some volumes know no fsync of what is open for reading only (CIFS of older kernels).
            volumes.sync_names(volume, fd)
        volumes.sync_names(volume, directory)
        return clock.wall() - volume.stat_name(name, directory).st_mtime
    except OSError:
        return -1.0


def _removed(volume: Volume, directory: int, name: str, errors: list[str]) -> bool:
    try:
        volume.remove(name, at=directory)
    except FileNotFoundError:
        return False  # another compactor was faster
    except OSError as error:
        errors.append(volumes.describe(error))
        return False
    return True
