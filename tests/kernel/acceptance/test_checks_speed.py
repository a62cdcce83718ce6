"""Each check of `acceptance.checks_speed` can pass, fail, and say why. No GPU, torch or simulator."""

from pathlib import Path
from typing import Any

import pytest
from tests.kernel.acceptance.child_runs import (
    EXITED,
    KEY,
    TABLE,
    WELL,
    child_run,
    verdict_of,
)

from hipbmm_kernel.acceptance import (
    checks_speed,
)
from hipbmm_kernel.acceptance.report import FAIL, PASS, Verdict
from hipbmm_kernel.acceptance.supervision import ChildRun, Ended
from hipbmm_kernel.rows import gemm
from hipbmm_kernel.rows.gemm import Problem


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
