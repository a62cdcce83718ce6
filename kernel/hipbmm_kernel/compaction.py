"""Making few shards of many without changing the table: a compaction shard names the shards it contains.

Nothing coordinates who compacts. A compaction is just one more shard, merging it changes nothing, and a shard that one
contains may be deleted at any time after, by anyone: the table stays the same at every step.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from hipbmm_kernel import shard as shards
from hipbmm_kernel import table as tables
from hipbmm_kernel.gemm import Veto
from hipbmm_kernel.shard import Shard

if TYPE_CHECKING:
    from collections.abc import Mapping

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
