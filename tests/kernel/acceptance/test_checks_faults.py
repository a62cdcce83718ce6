"""Each check of `acceptance.checks_faults` can pass, fail, and say why. No GPU, torch or simulator."""

from pathlib import Path

import pytest
from tests.kernel.acceptance.child_runs import (
    EXITED,
    LATE,
    SEGFAULT,
    TABLE,
    child_run,
    run,
    verdict_of,
)

from hipbmm_kernel.acceptance import (
    checks_faults,
)
from hipbmm_kernel.acceptance.report import FAIL, PASS, SKIP
from hipbmm_kernel.acceptance.supervision import ChildRun
from hipbmm_kernel.planner import cost

MIB = 1 << 20


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
