"""`warm`: from what this container is to a table that its server can start with.

Everything that is needed on a complete store happens here without a child and without torch; the tuner is imported
only when rows are missing. Trouble with the store, the model's config or the tuner ends in a report, not in an error:
the server starts anyway, unless policy Block says otherwise.
"""

# ruff: noqa: PTH112, PTH123
# Paths are text here: pathlib would cost `warm` 5 ms at every start, and system calls take text.

from __future__ import annotations

import functools
import itertools
import os
import sys
from typing import TYPE_CHECKING

from hipbmm_kernel.contract import report
from hipbmm_kernel.contract.progress import Progress
from hipbmm_kernel.contract.report import Report
from hipbmm_kernel.contract.settings import BLOCK, Settings, SettingsError, parse_settings
from hipbmm_kernel.identity import gpu
from hipbmm_kernel.identity import stack as stacks
from hipbmm_kernel.identity.container import read_identity
from hipbmm_kernel.pod import pod_plan, served_file
from hipbmm_kernel.pod import verdict as conclusion
from hipbmm_kernel.pod.verdict import Facts, Verdict
from hipbmm_kernel.rows import gemm
from hipbmm_kernel.store import shard as shards
from hipbmm_kernel.store import shard_lines, table
from hipbmm_kernel.store.reader import Reader
from hipbmm_kernel.system import volume as volumes
from hipbmm_kernel.system.clock import Clock
from hipbmm_kernel.system.stop import Stop
from hipbmm_kernel.system.time_limits import TooLate, within
from hipbmm_kernel.tune.handover import Outcome, Surroundings

if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import TextIO

    from hipbmm_kernel.identity.container import Identity
    from hipbmm_kernel.pod.pod_plan import Planned
    from hipbmm_kernel.rows.gemm import Problem
    from hipbmm_kernel.store.reader import Reading
    from hipbmm_kernel.store.shard import Shard
    from hipbmm_kernel.store.table import Table
    from hipbmm_kernel.system.volume import Volume

HANG_SECONDS = 10.0
"""Beyond the reader's own patience: after it, a call that has not returned never will."""
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
        warm = Warm(settings, env, volumes.Volume(), Clock(), stop, stderr)
        found = warm.run()
        warm.hand_over(found)
    return 1 if settings.policy == BLOCK and found.state != report.COMPLETE else 0


class Warm:
    """One run of `warm`."""

    def __init__(
        self, settings: Settings, env: Mapping[str, str], volume: Volume, clock: Clock, stop: Stop, stderr: TextIO
    ) -> None:
        self._settings = settings
        self._env = env
        self._volume = volume
        self._clock = clock
        self._stop = stop
        self._stderr = stderr
        self._began = clock.monotonic()
        self._progress = Progress(stderr, clock)
        self._errors: list[str] = []
        self._notes: list[str] = []
        self._storage_error = ""
        self._mirrored: list[tuple[str, Shard]] = []
        self._log_lines: list[str] = []

    def run(self) -> Report:
        """Do everything but writing the report. OSError of the pod's own disk is reported like any other trouble."""
        self._progress.start()
        settings = self._settings
        identity = read_identity(settings.sysfs, settings.dev, self._env, settings.simulated)
        self._notes += identity.notes
        verdict = self._unfit(identity)
        if verdict is not None:
            return self._finished(verdict, identity, ())
        self._progress.phase("Planning")
        planned = pod_plan.make_plan(settings, self._env, identity, self._volume)
        self._notes += [f"plan: {planned.source}", *planned.notes]
        self._progress.phase("Loading")
        loaded = self._load(identity)
        if planned.reason:
            verdict = conclusion.unplanned(planned.reason, planned.message)
            # Without a plan every row of the stack may be of use; without the kernel none is.
            rows = table.learned(loaded, (), identity.stack.fp8_column, None) if verdict.hipbmm else []
            return self._finished(verdict, identity, tuple(rows[:LEARNED_ROWS]), planned)
        return self._tuned(identity, planned, loaded)

    def _unfit(self, identity: Identity) -> Verdict | None:
        """Why this container needs no plan at all, or None."""
        stack = identity.stack
        if self._settings.conflicting_env:
            names = ", ".join(self._settings.conflicting_env)
            return Verdict(report.DISABLED, "ConflictingEnv", f"the user's environment turns off {names}", hipbmm=False)
        if identity.gpus == 0:
            return Verdict(report.FAILED, "NoGpu", f"no AMD GPU in {self._settings.dev}/dri: {_joined(identity.notes)}")
        if stack.arch is not None and stack.arch not in gpu.FP8_BY_ARCH:
            return Verdict(
                report.UNSUPPORTED, "NoSolution", f"HIPBMM needs an MI3xx GPU, not {stack.arch}", hipbmm=False
            )
        unknown = stack.unknown()
        if unknown:
            words = f"not readable: {', '.join(unknown)}; {_joined(identity.notes)}"
            return Verdict(report.FAILED, "StackUnknown", words)
        return None

    def _load(self, identity: Identity) -> Table:
        """The table of this stack in all stores. An unreadable store is an empty one, and an error in the report."""
        settings = self._settings
        reader = Reader(self._volume, self._clock, identity.stack.key, settings.read_seconds)
        try:
            merged = within(settings.read_seconds + HANG_SECONDS, functools.partial(self._merge, reader))
        except TooLate as late:
            reader.reading.errors.append(f"{settings.store}: {late}: the volume hangs")
            merged = table.EMPTY
        self._tell_reading(reader.reading)
        return merged

    def _merge(self, reader: Reader) -> Table:
        settings = self._settings
        if not os.path.isdir(settings.store):
            self._storage_error = f"{settings.store} is no directory"
        if not settings.mirror_log:
            return table.merge(reader.shards(settings.store, settings.mirrors), settings.retune_token)
        self._mirrored = list(reader.mirrored(settings.mirrors))
        mirrored = (shard for _, shard in self._mirrored)
        return table.merge(itertools.chain(reader.shards(settings.store), mirrored), settings.retune_token)

    def _tell_reading(self, reading: Reading) -> None:
        self._say(f"{reading.shards} shards read, {reading.refused_count} files refused")
        self._notes += [f"refused {refused.name}: {refused.reason}" for refused in reading.refused]
        self._errors += reading.errors
        if reading.errors:
            self._storage_error = reading.errors[0]

    def _tuned(self, identity: Identity, planned: Planned, loaded: Table) -> Report:
        """The report of a plan with problems, after what is missing has been tuned."""
        problems, column = planned.plan.problems, identity.stack.fp8_column
        missing = table.missing(loaded, problems, column)
        self._progress.plan(len(problems), len(problems) - len(missing), table.verified(loaded, problems, column))
        hopeless = {problem: _veto(loaded, gemm.key_of(problem, column)) for problem in missing}
        failed = {problem: reason for problem, reason in hopeless.items() if reason}
        wanted = [problem for problem in missing if problem not in failed]
        outcome = Outcome(loaded)
        if wanted and self._settings.tune:
            outcome = self._tune(identity, planned, loaded, wanted)
            failed.update(outcome.failed)
        left = table.missing(outcome.table, problems, column)
        failures = {problem: failed.get(problem) or outcome.skipped.get(problem) or "" for problem in left}
        facts = Facts(
            problems=len(problems),
            restored=len(problems) - len(missing),
            tuned=len(missing) - len(left),
            failed=sum(problem in failed for problem in left),
            skipped=sum(problem in outcome.skipped for problem in left),
            starved=outcome.starved,
            unfinished=outcome.unfinished,
            abort=outcome.reason,
            abort_message=outcome.message,
            tune=self._settings.tune,
            stopped=outcome.stopped,
            seconds=self._clock.monotonic() - self._began,
            first_failure=next((reason for reason in failures.values() if reason), ""),
        )
        trusted = facts.abort != "StackMismatch"
        rows = self._rows(planned, outcome.table, column) if trusted else []
        named = tuple((f"M={m} N={n} K={k}", reason) for (m, n, k), reason in failures.items() if reason)
        found = self._finished(conclusion.conclude(facts), identity, tuple(rows), planned)
        news = self._news(outcome.table, identity, [gemm.key_of(each, column) for each in problems]) if trusted else []
        return found._replace(
            mirror_shards=tuple(shards.name_of(data) for data in news),
            mirror_lines=len(self._log_lines),
            tuned=facts.restored + facts.tuned,
            restored=facts.restored,
            failed=facts.failed,
            skipped=facts.skipped,
            vetoed=len(outcome.table.vetoes),
            source=conclusion.source(facts),
            spread=outcome.spread,
            children=outcome.children,
            failures=named,
        )

    def _news(self, final: Table, identity: Identity, planned: list[str]) -> list[bytes]:
        """Shards for the mirror, when there is one and it lacks rows; their lines are written at the end."""
        settings = self._settings
        if not settings.mirror_log:
            return []
        from hipbmm_kernel.store import mirror_log  # noqa: PLC0415 - most pods have a shared volume

        news = mirror_log.news(final, self._mirrored, planned, identity.stack.key, settings.retune_token)
        self._log_lines = [line for data in news for line in mirror_log.log_lines(data)]
        return news

    @staticmethod
    def _rows(planned: Planned, final: Table, column: str) -> list[gemm.Row]:
        """The plan's rows, then what production taught about the plan's linears."""
        plan = planned.plan
        shapes = frozenset((each.linear.n, each.linear.k) for each in plan.linears if each.eligible)
        rows = table.served(final, plan.problems, column, plan.tokens.eager)
        return rows + table.learned(final, plan.problems, column, shapes)[:LEARNED_ROWS]

    def _tune(self, identity: Identity, planned: Planned, loaded: Table, wanted: list[Problem]) -> Outcome:
        """Tune what is missing; here, and only here, the tuner is imported."""
        from hipbmm_kernel.tune.engine import tune_missing  # noqa: PLC0415 - nothing of it is needed on a complete store

        made = Surroundings(
            self._settings, identity, self._env, self._volume, self._clock, self._stop, self._progress, self._say
        )
        outcome = tune_missing(made, planned.plan, loaded, wanted)
        self._errors += outcome.errors
        self._storage_error = outcome.storage_error or self._storage_error
        return outcome

    def _finished(
        self, verdict: Verdict, identity: Identity, rows: tuple[gemm.Row, ...], planned: Planned | None = None
    ) -> Report:
        """The report, after the served file was written.

        A pod's own disk that refuses it would refuse AITER's appends too: each call would tune again, and a graph
        capture would end the server. So HIPBMM is off then.
        """
        self._progress.phase("Publishing")
        plan = planned.plan if planned else None
        settings = self._settings
        served = served_file.Served(0, "")
        try:
            served = served_file.write(self._volume, settings.served_file, rows)
        except OSError as error:
            words = f"{settings.served_file}: {volumes.describe(error)}"
            self._errors.append(words)
            verdict = Verdict(report.FAILED, "ServedFileUnwritable", words, hipbmm=False)
        stack = identity.stack
        return Report(
            state=verdict.state,
            reason=verdict.reason,
            message=verdict.message,
            key="" if stack.key == stacks.UNKNOWN else stack.key,
            stack=stack,
            plan_source=plan.source if plan else "None",
            architecture=(plan.architecture or None) if plan else None,
            linears=sum(each.eligible for each in plan.linears) if plan else 0,
            problems=len(plan.problems) if plan else 0,
            unverified=sum(not row.verified for row in rows),
            seconds=self._clock.monotonic() - self._began,
            geomean=report.geomean(rows),
            rows=served.rows,
            digest=served.digest,
            torch_imported="torch" in sys.modules,
            hipbmm=verdict.hipbmm,
            storage_writable=not self._storage_error and self._is_writable(),
            storage_error=self._storage_error,
            errors=tuple(self._errors),
            notes=tuple(self._notes),
        )

    def _is_writable(self) -> bool:
        """Whether the store may be written, as far as permissions say."""
        try:
            return within(HANG_SECONDS, functools.partial(os.access, self._settings.store, os.W_OK))
        except TooLate:
            return False

    def hand_over(self, found: Report) -> None:
        """Write the report where `exec`, the sidecar and the operator look for it, and say the last words."""
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
        for line in self._log_lines:
            self._stderr.write(f"{line}\n")
        self._progress.done(found.tuned, found.failed)
        self._say(f"{found.state}: {found.reason}: {found.message}")

    def _say(self, text: str) -> None:
        self._stderr.write(f"hipbmm warm: {text}\n")
        self._stderr.flush()


def _veto(loaded: Table, key: str) -> str:
    """Why a problem is not tuned again, "" when it may be."""
    return f"vetoed: {loaded.vetoes[key, shard_lines.WHOLE_PROBLEM]}" if loaded.hopeless(key) else ""


def _joined(notes: tuple[str, ...]) -> str:
    return "; ".join(notes) or "nothing was odd"
