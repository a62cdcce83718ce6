"""Each check of `acceptance.checks_table` can pass, fail, and say why. No GPU, torch or simulator."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from tests.kernel.acceptance.child_runs import (
    EXITED,
    KEY,
    TABLE,
    child_run,
    run,
    table,
    verdict_of,
)

from hipbmm_kernel.acceptance import (
    checks_table,
)
from hipbmm_kernel.acceptance.context import Context
from hipbmm_kernel.acceptance.report import FAIL, PASS, Verdict
from hipbmm_kernel.acceptance.supervision import ChildRun
from hipbmm_kernel.rows import gemm
from hipbmm_kernel.rows.gemm import Problem


@pytest.mark.parametrize(
    ("rows", "wrong"),
    [
        (table(f"{KEY},812,KERN"), ""),
        (table(), "missing"),
        (table(f"{KEY},0,KERN"), "rejected"),
        (table(f"{KEY},812,KERN", f"{KEY},812,KERN"), "repeat a key"),
        (table(f"{KEY},812,KERN", f"{gemm.key_of(Problem(2, 64, 256))},5,KERN"), "unexpected"),
        (table(f"{gemm.key_of(Problem(1, 64, 256), gemm.OTHER)},5,KERN"), "missing"),
        (b"<<<<<<< HEAD\n", "refused"),
    ],
)
def test_rows(tmp_path: Path, rows: bytes, wrong: str) -> None:
    verdict = verdict_of(checks_table.rows_parse, tmp_path, appended=rows, multiply=child_run())
    assert verdict.outcome == (FAIL if wrong else PASS)
    assert (wrong or "1 rows, none rejected") in verdict.summary


def test_rows_of_a_child_that_writes_none(tmp_path: Path) -> None:
    verdict = verdict_of(checks_table.rows_parse, tmp_path, multiply=child_run())
    assert (verdict.outcome, verdict.summary) == (FAIL, "no table was written")


def test_rows_of_a_child_that_ends(tmp_path: Path) -> None:
    dead = verdict_of(checks_table.rows_parse, tmp_path, appended=table(f"{KEY},812,KERN"), multiply=child_run(EXITED))
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
