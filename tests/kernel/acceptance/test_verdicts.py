"""Every judge must be able to pass, to fail, and to say why: nothing here needs a GPU, torch or a simulator."""

from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest
from tests.kernel.acceptance.child_runs import EXITED, LATE, SEGFAULT, WELL, child_run, run
from tests.kernel.mi300x import STACK

from hipbmm_kernel.acceptance import (
    checks_faults,
    checks_program,
    checks_speed,
    checks_stack,
    checks_table,
)
from hipbmm_kernel.acceptance.checks_program import Warmed
from hipbmm_kernel.acceptance.report import FAIL, PASS, SKIP
from hipbmm_kernel.acceptance.supervision import ChildRun, Ended
from hipbmm_kernel.identity.container import Identity
from hipbmm_kernel.identity.stack import Stack
from hipbmm_kernel.rows import aiter_csv, gemm
from hipbmm_kernel.rows.gemm import Problem, Row

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
def test_environment(child: ChildRun, outcome: str, summary: str) -> None:
    verdict = checks_stack.judge_environment(child)
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
    verdict = checks_stack.judge_identity(Identity(stack, 1, "0.33.0", ()), seen, {})
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
def test_probe(answer: dict[str, object] | None, outcome: str, supported: bool) -> None:
    verdict = checks_stack.judge_probe({"probe": answer, "end": EXITED.evidence()})
    assert (verdict.outcome, verdict.evidence["supported"]) == (outcome, supported)


def test_registration_and_compilation() -> None:
    good = checks_stack.judge_registration(child_run(opcheck={"a": "SUCCESS"}, compiled={"verdict": None}))
    assert good.outcome == PASS
    assert checks_stack.judge_compilation(good.evidence).outcome == PASS
    wrong = checks_stack.judge_registration(
        child_run(opcheck={"a": "SUCCESS", "b": "FAILED"}, compiled={"verdict": "NaN"})
    )
    assert (wrong.outcome, wrong.summary) == (FAIL, "not a success: b")
    assert checks_stack.judge_compilation(wrong.evidence).outcome == FAIL
    dead = checks_stack.judge_registration(child_run(SEGFAULT))
    assert (dead.outcome, dead.summary) == (FAIL, "no answer: ended with SIGSEGV")
    assert checks_stack.judge_compilation(dead.evidence).outcome == FAIL


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
def test_rows(table: bytes, wrong: str) -> None:
    verdict = checks_table.judge_rows(aiter_csv.parse(table), [KEY], {"runs": []})
    assert verdict.outcome == (FAIL if wrong else PASS)
    assert (wrong or "1 rows, none rejected") in verdict.summary


def test_hits_after_tuning() -> None:
    assert checks_table.judge_hits([run([1, 64, 256], [600, 600, 600])], tuned_before=False).outcome == PASS
    assert checks_table.judge_hits([run([1, 64, 256], [300, 600, 900])], tuned_before=False).outcome == FAIL
    assert checks_table.judge_hits([run([1, 64, 256], [300, 600, 600])], tuned_before=False).outcome == FAIL
    assert checks_table.judge_hits([], tuned_before=False).outcome == FAIL


def test_hits_from_the_first_call_on() -> None:
    same = [run([1, 64, 256], [600, 600]), run([2, 64, 256], [600, 600])]
    assert checks_table.judge_hits(same, tuned_before=True).outcome == PASS
    assert checks_table.judge_hits([run([1, 64, 256], [600, 900])], tuned_before=True).outcome == FAIL
    grown = [run([1, 64, 256], [600, 600]), run([2, 64, 256], [900, 900])]
    assert checks_table.judge_hits(grown, tuned_before=True).outcome == FAIL


def test_accuracy() -> None:
    assert checks_table.judge_accuracy([run([1, 64, 256], [600])]).outcome == PASS
    verdict = checks_table.judge_accuracy([run([1, 64, 256], [600]), run([2, 64, 256], [900], "64 of 64 are wrong")])
    assert verdict.outcome == FAIL
    assert verdict.evidence["wrong"] == {"[2, 64, 256]": "64 of 64 are wrong"}
    assert checks_table.judge_accuracy([]).outcome == FAIL


def test_above_the_limit() -> None:
    below = run([16, 64, 256], [600, 600])
    assert checks_table.judge_above([below, run([513, 64, 256], [600, 600])]).outcome == PASS
    assert checks_table.judge_above([below, run([513, 64, 256], [600, 900])]).outcome == FAIL
    assert checks_table.judge_above([below]).outcome == FAIL


def test_torn_row() -> None:
    lost, kept = child_run(problem=run([2, 64, 256], [900, 1200])), child_run(problem=run([2, 64, 256], [900, 900]))
    assert checks_table.judge_torn(lost, kept).outcome == PASS
    assert "writer has changed" in checks_table.judge_torn(kept, kept).summary
    assert checks_table.judge_torn(lost, lost).summary == "lost in spite of the repair"
    assert checks_table.judge_torn(lost, child_run(EXITED)).outcome == FAIL


@pytest.mark.parametrize(
    ("child", "unchanged", "outcome"),
    [
        (child_run(output="Tuning hip GEMM (64, 2, 256)\n" * 3), True, PASS),
        (child_run(output="Tuning hip GEMM (64, 2, 256)\n"), True, FAIL),
        (child_run(output="Tuning hip GEMM (64, 2, 256)\n" * 3), False, FAIL),
        (child_run(EXITED, output="Tuning hip GEMM (64, 2, 256)\n" * 3), True, FAIL),
    ],
)
def test_unwritable(child: ChildRun, unchanged: bool, outcome: str) -> None:
    assert checks_table.judge_unwritable(child, unchanged).outcome == outcome


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
def test_absent_index(child: ChildRun, outcome: str, summary: str) -> None:
    verdict = checks_faults.judge_absent(child)
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
def test_free_memory_rule(child: ChildRun, table: bool, outcome: str) -> None:
    assert checks_faults.judge_full(child, table).outcome == outcome


@pytest.mark.parametrize(
    ("child", "outcome"),
    [
        (child_run(EXITED, free={"bytes": 200 * MIB}), PASS),
        (child_run(SEGFAULT, free={"bytes": 200 * MIB}), PASS),
        (child_run(free={"bytes": 200 * MIB}, survived={"bytes": 600}), FAIL),
        (child_run(EXITED, free={"bytes": 200 * MIB}, error={"type": "RuntimeError", "message": "?"}), FAIL),
        (child_run(LATE, free={"bytes": 200 * MIB}), FAIL),
        (child_run(free={"bytes": 264 * MIB}), SKIP),
        (child_run(free={"bytes": 128 * MIB}), SKIP),
        (child_run(EXITED), FAIL),
    ],
)
def test_low_memory_exit(child: ChildRun, outcome: str) -> None:
    assert checks_faults.judge_short(child, 263 * MIB).outcome == outcome


@pytest.mark.parametrize(
    ("taken", "outcome"), [(263, PASS), (240, PASS), (450, PASS), (200, FAIL), (460, FAIL), (0, SKIP)]
)
def test_memory_guard(taken: int, outcome: str) -> None:
    free = 100_000 * MIB
    watched = child_run(watched={"least": free - taken * MIB, "most": free, "samples": 9})
    verdict = checks_faults.judge_memory(watched, child_run(before={"free": free}), 263 * MIB)
    assert verdict.outcome == outcome


def test_memory_guard_needs_both_children() -> None:
    watched = child_run(watched={"least": 1, "most": 2, "samples": 9})
    assert checks_faults.judge_memory(watched, child_run(EXITED), 263 * MIB).outcome == FAIL
    assert checks_faults.judge_memory(child_run(EXITED), child_run(before={"free": 5}), 263 * MIB).outcome == FAIL


@pytest.mark.parametrize(
    ("child", "outcome"),
    [
        (child_run(replayed={"possible": True, "verdict": None}), PASS),
        (child_run(replayed={"possible": True, "verdict": "all wrong"}), FAIL),
        (child_run(replayed={"possible": False, "why": "simulated"}), SKIP),
        (child_run(EXITED, captured={"bytes": 0}), FAIL),
    ],
)
def test_capture_of_a_hit(child: ChildRun, outcome: str) -> None:
    assert checks_faults.judge_capture(child).outcome == outcome


@pytest.mark.parametrize(
    ("child", "outcome"),
    [
        (child_run(EXITED), PASS),
        (child_run(EXITED, error={"type": "RuntimeError", "message": "capture"}), PASS),
        (child_run(captured={"bytes": 600}), FAIL),
        (child_run(LATE), FAIL),
    ],
)
def test_capture_of_a_miss(child: ChildRun, outcome: str) -> None:
    assert checks_faults.judge_miss(child).outcome == outcome


def _raced(tuned: list[float], default: list[float], *, correct: bool = True) -> dict[str, object]:
    return {"problem": [1, 64, 256], "index": 5, "correct": correct, "tuned": tuned, "default": default}


def test_gain() -> None:
    verdict = checks_speed.judge_gain(child_run(row=[_raced([8.0, 9.0, 100.0], [18.0]), _raced([10.0], [10.0])]), 2)
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
def test_no_gain(rows: list[dict[str, object]], end: Ended, summary: str) -> None:
    verdict = checks_speed.judge_gain(child_run(end, row=rows), 2)
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


def test_rows_raced_are_the_rows_written() -> None:
    parsed = aiter_csv.parse(aiter_csv.format_rows([Row(KEY, 812)]))
    rows = checks_table.judge_rows(parsed, [KEY], {"runs": []}).evidence["rows"]
    assert [(gemm.problem_of(row["key"]), row["index"]) for row in rows] == [(Problem(1, 64, 256), 812)]


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
def test_both_ways(rows: list[dict[str, Any]], calls: dict[str, int], unchanged: bool, outcome: str) -> None:
    assert checks_speed.judge_ways(child_run(row=rows, calls=calls), 1, unchanged).outcome == outcome


def test_both_ways_shows_both_times() -> None:
    calls = {"verified": 201, "padded": 0, "heuristic": 0}
    words = checks_speed.judge_ways(child_run(row=[both()], calls=calls), 1, True).summary
    assert words == "host time of a call: 58.0 us by the file, 1.5 us from memory"
