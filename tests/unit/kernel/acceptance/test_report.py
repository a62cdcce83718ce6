"""The JSON document and the page."""

import json
import math

import pytest

from hipbmm_kernel.acceptance import report
from hipbmm_kernel.acceptance.report import FAIL, PASS, SKIP, Verdict

ABOUT = {
    "program": "0.1.0",
    "time": "2026-11-23T16:00:00Z",
    "simulated": False,
    "key": "9f2c0a1b2c3d4e5f",
    "stack": {"product": "MI300X", "rocm": None},
    "problems": [(1, 64, 256)],
}


def _result(name: str, outcome: str, evidence: dict[str, object] | None = None) -> dict[str, object]:
    verdict = Verdict(outcome, f"what | {name}\nshowed", evidence or {})
    return report.checked(name, f"The claim of {name}.", verdict, 1.25)


@pytest.mark.parametrize(
    ("outcomes", "overall"),
    [([PASS], PASS), ([PASS, SKIP], PASS), ([PASS, SKIP, FAIL], FAIL), ([SKIP], SKIP), ([], SKIP)],
)
def test_overall(outcomes: list[str], overall: str) -> None:
    assert report.document(ABOUT, [_result("a", outcome) for outcome in outcomes])["outcome"] == overall


def test_document_holds_everything() -> None:
    found = report.document(ABOUT, [_result("a", PASS, {"x": [1, 2.5]}), _result("b", FAIL), _result("c", SKIP)])
    assert json.loads(report.encoded(found)) == {
        "v": 1,
        "kind": "hipbmm-acceptance",
        "program": "0.1.0",
        "time": "2026-11-23T16:00:00Z",
        "simulated": False,
        "outcome": "fail",
        "counts": {"pass": 1, "fail": 1, "skip": 1},
        "key": "9f2c0a1b2c3d4e5f",
        "stack": {"product": "MI300X", "rocm": None},
        "problems": [[1, 64, 256]],
        "seconds": 3.75,
        "checks": [
            {
                "name": name,
                "claim": f"The claim of {name}.",
                "outcome": outcome,
                "summary": f"what | {name}\nshowed",
                "seconds": 1.25,
                "evidence": evidence,
            }
            for name, outcome, evidence in (("a", "pass", {"x": [1, 2.5]}), ("b", "fail", {}), ("c", "skip", {}))
        ],
    }


def test_json_has_no_nan() -> None:
    found = report.document(ABOUT, [_result("a", PASS, {"x": math.nan, "y": [math.inf, (-math.inf, 1.0)]})])
    (check,) = json.loads(report.encoded(found))["checks"]
    assert check["evidence"] == {"x": None, "y": [None, [None, 1.0]]}


def test_page_keeps_its_table_whole() -> None:
    lines = report.page(report.document(ABOUT, [_result("a", PASS), _result("b", FAIL)])).splitlines()
    assert "**FAIL**: 1 passed, 1 failed, 0 skipped, 2 s" in lines
    assert "| a | pass | 1.2 | what \\| a showed |" in lines
    assert "| b | fail | 1.2 | what \\| b showed |" in lines
    assert "- **a**: The claim of a." in lines
    assert any("product MI300X" in line and "rocm unknown" in line for line in lines)
    assert not any("SIMULATED" in line for line in lines)


def test_a_simulated_run_says_so() -> None:
    assert "SIMULATED GPU" in report.page(report.document({**ABOUT, "simulated": True}, [_result("a", PASS)]))
