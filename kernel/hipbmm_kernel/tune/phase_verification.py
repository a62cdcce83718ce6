"""The verification phase: children without online tuning compare each row's result with fp32 and time it against -1."""

from __future__ import annotations

import statistics
from typing import TYPE_CHECKING

from hipbmm_kernel.rows.gemm import Problem, Row, Veto, is_time
from hipbmm_kernel.store import table
from hipbmm_kernel.tune import crew, protocol
from hipbmm_kernel.tune.bench import Bench, Budget, Findings, Job, told
from hipbmm_kernel.tune.crew import Abort, Crew, Handlers, Outcome, Task
from hipbmm_kernel.tune.phase_tuning import MAX_BARREN, command, death_reason

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

ROUNDS = 5


class VerificationPhase:
    """Verifies rows. A right one is handed to the store again with its times, a wrong one becomes a veto.

    A veto binds every pod of this stack: none leaves before this machine has proved that it computes anything right.
    """

    def __init__(self, bench: Bench, budget: Budget, findings: Findings) -> None:
        self._bench = bench
        self._budget = budget
        self._findings = findings
        self.unverified = 0
        self._deaths = 0

    def run(self, jobs: Sequence[Job], rows: Mapping[str, Row]) -> None:
        """Verify the row of each job that has one, hot first; rows that the budget does not reach stay unverified."""
        bench = self._bench
        jobs = [job for job in jobs if bench.key(job.problem) in rows]
        if not jobs:
            return
        bench.progress.phase("Verifying")
        most = max((job.problem.m for job in jobs), default=0)
        tasks = []
        for number, job in enumerate(jobs, 1):
            row = rows[bench.key(job.problem)]
            asked = {**command(protocol.VERIFY, number, job, most), "index": row.algo_index, "rounds": ROUNDS}
            tasks.append(Task((job.problem, row), asked, bench.settings.problem_seconds))
        handlers = Handlers(bench.attest_hardware, self._ready, self._outcome, _ignore, bench.progress.tick)
        offline = Crew(
            bench.gpus, f"{bench.settings.home}/tune", bench.child_env(online=False), bench.clock, bench.stop, handlers
        )
        with offline:
            try:
                self.unverified = len(offline.run(tasks, self._budget.deadline))
            finally:
                self._findings.children += offline.started

    def _ready(self, message: Mapping[str, object]) -> None:
        self._bench.attest_library(message)
        self._budget.start()

    def _outcome(self, outcome: Outcome) -> Task | None:
        subject = outcome.task.subject
        if not isinstance(subject, tuple):
            raise TypeError(f"not a problem and its row: {subject!r}")
        problem, row = subject
        if outcome.kind == crew.UNFINISHED:
            return outcome.task
        if outcome.kind == crew.DONE:
            self._judge(problem, row, outcome.message)
            return None
        if outcome.kind in crew.DEATHS:
            self._count_death(outcome.kind, outcome.reason)
            if outcome.strikes < crew.MAX_STRIKES:
                return outcome.task
        self._bench.log(f"verifying {problem}: {outcome.kind}: {outcome.reason}")
        if outcome.kind in (crew.KILLED, crew.HUNG):
            self._veto(problem, row, f"{outcome.kind}: {outcome.reason}")
        elif outcome.kind == crew.FAILED:
            self._veto(problem, row, outcome.reason)
        return None

    def _count_death(self, kind: str, reason: str) -> None:
        """Abort when children die and none ever found a row right."""
        self._deaths += 1
        if not self._findings.proved and self._deaths >= MAX_BARREN:
            self._findings.unverifiable = f"{MAX_BARREN} children ended before a row was found right: {kind}: {reason}"
            raise Abort(death_reason(kind), self._findings.unverifiable)

    def _judge(self, problem: Problem, row: Row, message: Mapping[str, object]) -> None:
        if message.get("correct") is not True:
            self._veto(problem, row, str(message.get("reason")))
            return
        tuned, default = _times(message.get("tuned")), _times(message.get("default"))
        if len(tuned) > 1:
            self._findings.spread.append((max(tuned) - min(tuned)) / statistics.median(tuned))
        if message.get("defaultWrong"):
            self._bench.log(f"{problem}: the heuristic's own choice is wrong: {message['defaultWrong']}")
        self._keep(row._replace(tuned_us=_median(tuned), default_us=_median(default), verified=True))

    def _keep(self, verified: Row) -> None:
        """A right row is news for the store in any case, and the row of its problem unless a better one is known."""
        self._findings.proved = True
        self._bench.publish(verified, *self._findings.held_back)
        self._findings.held_back.clear()
        self._bench.progress.verified()
        held = self._findings.rows.get(verified.key)
        if held is None or held.algo_index == verified.algo_index or table.better(verified, held):
            self._findings.rows[verified.key] = verified

    def _veto(self, problem: Problem, row: Row, reason: str) -> None:
        self._bench.log(f"{problem}: index {row.algo_index} is vetoed: {reason}")
        veto = Veto(row.key, row.algo_index, told(reason))
        self._findings.vetoes.append(veto)
        if self._findings.proved:
            self._bench.publish(veto)
        else:
            self._findings.held_back.append(veto)
        held = self._findings.rows.get(row.key)
        if held is not None and held.algo_index == row.algo_index:
            del self._findings.rows[row.key]
        if row.key not in self._findings.rows and problem not in self._findings.failed:
            self._findings.failed[problem] = f"vetoed: {reason}"
            self._bench.progress.refuted()


def _times(value: object) -> list[float]:
    return [float(us) for us in value if isinstance(us, float) and us > 0] if isinstance(value, list) else []


def _median(times: list[float]) -> float | None:
    """The median in microseconds, to a thousandth; None for no times, or one that no device can have."""
    if not times:
        return None
    us = round(statistics.median(times), 3)
    return us if is_time(us) else None


def _ignore(_task: Task, _message: Mapping[str, object]) -> None:
    """Verification has no events between a task and its outcome."""
