"""Checks of what ends or cripples a process: an index that does not exist, too little memory, a miss during capture.

The program is built around these claims (children, guard, fallback), so a claim that no longer holds is a failure too.
"""

from concurrent.futures import ThreadPoolExecutor

from hipbmm_kernel.acceptance.checks_table import ANNOUNCEMENT, copy_table, run_evidence
from hipbmm_kernel.acceptance.context import Context
from hipbmm_kernel.acceptance.report import Verdict, failed, judged, skipped
from hipbmm_kernel.planner import cost
from hipbmm_kernel.rows import aiter_csv
from hipbmm_kernel.rows.gemm import Problem, Row

SECONDS = 300.0
ABSENT_INDEX = 2_000_000_011
"""A valid int for AITER's reader that no library reaches; they have some ten thousand solutions."""

LOOKUP_FLOOR = 128 << 20
"""AITER neither looks up nor tunes with no more than this free (hipbsolgemm.cu)."""

FILLED = 100 << 20
LARGE = Problem(m=1, n=512, k=16384)
"""Needs 276 MB to be tuned, because AITER sizes one buffer K x K, and 25 MB of operands."""

SHORT = 200 << 20
"""More than the floor, less than that problem needs."""

NO_SPACE = "No space left"

TOO_LITTLE = 0.9
"""Of the computed size: allocation that a sampler at some 10 us does not miss by more."""

TOO_MUCH = 192 << 20
"""The guard's own reserve (`tune.child.tasks`): what allocations may be rounded up by."""


def absent_index(context: Context) -> Verdict:
    """A row whose index this hipBLASLt does not have ends the process, so rows must never cross stacks."""
    problem = context.problems[0]
    context.table("absent").write_bytes(aiter_csv.format_rows([Row(context.key(problem), ABSENT_INDEX)]))
    child = context.child("multiply", "absent", SECONDS, problems=[problem], calls=1)
    evidence = run_evidence(child)
    called, error = child.last("problem"), child.last("error")
    if called is not None:
        right = called["verdict"] or "a right product"
        return failed(f"the call returned ({right}): an absent index is tolerated", evidence)
    if error is not None:
        return failed(f"the call raised {error['type']}: {error['message']}", evidence)
    ended = child.end.status is not None and not child.end.well
    return judged(ended, child.end.words(), f"the process did not end: {child.end.words()}", evidence)


def free_memory_rule(context: Context) -> Verdict:
    """With 128 MiB of device memory free or less, AITER neither tunes a problem nor writes a row for it."""
    child = context.child(
        "fill_memory", "full-memory", SECONDS, problems=context.problems[:1], free=FILLED, most=LOOKUP_FLOOR
    )
    free, table = child.last("free"), context.table("full-memory").exists()
    announced, no_space = child.end.stderr.count(ANNOUNCEMENT), NO_SPACE in child.end.stderr
    evidence = {**child.evidence("free"), "table": table, "announced": announced, "saidNoSpace": no_space}
    if free is not None and free["bytes"] > LOOKUP_FLOOR:
        return skipped(f"{free['bytes'] >> 20} MiB stay free whatever is allocated", evidence)
    if free is None or child.last("survived") is None:
        return failed(f"the child {child.end.words()}", evidence)
    skips = not table and not announced
    return judged(skips, f"{free['bytes'] >> 20} MiB free: nothing tuned", "tuned all the same", evidence)


def low_memory_exit(context: Context) -> Verdict:
    """With more than 128 MiB free but less than a tuning needs, AITER ends the process: why the tuner guards memory."""
    needed = cost.tuning_bytes(LARGE)
    child = context.child("fill_memory", "short", SECONDS, problems=[LARGE], free=SHORT, most=needed)
    free = child.last("free")
    evidence = {**child.evidence("free"), "needed": needed}
    if free is None:
        return failed(f"the child {child.end.words()}", evidence)
    if not LOOKUP_FLOOR < free["bytes"] < needed:
        return skipped(f"{free['bytes'] >> 20} MiB are free, wanted {SHORT >> 20}", evidence)
    died = child.last("survived") is None and child.last("error") is None and child.end.status is not None
    yes, no = child.end.words(), f"{needed >> 20} MiB were not needed: {child.end.words()}"
    return judged(died, yes, no, evidence)


def memory_guard(context: Context) -> Verdict:
    """What a tuning takes from the device is what the guard computes, as another process sees it."""
    stop, needed = context.root / "memory-stop", cost.tuning_bytes(LARGE)
    with ThreadPoolExecutor() as pool:
        watching = pool.submit(context.child, "watch", "watch", SECONDS, online=False, stop=str(stop), most=SECONDS)
        try:
            child = context.child("allocate", "allocate", SECONDS, problems=[LARGE])
        finally:
            stop.touch()
    watched = watching.result()
    extremes, before = watched.last("watched"), child.last("before")
    evidence = {**child.evidence("before"), "watched": extremes, "needed": needed}
    if not child.end.well or extremes is None or before is None:
        return failed(f"the tuning child {child.end.words()}, the other {watched.end.words()}", evidence)
    if extremes["least"] >= before["free"] - (1 << 20):
        return skipped("one process does not see another's allocations here", evidence)
    taken = before["free"] - extremes["least"]
    evidence["taken"] = taken
    words = f"{taken >> 20} MiB taken, {needed >> 20} MiB computed"
    return judged(TOO_LITTLE * needed <= taken <= needed + TOO_MUCH, words, words, evidence)


def capture_hit(context: Context) -> Verdict:
    """A problem that is in the table can be captured in a graph, and the replay gives the right product."""
    copy_table(context, "captured")
    child = context.child("capture", "captured", SECONDS, problems=context.problems[:1], warm=True)
    replayed = child.last("replayed")
    evidence = child.evidence("replayed")
    if replayed is None:
        return failed(f"the child {child.end.words()}", evidence)
    if not replayed["possible"]:
        return skipped(f"captured, not replayed: {replayed['why']}", evidence)
    return judged(replayed["verdict"] is None, "replay is right", f"replay: {replayed['verdict']}", evidence)


def capture_miss(context: Context) -> Verdict:
    """A problem that is not in the table cannot be tuned during capture: the process ends, or the capture fails."""
    child = context.child("capture", "missed", SECONDS, problems=context.problems[:1], warm=False)
    evidence = child.evidence("captured", "error")
    if child.end.status is None:
        return failed(child.end.words(), evidence)
    return judged(evidence["captured"] is None, child.end.words(), "the miss was captured", evidence)
