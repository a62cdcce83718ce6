"""Tuning from the missing problems to verified rows: the one entry from `warm` into this package."""

from __future__ import annotations

import shutil
import statistics
from typing import TYPE_CHECKING

from hipbmm_kernel.contract.settings import EXHAUSTIVE
from hipbmm_kernel.planner import cost
from hipbmm_kernel.store import shard, table
from hipbmm_kernel.store.publish_queue import PublishQueue
from hipbmm_kernel.store.publisher import Publisher
from hipbmm_kernel.store.shard_origin import WARM, head
from hipbmm_kernel.tune import neighbours
from hipbmm_kernel.tune.bench import Bench, Budget, Findings, Job
from hipbmm_kernel.tune.crew import Abort
from hipbmm_kernel.tune.handover import Outcome, Surroundings
from hipbmm_kernel.tune.phase_search import SearchPhase
from hipbmm_kernel.tune.phase_tuning import TuningPhase
from hipbmm_kernel.tune.phase_verification import VerificationPhase

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from hipbmm_kernel.planner.plan import Plan
    from hipbmm_kernel.rows.gemm import Problem, Row
    from hipbmm_kernel.store.table import Table
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping


SELECTORS = ("HIP_VISIBLE_DEVICES", "CUDA_VISIBLE_DEVICES")
"""In the order in which HIP reads them; the first that is set wins."""


def visible_gpus(env: Mapping[str, str], count: int) -> tuple[str, ...]:
    """One value per GPU that HIP would show: the user's own selection if there is one, else all `count` of them."""
    for name in SELECTORS:
        if name in env:
            chosen = [part.strip() for part in env[name].split(",")]
            # HIP ignores everything from the first entry that is no device on.
            valid = [part for part in chosen if part and part != "-1"]
            return tuple(dict.fromkeys(valid))
    return tuple(str(number) for number in range(count))


STORE_SECONDS = 60.0
STOPPED_STORE_SECONDS = 5.0


def tune_missing(around: Surroundings, plan: Plan, loaded: Table, wanted: Sequence[Problem]) -> Outcome:
    """Tune and verify the problems `wanted`, verify the plan's rows that nobody has verified yet, and publish."""
    stack, settings = around.identity.stack, around.settings
    publisher = Publisher(around.volume, around.clock, settings.store, stack)
    outbox = PublishQueue(publisher, around.clock, head(settings, stack, WARM), around.log)
    bench = Bench(
        settings,
        stack,
        visible_gpus(around.env, around.identity.gpus),
        around.env,
        around.clock,
        around.stop,
        outbox,
        around.progress,
        around.log,
    )
    restored = _restored(bench, plan.problems, loaded)
    unverified = [problem for problem, row in restored.items() if not row.verified]
    findings = Findings()
    abort = _phases(
        bench, findings, _jobs(plan, wanted, stack.product), _jobs(plan, unverified, stack.product), restored
    )
    around.progress.phase("Publishing")
    unpublished = outbox.close(STOPPED_STORE_SECONDS if around.stop.requested else STORE_SECONDS)
    new = head(settings, stack, WARM)._replace(rows=tuple(findings.rows.values()))
    vetoes = new._replace(kind=shard.VETOES, rows=(), vetoes=tuple(findings.vetoes))
    errors = [f"{unpublished} rows are not in the store: {outbox.error}"] if unpublished else []
    errors += [f"rows are not verified: {findings.unverifiable}"] if findings.unverifiable else []
    return Outcome(
        table=table.union([loaded, table.merge([new, vetoes])]),
        reason=abort.reason if abort else "",
        message=str(abort) if abort else "",
        failed=findings.failed,
        skipped=findings.skipped,
        starved=findings.starved,
        unfinished=findings.unfinished,
        stopped=around.stop.requested,
        children=findings.children,
        spread=f"{statistics.median(findings.spread):.3f}" if findings.spread else None,
        storage_error=outbox.error if unpublished else "",
        errors=tuple(errors),
    )


def _phases(
    bench: Bench, findings: Findings, jobs: Sequence[Job], others: Sequence[Job], restored: Mapping[Problem, Row]
) -> Abort | None:
    """Tune `jobs`, then verify their rows and the restored ones of `others`; what ended it early, if anything."""
    budget = Budget(bench.clock, bench.settings.budget_seconds)
    try:
        TuningPhase(bench, budget, findings).run(jobs)
        if bench.settings.search == EXHAUSTIVE and _may_go_on(bench, budget):
            bench.progress.phase("Tuning")
            faster = SearchPhase(bench, budget, findings).run(jobs)
            findings.rows.update(faster)
            bench.publish(*faster.values())
        if bench.settings.verify and _may_go_on(bench, budget):
            rows = {**{row.key: row for row in restored.values()}, **findings.rows}
            VerificationPhase(bench, budget, findings).run([*jobs, *others], rows)
            _substitute(bench, budget, findings, jobs, restored)
    except Abort as abort:
        return abort
    finally:
        shutil.rmtree(f"{bench.settings.home}/tune", ignore_errors=True)
    return None


def _may_go_on(bench: Bench, budget: Budget) -> bool:
    return not bench.stop.requested and budget.left() > 0


def _substitute(
    bench: Bench, budget: Budget, findings: Findings, jobs: Sequence[Job], restored: Mapping[Problem, Row]
) -> None:
    """Find rows for problems that cannot be tuned among the kernels of their neighbours."""
    known = [*findings.rows.values(), *restored.values()]
    vetoed = {(veto.key, veto.algo_index): veto for veto in findings.vetoes}
    wanted = [job for job in jobs if job.problem in findings.failed or job.problem in findings.skipped]
    offered = {job: neighbours.candidates(job.problem, bench.key(job.problem), known, vetoed) for job in wanted}
    for turn in range(neighbours.MOST):
        left = [job for job in wanted if bench.key(job.problem) not in findings.rows and len(offered[job]) > turn]
        if not left or not _may_go_on(bench, budget):
            return
        rows = {bench.key(job.problem): offered[job][turn] for job in left}
        VerificationPhase(bench, budget, findings).run(left, rows)
        for job in left:
            if bench.key(job.problem) in findings.rows:
                bench.progress.recovered()
                bench.log(f"{job.problem} is served by index {rows[bench.key(job.problem)].algo_index} of a neighbour")


def _restored(bench: Bench, problems: Iterable[Problem], loaded: Table) -> dict[Problem, Row]:
    """The plan's rows that the store had. Those that a harvest brought are verified too, since children run anyway."""
    rows = {problem: loaded.best(bench.key(problem)) for problem in problems}
    return {problem: row for problem, row in rows.items() if row is not None}


def _jobs(plan: Plan, problems: Iterable[Problem], product: str | None) -> list[Job]:
    return [
        Job(
            problem,
            (problem.n, problem.k) in plan.biased,
            cost.tuning_seconds(problem, product or cost.DEFAULT_PRODUCT),
        )
        for problem in problems
    ]
