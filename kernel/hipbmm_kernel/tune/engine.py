"""Tuning from the problems that want a row to verified rows: the one entry from `warm` into this room."""

import os
import shutil
import statistics
from collections.abc import Iterable, Sequence

from hipbmm_kernel.contract.settings import EXHAUSTIVE
from hipbmm_kernel.identity.gpu import visible_gpus
from hipbmm_kernel.planner import cost
from hipbmm_kernel.planner.plan import Plan
from hipbmm_kernel.rows import gemm
from hipbmm_kernel.rows.gemm import Problem, Row
from hipbmm_kernel.store import table
from hipbmm_kernel.store.publish_queue import BATCH_SECONDS, PublishQueue
from hipbmm_kernel.store.publisher import Publisher
from hipbmm_kernel.store.shard_origin import WARM, head
from hipbmm_kernel.store.table import Table
from hipbmm_kernel.system import digest
from hipbmm_kernel.tune import peers
from hipbmm_kernel.tune.crew import Abort
from hipbmm_kernel.tune.handover import Handover, Outcome
from hipbmm_kernel.tune.sharing import SharingTuner
from hipbmm_kernel.tune.tuner import Tuner
from hipbmm_kernel.tune.visit import Job, Visit

STORE_SECONDS = 60.0
STOPPED_STORE_SECONDS = 5.0
SAMPLE = 4
"""Verified rows of the store that a pod verifies again when it has children anyway: a wrong claim of one origin meets
one of them in each pod."""


def tune_missing(handover: Handover, plan: Plan, loaded: Table, wanted: Sequence[Problem]) -> Outcome:
    """Find a right row for each problem `wanted`, planned or learned; verify a sample of the others; publish."""
    stack, settings = handover.identity.stack, handover.settings
    own = head(settings, stack, WARM)
    publisher = Publisher(handover.volume, handover.clock, settings.store, stack)
    batch_seconds = peers.PUBLISH_SECONDS if settings.cooperate else BATCH_SECONDS
    queue = PublishQueue(publisher, handover.clock, own, handover.log, batch_seconds=batch_seconds)
    visits = _visits(handover, plan, loaded, wanted)
    tuner = _tuner(handover, visits, own.origin, queue)
    abort: Abort | None = None
    try:
        tuner.run(
            visits,
            lambda: _with(loaded, [visit.row for visit in visits if visit.row], tuner.vetoes),
            exhaustive=settings.search == EXHAUSTIVE,
        )
    except Abort as error:
        abort = error
    finally:
        if os.path.isdir(f"{settings.home}/tune"):  # rmtree opens what it removes, and a pipe there would not return
            shutil.rmtree(f"{settings.home}/tune", ignore_errors=True)
    unproven = [visit.unproven for visit in visits if visit.unproven is not None and visit.unproven != visit.known]
    if unproven and not (abort and tuner.unsafe):
        queue.add(*unproven)
    handover.progress.phase("Publishing")
    unpublished = queue.close(STOPPED_STORE_SECONDS if handover.stop.requested else STORE_SECONDS)
    found = [*unproven, *(visit.row for visit in visits if visit.row is not None)]
    failed = {visit.job.problem: visit.failure for visit in visits if visit.failure}
    return Outcome(
        table=_with(loaded, found, tuner.vetoes),
        reason=abort.reason if abort else "TunerFailed" if tuner.sick else "",
        message=str(abort) if abort else tuner.sick,
        unsafe=tuner.unsafe,
        failed=failed,
        skipped={visit.job.problem: visit.skipped for visit in visits if visit.skipped and not visit.failure},
        out_of_memory=sum(visit.row is None and visit.died_of_memory for visit in visits),
        unfinished=sum(visit.row is None and not visit.skipped and not visit.failure for visit in visits),
        unproven=tuner.unproven(visits),
        replaced=sum(visit.row is not None and visit.reason != "" for visit in visits),
        stopped=handover.stop.requested,
        children=tuner.children,
        spread=f"{statistics.median(tuner.spread):.3f}" if tuner.spread else None,
        storage_error=queue.error if unpublished else "",
        errors=(f"{unpublished} rows are not in the store: {queue.error}",) if unpublished else (),
    )


def _tuner(handover: Handover, visits: Sequence[Visit], origin: str, queue: PublishQueue) -> Tuner:
    gpus = visible_gpus(handover.env, handover.identity.gpus)
    if not handover.settings.cooperate:
        return Tuner(handover, gpus, queue)
    beside = peers.Peers(handover, [visit.job.problem for visit in visits], origin, len(gpus))
    beside.announce()
    return SharingTuner(handover, gpus, queue, beside)


def _with(loaded: Table, rows: Iterable[Row], vetoes: Iterable[gemm.Veto]) -> Table:
    """The store's table with what this pod found; its own vetoes bind it, confirmed or not."""
    own = Table({row.key: (row,) for row in rows}, {(veto.key, veto.algo_index): veto.reason for veto in vetoes}, {})
    return table.union([loaded, own])


def _visits(handover: Handover, plan: Plan, loaded: Table, wanted: Sequence[Problem]) -> list[Visit]:
    settings, stack = handover.settings, handover.identity.stack
    planned, biased, calls = frozenset(plan.problems), plan.biased, plan.calls
    held = {problem: loaded.best(gemm.key_of(problem, stack.fp8_column)) for problem in (*wanted, *plan.problems)}
    sample = _sample(
        [problem for problem in plan.problems if problem not in wanted and held[problem]], settings.pod_uid
    )
    return [
        Visit(
            Job(
                problem,
                problem[1:] in biased,
                cost.tuning_seconds(problem, stack.product),
                mixed={(*problem[1:], False), (*problem[1:], True)} <= calls,
            ),
            gemm.key_of(problem, stack.fp8_column),
            held[problem],
            checked=settings.verify,
            planned=problem in planned,
        )
        for problem in (*wanted, *sample)
    ]


def _sample(problems: Iterable[Problem], uid: str) -> list[Problem]:
    """Another few in each pod, the same in each run of one."""
    drawn = sorted(problems, key=lambda problem: digest.sha256(f"{uid} {problem}".encode()))
    return drawn[:SAMPLE]
