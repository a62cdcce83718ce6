"""The checks in their order, cheap and harmless ones first, and how they run one after the other."""

import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple, TextIO

from hipbmm_kernel.acceptance import checks_faults, checks_program, checks_speed, checks_stack, checks_table
from hipbmm_kernel.acceptance.context import Context
from hipbmm_kernel.acceptance.report import PASS, Verdict, checked, failed, skipped


class Check(NamedTuple):
    """One claim. `needs` are checks that must have passed before it; of `PROBE` also that it found a solution."""

    name: str
    run: Callable[[Context], Verdict]
    needs: tuple[str, ...] = ()

    @property
    def claim(self) -> str:
        """The claim in one sentence, as the check itself states it."""
        return " ".join((self.run.__doc__ or "").split())


PROBE = "probe-1024"
_PROBED = ("environment", PROBE)
_TUNED = (*_PROBED, "rows-parse")

CHECKS: tuple[Check, ...] = (
    Check("environment", checks_stack.environment),
    Check("stack-identity", checks_stack.stack_identity, ("environment",)),
    Check("gate", checks_stack.gate, ("environment",)),
    Check(PROBE, checks_stack.probe, ("environment",)),
    Check("op-registration", checks_stack.registration, _PROBED),
    Check("op-compiles", checks_stack.compilation, (*_PROBED, "op-registration")),
    Check("rows-parse", checks_table.rows_parse, _PROBED),
    Check("lookup-hits", checks_table.lookup_hits, _TUNED),
    Check("accuracy", checks_table.accuracy, _TUNED),
    Check("second-start", checks_table.second_start, _TUNED),
    Check("above-512", checks_table.above_limit, _TUNED),
    Check("timing-gain", checks_speed.timing_gain, _TUNED),
    Check("both-ways", checks_speed.both_ways, _TUNED),
    Check("torn-row", checks_table.torn_row, _TUNED),
    Check("unwritable-table", checks_table.unwritable, _TUNED),
    Check("capture-hit", checks_faults.capture_hit, _TUNED),
    Check("capture-miss", checks_faults.capture_miss, _PROBED),
    Check("warm-twice", checks_program.warm_twice, _PROBED),
    Check("exec-harvest", checks_program.exec_harvest, (*_PROBED, "warm-twice")),
    Check("memory-guard", checks_faults.memory_guard, _PROBED),
    Check("free-memory-rule", checks_faults.free_memory_rule, _PROBED),
    Check("low-memory-exit", checks_faults.low_memory_exit, _PROBED),
    Check("absent-index", checks_faults.absent_index, _PROBED),
)


def chosen(names: Sequence[str]) -> list[Check]:
    """The checks of these names and all that they need, in order; all for no names. ValueError for a wrong name."""
    known = {check.name: check for check in CHECKS}
    unknown = [name for name in names if name not in known]
    if unknown:
        raise ValueError(f"no such check: {', '.join(unknown)}; there are {', '.join(known)}")
    wanted = set(names or known)
    for check in reversed(CHECKS):
        if check.name in wanted:
            wanted.update(check.needs)
    return [check for check in CHECKS if check.name in wanted]


def obstacle(check: Check, seen: Mapping[str, Verdict]) -> Verdict | None:
    """A skip when a check that this one needs has not passed, or there is no solution to work with."""
    for name in check.needs:
        if seen[name].outcome != PASS:
            return skipped(f"needs {name}, which came to {seen[name].outcome}")
    if PROBE in check.needs and not seen[PROBE].evidence["supported"]:
        return skipped("this stack has no swizzled solution, so there is nothing to tune")
    return None


def run(checks: Sequence[Check], context: Context, stderr: TextIO) -> list[dict[str, Any]]:
    """Run each check or skip it for what came before; an error inside a check is its failure.

    What each came to, as it is in the document.
    """
    results = []
    for check in checks:
        began = time.monotonic()
        verdict = obstacle(check, context.seen) or _answered(check, context)
        context.seen[check.name] = verdict
        seconds = time.monotonic() - began
        results.append(checked(check.name, check.claim, verdict, seconds))
        stderr.write(f"hipbmm acceptance: {check.name}: {verdict.outcome} ({seconds:.1f} s): {verdict.summary}\n")
        stderr.flush()
    return results


def _answered(check: Check, context: Context) -> Verdict:
    try:
        return check.run(context)
    except Exception as error:  # noqa: BLE001 - one check's error must not hide what the others show
        return failed(f"the check itself failed: {type(error).__name__}: {error}"[:400])
