"""Every check must be able to pass, to fail, and to say why: nothing here needs a GPU, torch or a simulator."""

from collections.abc import Callable
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest
from tests.kernel.acceptance.child_runs import EXITED, LATE, SEGFAULT, WELL, child_run, run, verdict_of
from tests.kernel.mi300x import STACK

from hipbmm_kernel.acceptance import (
    checks_faults,
    checks_program,
    checks_speed,
    checks_stack,
    checks_table,
)
from hipbmm_kernel.acceptance.checks_program import Warmed
from hipbmm_kernel.acceptance.context import Context
from hipbmm_kernel.acceptance.report import FAIL, PASS, SKIP, Verdict
from hipbmm_kernel.acceptance.supervision import ChildRun, Ended
from hipbmm_kernel.identity.stack import Stack
from hipbmm_kernel.planner import cost
from hipbmm_kernel.rows import gemm
from hipbmm_kernel.rows.gemm import Problem

MIB = 1 << 20
KEY = gemm.key_of(Problem(1, 64, 256))
DEVICE = {
    "arch": "gfx942:sramecc+:xnack-",
    "computeUnits": 304,
    "name": "AMD Instinct MI300X",
    "torch": "2.9.0",
    "hip": "7.2.1",
    "fp8": "e4m3fnuz",
}
LIBRARY = {"loaded": ["/opt/rocm/lib/libhipblaslt.so.1"], "hipb_mm": True, "fp8": "e4m3fnuz"}


@pytest.mark.parametrize(
    ("child", "outcome", "summary"),
    [
        (child_run(device=DEVICE, library=LIBRARY), PASS, "HIP 7.2.1"),
        (child_run(device={**DEVICE, "hip": ""}, library=LIBRARY), FAIL, "no ROCm build"),
        (child_run(device=DEVICE, library={**LIBRARY, "hipb_mm": False}), FAIL, "no hipb_mm"),
        (child_run(EXITED, device=DEVICE), FAIL, "AITER did not start: ended with exit(1): hipBLAS error"),
        (child_run(EXITED, error={"type": "NoGpuError", "message": "no GPU"}), FAIL, "no GPU: NoGpuError"),
        (child_run(LATE), FAIL, "no answer within 300 s"),
    ],
)
def test_environment(tmp_path: Path, child: ChildRun, outcome: str, summary: str) -> None:
    verdict = verdict_of(checks_stack.environment, tmp_path, inspect=child)
    assert verdict.outcome == outcome
    assert summary in verdict.summary


@pytest.mark.parametrize(
    ("stack", "device", "library", "difference"),
    [
        (STACK, DEVICE, LIBRARY, None),
        (STACK, {**DEVICE, "arch": "gfx950:sramecc+:xnack-"}, LIBRARY, "torch says gfx950"),
        (STACK, {**DEVICE, "arch": "gfx942:sramecc+:xnack+"}, LIBRARY, "xnack+"),
        (STACK, {**DEVICE, "computeUnits": 228}, LIBRARY, "torch says 228"),
        (STACK, {**DEVICE, "fp8": "e4m3fn"}, LIBRARY, "FP8 type"),
        (STACK, DEVICE, {**LIBRARY, "fp8": "e4m3fn"}, "FP8 type"),
        (STACK, DEVICE, {**LIBRARY, "fp8": ""}, None),
        (STACK, DEVICE, {**LIBRARY, "loaded": []}, "no libhipblaslt is mapped"),
        (STACK._replace(hipblaslt=None, databases=()), DEVICE, LIBRARY, "unknown: hipblaslt; unknown: databases"),
    ],
)
def test_identity(
    tmp_path: Path, stack: Stack, device: dict[str, object], library: dict[str, Any], difference: str | None
) -> None:
    # The library that was loaded lies beside the database that the stack names.
    database = tmp_path / "hipblaslt/library/TensileLibrary_lazy_gfx942.dat"
    database.parent.mkdir(parents=True)
    database.write_bytes(b"solutions")
    if stack.databases:
        stack = stack._replace(databases=(sha256(b"solutions").hexdigest(),))
    library = {**library, "loaded": [str(tmp_path / Path(path).name) for path in library["loaded"]]}
    seen = {"device": device, "library": library}
    verdict = verdict_of(checks_stack.stack_identity, tmp_path, seen={"environment": seen}, stack=stack)
    assert verdict.outcome == (PASS if difference is None else FAIL)
    assert (difference or "key ") in verdict.summary


@pytest.mark.parametrize(
    ("answer", "outcome", "supported"),
    [
        ({"reason": None}, PASS, True),
        ({"reason": "hipblasLtMatmulAlgoGetHeuristic found 0 valid solutions for TN"}, PASS, False),
        ({"reason": "wrong result: relative error 1.41"}, FAIL, False),
        ({"reason": "HIP error: out of memory"}, FAIL, False),
        (None, FAIL, False),
    ],
)
def test_probe(tmp_path: Path, answer: dict[str, object] | None, outcome: str, supported: bool) -> None:
    seen = {"environment": {"probe": answer, "end": EXITED.evidence()}}
    verdict = verdict_of(checks_stack.probe, tmp_path, seen=seen)
    assert (verdict.outcome, verdict.evidence["supported"]) == (outcome, supported)


@pytest.mark.parametrize(
    ("child", "registered", "compiled"),
    [
        (child_run(opcheck={"a": "SUCCESS"}, compiled={"verdict": None}), "1 parts", "one graph"),
        (
            child_run(opcheck={"a": "SUCCESS", "b": "FAILED"}, compiled={"verdict": "NaN"}),
            "not a success: b",
            "wrong product: NaN",
        ),
        (child_run(SEGFAULT), "no answer: ended with SIGSEGV", "not compiled: ended with SIGSEGV"),
    ],
)
def test_registration_and_compilation(tmp_path: Path, child: ChildRun, registered: str, compiled: str) -> None:
    op = verdict_of(checks_stack.registration, tmp_path, register=child)
    assert (op.outcome, op.summary) == (PASS if registered == "1 parts" else FAIL, registered)
    graph = verdict_of(checks_stack.compilation, tmp_path, seen={"op-registration": op.evidence})
    assert (graph.outcome, graph.summary) == (PASS if compiled == "one graph" else FAIL, compiled)


def _table(*lines: str) -> bytes:
    return "\n".join([gemm.HEADER, *lines, ""]).encode()


@pytest.mark.parametrize(
    ("table", "wrong"),
    [
        (_table(f"{KEY},812,KERN"), ""),
        (_table(), "missing"),
        (_table(f"{KEY},0,KERN"), "rejected"),
        (_table(f"{KEY},812,KERN", f"{KEY},812,KERN"), "repeat a key"),
        (_table(f"{KEY},812,KERN", f"{gemm.key_of(Problem(2, 64, 256))},5,KERN"), "unexpected"),
        (_table(f"{gemm.key_of(Problem(1, 64, 256), gemm.OTHER)},5,KERN"), "missing"),
        (b"<<<<<<< HEAD\n", "refused"),
    ],
)
def test_rows(tmp_path: Path, table: bytes, wrong: str) -> None:
    verdict = verdict_of(checks_table.rows_parse, tmp_path, appended=table, multiply=child_run())
    assert verdict.outcome == (FAIL if wrong else PASS)
    assert (wrong or "1 rows, none rejected") in verdict.summary


def test_rows_of_a_child_that_writes_none(tmp_path: Path) -> None:
    verdict = verdict_of(checks_table.rows_parse, tmp_path, multiply=child_run())
    assert (verdict.outcome, verdict.summary) == (FAIL, "no table was written")


def test_rows_of_a_child_that_ends(tmp_path: Path) -> None:
    dead = verdict_of(checks_table.rows_parse, tmp_path, appended=_table(f"{KEY},812,KERN"), multiply=child_run(EXITED))
    assert (dead.outcome, dead.summary[:35]) == (FAIL, "the tuning child ended with exit(1)")


def _after_tuning(root: Path, check: Callable[[Context], Verdict], *runs: dict[str, Any]) -> Verdict:
    """The verdict on what the child that tuned has reported."""
    return verdict_of(check, root, seen={"rows-parse": {"runs": list(runs)}})


@pytest.mark.parametrize(
    ("runs", "outcome"),
    [
        ([run([1, 64, 256], [600, 600, 600])], PASS),
        ([run([1, 64, 256], [600, 600, 600]), run([2, 64, 256], [900, 900, 900])], PASS),
        ([run([1, 64, 256], [300, 600, 900])], FAIL),
        ([run([1, 64, 256], [300, 600, 600])], FAIL),
        ([], FAIL),
    ],
)
def test_hits_after_tuning(tmp_path: Path, runs: list[dict[str, Any]], outcome: str) -> None:
    assert _after_tuning(tmp_path, checks_table.lookup_hits, *runs).outcome == outcome


TABLE = _table(f"{KEY},812,KERN")
HIT = run([1, 64, 256], [len(TABLE)] * 2)


@pytest.mark.parametrize(
    ("child", "appended", "outcome", "summary"),
    [
        (child_run(problem=HIT), b"", PASS, "1 problems found"),
        (
            child_run(problem=run([1, 64, 256], [len(TABLE), len(TABLE) + 300])),
            b"",
            FAIL,
            "tuned again: [[1, 64, 256]]",
        ),
        (child_run(problem=run([1, 64, 256], [len(TABLE) + 300] * 2)), b"", FAIL, "tuned again: [[1, 64, 256]]"),
        (child_run(problem=HIT), b"another", FAIL, "table unchanged: False"),
        (child_run(problem=HIT, output="Tuning hip GEMM (64, 1, 256)\n"), b"", FAIL, "1 tunings announced"),
        (child_run(), b"", FAIL, "0 problems called"),
        (child_run(EXITED, problem=HIT), b"", FAIL, "exit(1)"),
    ],
)
def test_hits_from_the_first_call_on(
    tmp_path: Path, child: ChildRun, appended: bytes, outcome: str, summary: str
) -> None:
    verdict = verdict_of(checks_table.second_start, tmp_path, table=TABLE, appended=appended, multiply=child)
    assert verdict.outcome == outcome
    assert summary in verdict.summary


def test_accuracy(tmp_path: Path) -> None:
    right, wrong = run([1, 64, 256], [600]), run([2, 64, 256], [900], "64 of 64 are wrong")
    assert _after_tuning(tmp_path, checks_table.accuracy, right).outcome == PASS
    verdict = _after_tuning(tmp_path, checks_table.accuracy, right, wrong)
    assert verdict.outcome == FAIL
    assert verdict.evidence["wrong"] == {"[2, 64, 256]": "64 of 64 are wrong"}
    assert _after_tuning(tmp_path, checks_table.accuracy).outcome == FAIL


def test_above_the_limit(tmp_path: Path) -> None:
    below, above = run([16, 64, 256], [600, 600]), run([513, 64, 256], [600, 600])
    assert _after_tuning(tmp_path, checks_table.above_limit, below, above).outcome == PASS
    grown = run([513, 64, 256], [600, 900])
    assert _after_tuning(tmp_path, checks_table.above_limit, below, grown).outcome == FAIL
    assert _after_tuning(tmp_path, checks_table.above_limit, below).outcome == FAIL


LOST, KEPT = child_run(problem=run([2, 64, 256], [900, 1200])), child_run(problem=run([2, 64, 256], [900, 900]))


@pytest.mark.parametrize(
    ("torn", "repaired", "summary"),
    [
        (LOST, KEPT, "lost when glued, kept after repair"),
        (KEPT, KEPT, "the row after a torn line was found again: AITER's writer has changed"),
        (LOST, LOST, "lost in spite of the repair"),
        (LOST, child_run(EXITED), "a child did not end well"),
    ],
)
def test_torn_row(tmp_path: Path, torn: ChildRun, repaired: ChildRun, summary: str) -> None:
    verdict = verdict_of(checks_table.torn_row, tmp_path, table=TABLE, torn=torn, repaired=repaired)
    assert verdict.outcome == (PASS if "kept after repair" in summary else FAIL)
    assert verdict.summary.startswith(summary)


@pytest.mark.parametrize(
    ("child", "unchanged", "outcome"),
    [
        (child_run(output="Tuning hip GEMM (64, 2, 256)\n" * 3), True, PASS),
        (child_run(output="Tuning hip GEMM (64, 2, 256)\n"), True, FAIL),
        (child_run(output="Tuning hip GEMM (64, 2, 256)\n" * 3), False, FAIL),
        (child_run(EXITED, output="Tuning hip GEMM (64, 2, 256)\n" * 3), True, FAIL),
    ],
)
def test_unwritable(tmp_path: Path, child: ChildRun, unchanged: bool, outcome: str) -> None:
    appended = b"" if unchanged else b"another"
    verdict = verdict_of(checks_table.unwritable, tmp_path, table=TABLE, appended=appended, multiply=child)
    assert verdict.outcome == outcome


@pytest.mark.parametrize(
    ("child", "outcome", "summary"),
    [
        (child_run(EXITED), PASS, "ended with exit(1): hipBLAS error"),
        (child_run(SEGFAULT), PASS, "ended with SIGSEGV"),
        (child_run(LATE), FAIL, "did not end"),
        (child_run(problem=run([1, 64, 256], [600])), FAIL, "an absent index is tolerated"),
        (child_run(problem=run([1, 64, 256], [600], "all wrong")), FAIL, "the call returned (all wrong)"),
        (child_run(EXITED, error={"type": "RuntimeError", "message": "invalid"}), FAIL, "raised RuntimeError: invalid"),
    ],
)
def test_absent_index(tmp_path: Path, child: ChildRun, outcome: str, summary: str) -> None:
    verdict = verdict_of(checks_faults.absent_index, tmp_path, multiply=child)
    assert verdict.outcome == outcome
    assert summary in verdict.summary


@pytest.mark.parametrize(
    ("child", "table", "outcome"),
    [
        (child_run(free={"bytes": 100 * MIB}, survived={"bytes": 0}), False, PASS),
        (child_run(free={"bytes": 100 * MIB}, survived={"bytes": 600}), True, FAIL),
        (child_run(free={"bytes": 100 * MIB}, survived={"bytes": 0}, output="Tuning hip GEMM (1, 2, 3)"), False, FAIL),
        (child_run(free={"bytes": 500 * MIB}), False, SKIP),
        (child_run(EXITED, free={"bytes": 100 * MIB}), False, FAIL),
        (child_run(EXITED), False, FAIL),
    ],
)
def test_free_memory_rule(tmp_path: Path, child: ChildRun, table: bool, outcome: str) -> None:
    appended = b"a row" if table else b""
    verdict = verdict_of(checks_faults.free_memory_rule, tmp_path, appended=appended, fill_memory=child)
    assert verdict.outcome == outcome


@pytest.mark.parametrize(
    ("child", "outcome"),
    [
        (child_run(EXITED, free={"bytes": 200 * MIB}), PASS),
        (child_run(SEGFAULT, free={"bytes": 200 * MIB}), PASS),
        (child_run(free={"bytes": 200 * MIB}, survived={"bytes": 600}), FAIL),
        (child_run(EXITED, free={"bytes": 200 * MIB}, error={"type": "RuntimeError", "message": "?"}), FAIL),
        (child_run(LATE, free={"bytes": 200 * MIB}), FAIL),
        (child_run(free={"bytes": cost.tuning_bytes(checks_faults.LARGE)}), SKIP),
        (child_run(free={"bytes": 128 * MIB}), SKIP),
        (child_run(EXITED), FAIL),
    ],
)
def test_low_memory_exit(tmp_path: Path, child: ChildRun, outcome: str) -> None:
    assert verdict_of(checks_faults.low_memory_exit, tmp_path, fill_memory=child).outcome == outcome


@pytest.mark.parametrize(("more", "outcome"), [(0, PASS), (-23, PASS), (187, PASS), (-63, FAIL), (197, FAIL)])
def test_memory_guard(tmp_path: Path, more: int, outcome: str) -> None:
    free, taken = 100_000 * MIB, cost.tuning_bytes(checks_faults.LARGE) + more * MIB
    watched = child_run(watched={"least": free - taken, "most": free, "samples": 9})
    tuned = child_run(before={"free": free})
    assert verdict_of(checks_faults.memory_guard, tmp_path, watch=watched, allocate=tuned).outcome == outcome


def test_memory_guard_of_a_process_that_sees_nothing_of_another(tmp_path: Path) -> None:
    watched = child_run(watched={"least": 100_000 * MIB, "most": 100_000 * MIB, "samples": 9})
    tuned = child_run(before={"free": 100_000 * MIB})
    assert verdict_of(checks_faults.memory_guard, tmp_path, watch=watched, allocate=tuned).outcome == SKIP


def test_memory_guard_needs_both_children(tmp_path: Path) -> None:
    watched, tuned = child_run(watched={"least": 1, "most": 2, "samples": 9}), child_run(before={"free": 5})
    dead = child_run(EXITED)
    assert verdict_of(checks_faults.memory_guard, tmp_path, watch=watched, allocate=dead).outcome == FAIL
    assert verdict_of(checks_faults.memory_guard, tmp_path, watch=dead, allocate=tuned).outcome == FAIL


@pytest.mark.parametrize(
    ("child", "outcome"),
    [
        (child_run(replayed={"possible": True, "verdict": None}), PASS),
        (child_run(replayed={"possible": True, "verdict": "all wrong"}), FAIL),
        (child_run(replayed={"possible": False, "why": "simulated"}), SKIP),
        (child_run(EXITED, captured={"bytes": 0}), FAIL),
    ],
)
def test_capture_of_a_hit(tmp_path: Path, child: ChildRun, outcome: str) -> None:
    assert verdict_of(checks_faults.capture_hit, tmp_path, table=TABLE, capture=child).outcome == outcome


@pytest.mark.parametrize(
    ("child", "outcome"),
    [
        (child_run(EXITED), PASS),
        (child_run(EXITED, error={"type": "RuntimeError", "message": "capture"}), PASS),
        (child_run(captured={"bytes": 600}), FAIL),
        (child_run(LATE), FAIL),
    ],
)
def test_capture_of_a_miss(tmp_path: Path, child: ChildRun, outcome: str) -> None:
    assert verdict_of(checks_faults.capture_miss, tmp_path, capture=child).outcome == outcome


def _raced(tuned: list[float], default: list[float], *, correct: bool = True) -> dict[str, object]:
    return {"problem": [1, 64, 256], "index": 5, "correct": correct, "tuned": tuned, "default": default}


def _race(root: Path, child: ChildRun) -> Verdict:
    """The verdict on a race of two rows."""
    written = {"rows": [{"key": KEY, "index": 812}, {"key": gemm.key_of(Problem(2, 64, 256)), "index": 5}]}
    return verdict_of(checks_speed.timing_gain, root, seen={"rows-parse": written}, race=child)


def test_gain(tmp_path: Path) -> None:
    verdict = _race(tmp_path, child_run(row=[_raced([8.0, 9.0, 100.0], [18.0]), _raced([10.0], [10.0])]))
    assert verdict.outcome == PASS
    assert verdict.evidence["geomean"] == pytest.approx(2**0.5)
    assert [row["speedup"] for row in verdict.evidence["rows"]] == [2.0, 1.0]


@pytest.mark.parametrize(
    ("rows", "end", "summary"),
    [
        ([_raced([10.0], [9.0]), _raced([10.0], [9.9])], WELL, "geometric mean 0.94"),
        ([_raced([10.0], [20.0])], WELL, "1 of 2 rows were raced"),
        ([_raced([10.0], [20.0])] * 2, EXITED, "2 of 2 rows were raced: ended with exit(1)"),
        ([_raced([10.0], [20.0]), _raced([], [], correct=False)], WELL, "wrong results: [[1, 64, 256]]"),
        ([_raced([10.0], []), _raced([10.0], [])], WELL, "nothing to compare with"),
    ],
)
def test_no_gain(tmp_path: Path, rows: list[dict[str, object]], end: Ended, summary: str) -> None:
    verdict = _race(tmp_path, child_run(end, row=rows))
    assert verdict.outcome == FAIL
    assert summary in verdict.summary


FIRST = {"state": "Complete", "problems": 4, "rows": 4, "source": "Tuned", "children": 1, "torchImported": False}
SECOND = {**FIRST, "source": "Restored", "children": 0}


@pytest.mark.parametrize(
    ("first", "second", "summary"),
    [
        (FIRST, SECOND, ""),
        ({**FIRST, "state": "Partial"}, SECOND, "state is 'Partial', not 'Complete'"),
        ({**FIRST, "rows": 3}, SECOND, "rows is 3, not 4"),
        (FIRST, FIRST, "source is 'Tuned', not 'Restored'; children is 1, not 0"),
        (FIRST, {**SECOND, "torchImported": True}, "torchImported is True, not False"),
        (FIRST, None, "no report"),
        (None, SECOND, "no report"),
    ],
)
def test_warm(first: dict[str, object] | None, second: dict[str, object] | None, summary: str) -> None:
    verdict = checks_program.judge_warm(Warmed(WELL, first), Warmed(WELL, second), 4)
    assert verdict.outcome == (FAIL if summary else PASS)
    assert summary in verdict.summary


ANSWERS = '["problem", {}]\n' * 5
TUNED = "Tuning hip GEMM (64, 3, 256)\n"


@pytest.mark.parametrize(
    ("served", "harvested", "found", "summary"),
    [
        (WELL._replace(stdout=ANSWERS, stderr=TUNED), WELL, True, "1 row learned and stored"),
        (WELL._replace(stdout=ANSWERS, stderr=TUNED), WELL, False, "did not come to the store"),
        (WELL._replace(stdout=ANSWERS * 2, stderr=TUNED), WELL, True, "the server ended with exit(0)"),
        (WELL._replace(stdout=ANSWERS, stderr=TUNED * 2), WELL, True, "tuned 2 problems"),
        (WELL._replace(stdout=ANSWERS, stderr=TUNED), SEGFAULT, True, "harvest ended with SIGSEGV"),
        (EXITED._replace(stdout=ANSWERS, stderr=TUNED), WELL, True, "the server ended with exit(1)"),
    ],
)
def test_round_trip(served: Ended, harvested: Ended, found: bool, summary: str) -> None:
    verdict = checks_program.judge_round_trip(served, harvested, found, 5)
    assert verdict.outcome == (PASS if summary == "1 row learned and stored" else FAIL)
    assert summary in verdict.summary


def both(verdict: str | None = None) -> dict[str, Any]:
    return {
        "problem": [1, 64, 256],
        "file": {"hostUs": 58.0, "verdict": None},
        "memory": {"hostUs": 1.5, "verdict": verdict},
    }


@pytest.mark.parametrize(
    ("rows", "calls", "unchanged", "outcome"),
    [
        ([both()], {"verified": 201, "padded": 0, "heuristic": 0}, True, PASS),
        ([both()], {"verified": 201, "padded": 0, "heuristic": 0}, False, FAIL),
        ([both()], {"verified": 200, "padded": 0, "heuristic": 1}, True, FAIL),
        ([both("3 of 64 elements are wrong")], {"verified": 201, "padded": 0, "heuristic": 0}, True, FAIL),
        ([], {"verified": 0, "padded": 0, "heuristic": 0}, True, FAIL),
    ],
)
def test_both_ways(
    tmp_path: Path, rows: list[dict[str, Any]], calls: dict[str, int], unchanged: bool, outcome: str
) -> None:
    assert _ways(tmp_path, child_run(row=rows, calls=calls), b"" if unchanged else b"another").outcome == outcome


def _ways(root: Path, child: ChildRun, appended: bytes = b"") -> Verdict:
    """The verdict on one row that was called both ways."""
    seen = {"rows-parse": {"rows": [{"key": KEY, "index": 812}]}}
    return verdict_of(checks_speed.both_ways, root, seen=seen, table=TABLE, appended=appended, both_ways=child)


def test_both_ways_shows_both_times(tmp_path: Path) -> None:
    calls = {"verified": 201, "padded": 0, "heuristic": 0}
    words = _ways(tmp_path, child_run(row=[both()], calls=calls)).summary
    assert words == "host time of a call: 58.0 us by the file, 1.5 us from memory"
