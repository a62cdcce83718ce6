"""Kernels for problems that AITER cannot tune: those of the same linear at the nearest other M.

A problem that ends its children, or whose best index computes wrong numbers, would do the same to the server: AITER
tunes in production whatever has no row. A solution is made for a tile, not for one M, so a neighbour's index usually
fits; it is served only after the same verification as any row.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from hipbmm_kernel.rows.gemm import Row

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from hipbmm_kernel.rows.gemm import Problem

MOST = 3


def candidates(problem: Problem, key: str, rows: Iterable[Row], vetoed: Mapping[tuple[str, int], object]) -> list[Row]:
    """At most three rows for `problem`, nearest M first, with different indices of verified rows of its N and K."""
    near = [row for row in rows if row.verified and row.problem[1:] == problem[1:] and row.problem != problem]
    near.sort(key=lambda row: (abs(row.problem.m - problem.m), row.problem.m))
    found: dict[int, Row] = {}
    for row in near:
        if (key, row.algo_index) not in vetoed:
            found.setdefault(row.algo_index, Row(key, row.algo_index, row.kernel_name))
    return list(found.values())[:MOST]
