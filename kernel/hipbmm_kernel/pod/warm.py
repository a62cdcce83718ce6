"""`warm`: from what this container is to a table that its server can start with.

Everything that is needed on a complete store happens here without a child and without torch; the tuner is imported
only when rows are missing. Trouble with the store, the model's config or the tuner ends in a report, not in an error:
the server starts anyway, unless policy Block says otherwise.
"""

import functools
import sys
from collections.abc import Mapping, Sequence
from typing import TextIO

from hipbmm_kernel.contract import report
from hipbmm_kernel.contract.progress import Progress
from hipbmm_kernel.contract.report import Report
from hipbmm_kernel.contract.settings import BLOCK, Settings, SettingsError, parse_settings
from hipbmm_kernel.dispatch.plugins import with_program
from hipbmm_kernel.identity import stack as stacks
from hipbmm_kernel.identity.container import Identity, read_identity
from hipbmm_kernel.planner.plan import Plan
from hipbmm_kernel.pod import aiter_jit, pod_plan, served_file, state_file, verdict
from hipbmm_kernel.pod.dispatch_decision import Decision, Dispatch, demanded
from hipbmm_kernel.pod.pod_plan import Planned
from hipbmm_kernel.pod.stores import Stores
from hipbmm_kernel.rows import gemm
from hipbmm_kernel.rows.gemm import Problem, Row
from hipbmm_kernel.store import table
from hipbmm_kernel.store.table import Table
from hipbmm_kernel.system import volume as volumes
from hipbmm_kernel.system.clock import Clock
from hipbmm_kernel.system.shown import one_line
from hipbmm_kernel.system.stop import Stop
from hipbmm_kernel.system.volume import Volume
from hipbmm_kernel.tune.handover import Handover, Outcome
from hipbmm_kernel.tune.row_trust import believable, mirrored

UNFINISHED_TUNING, UNFINISHED_WARM = 3, 5
"""Runs of `warm` in this pod that were killed before their end, after which the next does not tune, or does nothing.

The kernel kills a container that needs too much memory, and an init container that was killed starts again for ever.
"""
LEARNED_ROWS = 2048
"""Most rows served beyond the plan: AITER scans the file on every eager call, 0.4 ms for so many."""


def warm_command(argv: list[str], env: Mapping[str, str], stderr: TextIO) -> int:
    """`warm`: 0, or 1 when policy Block is not satisfied, or 2 on wrong usage."""
    if argv:
        stderr.write("usage: hipbmm_kernel warm\n")
        return 2
    try:
        settings = parse_settings(env)
    except SettingsError as error:
        stderr.write(f"hipbmm warm: {error}\n")
        return 2
    with Stop() as stop:
        found = Warm(settings, env, volumes.Volume(), Clock(), stop, stderr).run()
    return 1 if settings.policy == BLOCK and found.state != report.COMPLETE else 0


class Warm:
    """One run of `warm`, in steps: identity, plan, table of the stores, tuning, served file, report."""

    def __init__(
        self, settings: Settings, env: Mapping[str, str], volume: Volume, clock: Clock, stop: Stop, stderr: TextIO
    ) -> None:
        self._settings = settings
        self._volume = volume
        self._clock = clock
        self._stderr = stderr
        self._began = clock.monotonic()
        self._progress = Progress(stderr, clock)
        self._stores = Stores(settings, volume, clock)
        self._errors: list[str] = []
        self._notes: list[str] = [*settings.notes]
        self._no_tuning = ""
        nothing = Identity(stacks.Stack(), 0, None, ())
        self._here = Handover(settings, nothing, env, volume, clock, stop, self._progress, self._say)

    def run(self) -> Report:
        """Do everything and write the report. OSError of the pod's own disk is reported like any other trouble."""
        self._progress.start()
        unfinished = self._begin()
        if unfinished >= UNFINISHED_WARM:
            words = f"{unfinished} runs of warm in this pod were ended before they were done"
            found = self._served(Report(report.FAILED, "TunerFailed", words, hipbmm=False), ())
        else:
            found = self._warmed()
        self._write_report(found)
        self._end()
        return found

    def _begin(self) -> int:
        path = self._settings.state_file
        try:
            volumes.make_directories(self._volume, self._settings.home)
            unfinished = state_file.begin_attempt(self._volume, path, self._clock.wall())
        except OSError as error:
            self._no_tuning = f"this run could not be counted: {volumes.describe(error)}"
            self._errors.append(self._no_tuning)
            return 0
        if unfinished >= UNFINISHED_TUNING:
            self._no_tuning = f"{unfinished} runs of warm in this pod were ended before they were done"
        return unfinished

    def _end(self) -> None:
        try:
            state_file.end_attempt(self._volume, self._settings.state_file, self._clock.wall())
        except OSError as error:
            self._say(f"{self._settings.state_file}: {volumes.describe(error)}")

    def _warmed(self) -> Report:
        settings = self._settings
        identity = read_identity(settings.sysfs, settings.dev, self._here.env, settings.simulated)
        self._here = self._here._replace(identity=identity)
        self._notes += identity.notes
        unfit = verdict.unfit(settings, identity)
        if unfit is not None:
            return self._served(unfit, ())
        self._progress.phase("Planning")
        planned = pod_plan.make_plan(self._here, self._stores)
        self._notes += [f"plan: {planned.source}", *planned.notes]
        decision = Decision(self._here, self._stores, planned.plan)
        planned = planned._replace(plan=decision.plan)
        self._progress.phase("Loading")
        loaded, reading = self._stores.load(identity.stack.key)
        self._say(f"{reading.shards} shards read, {reading.refused_count} files refused")
        self._notes += [f"refused {refused.name}: {refused.reason}" for refused in reading.refused]
        self._errors += reading.errors
        work = self._unplanned if planned.plan.reason else self._tuned
        return work(planned, decision, loaded)

    def _unplanned(self, planned: Planned, decision: Decision, loaded: Table) -> Report:
        """The report of a plan that tunes nothing: every row of the stack may be of use, none without the kernel.

        A pod that is not ours has its rows in memory or not at all. In ours AITER tunes what the file lacks.
        """
        column = self._here.identity.stack.fp8_column
        vetoed = [] if self._settings.mode else _without_a_right_row(loaded, column)
        found = verdict.unplanned(planned.plan.reason, planned.plan.message, vetoed)
        rows = table.learned(loaded, (), column, None)[:LEARNED_ROWS] if found.hipbmm else []
        dispatch = self._dispatch(decision, rows) if rows and self._settings.mode else Dispatch()
        return self._served(found, rows, planned)._replace(
            dispatch=dispatch.mode, dispatch_reason=dispatch.reason, children=dispatch.children, unproven=tuple(vetoed)
        )

    def _tuned(self, planned: Planned, decision: Decision, loaded: Table) -> Report:
        """The report of a plan with problems, after what is missing has been tuned."""
        stack = self._here.identity.stack
        problems, column = planned.plan.problems, stack.fp8_column
        loaded = believable(loaded, problems, column, stack.product)
        missing = table.missing(loaded, problems, column)
        verified = table.verified(loaded, problems, column) if self._settings.verify else None
        self._progress.plan(len(problems), len(problems) - len(missing), verified)
        wanted = [problem for problem in missing if not loaded.hopeless(gemm.key_of(problem, column))]
        wanted += _unproven(planned, loaded, column) if self._settings.verify else []
        wanted += self._demanded(planned.plan, loaded, wanted) if self._settings.verify else []
        outcome = Outcome(loaded)
        if wanted and self._settings.tune and self._no_tuning:
            outcome = outcome._replace(reason="TunerFailed", message=self._no_tuning)
        elif wanted and self._settings.tune:
            outcome = self._tune(planned, decision, loaded, wanted)
        left = table.missing(outcome.table, problems, column)
        failed = {**_vetoed(outcome.table, left, column), **outcome.failed}
        failures = {problem: failed.get(problem) or outcome.skipped.get(problem) or "" for problem in left}
        seconds = self._clock.monotonic() - self._began
        facts = verdict.facts_of(
            len(problems), len(missing), failures, failed, outcome, tune=self._settings.tune, seconds=seconds
        )
        rows: list[Row] = []
        learned = 0
        if outcome.reason != "StackMismatch":
            rows, learned = _rows(planned, outcome.table, column, verified=self._settings.verify)
            keys = (gemm.key_of(problem, column) for problem in problems)
            self._stores.compare_with_mirror(mirrored(outcome.table, outcome.unproven), keys, stack.key)
        found = verdict.conclude(facts)
        dispatch = self._dispatch(decision, rows) if found.hipbmm else Dispatch()
        return self._served(found, rows, planned)._replace(
            dispatch=dispatch.mode,
            dispatch_reason=dispatch.reason,
            tuned=facts.restored + facts.tuned,
            restored=facts.restored,
            failed=facts.failed,
            skipped=facts.skipped,
            vetoed=len(outcome.table.vetoes),
            doubted=len({*outcome.table.vetoes, *outcome.table.claims}) + outcome.replaced,
            source=verdict.source(facts),
            spread=outcome.spread,
            children=outcome.children + dispatch.children,
            failures=tuple((gemm.label(each), why) for each, why in {**failures, **failed}.items() if why),
            unproven=facts.unproven,
            unplanned=learned,
        )

    def _tune(self, planned: Planned, decision: Decision, loaded: Table, wanted: list[Problem]) -> Outcome:
        """Tune what is missing; here, and only here, the tuner is imported.

        A child that has nothing left to tune shows whether the table may be in memory.
        """
        from hipbmm_kernel.tune.engine import tune_missing  # noqa: PLC0415 - not needed on a complete store

        column, verify = self._here.identity.stack.fp8_column, self._settings.verify

        def rows(found: Table) -> list[Row]:
            """What the server gets; nothing when HIPBMM is off."""
            left = table.missing(found, planned.plan.problems, column)
            return [] if _vetoed(found, left, column) else _rows(planned, found, column, verified=verify)[0]

        here = self._here._replace(env=self._child_env)
        proof = decision.in_tuning(here.env, rows)
        if proof:
            here = here._replace(env=with_program(here.env, self._settings.program), last=proof)
        outcome = tune_missing(here, planned.plan, loaded, wanted)
        decision.checked = proof.checked() if proof else None
        self._errors += outcome.errors
        self._stores.error = outcome.storage_error or self._stores.error
        return outcome

    def _demanded(self, plan: Plan, loaded: Table, wanted: Sequence[Problem]) -> list[Problem]:
        """What production asked for without a row, the most wanted first, as far as a part of the budget suffices."""
        if not self._settings.tune or self._no_tuning:
            return []
        stack, gpus = self._here.identity.stack, self._here.identity.gpus
        budget = self._settings.budget_seconds * max(1, gpus)
        found = demanded(self._stores.demand(stack.key, self._notes), plan, budget, stack.product)
        column = stack.fp8_column
        keys = {problem: gemm.key_of(problem, column) for problem in found if problem not in wanted}
        return [problem for problem, key in keys.items() if loaded.best(key) is None and not loaded.hopeless(key)]

    def _dispatch(self, decision: Decision, rows: Sequence[Row]) -> Dispatch:
        """The table in memory, where it works on this image; a child is asked only where children may start."""
        may_ask = self._settings.tune and not self._no_tuning and not self._here.stop.requested
        found = decision.settled or decision.make(self._child_env, rows, may_ask=may_ask)
        self._notes += decision.notes
        return found

    @functools.cached_property
    def _child_env(self) -> dict[str, str]:
        """With directories that can be written: the server gets the same, and what is compiled here, too."""
        try:
            added = aiter_jit.variables(self._here.env, self._settings.home)
        except OSError as error:
            self._errors.append(f"no directory for compiled modules: {volumes.describe(error)}")
            added = {}
        return {**self._here.env, **added}

    def _served(self, found: Report, rows: Sequence[Row], planned: Planned | None = None) -> Report:
        """Write the served file; the report.

        A pod's own disk that refuses it would refuse AITER's appends too: each call would tune again, and a graph
        capture would end the server. So HIPBMM is off then.
        """
        self._progress.phase("Publishing")
        digest = ""
        try:
            digest = served_file.write(self._volume, self._settings.served_file, rows)
        except OSError as error:
            words = f"{self._settings.served_file}: {volumes.describe(error)}"
            self._errors.append(words)
            found = Report(report.FAILED, "ServedFileUnwritable", words, hipbmm=False)
        stack, plan = self._here.identity.stack, planned.plan if planned else None
        return found._replace(
            key="" if stack.key == stacks.UNKNOWN else stack.key,
            stack=stack,
            plan_source=plan.source if plan else "None",
            architecture=(plan.architecture or None) if plan else None,
            linears=sum(each.eligible for each in plan.linears) if plan else 0,
            problems=len(plan.problems) if plan else 0,
            unverified=sum(not row.verified for row in rows),
            seconds=self._clock.monotonic() - self._began,
            geomean=report.geomean(rows),
            rows=len(rows) if digest else 0,
            digest=digest,
            torch_imported="torch" in sys.modules,
            refused=planned is not None and planned.refused,
            storage_writable=self._stores.is_writable(),
            storage_error=self._stores.error,
            errors=tuple(self._errors),
            mirror_shards=self._stores.mirror_shards,
            mirror_lines=len(self._stores.mirror_lines),
            notes=tuple(self._notes),
        )

    def _write_report(self, found: Report) -> None:
        """Write the report where `exec`, the sidecar and the operator look for it, and the last lines of the log."""
        settings = self._settings
        try:
            volumes.make_directories(self._volume, settings.home)
            volumes.replace_file(self._volume, settings.report_file, report.whole(found))
        except OSError as error:
            self._say(f"{settings.report_file}: {volumes.describe(error)}")
        try:
            with open(settings.termination_log, "wb") as log:
                log.write(report.termination_message(found))
        except OSError as error:
            self._say(f"{settings.termination_log}: {volumes.describe(error)}")
        for text in (*found.notes, *found.errors):
            self._say(text)
        for line in self._stores.mirror_lines:
            self._stderr.write(f"{line}\n")
        self._progress.done(found.tuned, found.failed)
        self._say(f"{found.state}: {found.reason}: {found.message}")
        compacted = self._stores.compact(found.key)
        if compacted:
            self._say(compacted)

    def _say(self, text: str) -> None:
        self._stderr.write(f"hipbmm warm: {one_line(text)}\n")
        self._stderr.flush()


def _rows(planned: Planned, final: Table, column: str, *, verified: bool) -> tuple[list[Row], int]:
    """The plan's rows, then what production taught about the plan's linears; how many the latter are.

    With `verified` only what was found right is served again of what production taught.
    """
    rows = table.served(final, planned.plan.problems, column, planned.plan.tokens.eager)
    learned = [row for row in _learned(planned, final, column) if row.verified or not verified][:LEARNED_ROWS]
    return rows + learned, len(learned)


def _learned(planned: Planned, final: Table, column: str) -> list[Row]:
    plan = planned.plan
    shapes = frozenset((each.linear.n, each.linear.k) for each in plan.linears if each.eligible)
    return table.learned(final, plan.problems, column, shapes)


def _unproven(planned: Planned, loaded: Table, column: str) -> list[Problem]:
    """Problems whose row nobody has verified: planned ones, then those that production taught."""
    rows = [loaded.best(gemm.key_of(problem, column)) for problem in planned.plan.problems]
    rows += _learned(planned, loaded, column)[:LEARNED_ROWS]
    return [row.problem for row in rows if row is not None and not row.verified]


def _without_a_right_row(known: Table, column: str) -> list[str]:
    """Problems of the stack, of whatever model, that AITER must not tune in production."""
    problems = {gemm.problem_of(key) for key, _ in known.vetoes if known.best(key) is None}
    return [gemm.label(problem) for problem in _vetoed(known, sorted(problems), column)]


def _vetoed(known: Table, problems: list[Problem], column: str) -> dict[Problem, str]:
    """Problems without a row that AITER must not tune in production, since its choice was found wrong, and why."""
    reasons = {key: reason for (key, _), reason in sorted(known.vetoes.items(), reverse=True)}
    keys = {problem: gemm.key_of(problem, column) for problem in problems}
    return {problem: f"vetoed: {reasons[key]}" for problem, key in keys.items() if key in reasons}
