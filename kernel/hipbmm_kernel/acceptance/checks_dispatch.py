"""Check of the two ways from a row to a call: AITER's file, and the table in memory, side by side in one process."""

import statistics
from typing import Any

from hipbmm_kernel.acceptance.checks_table import copy_table
from hipbmm_kernel.acceptance.context import Context
from hipbmm_kernel.acceptance.supervision import ChildRun
from hipbmm_kernel.acceptance.verdict import Verdict, failed, judged
from hipbmm_kernel.rows import gemm

SECONDS = 600.0
CALLS = 200


def both_ways(context: Context) -> Verdict:
    """The table in memory runs the same right index as AITER's file and appends nothing; both host times are shown."""
    listed = [[*gemm.problem_of(row["key"]), row["index"]] for row in context.evidence("rows-parse")["rows"]]
    before = copy_table(context, "both-ways").read_bytes()
    child = context.child("both_ways", "both-ways", SECONDS, rows=listed, calls=CALLS)
    return judge_ways(child, len(listed), context.table("both-ways").read_bytes() == before)


def judge_ways(child: ChildRun, expected: int, unchanged: bool) -> Verdict:
    """Fail when a result is wrong, a call in memory missed its index, or the table grew."""
    rows: list[dict[str, Any]] = child.answers.get("row", [])
    calls = child.last("calls") or {}
    evidence = {"rows": rows, "calls": calls, "unchanged": unchanged, "end": child.end.evidence()}
    if len(rows) != expected or not child.end.well:
        return failed(f"{len(rows)} of {expected} rows were called: {child.end.words()}", evidence)
    wrong = [row["problem"] for row in rows if row["file"]["verdict"] or row["memory"]["verdict"]]
    missed = calls.get("heuristic") != 0 or calls.get("verified", 0) < expected
    by_file, by_memory = (statistics.fmean(row[way]["hostUs"] for row in rows) for way in ("file", "memory"))
    return judged(
        not wrong and not missed and unchanged,
        f"host time of a call: {by_file:.1f} us by the file, {by_memory:.1f} us from memory",
        f"wrong results: {wrong}; calls in memory: {calls}; table unchanged: {unchanged}",
        evidence,
    )
