"""One run of a tuning: visits of problems by one crew of children, and what their answers mean for rows and vetoes."""

import math
import statistics
from collections.abc import Callable, Iterable, Sequence

from hipbmm_kernel.contract.progress import CHECKING, IMPROVING, TUNING
from hipbmm_kernel.rows.gemm import MAX_INDEX, OWN_CHOICE, Row, Veto, label
from hipbmm_kernel.store.publish_queue import PublishQueue
from hipbmm_kernel.store.shard_lines import WHOLE_PROBLEM
from hipbmm_kernel.store.table import Table
from hipbmm_kernel.system import own_program
from hipbmm_kernel.tune import attest, crew, protocol, row_trust, schedule
from hipbmm_kernel.tune.crew import Abort, Crew, Handlers, Outcome, Task
from hipbmm_kernel.tune.handover import Handover, Last
from hipbmm_kernel.tune.probing import Probe, Probing
from hipbmm_kernel.tune.protocol import Message
from hipbmm_kernel.tune.trust import Control, Evidence, Trust
from hipbmm_kernel.tune.visit import Ask, Visit

CHILD = "tune.child.main"
ROUNDS = 5
"""Timings of a row; their median counts. The spread of five is in the report (`spread`)."""
MAX_DEATHS_IN_A_ROW = 6
"""Children that may end before anything right comes: then it is the machine that fails, not the problems. Two for each
GPU where there are more than three, since all may meet a bad problem at once."""
ENOUGH = 8
"""Right indices after which the search for one that may be served ends."""
SEARCH_SHARE = 0.1
"""Of the budget, for one such search."""
MAX_DEFAULT_DEATHS = 2
MAX_REASON = 160
NO_ROW = "AITER recorded no row"
_START_REASONS = {"NoGpuError": "NoGpu", crew.OUT_OF_MEMORY_ERROR: "TunerOutOfMemory"}


class Tuner:
    """Visits problems. Right rows and confirmed vetoes are handed to the store at once.

    `vetoes` holds all evidence: what is not confirmed binds this pod only. `unsafe` says that the server would meet
    what ended the tuning, `sick` which GPU does not compute.
    """

    def __init__(self, handover: Handover, gpus: Sequence[str], queue: PublishQueue) -> None:
        self._handover = handover
        self._gpus = gpus
        self._queue = queue
        self._deadline = math.inf
        """Of all tasks. The budget runs from the first child's being ready: a build is not tuning."""
        self._trust = Trust()
        self._right: dict[str, Row] = {}
        self._in_a_row: list[str] = []
        self._default_deaths = 0
        self._parked: list[Visit] | None = []
        self._improving = 1
        seconds = handover.settings.problem_seconds
        self._probing = Probing(gpus, seconds, self._retire, handover.log)
        handlers = Handlers(self._attest, self._outcome, self._event, handover.progress.tick)
        modules = [handover.last.module, CHILD] if handover.last else [CHILD]
        self._crew = Crew(
            gpus,
            f"{handover.settings.home}/tune",
            handover.env,
            handover.clock,
            handover.stop,
            handlers,
            [own_program.command(module) for module in modules],
        )
        self.vetoes: list[Veto] = []
        self.unsafe = False
        self.sick = ""
        self.spread: list[float] = []

    def run(self, visits: Sequence[Visit], found: Callable[[], Table], *, exhaustive: bool) -> None:
        """Visit them, hot first; then do what comes last, with what was `found`.

        Abort with NoSolution, or with why no child can work.

        A problem that ends its child, or that only a search can help, is parked until the others have been visited:
        their indices may serve it.
        """
        handover = self._handover
        with self._crew:
            handover.progress.phase("Probing")
            self._do(self._probing.tasks(visit.job for visit in visits))
            self._do(self._probing.unanswered())
            handover.progress.phase(TUNING)
            self._visit_all(visits)
            parked, self._parked = self._parked or [], None
            self._do([task for visit in parked for task in self._next(visit)])
            faster = [visit for visit in visits if exhaustive and visit.row is not None]
            self._improving = max(1, len(faster))
            for visit in faster:
                visit.search_faster()
            if faster:
                handover.progress.phase(IMPROVING)
            self._do([task for visit in faster for task in self._next(visit)])
            if handover.last and not self.unsafe and not any(visit.failure for visit in visits):
                self._do_last(handover.last, handover.last.command(found()))

    @property
    def children(self) -> int:
        """How many children were started."""
        return self._crew.started

    def _visit_all(self, visits: Sequence[Visit]) -> None:
        """Visit each as far as it goes without a search."""
        order = schedule.order([visit.job.seconds for visit in visits], len(self._gpus))
        self._do([task for at in order for task in self._next(visits[at])])

    def _do(self, tasks: list[Task]) -> None:
        """Do tasks and what follows from them. Abort when work is left because every GPU has given up."""
        left = self._crew.run(tasks, lambda: self._deadline)
        if left and self._crew.retired and not self._handover.stop.requested:
            failure = self._crew.last_failure
            raise Abort(_START_REASONS.get(failure.error, "TunerFailed"), failure.reason)

    def _do_last(self, last: Last, command: Message | None) -> None:
        """What comes last, in a child that is there. It has a time limit of its own."""
        if command is not None:
            self._handover.progress.phase(CHECKING)
            task = Task(last, {**command, "do": protocol.LAST}, last.seconds)
            self._crew.run([task], lambda: math.inf, hire=False)

    def _next(self, visit: Visit) -> list[Task]:
        """The next task of a visit, before all others; none when it is parked or over."""
        ask = visit.next(self._right.values())
        if ask is None:
            if visit.failure:
                self._handover.log(f"{label(visit.job.problem)} gets no row: {visit.failure}")
            if visit.failure and visit.planned:
                progress = self._handover.progress
                progress.refuted() if visit.known else progress.failed()
            return []
        if self._parked is not None and (visit.deaths or ask.kind == protocol.SEARCH):
            self._parked.append(visit)
            visit.active = False
            return []
        return [self._task(visit, ask)]

    def _task(self, subject: Visit | Control, ask: Ask, *, rounds: int = ROUNDS, gpu: str = "") -> Task:
        command = subject.job.command(ask.kind)
        if ask.kind == protocol.VERIFY:
            timed = self._default_deaths < MAX_DEFAULT_DEATHS
            command |= {"key": subject.key, "index": ask.solution, "rounds": rounds, "default": timed}
        if ask.kind == protocol.SEARCH and isinstance(subject, Visit):
            left = self._left()
            seconds = left * len(self._gpus) / self._improving if subject.improving else left * SEARCH_SHARE
            enough = 0 if subject.improving else ENOUGH
            command |= {"skip": [*subject.tried, *subject.refuted], "seconds": seconds, "enough": enough}
        return Task(subject, command, self._handover.settings.problem_seconds, gpu)

    def _attest(self, message: Message) -> None:
        """Abort with StackMismatch when torch sees another GPU than sysfs, or has loaded another hipBLASLt."""
        handover, stack = self._handover, self._handover.identity.stack
        if message["event"] == protocol.HELLO:
            difference = attest.hardware_difference(stack, message)
        else:
            difference = attest.library_difference(stack, message["libraries"], handover.env, used=True)
            self._deadline = min(self._deadline, handover.clock.monotonic() + handover.settings.budget_seconds)
        if difference is not None:
            raise Abort("StackMismatch", difference)

    def _left(self) -> float:
        """Seconds of the budget that are left; all of it before it runs."""
        left = min(self._handover.settings.budget_seconds, self._deadline - self._handover.clock.monotonic())
        return max(0.0, left)

    def _event(self, task: Task, message: Message) -> None:
        """What a child reports while it is at a task: an index is right, or is about to be tried, or was."""
        visit, index, us = task.subject, message.get("index"), message.get("us")
        if not isinstance(visit, Visit):
            return
        if message.get("event") == protocol.RIGHT:
            visit.asked_is_right = True
        elif isinstance(index, int) and 0 < index <= MAX_INDEX:
            right = isinstance(us, float)
            self._in_a_row = [] if right else self._in_a_row
            visit.announced(index, us if isinstance(us, float) else None, over=right or "reason" in message)

    def _outcome(self, outcome: Outcome) -> list[Task]:
        subject = outcome.task.subject
        if isinstance(subject, Last):
            ended = f"{outcome.kind}: {outcome.reason}" if outcome.kind in crew.DEATHS else None
            subject.ended = "" if outcome.kind == protocol.DONE else ended
            return []
        if isinstance(subject, Probe):
            return self._probing.outcome(outcome, subject)
        if isinstance(subject, Control):
            return self._controlled(outcome, subject)
        subject.active = False
        kind = outcome.task.command["do"]
        followed: list[Task] = []
        if outcome.kind in crew.DEATHS:
            followed = self._died(outcome, subject)
        elif outcome.kind == protocol.SKIPPED:
            subject.out_of_memory(outcome.reason)
        elif kind == protocol.TUNE:
            row, rejected = outcome.worker.written(subject.key)
            self._tuned(subject, row, outcome.reason or rejected or NO_ROW)
            followed = self._accuse(outcome.worker.gpu, subject, OWN_CHOICE, rejected) if rejected else []
        elif kind == protocol.VERIFY:
            followed = self._verified(outcome, subject)
        else:
            subject.searched()
        return [*followed, *([] if subject.active else self._next(subject))]

    def _tuned(self, visit: Visit, row: Row | None, reason: str) -> None:
        visit.tuned(row, reason)
        if visit.row is not None:
            self._in_a_row = []
            self._publish(visit.row)
            self._handover.progress.tuned()

    def _verified(self, outcome: Outcome, visit: Visit) -> list[Task]:
        index = outcome.task.command["index"]
        if outcome.kind == protocol.DONE and outcome.message.get("correct") is True:
            tuned, default = (protocol.times(outcome.message.get(name)) for name in ("tuned", "default"))
            if len(tuned) > 1:
                self.spread.append((max(tuned) - min(tuned)) / statistics.median(tuned))
            wrong = outcome.message.get("defaultWrong")
            if wrong and self._default_deaths < MAX_DEFAULT_DEATHS:
                self._handover.log(f"{label(visit.job.problem)}: the heuristic's own choice is wrong: {wrong}")
            return self._keep(outcome.worker.gpu, visit, index, protocol.median(tuned), protocol.median(default))
        self._handover.log(f"{label(visit.job.problem)}: index {index} is wrong: {outcome.reason}")
        visit.wrong(index, outcome.reason)
        return self._accuse(outcome.worker.gpu, visit, index, outcome.reason)

    def _keep(
        self, gpu: str, visit: Visit, index: int, tuned: float | None = None, default: float | None = None
    ) -> list[Task]:
        """A right row: for the store, for the neighbours, and as proof that this GPU computes.

        GPUs that have shown nothing right yet, and something wrong, are given it as well.
        """
        self._in_a_row = []
        if visit.row is None and visit.planned:
            if visit.known is None:
                self._handover.progress.tuned()
            if visit.known is None or not visit.known.verified:
                self._handover.progress.verified()
        row = visit.right(index, tuned, default)
        self._right[visit.key] = visit.row or row
        self._publish(row, *self._trust.right(gpu, Control(visit.job, visit.key, index)))
        return [task for each in self._trust.suspects() for task in self._run_again(each)]

    def _publish(self, *items: Row | Veto) -> None:
        """For the store; who restores a row whose linear is not proven above AITER's limit verifies it, and probes."""
        proven = self._probing.proven
        if items:
            self._queue.add(*(row_trust.published(each, proven) for each in items))

    def unproven(self, visits: Iterable[Visit]) -> frozenset[tuple[int, int]]:
        """(N, K) whose probes above AITER's limit came to no good end."""
        return frozenset(visit.job.problem[1:] for visit in visits) - self._probing.proven

    def _died(self, outcome: Outcome, visit: Visit) -> list[Task]:
        gpu, index = outcome.worker.gpu, outcome.task.command.get("index")
        words = f"{outcome.kind}: {outcome.reason}"
        self._handover.log(f"{outcome.task.command['do']} of {label(visit.job.problem)}: {words}")
        if visit.asked_is_right and isinstance(index, int):
            self._default_deaths += 1
            return self._keep(gpu, visit, index)
        if outcome.task.command["do"] == protocol.TUNE:
            row, _ = outcome.worker.written(visit.key)
            if row is not None:
                self._tuned(visit, row, "")
        if outcome.kind == crew.OUT_OF_MEMORY:
            visit.died_for_memory(words)
            return self._count_death(outcome, words)
        against = visit.died(words)
        return [*self._accuse(gpu, visit, against, words), *self._count_death(outcome, words)]

    def _count_death(self, outcome: Outcome, words: str) -> list[Task]:
        """Abort when children end and nothing right ever comes between; on one GPU of several it is that GPU."""
        gpu, memory = outcome.worker.gpu, outcome.kind == crew.OUT_OF_MEMORY
        self._in_a_row.append(gpu)
        most = max(MAX_DEATHS_IN_A_ROW, 2 * len(self._gpus))
        if len(self._in_a_row) >= most:
            if len(self._gpus) > 1 and set(self._in_a_row) == {gpu} and not memory:
                return self._retire(gpu, f"ended {most} children in a row: {words}")
            self.unsafe = not memory
            reason = "TunerOutOfMemory" if memory else "TunerFailed"
            raise Abort(reason, f"{most} children ended in a row: {words}")
        return []

    def _accuse(self, gpu: str, visit: Visit, index: int | None, reason: str) -> list[Task]:
        """Hold evidence back, and run a row that this GPU has found right once more; no index is a mere suspicion."""
        veto = None if index is None else Veto(visit.key, index or WHOLE_PROBLEM, printable(reason))
        if veto is not None:
            self.vetoes.append(veto)
        self._trust.accuse(gpu, Evidence(visit, veto))
        return self._run_again(gpu)

    def _run_again(self, gpu: str) -> list[Task]:
        known = self._trust.control(gpu)
        return [self._task(known, Ask(protocol.VERIFY, known.solution), rounds=0, gpu=gpu)] if known else []

    def _controlled(self, outcome: Outcome, control: Control) -> list[Task]:
        """The GPU computes, so what it found counts; or it is sick, and what it found is forgotten."""
        gpu = outcome.worker.gpu
        if outcome.kind == protocol.DONE and outcome.message.get("correct") is True:
            self._in_a_row = []
            self._publish(*self._trust.right(gpu, control))
            return []
        if outcome.kind in (protocol.SKIPPED, crew.OUT_OF_MEMORY):
            return []
        reason = str(outcome.message.get("reason") or f"{outcome.kind}: {outcome.reason}")
        return self._retire(gpu, f"does not compute {label(control.job.problem)}, which was found right: {reason}")

    def _retire(self, gpu: str, why: str) -> list[Task]:
        """This GPU is sick: it gets no task any more, and the visits that it spoke against begin again."""
        words = f"GPU {gpu} {why}"
        self._in_a_row = []
        self._handover.log(words)
        self.unsafe, self.sick = True, self.sick or words
        again = self._trust.sick(gpu)
        keys = {visit.key for visit in again}
        self.vetoes = [veto for veto in self.vetoes if veto.key not in keys]
        for visit in again:
            visit.forget()
        self._crew.retire(gpu, words)
        return [task for visit in again if not visit.active for task in self._next(visit)]


def printable(text: str) -> str:
    """A reason as a shard and a report can carry it: printable ASCII without commas, short, not empty."""
    plain = "".join(c if c.isascii() and c.isprintable() and c != "," else " " for c in text)
    return " ".join(plain.split())[:MAX_REASON] or "unknown"
