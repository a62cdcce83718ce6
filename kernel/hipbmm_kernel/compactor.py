"""Compacting one key of a store: few shards in place of many, without a lock and without changing the table.

A compaction is published like any shard. What it contains is removed a day later by whoever compacts next: readers
stand a name that vanishes, the day only spares slow ones a second listing.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, NamedTuple

from hipbmm_kernel import compaction
from hipbmm_kernel import volume as volumes
from hipbmm_kernel.origin import COMPACT
from hipbmm_kernel.publish import Publisher, PublishError
from hipbmm_kernel.store import Reader

if TYPE_CHECKING:
    from collections.abc import Callable

    from hipbmm_kernel.clock import Clock
    from hipbmm_kernel.shard import Shard
    from hipbmm_kernel.volume import Volume

GRACE_SECONDS = 24 * 3600.0
PUBLISH_SECONDS = 30.0


class Compacted(NamedTuple):
    """What was done: shards before, names of the new ones, how many were removed, and what went wrong."""

    before: int
    published: tuple[str, ...]
    removed: int
    errors: tuple[str, ...]


def compact_key(
    volume: Volume, clock: Clock, store: str, key: str, read_seconds: float, grace: float = GRACE_SECONDS
) -> Compacted:
    """Compact the shards of `key`, then remove those older than `grace` that another contains. Never raises OSError."""
    named = dict(Reader(volume, clock, key, read_seconds).named(store))
    publisher = Publisher(volume, clock, store, key)
    contained = {name for shard in named.values() for name in shard.inputs}
    fresh = {name: shard for name, shard in named.items() if name not in contained}
    published, errors = [], []
    for made in compaction.compact(key, fresh, f"{COMPACT}-{os.urandom(6).hex()}.{COMPACT}", 0):
        try:
            name = publisher.publish(_numbered(made), PUBLISH_SECONDS).name
        except PublishError as error:
            errors.append(str(error))
            continue
        published.append(name)
        named[name] = made
    removed = 0
    for name in compaction.removable(named):
        try:
            removed += _remove_old(volume, clock, f"{store}/v1/{key}/shards/{name}", grace)
        except OSError as error:
            errors.append(volumes.describe(error))
    return Compacted(len(named) - len(published), tuple(published), removed, tuple(errors))


def _numbered(shard: Shard) -> Callable[[int], Shard]:
    return lambda seq: shard._replace(seq=seq)


def _remove_old(volume: Volume, clock: Clock, path: str, grace: float) -> bool:
    """Remove a contained shard if it is old by the volume's own clock; whether it was."""
    fd = volume.open(path)
    try:
        age = clock.wall() - volume.stat(fd).st_mtime
    finally:
        volume.close(fd)
    if age < grace:
        return False
    volume.remove(path)
    return True
