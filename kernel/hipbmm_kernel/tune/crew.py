"""The children of a tuning: each idle one gets the next task, dead and hung ones are replaced, nothing waits for ever.

What a task's end means is the caller's to say: the handler of outcomes returns the tasks that follow. A child that
cannot even start twice in a row retires its GPU; when all have retired the run ends with the reason.
"""

from __future__ import annotations

import math
import selectors
from collections import deque
from typing import TYPE_CHECKING, Any, NamedTuple

from hipbmm_kernel.system import process
from hipbmm_kernel.system import volume as volumes
from hipbmm_kernel.system.memory import OomKills
from hipbmm_kernel.tune import protocol
from hipbmm_kernel.tune.worker import Failure, Worker

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence
    from typing import Self  # Python 3.11, and only for the type checker

    from hipbmm_kernel.system.clock import Clock
    from hipbmm_kernel.system.stop import Stop
    from hipbmm_kernel.tune.protocol import Message

START_SECONDS = 900.0
"""A cold JIT build of AITER's module takes minutes; that is not tuning time."""
MAX_FAILURES = 2
TICK_SECONDS = 1.0

KILLED = "killed"
HUNG = "hung"
OUT_OF_MEMORY = "out of memory"
"""How a task ends, beside what the child itself says: DONE, FAILED and SKIPPED of `protocol`."""
DEATHS = frozenset({KILLED, HUNG, OUT_OF_MEMORY})
"""Endings of the child. That the container has too little memory says nothing about the problem."""
OUT_OF_MEMORY_ERROR = "OutOfMemory"
"""The error of a child that was killed for lack of memory before it was ready."""


class Task(NamedTuple):
    """`command` for a child, and how many seconds it may take. `subject` is the caller's own value.

    `gpu` is the only one that may do it, "" when any may.
    """

    subject: Any
    command: Message
    seconds: float
    gpu: str = ""


class Outcome(NamedTuple):
    """How a task ended: `kind` is one of these words, `message` the child's answer, empty if there is none.

    `reason` is the answer's, or why there is none.
    """

    task: Task
    kind: str
    reason: str
    message: Message
    worker: Worker


class Abort(Exception):  # noqa: N818 - not an error of the program: tuning cannot go on, for the reason it carries
    """Raised by a handler: end all children, tuning is over. `reason` is a report's reason."""

    def __init__(self, reason: str, message: str) -> None:
        super().__init__(message)
        self.reason = reason


class Handlers(NamedTuple):
    """What the caller wants to know; `started` and `outcome` may raise Abort.

    `outcome` returns the tasks that follow, before all others.
    """

    started: Callable[[Message], None]
    outcome: Callable[[Outcome], Sequence[Task]]
    event: Callable[[Task, Message], None]
    tick: Callable[[], None]


class Crew:
    """Workers on `gpus` (values of HIP_VISIBLE_DEVICES). Use as a context: leaving it ends every child."""

    def __init__(
        self,
        gpus: Sequence[str],
        directory: str,
        env: Mapping[str, str],
        clock: Clock,
        stop: Stop,
        handlers: Handlers,
        commands: Sequence[Sequence[str]],
        oom_kills: OomKills | None = None,
    ) -> None:
        """Children start when the first task needs one, all of them: a first task alone must not delay the others.

        They run the first of `commands`; the next one after a child that could not start runs the last.
        """
        self._gpus = list(gpus)
        self._directory = directory
        self._env = env
        self._clock = clock
        self._stop = stop
        self._handlers = handlers
        self._commands = commands
        self._oom_kills = oom_kills or OomKills()
        self._workers: list[Worker] = []
        self._failures = dict.fromkeys(gpus, 0)
        self._queue: deque[Task] = deque()
        self._generation = 0
        self._selector = selectors.DefaultSelector()
        self._selector.register(stop.fileno(), selectors.EVENT_READ)
        self.started = 0
        self.last_failure = Failure(
            "NoGpuError", "HIP shows no GPU: HIP_VISIBLE_DEVICES or CUDA_VISIBLE_DEVICES hides all"
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        for each in list(self._workers):
            self._end(each)
        self._selector.close()

    def run(self, tasks: Iterable[Task], deadline: Callable[[], float], *, hire: bool = True) -> list[Task]:
        """Do `tasks` in this order; the ones that were not begun or not finished when time was up, or all have retired.

        `deadline()` is asked each time: a budget may start to run only when the first child is ready. Without `hire`
        no child is started.
        """
        self._queue = deque(tasks)
        while self._queue or self._busy():
            if self._stop.requested or self._clock.monotonic() >= deadline():
                break
            if hire:
                self._hire()
            if not self._workers:
                break
            self._dispatch()
            self._wait(deadline())
            self._handlers.tick()
        return self._abandon()

    @property
    def retired(self) -> bool:
        """Whether every GPU has given up."""
        return all(failures >= MAX_FAILURES for failures in self._failures.values())

    def retire(self, gpu: str, reason: str) -> None:
        """Give no task to this GPU any more, and what it is at to another. What only it may do is dropped."""
        self._failures[gpu] = MAX_FAILURES
        self.last_failure = Failure("", reason)
        for each in [each for each in self._workers if each.gpu == gpu]:
            if each.task is not None:
                self._queue.appendleft(each.task)
            self._end(each)
            each.discard()
        self._drop_pinned()

    def _drop_pinned(self) -> None:
        """Drop what only a GPU may do that has given up: the run would wait for it until time is up."""
        self._queue = deque(task for task in self._queue if self._failures.get(task.gpu, 0) < MAX_FAILURES)

    def _busy(self) -> list[Worker]:
        return [each for each in self._workers if each.task is not None]

    def _hire(self) -> None:
        """One child per GPU that has not failed twice in a row."""
        occupied = {each.gpu for each in self._workers}
        for gpu in self._gpus:
            if gpu in occupied or self._failures[gpu] >= MAX_FAILURES:
                continue
            self._generation += 1
            command = self._commands[-1 if self._failures[gpu] else 0]
            try:
                hired = Worker(gpu, f"{self._directory}/{gpu}.{self._generation}", self._env, command)
            except OSError as error:  # a full disk, no process left: asking again at once would not help
                self.retire(gpu, f"no child can be started: {volumes.describe(error)}")
                continue
            hired.deadline = self._clock.monotonic() + START_SECONDS
            self.started += 1
            self._workers.append(hired)
            self._selector.register(hired.events, selectors.EVENT_READ, hired)

    def _dispatch(self) -> None:
        for each in [each for each in self._workers if each.ready and each.task is None]:
            task = next((task for task in self._queue if task.gpu in ("", each.gpu)), None)
            if task is None:
                continue
            if each.send(task.command):
                self._queue.remove(task)
                each.task, each.deadline = task, self._clock.monotonic() + task.seconds
            else:  # It died while idle: that says nothing about this task.
                self._lost(each, "ended while idle")

    def _wait(self, deadline: float) -> None:
        now = self._clock.monotonic()
        first = min([deadline, *(each.deadline for each in self._workers)])
        ready = self._selector.select(max(0.0, min(TICK_SECONDS, first - now)))
        now = self._clock.monotonic()  # what follows may take long: what children say meanwhile is not late
        for key, _ in ready:
            if key.data in self._workers:  # what another child said a moment ago may have ended this one
                self._read(key.data)
        for each in list(self._workers):
            if now >= each.deadline:
                self._lost(each, "took too long", hung=True)

    def _read(self, each: Worker) -> None:
        try:
            messages = each.receive()
        except protocol.ProtocolError as error:
            self._lost(each, str(error))
            return
        if messages is None:
            self._lost(each, "")
            return
        for message in messages:
            self._take(each, message)

    def _take(self, each: Worker, message: Message) -> None:
        event = message.get("event")
        if event in (protocol.HELLO, protocol.READY):
            self._handlers.started(message)
        if event == protocol.READY:
            each.ready, each.deadline = True, math.inf
        elif event in (protocol.CANDIDATE, protocol.RIGHT) and each.task is not None:
            each.deadline = self._clock.monotonic() + each.task.seconds
            self._handlers.event(each.task, message)
        elif event == protocol.FAILED and not each.ready:
            each.failure = Failure(str(message.get("error")), str(message.get("reason")))
        elif event in (protocol.DONE, protocol.FAILED, protocol.SKIPPED) and each.task is not None:
            self._failures[each.gpu] = 0
            task, each.task, each.deadline = each.task, None, math.inf
            self._ended(Outcome(task, str(event), str(message.get("reason") or ""), message, each))

    def _ended(self, outcome: Outcome) -> None:
        tasks = self._handlers.outcome(outcome)  # which may retire a GPU: that makes another queue
        self._queue.extendleft(reversed(tasks))
        self._drop_pinned()

    def _lost(self, each: Worker, reason: str, hung: bool = False) -> None:
        """A child that ended, hangs, or talks nonsense: strike its task, or its GPU when it never became ready."""
        ending = self._end(each)
        for_memory = ending == "SIGKILL" and not hung and self._oom_kills.new()
        if for_memory:
            reason = "the container's memory limit is too small"
        ended = [ending] if not reason or ending == process.LEFT_BEHIND else []
        words = ": ".join(filter(None, (reason, *ended, each.last_words())))
        if each.task is not None:
            kind = OUT_OF_MEMORY if for_memory else HUNG if hung else KILLED
            self._ended(Outcome(each.task, kind, words, {}, each))
        elif not each.ready:
            self._failures[each.gpu] += 1
            self._drop_pinned()
            self.last_failure = each.failure or Failure(OUT_OF_MEMORY_ERROR if for_memory else "", words)
        each.discard()

    def _end(self, each: Worker) -> str:
        self._selector.unregister(each.events)
        self._workers.remove(each)
        return each.kill()

    def _abandon(self) -> list[Task]:
        """Take back what was not finished. Children in a task are ended; idle ones stay for the next run."""
        left = list(self._queue)
        for each in self._busy():
            left.append(each.task)
            self._end(each)
            each.discard()
        self._queue.clear()
        return left
