"""What passes between `warm` and the tuner: where it works, what its last child does, and what came of it."""

from collections.abc import Callable, Mapping
from typing import NamedTuple

from hipbmm_kernel.contract.progress import Progress
from hipbmm_kernel.contract.settings import Settings
from hipbmm_kernel.identity.container import Identity
from hipbmm_kernel.rows.gemm import Problem
from hipbmm_kernel.store.table import Table
from hipbmm_kernel.system.clock import Clock
from hipbmm_kernel.system.stop import Stop
from hipbmm_kernel.system.volume import Volume
from hipbmm_kernel.tune.protocol import Message


class Last:
    """What one child of a tuning does when all else is done, so that no other need be started for it.

    The children run `module` instead of their plain program; its `main` knows what the command means. A GPU whose child
    cannot start with it gets a plain one next, so that it costs no row. `command` is asked when the tuning is over,
    with the store's table and what was found; None: there is nothing to do. `seconds` are for the command, and once
    more after each event. `ended` says how the child ended in it, "" when it did not; None: no child has done it.
    """

    def __init__(self, module: str, command: Callable[[Table], Message | None], seconds: float) -> None:
        self.module = module
        self.command = command
        self.seconds = seconds
        self.ended: str | None = None


class Handover(NamedTuple):
    """Where a run of `warm` is: this pod, this stack, this process. `log` takes lines for people.

    `last` is for the tuning, and comes last in it.
    """

    settings: Settings
    identity: Identity
    env: Mapping[str, str]
    volume: Volume
    clock: Clock
    stop: Stop
    progress: Progress
    log: Callable[[str], None]
    last: Last | None = None


class Outcome(NamedTuple):
    """What came of a tuning.

    `table` is the store's and the new rows together; `reason` says why tuning could not go on ("" when it could), and
    `unsafe` that the server would meet the same. `failed` says what speaks against a problem without a row, `skipped`
    that its memory did not suffice; `out_of_memory` of the failed ended a child for lack of the container's memory.
    `unproven` are the (N, K) that were not found right above AITER's limit: only here do their rows count as verified.
    `spread` is how far repeated timings lie apart, `replaced` counts rows that are not AITER's first choice.
    """

    table: Table
    reason: str = ""
    message: str = ""
    unsafe: bool = False
    failed: Mapping[Problem, str] = {}
    skipped: Mapping[Problem, str] = {}
    out_of_memory: int = 0
    unfinished: int = 0
    unproven: frozenset[tuple[int, int]] = frozenset()
    replaced: int = 0
    stopped: bool = False
    children: int = 0
    spread: str | None = None
    storage_error: str = ""
    errors: tuple[str, ...] = ()
