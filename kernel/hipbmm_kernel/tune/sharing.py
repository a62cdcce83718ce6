"""A tuning that shares its plan with other pods: `cooperation` says which problem is next, `peers` what is done.

Otherwise it is the tuning of a pod alone: the same probes, visits and vetoes. Problems whose rows are verified anyway,
which a pod visits as a sample, are not shared.
"""

from collections.abc import Sequence

from hipbmm_kernel.rows.gemm import Problem
from hipbmm_kernel.store.publish_queue import PublishQueue
from hipbmm_kernel.tune.crew import Outcome, Task
from hipbmm_kernel.tune.handover import Handover
from hipbmm_kernel.tune.peers import REFRESH_SECONDS, Peers
from hipbmm_kernel.tune.tuner import Tuner
from hipbmm_kernel.tune.visit import Visit


class SharingTuner(Tuner):
    """Visits problems until each has a row of this pod's or of another's, or time is up."""

    def __init__(self, handover: Handover, gpus: Sequence[str], queue: PublishQueue, peers: Peers) -> None:
        super().__init__(handover, gpus, queue)
        self._peers = peers
        self._open = dict[Problem, Visit]()
        self._adopted = 0

    def _visit_all(self, visits: Sequence[Visit]) -> None:
        handover = self._handover
        sample = [visit for visit in visits if visit.known is not None and visit.known.verified]
        self._open = {visit.job.problem: visit for visit in visits if visit not in sample}
        count = len(self._open)
        while self._open and not handover.stop.requested and self._left():
            tasks = [task for _ in self._gpus for task in self._opened()]
            if tasks:
                self._do(tasks)
            else:
                handover.progress.tick()
                handover.stop.wait(REFRESH_SECONDS)
        if self._adopted:
            handover.log(f"{self._adopted} of {count} problems were tuned by other pods meanwhile")
        super()._visit_all(sample)

    def _outcome(self, outcome: Outcome) -> list[Task]:
        """What follows from an outcome; where nothing does, the next problem."""
        return super()._outcome(outcome) or self._opened()

    def _opened(self) -> list[Task]:
        """The first task of the next problem for this pod; none when all that is left is with others."""
        if self._peers.refresh():
            self._adopt()
        while self._open:
            problem = self._peers.pick(list(self._open))
            if problem is None:
                return []
            tasks = self._next(self._open.pop(problem))
            if tasks:
                return tasks
        return []

    def _adopt(self) -> None:
        progress = self._handover.progress
        for problem in [problem for problem in self._open if problem in self._peers.rows]:
            visit = self._open.pop(problem)
            visit.adopt(self._peers.rows[problem])
            self._adopted += 1
            if visit.planned and visit.known is None:
                progress.tuned()
            if visit.planned:
                progress.verified()
