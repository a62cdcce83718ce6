"""The table: the merge of all shards of one key, a pure function of the set of shards.

What is merged is not one row per key but, per (key, algo_index), the best row known, and the set of vetoes. Both are
join semilattices (a minimum over a total order, and a set union), so merging is commutative, associative and
idempotent, and a veto that arrives late uncovers the second-best index instead of leaving a hole. The served row of a
key is a view of that state: a vetoed index never; then verified before unverified, then the faster measured one, then
the smaller sha256 of the row's line.
"""

from __future__ import annotations

from functools import reduce
from typing import TYPE_CHECKING, NamedTuple

from hipbmm_kernel.rows import gemm
from hipbmm_kernel.rows.gemm import Problem, Row, Veto
from hipbmm_kernel.store import shard, shard_lines
from hipbmm_kernel.system import digest

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

_UNMEASURED = gemm.MAX_US * 2


class Table(NamedTuple):
    """`rows` maps a key to its rows, one per algo_index in rising order; `vetoes` (key, algo_index) to a reason."""

    rows: Mapping[str, tuple[Row, ...]]
    vetoes: Mapping[tuple[str, int], str]

    def best(self, key: str) -> Row | None:
        """The row to serve for `key`, or None when there is none that is not vetoed."""
        found: Row | None = None
        for row in self.rows.get(key, ()):
            if (found is None or better(row, found)) and (key, row.algo_index) not in self.vetoes:
                found = row
        return found

    def hopeless(self, key: str) -> bool:
        """Whether the problem of `key` ended its workers itself, so that it is not tuned again."""
        return (key, shard_lines.WHOLE_PROBLEM) in self.vetoes

    def keys(self) -> list[str]:
        """Keys that have a row to serve, in the order of a delivered file."""
        return [row.key for row in self.winners()]

    def winners(self) -> list[Row]:
        """The row to serve of every key that has one, in the order of a delivered file (`file_order`)."""
        if self.vetoes:
            found = [row for row in map(self.best, self.rows) if row is not None]
        else:
            found = [of_key[0] if len(of_key) == 1 else _first(of_key) for of_key in self.rows.values()]
        found.sort(key=_row_order)
        return found


EMPTY = Table({}, {})


def better(left: Row, right: Row) -> bool:
    """Whether `left` comes before `right` in the total order of rows of one key."""
    if left.verified != right.verified:
        return left.verified
    left_us = _UNMEASURED if left.tuned_us is None else left.tuned_us
    right_us = _UNMEASURED if right.tuned_us is None else right.tuned_us
    if left_us != right_us:
        return left_us < right_us
    return left != right and _sha(left) < _sha(right)


def merge(shards: Iterable[shard.Shard], token: str = "") -> Table:
    """The table of `shards`, which must all be of one key; with a retune `token` only of those published under it."""
    wanted = shard.token_digest(token)
    rows: dict[str, tuple[Row, ...]] = {}
    vetoes: dict[tuple[str, int], str] = {}
    for each in shards:
        if wanted not in (shard.ANY_TOKEN, each.token):
            continue
        _join_rows(rows, each.rows)
        _join_vetoes(vetoes, each.vetoes)
    return Table(rows, vetoes)


def union(tables: Iterable[Table]) -> Table:
    """The join of tables of one key."""
    rows: dict[str, tuple[Row, ...]] = {}
    vetoes: dict[tuple[str, int], str] = {}
    for each in tables:
        for of_key in each.rows.values():
            _join_rows(rows, of_key)
        _join_vetoes(vetoes, (Veto(key, index, reason) for (key, index), reason in each.vetoes.items()))
    return Table(rows, vetoes)


def missing(table: Table, problems: Sequence[Problem], fp8: str) -> list[Problem]:
    """Problems that have no row to serve, in the plan's order; `fp8` is AITER's name of the stack's FP8 type."""
    return [problem for problem in problems if table.best(gemm.key_of(problem, fp8)) is None]


def verified(table: Table, problems: Iterable[Problem], fp8: str) -> int:
    """How many of the problems have a row to serve that somebody has verified."""
    best = (table.best(gemm.key_of(problem, fp8)) for problem in problems)
    return sum(row is not None and row.verified for row in best)


def served(table: Table, problems: Iterable[Problem], fp8: str, eager: frozenset[int] = frozenset()) -> list[Row]:
    """The rows of the served file: only those of the plan, unique, the hottest lines first, without kernel names.

    AITER scans the file from the top at every eager call, so tokens in `eager` (never captured in a graph, hence looked
    up while serving) come first, then small M.
    """
    found: dict[str, Row] = {}
    for problem in problems:
        key = gemm.key_of(problem, fp8)
        row = table.best(key)
        if row is not None:
            found[key] = row._replace(kernel_name=gemm.NO_NAME)

    def hot_first(key: str) -> tuple[bool, tuple[int, int, int, str]]:
        order = file_order(key)
        return (order[0] not in eager, order)

    return [found[key] for key in sorted(found, key=hot_first)]


def learned(
    table: Table, problems: Iterable[Problem], fp8: str, shapes: frozenset[tuple[int, int]] | None
) -> list[Row]:
    """Rows that production taught and the plan does not name, to follow the planned ones in the served file.

    Those whose (N, K) is in `shapes`, the plan's linears; all of the FP8 type when `shapes` is None, because the plan
    knows no linear (unknown architecture).
    """
    planned = {gemm.key_of(problem, fp8) for problem in problems}
    found = []
    for row in table.winners():
        problem = row.problem
        wanted = shapes is None or (problem.n, problem.k) in shapes
        if wanted and row.key not in planned and row.key == gemm.key_of(problem, fp8):
            found.append(row._replace(kernel_name=gemm.NO_NAME))
    return found


def file_order(key: str) -> tuple[int, int, int, str]:
    """Where a key's line belongs in a delivered file: by M, then AITER's m (N), then k, then its text."""
    columns = key.split(",", 7)
    return (int(columns[5]), int(columns[4]), int(columns[6]), key)


def _row_order(row: Row) -> tuple[int, int, int, str]:
    return file_order(row.key)


def _first(rows: Iterable[Row]) -> Row:
    """The row that comes before all others."""
    return reduce(lambda found, row: row if better(row, found) else found, rows)


def _join_rows(rows: dict[str, tuple[Row, ...]], more: Iterable[Row]) -> None:
    for row in more:
        alone = (row,)
        held = rows.setdefault(row[0], alone)
        if held is not alone and held != alone:
            rows[row[0]] = _joined(held, row)


def _joined(held: tuple[Row, ...], row: Row) -> tuple[Row, ...]:
    """The rows of one key with one more: the better one of an index, in the order of indices."""
    for at, other in enumerate(held):
        if other.algo_index == row.algo_index:
            return (*held[:at], row, *held[at + 1 :]) if better(row, other) else held
    return tuple(sorted((*held, row), key=lambda each: each.algo_index))


def _join_vetoes(vetoes: dict[tuple[str, int], str], more: Iterable[Veto]) -> None:
    for key, index, reason in more:
        held = vetoes.get((key, index))
        if held is None or reason < held:
            vetoes[key, index] = reason


def _sha(row: Row) -> str:
    return digest.sha256(shard_lines.unchecked_row_line(row).encode("ascii"))
