"""What the phases of a tuning share: the problems, the children's setting, where rows go, and when to stop."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from hipbmm_kernel.rows.gemm import Problem, Row, Veto, key_of
from hipbmm_kernel.tune import attest
from hipbmm_kernel.tune.crew import Abort

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from hipbmm_kernel.contract.progress import Progress
    from hipbmm_kernel.contract.settings import Settings
    from hipbmm_kernel.identity.stack import Stack
    from hipbmm_kernel.store.publish_queue import PublishQueue
    from hipbmm_kernel.system.clock import Clock
    from hipbmm_kernel.system.stop import Stop

MAX_REASON = 160
ONLINE_TUNING = "HIP_ONLINE_TUNING"


class Job(NamedTuple):
    """A problem to be tuned, whether its linear has a bias, and the predicted seconds."""

    problem: Problem
    bias: bool
    seconds: float


class Bench(NamedTuple):
    """The setting of a tuning; `gpus` are values of HIP_VISIBLE_DEVICES."""

    settings: Settings
    stack: Stack
    gpus: tuple[str, ...]
    env: Mapping[str, str]
    clock: Clock
    stop: Stop
    outbox: PublishQueue
    progress: Progress
    log: Callable[[str], None]

    def child_env(self, online: bool) -> dict[str, str]:
        """The environment of a child: online tuning exactly on or exactly off."""
        env = {name: value for name, value in self.env.items() if name != ONLINE_TUNING}
        return {**env, ONLINE_TUNING: "1"} if online else env

    def publish(self, *items: Row | Veto) -> None:
        """Hand rows and vetoes to the store."""
        self.outbox.add(*items)

    def key(self, problem: Problem) -> str:
        """The 18 columns of a problem on this stack."""
        return key_of(problem, self.stack.fp8_column)

    def attest_hardware(self, hello: Mapping[str, object]) -> None:
        """Abort with StackMismatch when torch sees another GPU than sysfs."""
        difference = attest.hardware_difference(self.stack, hello)
        if difference is not None:
            raise Abort("StackMismatch", difference)

    def attest_library(self, ready: Mapping[str, object]) -> None:
        """Abort with StackMismatch when a hipBLASLt was loaded that is not in the stack."""
        libraries = ready.get("libraries")
        paths = [str(path) for path in libraries] if isinstance(libraries, list) else []
        difference = attest.library_difference(self.stack, paths, self.env)
        if difference is not None:
            raise Abort("StackMismatch", difference)


class Budget:
    """The time for tuning and verification together.

    It runs from the first child's being ready: a build of AITER's module or a slow import is not tuning.
    """

    def __init__(self, clock: Clock, seconds: float) -> None:
        self._clock = clock
        self._seconds = seconds
        self._began: float | None = None

    def start(self) -> None:
        """Let it run; later calls change nothing."""
        if self._began is None:
            self._began = self._clock.monotonic()

    def deadline(self, share: float = 1.0) -> float:
        """When this share of the budget is used up, on the monotonic clock; infinity before it runs."""
        return float("inf") if self._began is None else self._began + self._seconds * share

    def left(self) -> float:
        """Seconds that are left."""
        return max(0.0, self.deadline() - self._clock.monotonic())


class Findings:
    """What the phases found out: the best rows so far by key, vetoes, and why problems have no row.

    `proved` says that this machine has computed a right result; vetoes of verification are `held_back` until then.
    `starved` of the failed problems had too little memory in this container. `unverifiable` says why verification was
    given up, "" when it was not.
    """

    def __init__(self) -> None:
        self.rows: dict[str, Row] = {}
        self.vetoes: list[Veto] = []
        self.held_back: list[Veto] = []
        self.proved = False
        self.unverifiable = ""
        self.failed: dict[Problem, str] = {}
        self.skipped: dict[Problem, str] = {}
        self.starved = 0
        self.unfinished = 0
        self.children = 0
        self.spread: list[float] = []


def told(text: str) -> str:
    """A reason as a shard and a report can carry it: printable ASCII without commas, short, not empty."""
    plain = "".join(c if c.isascii() and c.isprintable() and c != "," else " " for c in text)
    return " ".join(plain.split())[:MAX_REASON] or "unknown"
