"""Checks of speed: what tuning is for, and what the two ways from a row to a call cost."""

import statistics
from typing import Any

from hipbmm_kernel.acceptance.checks_table import copy_table
from hipbmm_kernel.acceptance.context import Context
from hipbmm_kernel.acceptance.report import Verdict, failed, judged
from hipbmm_kernel.tune import protocol

SECONDS = 600.0
ROUNDS = 7
CALLS = 200
FLOOR = 0.98
"""The geometric mean below which tuned rows count as slower than the heuristic: two percent are noise."""


def timing_gain(context: Context) -> Verdict:
    """Tuned indices are right and, in the geometric mean, not slower than the heuristic's choice."""
    written = context.evidence("rows-parse")["rows"]
    child = context.child("race", "race", SECONDS, online=False, rows=written, rounds=ROUNDS)
    rows = child.answers.get("row", [])
    raced = [_raced(row) for row in rows]
    evidence = {**child.evidence(), "rows": raced, "rounds": ROUNDS}
    if len(rows) != len(written) or not child.end.well:
        return failed(f"{len(rows)} of {len(written)} rows were raced: {child.end.words()}", evidence)
    wrong = [row["problem"] for row in rows if not row["correct"]]
    speedups = [row["speedup"] for row in raced if row["speedup"] is not None]
    if wrong or not speedups:
        return failed(f"wrong results: {wrong}" if wrong else "nothing to compare with", evidence)
    geomean = evidence["geomean"] = statistics.geometric_mean(speedups)
    extremes = f"best {max(speedups):.2f}, worst {min(speedups):.2f}"
    words = f"geometric mean {geomean:.3f} over {len(speedups)} problems, {extremes}"
    return judged(geomean >= FLOOR, words, words, evidence)


def both_ways(context: Context) -> Verdict:
    """The table in memory runs the same right index as AITER's file and appends nothing; both host times are shown."""
    written = context.evidence("rows-parse")["rows"]
    before = copy_table(context, "both-ways").read_bytes()
    child = context.child("both_ways", "both-ways", SECONDS, rows=written, calls=CALLS)
    unchanged = context.table("both-ways").read_bytes() == before
    rows: list[dict[str, Any]] = child.answers.get("row", [])
    calls = child.last("calls") or {}
    evidence = {**child.evidence(), "rows": rows, "calls": calls, "unchanged": unchanged}
    if len(rows) != len(written) or not child.end.well:
        return failed(f"{len(rows)} of {len(written)} rows were called: {child.end.words()}", evidence)
    wrong = [row["problem"] for row in rows if row["file"]["verdict"] or row["memory"]["verdict"]]
    missed = calls.get("heuristic") != 0 or calls.get("verified", 0) < len(written)
    by_file, by_memory = (statistics.fmean(row[way]["hostUs"] for row in rows) for way in ("file", "memory"))
    return judged(
        not wrong and not missed and unchanged,
        f"host time of a call: {by_file:.1f} us by the file, {by_memory:.1f} us from memory",
        f"wrong results: {wrong}; calls in memory: {calls}; table unchanged: {unchanged}",
        evidence,
    )


def _raced(row: dict[str, Any]) -> dict[str, Any]:
    """Medians in microseconds and their ratio; no ratio when one of the two was not timed."""
    tuned, default = (protocol.median(protocol.times(row.get(side))) for side in ("tuned", "default"))
    kept = {name: row.get(name) for name in ("problem", "index", "correct", "reason", "defaultWrong")}
    return {**kept, "tunedUs": tuned, "defaultUs": default, "speedup": default / tuned if tuned and default else None}
