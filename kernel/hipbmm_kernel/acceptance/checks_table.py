"""Checks of the table: AITER writes rows that are read strictly, finds them again, and loses them as documented."""

import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from hipbmm_kernel.acceptance.context import Context
from hipbmm_kernel.acceptance.report import PASS, Evidence, Verdict, failed, judged
from hipbmm_kernel.acceptance.supervision import ChildRun
from hipbmm_kernel.pod import served_file
from hipbmm_kernel.rows import aiter_csv
from hipbmm_kernel.rows.aiter_csv import Parsed
from hipbmm_kernel.rows.gemm import MAX_M, Problem
from hipbmm_kernel.system.volume import Volume

TUNE_SECONDS = 600.0
TUNED = "tuned"
"""The directory in which the problems of the run are tuned; later checks copy its table."""

CALLS = 3
ANNOUNCEMENT = "Tuning hip GEMM"
"""What AITER prints to C++ standard output for each tuning; it comes out when the process ends."""


def rows_parse(context: Context) -> Verdict:
    """Online tuning of the problems writes rows that the strict reader accepts, under the keys that the plan uses."""
    asked = [*context.problems, _above(context)]
    child = context.child("multiply", TUNED, TUNE_SECONDS, problems=_listed(asked), calls=CALLS)
    evidence = run_evidence(child)
    if not child.end.well:
        return failed(f"the tuning child {child.end.words()}", evidence)
    path = context.table(TUNED)
    if not path.exists():
        return failed("no table was written", evidence)
    parsed = aiter_csv.parse(path.read_bytes())
    return judge_rows(parsed, [context.key(problem) for problem in context.problems], evidence)


def judge_rows(parsed: Parsed, keys: Sequence[str], run: Evidence) -> Verdict:
    """Fail when a line was rejected, a key is missing, or a row has another key than was expected."""
    found = [row.key for row in parsed.accepted]
    evidence = {
        **run,
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
    return judge_hits(_below(context), tuned_before=False)


def second_start(context: Context) -> Verdict:
    """A new process with the table of the first one tunes nothing, from its first call on."""
    before = context.table(TUNED).read_bytes()
    child = context.child("multiply", TUNED, TUNE_SECONDS, problems=_listed(context.problems), calls=2)
    if not child.end.well:
        return failed(f"the child {child.end.words()}", run_evidence(child))
    verdict = judge_hits(child.answers.get("problem", []), tuned_before=True)
    evidence = {**verdict.evidence, "announced": child.end.stderr.count(ANNOUNCEMENT)}
    unchanged = context.table(TUNED).read_bytes() == before and not evidence["announced"]
    return judged(
        verdict.outcome == PASS and unchanged,
        f"{len(context.problems)} problems found",
        f"the table changed or a tuning was announced; {verdict.summary}",
        evidence,
    )


def judge_hits(runs: Sequence[dict[str, Any]], *, tuned_before: bool) -> Verdict:
    """Fail when the table grew after the first call of a problem, or at all when it was `tuned_before`."""
    grew = [run["problem"] for run in runs if len(set(run["bytes"])) != 1]
    if tuned_before and len({size for run in runs for size in run["bytes"]}) > 1:
        grew = grew or [run["problem"] for run in runs]
    evidence = {"runs": list(runs), "grew": grew}
    if not runs:
        return failed("no problem was called", evidence)
    return judged(not grew, f"{len(runs)} problems found", f"tuned again: {grew}", evidence)


def accuracy(context: Context) -> Verdict:
    """Every element of every tuned result agrees with the fp32 product of the same operands."""
    return judge_accuracy(_below(context))


def judge_accuracy(runs: Sequence[dict[str, Any]]) -> Verdict:
    """Fail on any problem with a verdict against it."""
    wrong = {str(run["problem"]): run["verdict"] for run in runs if run["verdict"] is not None}
    evidence = {"problems": [run["problem"] for run in runs], "wrong": wrong}
    if not runs:
        return failed("no problem was called", evidence)
    return judged(not wrong, f"{len(runs)} results right", f"wrong: {wrong}", evidence)


def above_limit(context: Context) -> Verdict:
    """One token above 512, nothing is looked up or tuned, whatever the environment says."""
    return judge_above(context.evidence("rows-parse")["runs"])


def judge_above(runs: Sequence[dict[str, Any]]) -> Verdict:
    """Fail when the table grew in the calls above the limit, or there were none."""
    sizes = [run["bytes"][-1] for run in runs if run["problem"][0] <= MAX_M]
    above = [run for run in runs if run["problem"][0] > MAX_M]
    evidence = {"before": sizes, "above": above}
    if not sizes or not above:
        return failed("no problem above the limit was called after the others", evidence)
    grew = any(size != sizes[-1] for run in above for size in run["bytes"])
    return judged(not grew, f"no row at M = {MAX_M + 1}", f"a row was written at M = {MAX_M + 1}", evidence)


def torn_row(context: Context) -> Verdict:
    """AITER glues the row after a torn line to it and both are lost; the repair before each start prevents it."""
    if not _copy_row(context, "torn"):
        return failed("no tuned row to tear")
    torn = context.table("torn").read_bytes()[:-20]
    child = []
    for name, repair in (("torn", False), ("repaired", True)):
        path = context.table(name)
        path.write_bytes(torn)
        if repair:
            served_file.repair(Volume(), str(path))
        child.append(context.child("multiply", name, TUNE_SECONDS, problems=[list(context.unplanned())], calls=2))
    return judge_torn(child[0], child[1])


def judge_torn(torn: ChildRun, repaired: ChildRun) -> Verdict:
    """Fail when the second call found the row without a repair (the claim is wrong) or not with one (the repair is)."""
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
        "multiply", "unwritable", TUNE_SECONDS, problems=[list(context.unplanned())], calls=CALLS, limit=True
    )
    return judge_unwritable(child, context.table("unwritable").read_bytes() == before)


def judge_unwritable(child: ChildRun, unchanged: bool) -> Verdict:
    """Fail when the child died, the table grew, or fewer tunings were announced than calls were made."""
    announced = child.end.stderr.count(ANNOUNCEMENT)
    evidence = {**run_evidence(child), "announced": announced, "calls": CALLS, "unchanged": unchanged}
    if not child.end.well:
        return failed(f"the child {child.end.words()}", evidence)
    yes, no = f"{announced} tunings in {CALLS} calls", f"{announced} tunings in {CALLS} calls, unchanged: {unchanged}"
    return judged(unchanged and announced == CALLS, yes, no, evidence)


def _above(context: Context) -> Problem:
    return context.problems[0]._replace(m=MAX_M + 1)


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


def _listed(problems: Sequence[Problem]) -> list[list[int]]:
    return [list(problem) for problem in problems]
