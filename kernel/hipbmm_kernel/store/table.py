"""The table: the merge of all shards of one key, a pure function of the set of shards.

What is merged is not one row per key but, per (key, algo_index), the best row known, and per (key, algo_index) what
nodes say against it. Both are join semilattices (the best few of a total order, and a set union), so merging is
commutative, associative and idempotent, and a veto that arrives late uncovers the second-best index instead of leaving
a hole. The served row of a key is a view of that state: a vetoed index never; then verified before unverified, then the
faster measured one, then the smaller sha256 of the row's line.

A veto binds the node that says so, and the others once a second node says the same: a sick machine ends its own use of
a row, not everybody's.
"""

from collections.abc import Iterable, Mapping, Sequence
from functools import cmp_to_key
from typing import NamedTuple

from hipbmm_kernel.rows import gemm
from hipbmm_kernel.rows.gemm import Problem, Row, Veto
from hipbmm_kernel.store import shard, shard_lines
from hipbmm_kernel.system import digest

Claims = Mapping[tuple[str, int], tuple[Veto, ...]]

_UNMEASURED = gemm.MAX_US * 2
MAX_INDICES = 64
"""Rows of one key that are kept, the best ones: AITER looks at 32 candidates, an exhaustive search finds a few."""
FEW = 8
"""Rows of one key that one more is compared with at once."""
BATCH = 4 * MAX_INDICES
MAX_CLAIMS = 4
"""Vetoes of one index that are kept: two nodes decide."""
CONFIRMING_NODES = 2


class Table(NamedTuple):
    """The state of one key's shards as one node sees it.

    `rows` maps a key to its rows, one per algo_index in rising order; `vetoes` (key, algo_index) to the reason, for
    those that bind; `claims` to every node's veto, bound by it or not, in the order of nodes.
    """

    rows: Mapping[str, tuple[Row, ...]]
    vetoes: Mapping[tuple[str, int], str]
    claims: Claims

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

    def winners(self) -> list[Row]:
        """The row to serve of every key that has one, in the order of a delivered file (`gemm.file_order`)."""
        if self.vetoes:
            found = [row for row in map(self.best, self.rows) if row is not None]
        else:
            found = [of_key[0] if len(of_key) == 1 else min(of_key, key=_ORDER) for of_key in self.rows.values()]
        found.sort(key=lambda row: gemm.file_order(row.key))
        return found


EMPTY = Table({}, {}, {})


def better(left: Row, right: Row) -> bool:
    """Whether `left` comes before `right` in the total order of rows of one key."""
    if (left_is := _measured(left)) != (right_is := _measured(right)):
        return left_is < right_is
    return left != right and _sha(left) < _sha(right)


def _compared(left: Row, right: Row) -> int:
    return 1 if better(right, left) else -1


_ORDER = cmp_to_key(_compared)


def _measured(row: Row) -> tuple[bool, float]:
    return (not row.verified, _UNMEASURED if row.tuned_us is None else row.tuned_us)


def merge(shards: Iterable[shard.Shard], token: str = "", node: str | None = None) -> Table:
    """The table of `shards`, which must all be of one key; with a retune `token` only of those published under it.

    Vetoes bind as `node` sees them; "" is a reader that is no node, and None takes every veto as one of its own.
    """
    wanted = shard.token_digest(token)
    joined = Joined()
    for each in shards:
        if wanted in (shard.ANY_TOKEN, each.token):
            joined.add(each)
    return joined.table(node)


def union(tables: Iterable[Table]) -> Table:
    """The join of tables of one key; a veto that binds in one of them binds in it."""
    joined = Joined()
    binding: dict[tuple[str, int], str] = {}
    for each in tables:
        for of_key in each.rows.values():
            joined.add_rows(of_key)
        for of_index in each.claims.values():
            joined.add_claims(of_index)
        for at, reason in each.vetoes.items():
            binding[at] = min(reason, binding.get(at, reason))
    found = joined.table()
    # The reason is that of the vetoes which are kept, as in one merge: a table may know of one that the join drops.
    return found._replace(vetoes={at: found.vetoes.get(at, reason) for at, reason in binding.items()})


def _binding(claims: Sequence[Veto], node: str | None) -> str | None:
    """The reason of a veto that binds as `node` sees it, or None."""
    nodes = {claim.node for claim in claims} - {gemm.NO_NODE}
    if node is not None and node not in nodes and len(nodes) < CONFIRMING_NODES:
        return None
    return min(claim.reason for claim in claims)


class Joined:
    """A table in the making. Rows of a key that has many already wait, and are joined in batches."""

    def __init__(self) -> None:
        self._rows: dict[str, tuple[Row, ...]] = {}
        self._waiting: dict[str, list[Row]] = {}
        self._claims: dict[tuple[str, int], dict[str, Veto]] = {}

    def add(self, one: shard.Shard) -> None:
        """Join everything of a shard."""
        self.add_rows(one.rows)
        self.add_claims(shard.claims(one))

    def table(self, node: str | None = None) -> Table:
        """The table so far, with the vetoes that bind as `node` sees them (see `merge`)."""
        for key, waiting in self._waiting.items():
            self._rows[key] = _best_of_each_index([*self._rows[key], *waiting])
        self._waiting.clear()
        claims = {at: tuple(of_index[each] for each in sorted(of_index)) for at, of_index in self._claims.items()}
        found = ((at, _binding(of_index, node)) for at, of_index in claims.items())
        return Table(self._rows, {at: reason for at, reason in found if reason is not None}, claims)

    def add_rows(self, more: Iterable[Row]) -> None:
        """Join rows."""
        rows = self._rows
        for row in more:
            alone = (row,)
            held = rows.setdefault(row[0], alone)
            if held is alone or held == alone:
                continue
            if len(held) < FEW:
                rows[row[0]] = _with(held, row)
            else:
                waiting = self._waiting.setdefault(row[0], [])
                waiting.append(row)
                if len(waiting) > BATCH:
                    rows[row[0]] = _best_of_each_index([*held, *waiting])
                    waiting.clear()

    def add_claims(self, more: Iterable[Veto]) -> None:
        """Join vetoes that have their node."""
        for veto in more:
            of_index = self._claims.setdefault((veto.key, veto.algo_index), {})
            held = of_index.get(veto.node)
            if held is None or veto.reason < held.reason:
                of_index[veto.node] = veto
            if len(of_index) > MAX_CLAIMS:
                del of_index[max(of_index)]


def _with(held: tuple[Row, ...], row: Row) -> tuple[Row, ...]:
    """The few rows of one key with one more: the better one of an index, in the order of indices."""
    for at, other in enumerate(held):
        if other.algo_index == row.algo_index:
            return (*held[:at], row, *held[at + 1 :]) if better(row, other) else held
    return tuple(sorted((*held, row), key=lambda each: each.algo_index))


def _best_of_each_index(rows: Iterable[Row]) -> tuple[Row, ...]:
    """The best row of each index, of at most MAX_INDICES indices, in the order of indices."""
    found: dict[int, Row] = {}
    for row in rows:
        held = found.get(row.algo_index)
        if held is None or better(row, held):
            found[row.algo_index] = row
    best = list(found.values())
    if len(best) > MAX_INDICES:
        best.sort(key=_measured)
        if _measured(best[MAX_INDICES - 1]) == _measured(best[MAX_INDICES]):
            best.sort(key=_ORDER)
    return tuple(sorted(best[:MAX_INDICES], key=lambda row: row.algo_index))


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
        order = gemm.file_order(key)
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
        if row.key in planned:
            continue
        problem = row.problem
        wanted = shapes is None or (problem.n, problem.k) in shapes
        if wanted and row.key == gemm.key_of(problem, fp8):
            found.append(row._replace(kernel_name=gemm.NO_NAME))
    return found


def _sha(row: Row) -> str:
    return digest.sha256(shard_lines.unchecked_row_line(row).encode("ascii"))
