"""The tuning phase: probe once, then AITER's online tuning of every missing problem."""

from __future__ import annotations

from typing import TYPE_CHECKING

from hipbmm_kernel.rows.gemm import Row, Veto
from hipbmm_kernel.store.shard_lines import WHOLE_PROBLEM
from hipbmm_kernel.tune import crew, protocol, schedule
from hipbmm_kernel.tune.bench import Bench, Budget, Findings, Job, told
from hipbmm_kernel.tune.crew import Abort, Crew, Handlers, Outcome, Task
from hipbmm_kernel.tune.csv_tail import CsvTail

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

PROBE_SECONDS = 120.0
"""The probe loads the library's first kernels."""
MAX_TRIES = 2
MAX_BARREN = 6
"""Children that may end before the first row: then it is the machine that fails, not the problems."""
_START_REASONS = {"NoGpuError": "NoGpu", crew.OUT_OF_MEMORY_ERROR: "TunerOutOfMemory"}
TUNING_SHARE = 0.8
"""Of the budget, when rows are verified afterwards."""


class TuningPhase:
    """Tunes jobs, hot first. `findings` grows while it runs; every row is handed to the store at once."""

    def __init__(self, bench: Bench, budget: Budget, findings: Findings) -> None:
        self._bench = bench
        self._budget = budget
        self._findings = findings
        self._tails: dict[str, CsvTail] = {}
        self._tries: dict[object, int] = {}
        self._refusal: str | None = None
        self._held_back: list[Veto] = []
        self._barren = 0

    def run(self, jobs: Sequence[Job]) -> None:
        """Tune `jobs`. Abort with NoSolution when the stack has no solution at all, or with why no child could work."""
        bench = self._bench
        handlers = Handlers(bench.attest_hardware, self._ready, self._outcome, _ignore, bench.progress.tick)
        share = TUNING_SHARE if bench.settings.verify else 1.0
        online = Crew(
            bench.gpus,
            f"{bench.settings.home}/tune",
            bench.child_env(online=True),
            bench.clock,
            bench.stop,
            handlers,
        )
        with online:
            try:
                bench.progress.phase("Probing")
                left = online.run(
                    [Task(protocol.PROBE, {"do": protocol.PROBE, "id": 0}, PROBE_SECONDS)], self._budget.deadline
                )
                if self._refusal is not None:
                    raise Abort("NoSolution", self._refusal)
                self._check_alive(online, left)
                bench.progress.phase("Tuning")
                left = online.run(self._tasks(jobs), lambda: self._budget.deadline(share))
                self._findings.unfinished = len(left)
                self._check_alive(online, left)
            finally:
                self._findings.children += online.started

    def _check_alive(self, online: Crew, left: list[Task]) -> None:
        """Abort when work is left because every GPU has given up."""
        if left and online.retired and not self._bench.stop.requested:
            failure = online.last_failure
            raise Abort(_START_REASONS.get(failure.error, "TunerFailed"), failure.reason)

    def _tasks(self, jobs: Sequence[Job]) -> list[Task]:
        drawn = schedule.order([job.seconds for job in jobs], len(self._bench.gpus))
        rows = max((job.problem.m for job in jobs), default=0)
        return [
            Task(jobs[at], command(protocol.TUNE, number, jobs[at], rows), self._bench.settings.problem_seconds)
            for number, at in enumerate(drawn, 1)
        ]

    def _ready(self, message: Mapping[str, object]) -> None:
        self._bench.attest_library(message)
        self._budget.start()

    def _outcome(self, outcome: Outcome) -> Task | None:
        if outcome.task.subject == protocol.PROBE:
            return self._probed(outcome)
        job = outcome.task.subject
        if not isinstance(job, Job):
            raise TypeError(f"not a job: {job!r}")
        tail = self._tails.setdefault(outcome.worker.directory, CsvTail(outcome.worker.directory))
        row = tail.row(self._bench.key(job.problem))
        if row is not None:
            # Also when the child died right after AITER wrote it: the row is whole, and it is verified later.
            self._take(row)
            return None
        return self._without_row(job, outcome, tail)

    def _take(self, row: Row) -> None:
        self._findings.rows[row.key] = row
        self._bench.publish(row, *self._held_back)
        self._held_back.clear()
        self._bench.progress.tuned()

    def _without_row(self, job: Job, outcome: Outcome, tail: CsvTail) -> Task | None:
        """What a problem without a row means: skipped, once more, or given up."""
        if outcome.kind == crew.UNFINISHED:
            return outcome.task
        if outcome.kind == crew.SKIPPED:
            self._findings.skipped[job.problem] = outcome.reason
            self._bench.progress.failed()
            return None
        reason = outcome.reason or (tail.rejected[-1] if tail.rejected else "AITER recorded no row")
        self._tries[job] = tries = self._tries.get(job, 0) + 1
        self._bench.log(f"tuning {_name(job)}: {outcome.kind}: {reason} (try {tries} of {MAX_TRIES})")
        if outcome.kind in crew.DEATHS:
            self._count_death(outcome.kind, reason)
        if tries < MAX_TRIES:
            return outcome.task
        self._findings.starved += outcome.kind == crew.OUT_OF_MEMORY
        self._findings.failed[job.problem] = f"{outcome.kind}: {reason}"
        self._bench.progress.failed()
        if outcome.kind in (crew.KILLED, crew.HUNG):
            veto = Veto(self._bench.key(job.problem), WHOLE_PROBLEM, told(f"{outcome.kind}: {reason}"))
            self._forbid(veto)
        return None

    def _forbid(self, veto: Veto) -> None:
        """A veto binds every pod of this stack: none leaves before this machine has proved that it can tune at all."""
        self._findings.vetoes.append(veto)
        if self._findings.rows:
            self._bench.publish(veto)
        else:
            self._held_back.append(veto)

    def _count_death(self, kind: str, reason: str) -> None:
        """Abort when children die and no row ever comes."""
        self._barren += 1
        if not self._findings.rows and self._barren >= MAX_BARREN:
            self._findings.vetoes.clear()
            raise Abort(death_reason(kind), f"{MAX_BARREN} children ended before the first row: {kind}: {reason}")

    def _probed(self, outcome: Outcome) -> Task | None:
        """A probe that ends its child twice is as good as an answer: old AITER has no check for missing solutions."""
        if outcome.kind == crew.UNFINISHED:
            return outcome.task
        if outcome.kind == crew.DONE:
            reason = outcome.message.get("reason")
            self._refusal = None if reason is None else str(reason)
            return None
        if outcome.strikes < crew.MAX_STRIKES and outcome.kind in crew.DEATHS:
            return outcome.task
        if outcome.kind == crew.OUT_OF_MEMORY:
            raise Abort(death_reason(outcome.kind), f"the probe, twice: {outcome.reason}")
        self._refusal = f"the probe {outcome.kind}: {outcome.reason}"
        return None


def command(kind: str, number: int, job: Job, rows: int) -> dict[str, object]:
    """The common part of a command: which problem, and for how many tokens at most its linear is used."""
    m, n, k = job.problem
    return {"do": kind, "id": number, "m": m, "n": n, "k": k, "bias": job.bias, "rows": max(rows, m)}


def death_reason(kind: str) -> str:
    """The report's reason when it is children's ends of this kind that stop a phase."""
    return "TunerOutOfMemory" if kind == crew.OUT_OF_MEMORY else "TunerFailed"


def _name(job: Job) -> str:
    return f"M={job.problem.m} N={job.problem.n} K={job.problem.k}"


def _ignore(_task: Task, _message: Mapping[str, object]) -> None:
    """Tuning has no events between a task and its outcome."""
