"""Each check of `acceptance.checks_program` can pass, fail, and say why. No GPU, torch or simulator."""

import pytest
from tests.kernel.acceptance.child_runs import (
    EXITED,
    SEGFAULT,
    WELL,
)

from hipbmm_kernel.acceptance import (
    checks_program,
)
from hipbmm_kernel.acceptance.checks_program import Warmed
from hipbmm_kernel.acceptance.report import FAIL, PASS
from hipbmm_kernel.acceptance.supervision import Ended

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
