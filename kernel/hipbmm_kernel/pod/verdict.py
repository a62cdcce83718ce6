"""The verdict of `warm`: state, reason and sentence of its report, as a pure function of what it met."""

# No `from __future__ import annotations` here: NamedTuple would compile each text again at every start of `warm`.

from collections.abc import Mapping, Sequence
from typing import NamedTuple

from hipbmm_kernel.contract import report
from hipbmm_kernel.contract.report import Report
from hipbmm_kernel.contract.settings import Settings
from hipbmm_kernel.identity import gpu
from hipbmm_kernel.identity.container import Identity
from hipbmm_kernel.rows import gemm
from hipbmm_kernel.rows.gemm import Problem
from hipbmm_kernel.tune.handover import Outcome


class Facts(NamedTuple):
    """Counts of problems, and what came of the tuning.

    `unproven` names problems without a row against which something speaks: AITER knows no veto, so a server that met
    them would choose the same again.
    """

    problems: int
    restored: int
    tuned: int
    outcome: Outcome
    failed: int = 0
    skipped: int = 0
    tune: bool = True
    seconds: float = 0.0
    first_failure: str = ""
    unproven: tuple[str, ...] = ()


def unfit(settings: Settings, identity: Identity) -> Report | None:
    """Why this container needs no plan at all, or None."""
    stack = identity.stack
    notes = "".join(f"; {note}" for note in identity.notes)
    if settings.conflicting_env:
        names = ", ".join(settings.conflicting_env)
        return Report(report.DISABLED, "ConflictingEnv", f"the user's environment turns off {names}", hipbmm=False)
    if identity.gpus == 0:
        return Report(report.FAILED, "NoGpu", f"no AMD GPU in {settings.dev}/dri{notes}")
    if stack.arch is not None and stack.arch not in gpu.FP8_BY_ARCH:
        return Report(report.UNSUPPORTED, "NoSolution", f"HIPBMM needs an MI3xx GPU, not {stack.arch}", hipbmm=False)
    unknown = stack.unknown()
    if unknown:
        return Report(report.FAILED, "StackUnknown", f"not readable: {', '.join(unknown)}{notes}")
    return None


def unplanned(reason: str, message: str, unproven: Sequence[str]) -> Report:
    """A plan that tunes nothing. A model that vLLM cannot load with HIPBMM is served without it.

    So is one that may call what is `unproven`: problems of the stack for which AITER's choice was found wrong.
    """
    if unproven:
        message = f"{message}; {_off(unproven)}"
    return Report(report.NO_PLAN, reason, message, hipbmm=reason != "KernelIncompatible" and not unproven)


def _off(unproven: Sequence[str]) -> str:
    return f"HIPBMM is off: no kernel is proven right for {len(unproven)} matrix shapes, {unproven[0]} first"


def facts_of(
    problems: int,
    missing: int,
    failures: Mapping[Problem, str],
    failed: Mapping[Problem, str],
    outcome: Outcome,
    *,
    tune: bool,
    seconds: float,
) -> Facts:
    """What is known of a plan of so many `problems`, `missing` before the tuning; `failures` has those without a row.

    The value of a failure is why it has none, "" when time was up; `failed` are those against which something speaks,
    problems that production taught among them.
    """
    skipped = sum(problem in outcome.skipped for problem in failures)
    return Facts(
        problems=problems,
        restored=problems - missing,
        tuned=missing - len(failures),
        outcome=outcome,
        failed=sum(reason != "" for reason in failures.values()) - skipped,
        skipped=skipped,
        tune=tune,
        seconds=seconds,
        first_failure=next((reason for reason in (*failed.values(), *failures.values()) if reason), ""),
        unproven=tuple(map(gemm.label, failed)),
    )


def conclude(facts: Facts) -> Report:
    """The verdict on a plan that has problems."""
    found = _conclude(facts)
    if not facts.outcome.unsafe or not found.hipbmm:
        return found
    return found._replace(message=f"HIPBMM is off: {found.message}", hipbmm=False)


def _conclude(facts: Facts) -> Report:
    have, outcome = facts.restored + facts.tuned, facts.outcome
    counted = f"{have} of {facts.problems} matrix shapes tuned"
    failed = f"{counted}, {facts.failed} failed: {facts.first_failure}"
    if outcome.reason == "NoSolution":
        return Report(report.UNSUPPORTED, "NoSolution", f"no solution on this stack: {outcome.message}", hipbmm=False)
    if outcome.reason == "StackMismatch":
        return Report(report.FAILED, "StackMismatch", outcome.message)
    if facts.unproven and not outcome.unsafe:
        return Report(report.PARTIAL, "ProblemsUnproven", f"{failed}; {_off(facts.unproven)}", hipbmm=False)
    if have == facts.problems and not outcome.unsafe:
        return _complete(facts)
    if outcome.reason:
        return Report(report.PARTIAL if have else report.FAILED, outcome.reason, f"{counted}: {outcome.message}")
    return _partial(facts, counted, failed)


def _complete(facts: Facts) -> Report:
    if facts.tuned == 0:
        return Report(report.COMPLETE, "Restored", f"{facts.problems} matrix shapes restored from the store")
    words = f"{facts.tuned} of {facts.problems} matrix shapes tuned in {facts.seconds:.0f} s"
    return Report(report.COMPLETE, "Tuned", words)


def _partial(facts: Facts, counted: str, failed: str) -> Report:
    """Which cause is named when several left problems without a row: the one that a user can do something about."""
    outcome = facts.outcome
    if not facts.tune:
        return Report(report.DISABLED, "TuningDisabled", f"{counted}; tuning is disabled")
    if outcome.stopped:
        return Report(report.PARTIAL, "BudgetExhausted", f"{counted} when warm was asked to end")
    if facts.failed or outcome.unsafe:
        return Report(report.PARTIAL, "ProblemsFailed", failed)
    if facts.skipped:
        words = f"{counted}, {facts.skipped} need more memory: {facts.first_failure}"
        return Report(report.PARTIAL, "TunerOutOfMemory" if outcome.out_of_memory else "LowMemory", words)
    words = f"{counted} within the budget, {outcome.unfinished} are left"
    return Report(report.PARTIAL, "BudgetExhausted", words)


def source(facts: Facts) -> str:
    """Where the rows are from: Tuned, Restored, Mixed or None."""
    if facts.tuned and facts.restored:
        return "Mixed"
    if facts.tuned:
        return "Tuned"
    return "Restored" if facts.restored else "None"
