"""Making few shards of many without changing the table: a compaction names the shards that it contains.

Nothing coordinates who compacts. A compaction is just one more shard, and merging it changes nothing. A shard that old
compactions contain may be removed by anyone: the table stays the same at every step. Two compactors of the same shards
write the same file.

What names a shard proves nothing, since anybody can write it. So a shard is removed only when every line of it is in
compactions that stay, and those that name each other in a circle justify nothing.
"""

from collections.abc import Container, Iterable, Mapping
from itertools import chain

from hipbmm_kernel.rows import gemm
from hipbmm_kernel.rows.gemm import Row
from hipbmm_kernel.store import shard as shards
from hipbmm_kernel.store import table as tables
from hipbmm_kernel.store.shard import Shard
from hipbmm_kernel.store.shard_lines import unchecked_row_line
from hipbmm_kernel.store.shard_origin import COMPACT
from hipbmm_kernel.store.table import Table

ORIGIN = f"{COMPACT}.{COMPACT}"
MAX_LINES = 50_000
MAX_LINE_BYTES = 56 << 20
"""Lines of one compaction and their bytes: less than the largest shard that is read, with room for its inputs."""


class Compaction:
    """One pass over the shards of a key: compactions first (`add_container`), then `end_containers`, then the others.

    `aside` are names to leave alone, because compactions contain them that are not part of this pass.
    """

    def __init__(self, aside: Container[str] = ()) -> None:
        self._aside = aside
        self._groups: dict[tuple[str, str], _Group] = {}

    def add_container(self, name: str, shard: Shard, old: bool) -> None:
        """Take a compaction; an `old` one may justify that its inputs are removed."""
        group = self._group(shard)
        group.containers[name] = shard
        if old:
            group.old.add(name)

    def end_containers(self) -> list[str]:
        """Compactions that may be removed, once all of them were added."""
        return [name for group in self._groups.values() for name in group.end_containers()]

    def add(self, name: str, shard: Shard) -> bool:
        """Take another shard; whether it may be removed."""
        group = self._group(shard)
        if group.is_contained(name, shard):
            return True
        if not (group.is_held(shard) if name in group.named else name in self._aside):
            group.add(name, shard)
        return False

    def made(self, least: int, everything: bool) -> list[Shard]:
        """What to publish; nothing of a group that it makes less than `least` shards fewer."""
        return list(chain.from_iterable(group.made(least, everything) for group in self._groups.values()))

    def _group(self, shard: Shard) -> "_Group":
        return self._groups.setdefault((shard.kind, shard.token), _Group(shard))


class _Group:
    """The shards of one kind and one retune token; only such share a shard."""

    def __init__(self, head: Shard) -> None:
        self._head = head._replace(origin=ORIGIN, seq=0, rows=(), vetoes=(), inputs=(), node=gemm.NO_NODE)
        self._fresh: list[str] = []
        self._lines = 0
        self._joined = tables.Joined()
        self._staying: Table = tables.EMPTY
        self._removable: set[str] = set()
        self.named: set[str] = set()
        self._outer: set[str] = set()
        self._held: Table = tables.EMPTY
        self.containers: dict[str, Shard] = {}
        self.old: set[str] = set()

    def end_containers(self) -> list[str]:
        old = {name: self.containers[name] for name in self.old}
        staying = roots(old)
        self._staying = tables.merge(old[name] for name in sorted(staying))
        self._removable = {inner for shard in old.values() for inner in shard.inputs} - staying
        self.named = {inner for shard in self.containers.values() for inner in shard.inputs}
        gone = [name for name, shard in self.containers.items() if self.is_contained(name, shard)]
        for name in gone:
            del self.containers[name]
        self._outer = roots(self.containers)
        self._held = tables.merge(self.containers[name] for name in sorted(self._outer))
        return gone

    def is_contained(self, name: str, shard: Shard) -> bool:
        """Whether an old compaction names the shard, and those that stay hold all of it."""
        return name in self._removable and contains(self._staying, shard)

    def is_held(self, shard: Shard) -> bool:
        """Whether the outer compactions hold all of a shard that one names: a part of one may not be published."""
        return contains(self._held, shard)

    def add(self, name: str, shard: Shard) -> None:
        self._fresh.append(name)
        self._lines += len(shard.rows) + len(shard.vetoes)
        self._joined.add(shard)

    def made(self, least: int, everything: bool) -> list[Shard]:
        outer = {name: each for name, each in self.containers.items() if name in self._outer or not self.is_held(each)}
        joining = sorted(outer) if everything else _joining(outer, self._lines)
        names = [*self._fresh, *joining]
        if len(names) <= least:
            return []
        for name in joining:
            self._joined.add(outer[name])
        made = _parts(self._head._replace(inputs=tuple(sorted(names))), self._joined.table())
        return made if len(names) - len(made) >= least else []


def roots(named: Mapping[str, Shard]) -> set[str]:
    """Those of some compactions that no other one names as an input."""
    inner = {name for outer, shard in named.items() for name in shard.inputs if name != outer}
    return named.keys() - inner


def contains(table: Table, inner: Shard) -> bool:
    """Whether merging `inner` to `table` changes nothing."""
    rows = [row for row in inner.rows if row not in table.rows.get(row.key, ())]
    vetoes = [veto for veto in shards.claims(inner) if veto not in table.claims.get((veto.key, veto.algo_index), ())]
    if not (rows or vetoes):
        return True
    part = table._replace(
        rows={row.key: table.rows.get(row.key, ()) for row in rows},
        vetoes={},
        claims={(v.key, v.algo_index): table.claims.get((v.key, v.algo_index), ()) for v in vetoes},
    )
    more = tables.merge([inner._replace(rows=tuple(rows), vetoes=tuple(vetoes))])._replace(vetoes={})
    return tables.union([part, more]) == part


def _joining(named: Mapping[str, Shard], fresh: int) -> list[str]:
    """Which of some compactions are made into one with `fresh` lines: none that is far larger, to be written again."""
    chosen, total = [], fresh
    for size, name in sorted((len(shard.rows) + len(shard.vetoes), name) for name, shard in named.items()):
        if size > 2 * total:
            break
        chosen.append(name)
        total += size
    return chosen


def _parts(head: Shard, table: Table) -> list[Shard]:
    """As few shards as hold the rows or the vetoes of `table`."""
    if head.kind == shards.ROWS:
        keys = sorted(table.rows, key=gemm.file_order)
        return [head._replace(rows=part) for part in _row_parts(row for key in keys for row in table.rows[key])]
    claims = [veto for at in sorted(table.claims) for veto in table.claims[at]]
    starts = range(0, len(claims) or 1, MAX_LINES)
    return [head._replace(vetoes=tuple(claims[at : at + MAX_LINES])) for at in starts]


def _row_parts(rows: Iterable[Row]) -> list[tuple[Row, ...]]:
    """Rows in parts that one shard holds; one without a row when there are none."""
    parts: list[list[Row]] = [[]]
    size = 0
    for row in rows:
        length = len(unchecked_row_line(row)) + 1
        if len(parts[-1]) == MAX_LINES or size + length > MAX_LINE_BYTES:
            parts.append([])
            size = 0
        parts[-1].append(row)
        size += length
    return [tuple(part) for part in parts]
