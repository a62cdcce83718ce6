"""Check of the gain: what tuning is for."""

import math
import statistics
from collections.abc import Sequence
from typing import Any

from hipbmm_kernel.acceptance.context import Context
from hipbmm_kernel.acceptance.supervision import ChildRun
from hipbmm_kernel.acceptance.verdict import Verdict, failed, judged
from hipbmm_kernel.rows import gemm

SECONDS = 600.0
ROUNDS = 7
FLOOR = 0.98
"""The geometric mean below which tuned rows count as slower than the heuristic: two percent are noise."""


def timing_gain(context: Context) -> Verdict:
    """Tuned indices are right and, in the geometric mean, not slower than the heuristic's choice."""
    listed = []
    for row in context.evidence("rows-parse")["rows"]:
        problem = gemm.problem_of(row["key"])
        listed.append([*problem, row["index"], row["key"]])
    child = context.child("race", "race", SECONDS, online=False, rows=listed, rounds=ROUNDS)
    return judge_gain(child, len(listed))


def judge_gain(child: ChildRun, expected: int) -> Verdict:
    """Fail when a row is wrong or was not raced, or the geometric mean is below `FLOOR`."""
    rows = child.answers.get("row", [])
    raced = [_raced(row) for row in rows]
    evidence: dict[str, Any] = {"rows": raced, "rounds": ROUNDS, "end": child.end.evidence()}
    if len(rows) != expected or not child.end.well:
        return failed(f"{len(rows)} of {expected} rows were raced: {child.end.words()}", evidence)
    wrong = [row["problem"] for row in rows if not row["correct"]]
    speedups = [row["speedup"] for row in raced if row["speedup"] is not None]
    if wrong or not speedups:
        return failed(f"wrong results: {wrong}" if wrong else "nothing to compare with", evidence)
    geomean = evidence["geomean"] = math.exp(statistics.fmean(math.log(speedup) for speedup in speedups))
    extremes = f"best {max(speedups):.2f}, worst {min(speedups):.2f}"
    words = f"geometric mean {geomean:.3f} over {len(speedups)} problems, {extremes}"
    return judged(geomean >= FLOOR, words, words, evidence)


def _raced(row: dict[str, Any]) -> dict[str, Any]:
    """Medians in microseconds and their ratio; no ratio when one of the two was not timed."""
    times = {side: _median(row.get(side)) for side in ("tuned", "default")}
    both = times["tuned"] is not None and times["default"] is not None
    speedup = times["default"] / times["tuned"] if both else None
    kept = {name: row.get(name) for name in ("problem", "index", "correct", "reason", "defaultWrong")}
    return {**kept, "tunedUs": times["tuned"], "defaultUs": times["default"], "speedup": speedup}


def _median(times: Sequence[float] | None) -> Any:  # noqa: ANN401 - a float or None, divided only when it is a float
    return statistics.median(times) if times else None
