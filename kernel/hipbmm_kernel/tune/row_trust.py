"""Which measured times can be: a row of the store that claims an impossible one is treated as one that nobody measured.

Of two verified rows the faster one is served, so a claim of 0.001 us would win in every pod for ever. And which of its
own rows a pod may call verified. Pure.
"""

from collections.abc import Collection, Iterable

from hipbmm_kernel.planner import cost
from hipbmm_kernel.rows.gemm import Problem, Row, Veto, key_of, problem_of
from hipbmm_kernel.store.table import Table


def believable(loaded: Table, problems: Iterable[Problem], fp8: str, product: str | None) -> Table:
    """The table; rows of `problems` that claim what cannot be have no times and are not verified any more."""
    changed: dict[str, tuple[Row, ...]] = {}
    for problem in problems:
        key = key_of(problem, fp8)
        rows = loaded.rows.get(key, ())
        least = cost.least_us(problem, product) if rows else 0.0
        if any(_is_impossible(row, least) for row in rows):
            changed[key] = tuple(
                row._replace(tuned_us=None, default_us=None, verified=False) if _is_impossible(row, least) else row
                for row in rows
            )
    return loaded._replace(rows={**loaded.rows, **changed}) if changed else loaded


def published(item: Row | Veto, proven: Collection[tuple[int, int]]) -> Row | Veto:
    """What a pod says to others: a row is verified only where its (N, K) is `proven` above AITER's limit, too.

    A pod that restores verified rows probes nothing. Where it must, it finds a row that nobody has verified.
    """
    if isinstance(item, Veto) or item.problem[1:] in proven:
        return item
    return item._replace(verified=False)


def mirrored(found: Table, unproven: Collection[tuple[int, int]]) -> Table:
    """The same of a whole table, by the (N, K) that are not proven."""
    if not unproven:
        return found
    rows = {
        key: tuple(row._replace(verified=False) for row in of_key) if problem_of(key)[1:] in unproven else of_key
        for key, of_key in found.rows.items()
    }
    return found._replace(rows=rows)


def _is_impossible(row: Row, least: float) -> bool:
    return row.tuned_us is not None and row.tuned_us < least
