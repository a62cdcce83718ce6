"""Checks of the table: AITER writes rows that are read strictly, finds them again, and loses them as documented."""

import shutil
from pathlib import Path
from typing import Any

from hipbmm_kernel.acceptance.context import Context
from hipbmm_kernel.acceptance.report import Evidence, Verdict, failed, judged
from hipbmm_kernel.acceptance.supervision import ChildRun
from hipbmm_kernel.pod import served_file
from hipbmm_kernel.rows import aiter_csv
from hipbmm_kernel.rows.gemm import MAX_M
from hipbmm_kernel.system.volume import Volume

TUNE_SECONDS = 600.0
TUNED = "tuned"
"""The directory in which the problems of the run are tuned; later checks copy its table."""

CALLS = 3
ANNOUNCEMENT = "Tuning hip GEMM"
"""What AITER prints to C++ standard output for each tuning; it comes out when the process ends."""


def rows_parse(context: Context) -> Verdict:
    """Online tuning of the problems writes rows that the strict reader accepts, under the keys that the plan uses."""
    asked = [*context.problems, context.problems[0]._replace(m=MAX_M + 1)]
    child = context.child("multiply", TUNED, TUNE_SECONDS, problems=asked, calls=CALLS)
    if not child.end.well:
        return failed(f"the tuning child {child.end.words()}", run_evidence(child))
    path = context.table(TUNED)
    if not path.exists():
        return failed("no table was written", run_evidence(child))
    parsed = aiter_csv.parse(path.read_bytes())
    found, keys = [row.key for row in parsed.accepted], [context.key(problem) for problem in context.problems]
    evidence = {
        **run_evidence(child),
        "rows": [{"key": row.key, "index": row.algo_index, "kernel": row.kernel_name} for row in parsed.accepted],
        "foreign": [row.key for row in parsed.foreign],
        "rejected": [list(rejected) for rejected in parsed.rejected],
        "refused": parsed.refused,
        "missing": sorted(set(keys) - set(found)),
        "unexpected": sorted(set(found) - set(keys)),
    }
    names = ("refused", "rejected", "missing", "unexpected", "foreign")
    wrong = [f"{name}: {evidence[name]}" for name in names if evidence[name]]
    if parsed.duplicates or parsed.conflicts:
        wrong.append(f"{parsed.duplicates + len(parsed.conflicts)} rows repeat a key")
    return judged(not wrong, f"{len(found)} rows, none rejected", "; ".join(wrong), evidence)


def lookup_hits(context: Context) -> Verdict:
    """In the process that tuned, the second and third call of each problem find its row: the table does not grow."""
    runs = _below(context)
    grew = [run["problem"] for run in runs if len(set(run["bytes"])) != 1]
    evidence = {"runs": runs, "grew": grew}
    return judged(runs != [] and not grew, f"{len(runs)} problems found", f"tuned again: {grew}", evidence)


def second_start(context: Context) -> Verdict:
    """A new process with the table of the first one tunes nothing, from its first call on."""
    before = context.table(TUNED).read_bytes()
    child = context.child("multiply", TUNED, TUNE_SECONDS, problems=context.problems, calls=2)
    if not child.end.well:
        return failed(f"the child {child.end.words()}", run_evidence(child))
    runs, announced = child.answers.get("problem", []), child.end.stderr.count(ANNOUNCEMENT)
    grew = [run["problem"] for run in runs if set(run["bytes"]) != {len(before)}]
    same = context.table(TUNED).read_bytes() == before
    return judged(
        same and not announced and not grew and len(runs) == len(context.problems),
        f"{len(runs)} problems found",
        f"{len(runs)} problems called, tuned again: {grew}; {announced} tunings announced; table unchanged: {same}",
        {"runs": runs, "grew": grew, "announced": announced},
    )


def accuracy(context: Context) -> Verdict:
    """Every element of every tuned result agrees with the fp32 product of the same operands."""
    runs = _below(context)
    wrong = {str(run["problem"]): run["verdict"] for run in runs if run["verdict"] is not None}
    evidence = {"problems": [run["problem"] for run in runs], "wrong": wrong}
    return judged(runs != [] and not wrong, f"{len(runs)} results right", f"wrong: {wrong}", evidence)


def above_limit(context: Context) -> Verdict:
    """One token above 512, nothing is looked up or tuned, whatever the environment says."""
    sizes = [run["bytes"][-1] for run in _below(context)]
    above = [run for run in context.evidence("rows-parse")["runs"] if run["problem"][0] > MAX_M]
    evidence = {"before": sizes, "above": above}
    if not sizes or not above:
        return failed("no problem above the limit was called after the others", evidence)
    grew = any(size != sizes[-1] for run in above for size in run["bytes"])
    return judged(not grew, f"no row at M = {MAX_M + 1}", f"a row was written at M = {MAX_M + 1}", evidence)


def torn_row(context: Context) -> Verdict:
    """AITER glues the row after a torn line to it and both are lost; the repair before each start prevents it."""
    if not _copy_row(context, "torn"):
        return failed("no tuned row to tear")
    data = context.table("torn").read_bytes()[:-20]
    for name in ("torn", "repaired"):
        context.table(name).write_bytes(data)
    served_file.repair(Volume(), str(context.table("repaired")))
    torn, repaired = (
        context.child("multiply", name, TUNE_SECONDS, problems=[context.unplanned()], calls=2)
        for name in ("torn", "repaired")
    )
    evidence = {name: run_evidence(child) for name, child in (("torn", torn), ("repaired", repaired))}
    if not (torn.end.well and repaired.end.well and torn.last("problem") and repaired.last("problem")):
        return failed(f"a child did not end well: {torn.end.words()}; {repaired.end.words()}", evidence)
    lost, lost_after_repair = (len(set(child.last("problem")["bytes"])) != 1 for child in (torn, repaired))
    if not lost:
        return failed("the row after a torn line was found again: AITER's writer has changed", evidence)
    return judged(not lost_after_repair, "lost when glued, kept after repair", "lost in spite of the repair", evidence)


def unwritable(context: Context) -> Verdict:
    """Where the table cannot grow, a miss is no error: the problem is tuned again on every call, without a word."""
    if not _copy_row(context, "unwritable"):
        return failed("no tuned row to start from")
    before = context.table("unwritable").read_bytes()
    child = context.child(
        "multiply", "unwritable", TUNE_SECONDS, problems=[context.unplanned()], calls=CALLS, limit=True
    )
    unchanged, announced = context.table("unwritable").read_bytes() == before, child.end.stderr.count(ANNOUNCEMENT)
    evidence = {**run_evidence(child), "announced": announced, "calls": CALLS, "unchanged": unchanged}
    if not child.end.well:
        return failed(f"the child {child.end.words()}", evidence)
    yes, no = f"{announced} tunings in {CALLS} calls", f"{announced} tunings in {CALLS} calls, unchanged: {unchanged}"
    return judged(unchanged and announced == CALLS, yes, no, evidence)


def _below(context: Context) -> list[dict[str, Any]]:
    """What the tuning child reported about the problems that AITER tunes."""
    runs: list[dict[str, Any]] = context.evidence("rows-parse")["runs"]
    return [run for run in runs if run["problem"][0] <= MAX_M]


def _copy_row(context: Context, name: str) -> bool:
    """A table with the first problem's row in the directory of that name; False when it has none."""
    rows = aiter_csv.parse(context.table(TUNED).read_bytes()).accepted
    chosen = [row for row in rows if row.key == context.key(context.problems[0])]
    context.table(name).write_bytes(aiter_csv.format_rows(chosen))
    return bool(chosen)


def copy_table(context: Context, name: str) -> Path:
    """The whole tuned table in the directory of that name."""
    return shutil.copyfile(context.table(TUNED), context.table(name))


def run_evidence(child: ChildRun) -> Evidence:
    """All that a child reported of its problems, and how it ended."""
    return {"runs": child.answers.get("problem", []), **child.evidence()}
