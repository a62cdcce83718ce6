"""The checks in their order, cheap and harmless ones first, and how they run one after the other."""

import time
from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple, TextIO

from hipbmm_kernel.acceptance import checks_faults, checks_program, checks_speed, checks_stack, checks_table
from hipbmm_kernel.acceptance.context import Context
from hipbmm_kernel.acceptance.report import PASS, Result, Verdict, failed, skipped


class Check(NamedTuple):
    """One claim. `needs` are checks that must have passed before it; `solution` says that the probe must have, too."""

    name: str
    run: Callable[[Context], Verdict]
    needs: tuple[str, ...] = ()
    solution: bool = False

    @property
    def claim(self) -> str:
        """The claim in one sentence, as the check itself states it."""
        return " ".join((self.run.__doc__ or "").split())


_PROBED = ("environment", "probe-1024")
_TUNED = ("environment", "probe-1024", "rows-parse")

CHECKS: tuple[Check, ...] = (
    Check("environment", checks_stack.environment),
    Check("stack-identity", checks_stack.stack_identity, ("environment",)),
    Check("gate", checks_stack.gate, ("environment",)),
    Check("probe-1024", checks_stack.probe, ("environment",)),
    Check("op-registration", checks_stack.registration, _PROBED, solution=True),
    Check("op-compiles", checks_stack.compilation, (*_PROBED, "op-registration"), solution=True),
    Check("rows-parse", checks_table.rows_parse, _PROBED, solution=True),
    Check("lookup-hits", checks_table.lookup_hits, _TUNED, solution=True),
    Check("accuracy", checks_table.accuracy, _TUNED, solution=True),
    Check("second-start", checks_table.second_start, _TUNED, solution=True),
    Check("above-512", checks_table.above_limit, _TUNED, solution=True),
    Check("timing-gain", checks_speed.timing_gain, _TUNED, solution=True),
    Check("both-ways", checks_speed.both_ways, _TUNED, solution=True),
    Check("torn-row", checks_table.torn_row, _TUNED, solution=True),
    Check("unwritable-table", checks_table.unwritable, _TUNED, solution=True),
    Check("capture-hit", checks_faults.capture_hit, _TUNED, solution=True),
    Check("capture-miss", checks_faults.capture_miss, _PROBED, solution=True),
    Check("warm-twice", checks_program.warm_twice, _PROBED, solution=True),
    Check("exec-harvest", checks_program.exec_harvest, (*_PROBED, "warm-twice"), solution=True),
    Check("memory-guard", checks_faults.memory_guard, _PROBED, solution=True),
    Check("free-memory-rule", checks_faults.free_memory_rule, _PROBED, solution=True),
    Check("low-memory-exit", checks_faults.low_memory_exit, _PROBED, solution=True),
    Check("absent-index", checks_faults.absent_index, _PROBED, solution=True),
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
    if check.solution and not seen["probe-1024"].evidence["supported"]:
        return skipped("this stack has no swizzled solution, so there is nothing to tune")
    return None


def run(checks: Sequence[Check], context: Context, stderr: TextIO) -> list[Result]:
    """Run each check or skip it for what came before; an error inside a check is its failure."""
    results = []
    for check in checks:
        began = time.monotonic()
        verdict = obstacle(check, context.seen) or _answered(check, context)
        context.seen[check.name] = verdict
        result = Result(check.name, check.claim, verdict, time.monotonic() - began)
        results.append(result)
        stderr.write(
            f"hipbmm acceptance: {check.name}: {verdict.outcome} ({result.seconds:.1f} s): {verdict.summary}\n"
        )
        stderr.flush()
    return results


def _answered(check: Check, context: Context) -> Verdict:
    try:
        return check.run(context)
    except Exception as error:  # noqa: BLE001 - one check's error must not hide what the others show
        return failed(f"the check itself failed: {type(error).__name__}: {error}"[:400])
