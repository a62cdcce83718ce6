"""Making few shards of many without changing the table: a compaction shard names the shards it contains.

Nothing coordinates who compacts. A compaction is just one more shard, merging it changes nothing, and a shard that one
contains may be deleted at any time after, by anyone: the table stays the same at every step.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from hipbmm_kernel.rows.gemm import Veto
from hipbmm_kernel.store import shard as shards
from hipbmm_kernel.store import table as tables
from hipbmm_kernel.store.shard import Shard

if TYPE_CHECKING:
    from collections.abc import Mapping
import os
from typing import TYPE_CHECKING, NamedTuple

from hipbmm_kernel.store.publisher import Publisher, PublishError
from hipbmm_kernel.store.reader import Reader
from hipbmm_kernel.store.shard_origin import COMPACT
from hipbmm_kernel.system import volume as volumes

if TYPE_CHECKING:
    from collections.abc import Callable

    from hipbmm_kernel.system.clock import Clock
    from hipbmm_kernel.system.volume import Volume


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
    for made in compact(key, fresh, f"{COMPACT}-{os.urandom(6).hex()}.{COMPACT}", 0):
        try:
            name = publisher.publish(_numbered(made), PUBLISH_SECONDS).name
        except PublishError as error:
            errors.append(str(error))
            continue
        published.append(name)
        named[name] = made
    removed = 0
    for name in removable(named):
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


MAX_LINES = 50_000
"""Lines of one compaction: well below the largest shard that is read, even with the longest kernel names."""


def compact(key: str, named: Mapping[str, Shard], origin: str, seq: int) -> list[Shard]:
    """Compaction shards of `named` (file name -> shard, all of `key`): one per kind and retune token, from `seq` on.

    Rows and vetoes never share a shard, nor do tokens. A group of one shard is left alone; what would become too
    large is left for the next compaction.
    """
    groups: dict[tuple[str, str], list[str]] = {}
    for name in sorted(named):
        groups.setdefault((named[name].kind, named[name].token), []).append(name)
    made: list[Shard] = []
    for (kind, token), names in sorted(groups.items()):
        chosen = _fitting(named, names)
        if len(chosen) < len(("this one", "another")):
            continue
        table = tables.merge(named[name] for name in chosen)
        empty = Shard(key, origin, seq + len(made), kind, token, inputs=tuple(chosen))
        made.append(_filled(empty, table))
    return made


def contains(outer: Shard, inner: Shard) -> bool:
    """Whether merging `inner` to `outer` changes nothing, so that `inner` may be deleted while `outer` exists."""
    if (outer.key, outer.kind, outer.token) != (inner.key, inner.kind, inner.token):
        return False
    alone = tables.merge([outer])
    return tables.merge([outer, inner]) == alone


def removable(named: Mapping[str, Shard]) -> list[str]:
    """Names of shards that another shard of `named` lists as an input and really contains."""
    gone = set()
    for name in sorted(named):
        outer = named[name]
        for inner in outer.inputs:
            if inner != name and inner in named and inner not in gone and contains(outer, named[inner]):
                gone.add(inner)
    return sorted(gone)


def _fitting(named: Mapping[str, Shard], names: list[str], most: int = MAX_LINES) -> list[str]:
    """As many of `names` as have at most that many lines together."""
    chosen, lines = [], 0
    for name in names:
        size = len(named[name].rows) + len(named[name].vetoes)
        if lines + size <= most:
            chosen.append(name)
            lines += size
    return chosen


def _filled(empty: Shard, table: tables.Table) -> Shard:
    if empty.kind == shards.ROWS:
        rows = [row for key in sorted(table.rows, key=tables.file_order) for row in table.rows[key]]
        return empty._replace(rows=tuple(rows))
    vetoes = [Veto(key, index, reason) for (key, index), reason in sorted(table.vetoes.items())]
    return empty._replace(vetoes=tuple(vetoes))
