"""The verdict of `warm`: state, reason and sentence of its report, as a pure function of what it met."""

# No `from __future__ import annotations` here: NamedTuple would compile each text again at every start of `warm`.

from collections.abc import Mapping, Sequence
from typing import NamedTuple

from hipbmm_kernel.contract import report
from hipbmm_kernel.contract.settings import Settings
from hipbmm_kernel.identity import gpu
from hipbmm_kernel.identity.container import Identity
from hipbmm_kernel.rows.gemm import Problem
from hipbmm_kernel.tune.handover import Outcome


class Verdict(NamedTuple):
    """State and reason as docs/pod-contract.md has them; `hipbmm` false turns the kernel off in the server."""

    state: str
    reason: str
    message: str
    hipbmm: bool = True


class Facts(NamedTuple):
    """Counts of problems, and why tuning could not go on: `abort` is a report's reason, "" when it could.

    `unproven` names problems without a row against which something speaks: AITER knows no veto, so a server that met
    them would choose the same again. `unsafe` says that the server would meet what ended the tuning, or what was found
    wrong beside the plan.
    """

    problems: int
    restored: int
    tuned: int
    failed: int = 0
    skipped: int = 0
    out_of_memory: int = 0
    unsafe: bool = False
    unfinished: int = 0
    abort: str = ""
    abort_message: str = ""
    tune: bool = True
    stopped: bool = False
    seconds: float = 0.0
    first_failure: str = ""
    unproven: tuple[str, ...] = ()


def unfit(settings: Settings, identity: Identity) -> Verdict | None:
    """Why this container needs no plan at all, or None."""
    stack = identity.stack
    notes = "".join(f"; {note}" for note in identity.notes)
    if settings.conflicting_env:
        names = ", ".join(settings.conflicting_env)
        return Verdict(report.DISABLED, "ConflictingEnv", f"the user's environment turns off {names}", hipbmm=False)
    if identity.gpus == 0:
        return Verdict(report.FAILED, "NoGpu", f"no AMD GPU in {settings.dev}/dri{notes}")
    if stack.arch is not None and stack.arch not in gpu.FP8_BY_ARCH:
        return Verdict(report.UNSUPPORTED, "NoSolution", f"HIPBMM needs an MI3xx GPU, not {stack.arch}", hipbmm=False)
    unknown = stack.unknown()
    if unknown:
        return Verdict(report.FAILED, "StackUnknown", f"not readable: {', '.join(unknown)}{notes}")
    return None


def unplanned(reason: str, message: str, unproven: Sequence[str]) -> Verdict:
    """A plan that tunes nothing. A model that vLLM cannot load with HIPBMM is served without it.

    So is one that may call what is `unproven`: problems of the stack for which AITER's choice was found wrong.
    """
    if unproven:
        message = f"{message}; {_off(unproven)}"
    return Verdict(report.NO_PLAN, reason, message, hipbmm=reason != "KernelIncompatible" and not unproven)


def _off(unproven: Sequence[str]) -> str:
    return f"HIPBMM is off: no kernel is proven right for {len(unproven)} matrix shapes, {unproven[0]} first"


def facts_of(
    problems: int, missing: int, failures: Mapping[Problem, str], outcome: Outcome, *, tune: bool, seconds: float
) -> Facts:
    """What is known of a plan of so many `problems`, `missing` before the tuning; `failures` has those without a row.

    The value of a failure is why it has none, "" when time was up.
    """
    skipped = sum(problem in outcome.skipped for problem in failures)
    return Facts(
        problems=problems,
        restored=problems - missing,
        tuned=missing - len(failures),
        failed=sum(reason != "" for reason in failures.values()) - skipped,
        skipped=skipped,
        out_of_memory=outcome.out_of_memory,
        unsafe=outcome.unsafe,
        unfinished=outcome.unfinished,
        abort=outcome.reason,
        abort_message=outcome.message,
        tune=tune,
        stopped=outcome.stopped,
        seconds=seconds,
        first_failure=next((reason for reason in failures.values() if reason), ""),
    )


def conclude(facts: Facts) -> Verdict:
    """The verdict on a plan that has problems."""
    found = _conclude(facts)
    if not facts.unsafe or not found.hipbmm:
        return found
    return found._replace(message=f"HIPBMM is off: {found.message}", hipbmm=False)


def _conclude(facts: Facts) -> Verdict:
    have = facts.restored + facts.tuned
    counted = f"{have} of {facts.problems} matrix shapes tuned"
    if facts.abort == "NoSolution":
        return Verdict(
            report.UNSUPPORTED, "NoSolution", f"no solution on this stack: {facts.abort_message}", hipbmm=False
        )
    if facts.abort == "StackMismatch":
        return Verdict(report.FAILED, "StackMismatch", facts.abort_message)
    if facts.unproven and not facts.unsafe:
        failed = f"{counted}, {facts.failed} failed: {facts.first_failure}"
        return Verdict(report.PARTIAL, "ProblemsUnproven", f"{failed}; {_off(facts.unproven)}", hipbmm=False)
    if have == facts.problems and not facts.unsafe:
        return _complete(facts)
    if facts.abort:
        state = report.PARTIAL if have else report.FAILED
        return Verdict(state, facts.abort, f"{counted}: {facts.abort_message}")
    return _partial(facts, counted)


def _complete(facts: Facts) -> Verdict:
    if facts.tuned == 0:
        return Verdict(report.COMPLETE, "Restored", f"{facts.problems} matrix shapes restored from the store")
    return Verdict(
        report.COMPLETE, "Tuned", f"{facts.tuned} of {facts.problems} matrix shapes tuned in {facts.seconds:.0f} s"
    )


def _partial(facts: Facts, counted: str) -> Verdict:
    """Which cause is named when several left problems without a row: the one that a user can do something about."""
    if not facts.tune:
        return Verdict(report.DISABLED, "TuningDisabled", f"{counted}; tuning is disabled")
    if facts.stopped:
        return Verdict(report.PARTIAL, "BudgetExhausted", f"{counted} when warm was asked to end")
    if facts.failed or facts.unsafe:
        words = f"{counted}, {facts.failed} failed: {facts.first_failure}"
        return Verdict(report.PARTIAL, "ProblemsFailed", words)
    if facts.skipped:
        words = f"{counted}, {facts.skipped} need more memory: {facts.first_failure}"
        return Verdict(report.PARTIAL, "TunerOutOfMemory" if facts.out_of_memory else "LowMemory", words)
    return Verdict(report.PARTIAL, "BudgetExhausted", f"{counted} within the budget, {facts.unfinished} are left")


def source(facts: Facts) -> str:
    """Where the rows are from: Tuned, Restored, Mixed or None."""
    if facts.tuned and facts.restored:
        return "Mixed"
    if facts.tuned:
        return "Tuned"
    return "Restored" if facts.restored else "None"
