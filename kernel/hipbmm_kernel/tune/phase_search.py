"""The search phase: every index that hipBLASLt lists for a problem, not only AITER's 32 candidates.

hipb_findallsols does not ask for the swizzle order, so some indices compute nonsense and some end the process. Each is
announced before it runs: the one in flight when a child dies is vetoed, and the search goes on behind it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from hipbmm_kernel.rows.gemm import MAX_INDEX, Row, Veto, is_time
from hipbmm_kernel.tune import crew, protocol
from hipbmm_kernel.tune.bench import Bench, Budget, Findings, Job, told
from hipbmm_kernel.tune.crew import Crew, Handlers, Outcome, Task
from hipbmm_kernel.tune.phase_tuning import command

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

MAX_DEATHS = 8
"""Indices of one problem that may end a child before its search is given up."""


class _Hunt:
    """What is known about one problem's indices."""

    def __init__(self) -> None:
        self.trying: int | None = None
        self.tried: list[int] = []
        self.best: tuple[float, int] | None = None
        self.deaths = 0


class SearchPhase:
    """Searches the problems of `jobs`, hot first, each with an equal share of what is left of the budget."""

    def __init__(self, bench: Bench, budget: Budget, findings: Findings) -> None:
        self._bench = bench
        self._budget = budget
        self._findings = findings
        self._hunts: dict[Job, _Hunt] = {}

    def run(self, jobs: Sequence[Job]) -> dict[str, Row]:
        """Search; by key the rows that are right and faster than those known, measured but not yet against -1."""
        bench = self._bench
        most = max((job.problem.m for job in jobs), default=0)
        share = self._budget.left() * len(bench.gpus) / max(1, len(jobs))
        tasks = []
        for number, job in enumerate(jobs, 1):
            self._hunts[job] = hunt = _Hunt()
            hunt.tried = self._known(job)
            asked = {**command(protocol.SEARCH, number, job, most), "skip": hunt.tried, "seconds": share}
            tasks.append(Task(job, asked, bench.settings.problem_seconds))
        handlers = Handlers(bench.attest_hardware, self._ready, self._outcome, self._event, bench.progress.tick)
        offline = Crew(
            bench.gpus, f"{bench.settings.home}/tune", bench.child_env(online=False), bench.clock, bench.stop, handlers
        )
        with offline:
            try:
                offline.run(tasks, self._budget.deadline)
            finally:
                self._findings.children += offline.started
        found = {bench.key(job.problem): hunt.best for job, hunt in self._hunts.items()}
        return {key: self._row(key, *best) for key, best in found.items() if best and self._is_better(key, best[0])}

    def _known(self, job: Job) -> list[int]:
        """Indices that need no trial: the vetoed ones."""
        key = self._bench.key(job.problem)
        return [veto.algo_index for veto in self._findings.vetoes if veto.key == key and veto.algo_index]

    def _row(self, key: str, us: float, index: int) -> Row:
        return Row(key, index, tuned_us=round(us, 3), verified=True)

    def _is_better(self, key: str, us: float) -> bool:
        held = self._findings.rows.get(key)
        return held is None or held.tuned_us is None or us < held.tuned_us

    def _ready(self, message: Mapping[str, object]) -> None:
        self._bench.attest_library(message)
        self._budget.start()

    def _event(self, task: Task, message: Mapping[str, object]) -> None:
        hunt = self._hunts[_job(task)]
        index, us = message.get("index"), message.get("us")
        if not isinstance(index, int) or not 0 < index <= MAX_INDEX:
            return
        if us is None and "reason" not in message:
            hunt.trying = index
            return
        hunt.trying = None
        hunt.tried.append(index)
        if isinstance(us, float) and is_time(us) and (hunt.best is None or us < hunt.best[0]):
            hunt.best = (us, index)

    def _outcome(self, outcome: Outcome) -> Task | None:
        job = _job(outcome.task)
        hunt = self._hunts[job]
        if outcome.kind not in crew.DEATHS:
            return outcome.task if outcome.kind == crew.UNFINISHED else None
        hunt.deaths += 1
        if hunt.trying is not None:
            if outcome.kind != crew.OUT_OF_MEMORY:
                key = self._bench.key(job.problem)
                veto = Veto(key, hunt.trying, told(f"{outcome.kind}: {outcome.reason}"))
                self._findings.vetoes.append(veto)
                self._bench.publish(veto)
            hunt.tried.append(hunt.trying)
            hunt.trying = None
        if hunt.deaths >= MAX_DEATHS:
            self._bench.log(f"search of {job.problem}: given up after {hunt.deaths} deaths: {outcome.reason}")
            return None
        return outcome.task._replace(command={**outcome.task.command, "skip": list(hunt.tried)})


def _job(task: Task) -> Job:
    if not isinstance(task.subject, Job):
        raise TypeError(f"not a job: {task.subject!r}")
    return task.subject
