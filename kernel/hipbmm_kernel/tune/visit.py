"""The visit of one problem, as a state machine without a clock or a process: what to ask of a child next, and why.

AITER knows no veto. What has no row in the served file is tuned again in production, and the same bad choice wins. So a
visit ends with an index that was found right, or with the reason why there is none. In this order: the row that is
known, AITER's own tuning, the indices of the nearest verified M of the same linear (a solution is made for a tile, not
for one M), every index that hipBLASLt lists. A problem that ends its child is put back once, behind all others, and is
then offered its neighbours' indices first; one that ends a second child is given up.
"""

from collections.abc import Iterable
from typing import NamedTuple

from hipbmm_kernel.rows.gemm import NO_NAME, Problem, Row, is_time
from hipbmm_kernel.tune import protocol
from hipbmm_kernel.tune.protocol import Message

ROWS = 1024
"""Tokens for which a child makes its operands: those of a probe above AITER's limit."""
MAX_DEATHS = 2
MAX_SEARCH_DEATHS = 8
"""Indices of one problem that may end a child while a faster one than the right one that is known is searched."""
MAX_NEIGHBOURS = 3


class Job(NamedTuple):
    """A problem, whether its linear has a bias, and the predicted seconds of its tuning.

    `mixed` says that other linears of the same size call it the other way round.
    """

    problem: Problem
    bias: bool
    seconds: float
    mixed: bool = False

    def command(self, kind: str) -> Message:
        """The command to a child; a task of the protocol adds what it needs beside the problem."""
        m, n, k = self.problem
        return {"do": kind, "m": m, "n": n, "k": k, "bias": self.bias, "rows": ROWS}


class Ask(NamedTuple):
    """What a child is to do: `kind` is a task of the protocol, `solution` the index to verify."""

    kind: str
    solution: int = 0


class Visit:
    """What is known of one problem. `known` is the store's row of it, `checked` false believes AITER's own choice.

    `planned` says that it is one of the plan's problems. It is `active` while a task of it waits or runs, and
    `improving` when all indices are tried, not only as many as make one right. `asked_is_right` says of the index that
    is being verified that it is right: what follows is its timing.
    """

    def __init__(
        self, job: Job, key: str, known: Row | None = None, *, checked: bool = True, planned: bool = True
    ) -> None:
        self.job = job
        self.key = key
        self.known = known
        self.planned = planned
        self.active = False
        self.candidate = known
        self.row: Row | None = None
        self.refuted: dict[int, str] = {}
        self.asked: Ask | None = None
        self.asked_is_right = False
        self.deaths = 0
        self.reason = ""
        self.skipped = ""
        self.died_of_memory = False
        self.trying: int | None = None
        self.tried: list[int] = []
        self._checked = checked
        self._tuned = False
        self._searched = False
        self.improving = False
        self._found: tuple[float, int] | None = None

    @property
    def failure(self) -> str:
        """What speaks against the problem while it has no row; "" when only memory or time did not suffice."""
        return "" if self.row is not None else self.reason

    @property
    def unproven(self) -> Row | None:
        """A row that nobody has verified, and that nothing speaks against."""
        return self.candidate if self.row is None and not self.reason else None

    def next(self, verified: Iterable[Row]) -> Ask | None:
        """What to ask next, None when the visit is over; `verified` are right rows of any problem."""
        self.asked_is_right = False
        self.asked = self._next(list(neighbours(self.job.problem, self.key, verified, self.refuted)))
        self.active = self.asked is not None
        return self.asked

    def _next(self, near: list[Row]) -> Ask | None:
        if self.improving:
            return self._improve()
        if self.row is not None or self.deaths >= MAX_DEATHS:
            return None
        offered = near[:1] if self.deaths else []
        offered += [self.candidate] if self.candidate is not None else []
        offered += near if self._tuned else []
        if offered:
            return Ask(protocol.VERIFY, offered[0].algo_index)
        if not self._tuned:
            return Ask(protocol.TUNE)
        return None if self._searched else Ask(protocol.SEARCH)

    def search_faster(self) -> None:
        """Go on with a search of every index, for one that is faster than the row."""
        if self.row is not None:
            self.improving, self._searched, self.candidate = True, False, None
            self.tried, self.deaths = [*self.refuted, self.row.algo_index], 0

    def _improve(self) -> Ask | None:
        if not self._searched and self.deaths < MAX_SEARCH_DEATHS:
            return Ask(protocol.SEARCH)
        return None if self.candidate is None else Ask(protocol.VERIFY, self.candidate.algo_index)

    def tuned(self, row: Row | None, reason: str) -> None:
        """AITER tuned the problem; `reason` says why it left no row that may be used."""
        self._tuned = True
        if row is None:
            self._failed(reason)
        elif self._checked:
            self.candidate = row
        else:
            self.row = row

    def right(self, index: int, tuned_us: float | None = None, default_us: float | None = None) -> Row:
        """The index is right: its row, which is the problem's unless a faster one is known."""
        candidate = self.candidate
        name = candidate.kernel_name if candidate and candidate.algo_index == index else NO_NAME
        row = Row(self.key, index, name, tuned_us, default_us, verified=True)
        held = self.row
        if held is None or held.tuned_us is None or (tuned_us is not None and tuned_us < held.tuned_us):
            self.row = row
        self.candidate = None
        return row

    def wrong(self, index: int, reason: str) -> None:
        """The index computes wrong numbers, or nothing."""
        self.refuted[index] = reason
        self._failed(f"index {index}: {reason}")
        if self.candidate is not None and self.candidate.algo_index == index:
            self.candidate = None

    def adopt(self, row: Row) -> None:
        """Another pod has found this verified row: nothing is left to ask."""
        self.row, self.candidate, self.active, self.skipped = row, None, False, ""

    def died(self, reason: str) -> int | None:
        """A child ended in what was asked: the index that this speaks against, 0 for the problem, None for none yet."""
        asked = self.asked or Ask(protocol.TUNE)
        self.deaths += 1
        self._failed(reason)
        if asked.kind == protocol.SEARCH and self.trying is not None:
            index, self.trying = self.trying, None
            self.tried.append(index)
            self.refuted[index] = reason
            return index
        if self.deaths < MAX_DEATHS or self.improving:
            return None
        if asked.kind == protocol.VERIFY:
            self.refuted[asked.solution] = reason
            return asked.solution
        return 0

    def died_for_memory(self, reason: str) -> None:
        """A child was ended because the container's memory limit is too small: that says nothing about the problem."""
        self.deaths += 1
        self.skipped, self.died_of_memory = reason, True

    def out_of_memory(self, reason: str) -> None:
        """The device's memory does not suffice for what was asked."""
        self.skipped = reason
        if self.asked and self.asked.kind == protocol.TUNE:
            self._tuned = True
        else:
            self.candidate, self._searched, self.deaths = None, True, MAX_DEATHS

    def announced(self, index: int, us: float | None, *, over: bool) -> None:
        """A search begins to try an index, or is `over` with it: right if it has a time."""
        if not over:
            self.trying = index
            return
        self.trying = None
        self.tried.append(index)
        if us is not None and is_time(us) and (self._found is None or us < self._found[0]):
            self._found = (us, index)

    def searched(self) -> None:
        """A search is over: its fastest right index is verified like any other."""
        self._searched = True
        if self._found is None:
            self._failed("none of the solutions that hipBLASLt lists computes right numbers")
            return
        us, index = self._found
        held = self.row.tuned_us if self.row is not None else None
        if held is None or us < held:
            self.candidate = Row(self.key, index, tuned_us=round(us, 3))

    def forget(self) -> None:
        """What was found against the problem came from a machine that no longer computes: begin again."""
        self.deaths, self.reason, self._searched, self._tuned = 0, "", False, self.candidate is not None
        self.refuted.clear()
        self.tried.clear()
        self.trying = self._found = None

    def _failed(self, reason: str) -> None:
        self.reason = self.reason or reason


def neighbours(problem: Problem, key: str, rows: Iterable[Row], refuted: Iterable[int]) -> list[Row]:
    """At most three rows for `problem`, nearest M first, with different indices of verified rows of its N and K."""
    near = [row for row in rows if row.verified and row.problem[1:] == problem[1:] and row.problem != problem]
    near.sort(key=lambda row: (abs(row.problem.m - problem.m), row.problem.m))
    found: dict[int, Row] = {}
    for row in near:
        if row.algo_index not in refuted:
            found.setdefault(row.algo_index, Row(key, row.algo_index, row.kernel_name))
    return list(found.values())[:MAX_NEIGHBOURS]
