"""What a check comes to: pass, fail or skip, a sentence for people, and the evidence as JSON values."""

from typing import Any, NamedTuple

PASS = "pass"
FAIL = "fail"
SKIP = "skip"

Evidence = dict[str, Any]


class Verdict(NamedTuple):
    """`summary` is one sentence; `evidence` holds what was seen, whatever the outcome."""

    outcome: str
    summary: str
    evidence: Evidence


def judged(holds: bool, yes: str, no: str, evidence: Evidence) -> Verdict:
    """Pass with the sentence `yes` when the claim holds, else fail with `no`."""
    return Verdict(PASS, yes, evidence) if holds else Verdict(FAIL, no, evidence)


def skipped(why: str, evidence: Evidence | None = None) -> Verdict:
    """Nothing was shown, and why."""
    return Verdict(SKIP, why, evidence or {})


def failed(why: str, evidence: Evidence | None = None) -> Verdict:
    """The claim does not hold."""
    return Verdict(FAIL, why, evidence or {})
