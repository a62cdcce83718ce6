"""The first questions of a tuning: has hipBLASLt's own choice a right solution for each linear? Without a process.

Above AITER's limit for look-up and tuning the server uses the heuristic: where that has no right solution, the server
cannot run. Where there are several GPUs, two of them must say so: one alone may be sick.

A pod that restores verified rows starts no child, so the rows are the record of the probes as well: others get to know
a row as verified only when its linear was right above the limit too, with a bias and without (`proven`).
"""

from collections.abc import Callable, Iterable, Sequence
from typing import NamedTuple

from hipbmm_kernel.rows.gemm import label
from hipbmm_kernel.tune import crew, protocol
from hipbmm_kernel.tune.crew import Abort, Outcome, Task
from hipbmm_kernel.tune.visit import ROWS, Job

PROBE_TOKENS = (ROWS, 512)
"""The first is above AITER's limit of 512 for look-up and tuning: there a missing solution is an error, and the server
uses the heuristic. The smallest planned M is probed too: upstream's own test warns of tiny sizes (aiter #2252)."""
PROBE_SECONDS = 30.0
"""At least for a probe above the limit, twice what a problem may take at most: the first one loads the library's first
kernels. One that hangs is repeated once."""


class Probe(NamedTuple):
    """Whether the heuristic has a right solution for this problem; `turned`: with a bias if it has none, or without."""

    job: Job
    turned: bool = False


class Probing:
    """The probes of one tuning. `sick` takes a GPU that fails where another does not."""

    def __init__(
        self,
        gpus: Sequence[str],
        seconds: float,
        sick: Callable[[str, str], Sequence[Task]],
        log: Callable[[str], object],
    ) -> None:
        self._gpus = gpus
        self._seconds = seconds
        self._sick = sick
        self._log = log
        self._failed: dict[Probe, list[str]] = {}
        self._unanswered: dict[Probe, Task] = {}
        self.proven: set[tuple[int, int]] = set()

    def tasks(self, jobs: Iterable[Job]) -> list[Task]:
        """Each linear above the limit first, then at 512 and at its smallest M."""
        ordered = sorted(jobs, key=lambda job: job.problem.m)
        smallest: dict[tuple[int, int], Job] = {}
        for job in ordered:
            smallest.setdefault((job.problem.n, job.problem.k), job)
        found: list[Task] = []
        for m in (*PROBE_TOKENS, None):
            for job in smallest.values():
                probed = job._replace(problem=job.problem._replace(m=m or job.problem.m))
                seconds = max(PROBE_SECONDS, 2 * self._seconds) if m == ROWS else self._seconds
                command = {**probed.command(protocol.PROBE), "turned": False}
                found.append(Task(Probe(probed), command, seconds))
        return found

    def unanswered(self) -> list[Task]:
        """What only one GPU was to answer, which has retired since: for any other."""
        return [task._replace(gpu="") for task in self._unanswered.values()]

    def outcome(self, outcome: Outcome, probe: Probe) -> list[Task]:
        """No right solution above the limit: Abort. Below it only the index that is served counts."""
        self._unanswered.pop(probe, None)
        died, gpu = outcome.kind in crew.DEATHS, outcome.worker.gpu
        reason = f"the probe {outcome.kind}: {outcome.reason}" if died else outcome.reason
        before = self._failed.get(probe, [])
        if outcome.kind == protocol.SKIPPED:
            return []
        words = f"{label(probe.job.problem)}: {reason}"
        if not reason:
            others = [each for each in before if each != gpu]
            sick = [
                task for each in others for task in self._sick(each, f"fails where GPU {gpu} does not: {words[:-2]}")
            ]
            return [*sick, *self._right(outcome.task, probe)]
        called = probe.job.mixed or not probe.turned  # by this server
        if probe.job.problem.m != ROWS or not called:
            self._log(f"the heuristic's own choice for {words}")
            return []
        self._failed[probe] = [*before, gpu]
        other = next((each for each in self._gpus if each != gpu), "")
        if not before and (died or other):
            self._unanswered[probe] = again = outcome.task._replace(gpu=other)
            return [again]
        if outcome.kind == crew.OUT_OF_MEMORY:
            raise Abort("TunerOutOfMemory", f"{reason}, twice")
        raise Abort("NoSolution", words)

    def _right(self, task: Task, probe: Probe) -> list[Task]:
        """After a right answer the same the other way round, by the child that has the operands, if it is free."""
        above = probe.job.problem.m == ROWS
        if probe.turned:
            self.proven |= {probe.job.problem[1:]} if above else set()
            return []
        turned = task._replace(subject=probe._replace(turned=True), command={**task.command, "turned": True})
        return [turned._replace(gpu="")] if above or probe.job.mixed else []
