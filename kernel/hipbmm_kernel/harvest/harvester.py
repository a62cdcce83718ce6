"""From the served file to the store: rows that AITER appended while the server ran.

How far the file was harvested is remembered beside it and written only when the rows before are on the volume, so a
restart of the sidecar loses nothing and publishes nothing twice. Where there is a mirror, they also have been in the
log for so long that the operator has read them: rows of the last minutes are published again then.
"""

from __future__ import annotations

import json
from contextlib import suppress
from typing import TYPE_CHECKING

from hipbmm_kernel.contract import report
from hipbmm_kernel.identity import stack as stacks
from hipbmm_kernel.rows import gemm
from hipbmm_kernel.store import shard as shards
from hipbmm_kernel.store.publish_queue import PublishQueue
from hipbmm_kernel.store.publisher import Publisher
from hipbmm_kernel.store.shard_origin import HARVEST, MIRROR, head
from hipbmm_kernel.store.tail import Cursor, Tail
from hipbmm_kernel.system import volume as volumes
from hipbmm_kernel.system.digest import canonical

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from hipbmm_kernel.contract.settings import Settings
    from hipbmm_kernel.harvest.mirror_writer import MirrorWriter
    from hipbmm_kernel.identity.stack import Stack
    from hipbmm_kernel.rows.gemm import Row
    from hipbmm_kernel.system.clock import Clock
    from hipbmm_kernel.system.volume import Volume

MAX_PLACE = 2**63
CURSOR_NAME = "harvest.json"
MIRROR_NAME = "mirror.csv"
"""The last shard that was written into the log for the mirror."""
FOREIGN = "foreign"
_CATEGORIES = (
    ("algo_index", "index"),
    ("kernel_name", "name"),
    ("NUL", "hole"),
    ("column", "columns"),
    ("field", "columns"),
    ("header", "header"),
)


class Harvester:
    """Publishes what is new. Counters are totals since this process began.

    In `queue` rows wait for the volume; it is None before the stack is known.
    """

    def __init__(
        self,
        settings: Settings,
        volume: Volume,
        clock: Clock,
        log: Callable[[str], None],
        announce: Callable[[str], None] | None = None,
    ) -> None:
        """`log` takes lines for people, `announce` the lines of shards for the mirror (None: there is no mirror)."""
        self._announce = announce
        self._mirror_writer: MirrorWriter | None = None
        self._settings = settings
        self._volume = volume
        self._clock = clock
        self._log = log
        self._cursor_file = f"{settings.home}/{CURSOR_NAME}"
        self._mirror_file = f"{settings.home}/{MIRROR_NAME}"
        self._tail = Tail(volume, settings.served_file, self._remembered())
        self._committed = self._tail.cursor
        self._column = ""
        self.queue: PublishQueue | None = None
        self._unstored: list[Row] = []
        self._unserved: frozenset[str] = frozenset()
        self.harvested = 0
        self.unplanned = 0
        self.rejected: dict[str, int] = {}

    def turn(self) -> bool:
        """Read what was appended and hand it on; whether more is waiting."""
        appended = self._tail.read()
        for reason in appended.rejected:
            self._reject(_category(reason))
        # AITER found these here: rows that were served have no kernel name.
        self._unstored += [row for row in appended.rows if row.kernel_name != gemm.NO_NAME]
        self._hand_on()
        if self._mirror_writer is not None:
            self._mirror_writer.turn()
        self._commit()
        return appended.more

    def finish(self, seconds: float) -> None:
        """The last turns: everything that is complete in the file, as far as it is read and published in `seconds`."""
        deadline = self._clock.monotonic() + seconds
        while self.turn() and self._clock.monotonic() < deadline:
            continue
        if self.queue is not None:
            self.queue.close(max(0.0, deadline - self._clock.monotonic()))
            self._commit()

    def _hand_on(self) -> None:
        queue = self._opened() if self._unstored else None
        if queue is None:
            return
        own = [row for row in self._unstored if row.key == gemm.key_of(row.problem, self._column)]
        for _ in range(len(self._unstored) - len(own)):
            self._reject(FOREIGN)
        self._unstored.clear()
        self.harvested += len(own)
        self.unplanned += sum(gemm.label(row.problem) not in self._unserved for row in own)
        if own:
            queue.add(*own)
        if self._mirror_writer is not None:
            self._mirror_writer.add(own)

    def _opened(self) -> PublishQueue | None:
        """The queue, once `warm` has reported the stack: without it no row can be said to belong anywhere."""
        if self.queue is not None:
            return self.queue
        found = read_json(self._volume, self._settings.report_file)
        stack = self._reported_stack(found)
        self._unserved = _unserved(found)
        if stack is None or stack.key == stacks.UNKNOWN:
            return None
        self._column = stack.fp8_column
        publisher = Publisher(self._volume, self._clock, self._settings.store, stack)
        self.queue = PublishQueue(publisher, self._clock, head(self._settings, stack, HARVEST), self._log, batch_rows=1)
        if self._announce is not None:
            from hipbmm_kernel.harvest.mirror_writer import MirrorWriter  # noqa: PLC0415 - most pods have a shared volume

            first = head(self._settings, stack, MIRROR)
            self._mirror_writer = MirrorWriter(first, self._clock, self._announce, self._keep)
            with suppress(OSError):
                self._mirror_writer.go_on(volumes.read_file(self._volume, self._mirror_file, shards.MAX_BYTES))
        return self.queue

    def _keep(self, data: bytes) -> None:
        try:
            volumes.replace_file(self._volume, self._mirror_file, data)
        except OSError as error:
            self._log(f"what goes into the mirror could not be remembered: {volumes.describe(error)}")

    def _reported_stack(self, found: Mapping[str, object]) -> Stack | None:
        document = found.get("stackDocument")
        if not isinstance(document, dict) or found.get("reason") == "StackMismatch":
            # Another GPU or library computes here than the stack says: its rows would crash whoever takes them.
            return None
        try:
            return stacks.parse(canonical(document))
        except stacks.StackError as error:
            self._log(f"the report's stack cannot be used: {error}")
            return None

    def _commit(self) -> None:
        """Remember how far the file is harvested, once nothing before that place waits any more."""
        waiting = self._unstored or (self.queue is not None and self.queue.waiting())
        if waiting or (self._mirror_writer is not None and self._mirror_writer.waiting()):
            return
        cursor = self._tail.cursor
        if cursor == self._committed:
            return
        try:
            volumes.replace_file(self._volume, self._cursor_file, json.dumps(cursor._asdict()).encode("ascii"))
        except OSError as error:
            self._log(f"the place in the served file could not be remembered: {volumes.describe(error)}")
            return
        self._committed = cursor

    def _remembered(self) -> Cursor:
        document = read_json(self._volume, self._cursor_file)
        places = [document.get(name) for name in ("device", "inode", "offset")]
        plain = [place for place in places if type(place) is int and 0 <= place < MAX_PLACE]
        return (
            Cursor(plain[0], plain[1], plain[2], str(document.get("before"))) if len(plain) == len(places) else Cursor()
        )

    def _reject(self, category: str) -> None:
        self.rejected[category] = self.rejected.get(category, 0) + 1


def read_json(volume: Volume, path: str) -> dict[str, object]:
    """A JSON object of the pod's own disk; empty when there is none that can be used."""
    return report.read(volume, path)[0] or {}


def _unserved(found: Mapping[str, object]) -> frozenset[str]:
    """Problems of the plan for which `warm` had no row, as it names them."""
    failures = found.get("failures")
    named = [each.get("problem") for each in failures if isinstance(each, dict)] if isinstance(failures, list) else []
    return frozenset(name for name in named if isinstance(name, str))


def _category(reason: str) -> str:
    """A reason as the value of a label: few words, never content of the file."""
    return next((category for mark, category in _CATEGORIES if mark in reason), "other")
