"""Writes what the server has learned into the sidecar's log for the mirror: at intervals, and all of it each time."""

from collections import deque
from collections.abc import Callable, Iterable
from contextlib import suppress

from hipbmm_kernel.rows.gemm import Row
from hipbmm_kernel.store import mirror_log
from hipbmm_kernel.store import shard as shards
from hipbmm_kernel.store.shard import Shard
from hipbmm_kernel.system.clock import Clock

INTERVAL = 300.0
"""The operator reads a serving pod's log every few minutes only, and rows learned one by one fill no log that way."""
READ_SECONDS = 1200.0
"""By then the operator has read what is in the log, twice. Nobody reads the log of a container that has ended."""
MAX_INPUTS = 1000
"""Former shards that one names: the operator has read any of them, and takes no shard with more than 1024 inputs."""


class MirrorWriter:
    """Collects rows of one stack. `head` gives key, origin and token; `write` takes a line without its end.

    `keep` takes each shard before its lines are written, for `go_on` in a container that starts again.
    """

    def __init__(
        self, head: Shard, clock: Clock, write: Callable[[str], None], keep: Callable[[bytes], None] = lambda _: None
    ) -> None:
        self._head = head
        self._clock = clock
        self._write = write
        self._keep = keep
        self._rows: dict[tuple[str, int], Row] = {}
        self._new = False
        self._former = deque[str](maxlen=MAX_INPUTS)
        self._due = self._read = 0.0

    def go_on(self, data: bytes) -> None:
        """Take up the last shard of a former container of this pod: otherwise the mirror has one of each of them."""
        with suppress(shards.ShardError):
            last = shards.decode(data)
            if shards.first_line(last) == shards.first_line(self._head._replace(seq=last.seq)):
                self._head = self._head._replace(seq=last.seq)
                self._former.extend((*last.inputs, shards.name_of(data)))
                self.add(last.rows)

    def add(self, rows: Iterable[Row]) -> None:
        """Take rows; what is beyond the size of one shard in the log is left to the next start of a pod."""
        for row in rows:
            if len(self._rows) < mirror_log.MAX_LINES and (row.key, row.algo_index) not in self._rows:
                self._rows[row.key, row.algo_index] = mirror_log.shortened(row)
                self._new = True

    def turn(self) -> None:
        """Write a shard of all rows so far, which takes the place of the former ones, when there are new rows."""
        if not self._new or self._clock.monotonic() < self._due:
            return
        rows = tuple(self._rows[at] for at in sorted(self._rows))
        # The operator takes greater numbers only, and a container that starts again does not know its last one.
        number = max(self._head.seq + 1, int(self._clock.wall()))
        data = shards.encode(self._head._replace(seq=number, inputs=tuple(self._former), rows=rows))
        self._keep(data)
        for line in mirror_log.log_lines(data):
            self._write(line)
        self._head = self._head._replace(seq=number)
        self._former.append(shards.name_of(data))
        self._new = False
        now = self._clock.monotonic()
        self._due, self._read = now + INTERVAL, now + READ_SECONDS

    def waiting(self) -> bool:
        """Whether rows were taken that the operator may not have read."""
        return self._new or self._clock.monotonic() < self._read
