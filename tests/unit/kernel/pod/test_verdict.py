"""The verdict of `warm`: the reason that a user can act on comes first."""

import pytest

from hipbmm_kernel.pod import verdict
from hipbmm_kernel.pod.verdict import Facts
from hipbmm_kernel.rows.gemm import Problem
from hipbmm_kernel.store.table import EMPTY
from hipbmm_kernel.tune.handover import Outcome

WRONG = Facts(problems=4, restored=0, tuned=2, failed=2, first_failure="97 % of the elements are wrong")


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
    ("facts", "state", "reason", "source"),
    [
        (Facts(9, 9, 0), "Complete", "Restored", "Restored"),
        (Facts(9, 0, 9), "Complete", "Tuned", "Tuned"),
        (Facts(9, 4, 5), "Complete", "Tuned", "Mixed"),
        (Facts(9, 4, 5, abort="TunerFailed"), "Complete", "Tuned", "Mixed"),
        (Facts(9, 0, 0, abort="NoSolution"), "Unsupported", "NoSolution", "None"),
        (Facts(9, 9, 0, abort="StackMismatch"), "Failed", "StackMismatch", "Restored"),
        (Facts(9, 0, 0, abort="TunerFailed"), "Failed", "TunerFailed", "None"),
        (Facts(9, 3, 0, abort="TunerFailed"), "Partial", "TunerFailed", "Restored"),
        (Facts(9, 3, 0, tune=False), "Disabled", "TuningDisabled", "Restored"),
        (Facts(9, 3, 4, failed=1, skipped=1), "Partial", "ProblemsFailed", "Mixed"),
        (Facts(9, 3, 4, skipped=2, out_of_memory=1), "Partial", "TunerOutOfMemory", "Mixed"),
        (Facts(9, 9, 0, abort="TunerFailed", unsafe=True), "Partial", "TunerFailed", "Restored"),
        (Facts(9, 9, 0, unsafe=True), "Partial", "ProblemsFailed", "Restored"),
        (Facts(9, 0, 0, abort="TunerOutOfMemory"), "Failed", "TunerOutOfMemory", "None"),
        (Facts(9, 3, 4, skipped=2), "Partial", "LowMemory", "Mixed"),
        (Facts(9, 3, 4, unfinished=2), "Partial", "BudgetExhausted", "Mixed"),
        (Facts(9, 3, 4, stopped=True), "Partial", "BudgetExhausted", "Mixed"),
    ],
)
def test_verdicts(facts: Facts, state: str, reason: str, source: str) -> None:
    found = verdict.conclude(facts)
    assert (found.state, found.reason, verdict.source(facts)) == (state, reason, source)
    assert found.hipbmm is (reason != "NoSolution" and not facts.unsafe)
    assert state in STATES
    assert reason in REASONS


def test_the_end_of_a_budget_is_not_called_the_end_of_the_pod() -> None:
    """The warm of a foreign pod is asked to end by its own deadline, too."""
    found = verdict.conclude(Facts(9, 3, 4, stopped=True))
    assert found.message == "7 of 9 matrix shapes tuned when warm was asked to end"


@pytest.mark.parametrize("more", [{}, {"abort": "TunerFailed"}, {"unfinished": 1}, {"tune": False}, {"stopped": True}])
def test_hipbmm_is_off_where_a_wrong_choice_would_be_made_again(more: dict[str, object]) -> None:
    found = verdict.conclude(WRONG._replace(unproven=("M=1 N=256 K=512", "M=2 N=256 K=512"), **more))  # type: ignore[arg-type] # fields of Facts
    assert (found.state, found.reason, found.hipbmm) == ("Partial", "ProblemsUnproven", False)
    assert "2 failed: 97 % of the elements are wrong; HIPBMM is off" in found.message
    assert "2 matrix shapes, M=1 N=256 K=512 first" in found.message


def test_the_facts_of_an_outcome() -> None:
    small, large, late = Problem(1, 256, 512), Problem(2, 256, 512), Problem(4, 256, 512)
    outcome = Outcome(EMPTY, failed={small: "exit(1)"}, skipped={large: "needs 2 GiB"}, unfinished=1)
    failures = {small: "exit(1)", large: "needs 2 GiB", late: ""}
    facts = verdict.facts_of(8, 5, failures, outcome, tune=True, seconds=2.0)
    assert (facts.restored, facts.tuned, facts.failed, facts.skipped, facts.unfinished) == (3, 2, 1, 1, 1)
    assert facts.first_failure == "exit(1)"
