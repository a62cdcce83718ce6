"""The verdict of `warm`: the reason that a user can act on comes first."""

from typing import Any

import pytest

from hipbmm_kernel.pod import verdict
from hipbmm_kernel.pod.verdict import Facts
from hipbmm_kernel.rows.gemm import Problem
from hipbmm_kernel.store.table import EMPTY
from hipbmm_kernel.tune.handover import Outcome


def facts(problems: int, restored: int, tuned: int, failed: int = 0, skipped: int = 0, **outcome: Any) -> Facts:  # noqa: ANN401 - fields of an Outcome
    """Counts, and what came of the tuning."""
    return Facts(problems, restored, tuned, Outcome(EMPTY, **outcome), failed, skipped)


REASONS = {
    *("Tuned", "Restored", "BudgetExhausted", "LowMemory", "ProblemsFailed", "NoSolution", "StackUnknown"),
    "ProblemsUnproven",
    "TunerOutOfMemory",
    *("StackMismatch", "ConfigMissing", "ConfigInvalid", "UnknownArchitecture", "NoEligibleLinears"),
    *("KernelIncompatible", "NoGpu", "TunerFailed", "TuningDisabled", "ConflictingEnv"),
    "ServedFileUnwritable",
}
STATES = ["Complete", "Partial", "Unsupported", "Disabled", "NoPlan", "Failed"]


@pytest.mark.parametrize(
    ("met", "state", "reason", "source"),
    [
        (facts(9, 9, 0), "Complete", "Restored", "Restored"),
        (facts(9, 0, 9), "Complete", "Tuned", "Tuned"),
        (facts(9, 4, 5), "Complete", "Tuned", "Mixed"),
        (facts(9, 4, 5, reason="TunerFailed"), "Complete", "Tuned", "Mixed"),
        (facts(9, 0, 0, reason="NoSolution"), "Unsupported", "NoSolution", "None"),
        (facts(9, 9, 0, reason="StackMismatch"), "Failed", "StackMismatch", "Restored"),
        (facts(9, 0, 0, reason="TunerFailed"), "Failed", "TunerFailed", "None"),
        (facts(9, 3, 0, reason="TunerFailed"), "Partial", "TunerFailed", "Restored"),
        (facts(9, 3, 0)._replace(tune=False), "Disabled", "TuningDisabled", "Restored"),
        (facts(9, 3, 4, failed=1, skipped=1), "Partial", "ProblemsFailed", "Mixed"),
        (facts(9, 3, 4, skipped=2, out_of_memory=1), "Partial", "TunerOutOfMemory", "Mixed"),
        (facts(9, 9, 0, reason="TunerFailed", unsafe=True), "Partial", "TunerFailed", "Restored"),
        (facts(9, 9, 0, unsafe=True), "Partial", "ProblemsFailed", "Restored"),
        (facts(9, 0, 0, reason="TunerOutOfMemory"), "Failed", "TunerOutOfMemory", "None"),
        (facts(9, 3, 4, skipped=2), "Partial", "LowMemory", "Mixed"),
        (facts(9, 3, 4, unfinished=2), "Partial", "BudgetExhausted", "Mixed"),
        (facts(9, 3, 4, stopped=True), "Partial", "BudgetExhausted", "Mixed"),
    ],
)
def test_verdicts(met: Facts, state: str, reason: str, source: str) -> None:
    found = verdict.conclude(met)
    assert (found.state, found.reason, verdict.source(met)) == (state, reason, source)
    assert found.hipbmm is (reason != "NoSolution" and not met.outcome.unsafe)
    assert state in STATES
    assert reason in REASONS


def test_the_end_of_a_budget_is_not_called_the_end_of_the_pod() -> None:
    """The warm of a foreign pod is asked to end by its own deadline, too."""
    found = verdict.conclude(facts(9, 3, 4, stopped=True))
    assert found.message == "7 of 9 matrix shapes tuned when warm was asked to end"


WRONG = facts(4, 0, 2, failed=2)


@pytest.mark.parametrize(
    "wrong",
    [
        WRONG,
        facts(4, 0, 2, failed=2, reason="TunerFailed"),
        facts(4, 0, 2, failed=2, unfinished=1),
        WRONG._replace(tune=False),
        facts(4, 0, 2, failed=2, stopped=True),
    ],
)
def test_hipbmm_is_off_where_a_wrong_choice_would_be_made_again(wrong: Facts) -> None:
    unproven = ("M=1 N=256 K=512", "M=2 N=256 K=512")
    found = verdict.conclude(wrong._replace(unproven=unproven, first_failure="97 % of the elements are wrong"))
    assert (found.state, found.reason, found.hipbmm) == ("Partial", "ProblemsUnproven", False)
    assert "2 failed: 97 % of the elements are wrong; HIPBMM is off" in found.message
    assert "2 matrix shapes, M=1 N=256 K=512 first" in found.message


def test_the_facts_of_an_outcome() -> None:
    small, large, late = Problem(1, 256, 512), Problem(2, 256, 512), Problem(4, 256, 512)
    outcome = Outcome(EMPTY, failed={small: "exit(1)"}, skipped={large: "needs 2 GiB"}, unfinished=1)
    failures = {small: "exit(1)", large: "needs 2 GiB", late: ""}
    found = verdict.facts_of(8, 5, failures, outcome.failed, outcome, tune=True, seconds=2.0)
    assert (found.restored, found.tuned, found.failed, found.skipped, found.outcome) == (3, 2, 1, 1, outcome)
    assert (found.first_failure, found.unproven) == ("exit(1)", ("M=1 N=256 K=512",))
