"""The stores of a pod as `warm` uses them: the table of this stack from all of them, and what the mirror lacks.

A store that cannot be read is an empty one and an error in the report; a volume that hangs is left behind.
"""

import contextlib
import itertools
import os
from collections.abc import Iterable

from hipbmm_kernel.contract.settings import Settings
from hipbmm_kernel.dispatch import demand as demands
from hipbmm_kernel.dispatch.demand_lines import Demand
from hipbmm_kernel.store import shard as shards
from hipbmm_kernel.store import table
from hipbmm_kernel.store.reader import MANY, Reader, Reading
from hipbmm_kernel.store.shard_origin import node_of
from hipbmm_kernel.store.table import Table
from hipbmm_kernel.system.clock import Clock
from hipbmm_kernel.system.time_limits import TooLate, within
from hipbmm_kernel.system.volume import Volume

HANG_SECONDS = 10.0
"""Beyond the reader's own time limit: after it, a call that has not returned never will."""
COMPACT_SECONDS = 30.0


class Stores:
    """The writable store and the mirrors; `error` says why the store cannot be used ("" when it can)."""

    def __init__(self, settings: Settings, volume: Volume, clock: Clock) -> None:
        self._settings = settings
        self._volume = volume
        self._clock = clock
        self._mirrored: list[tuple[str, shards.Shard]] = []
        self._uncovered = 0
        self.error = ""
        self.mirror_shards: tuple[str, ...] = ()
        self.mirror_lines: list[str] = []

    def load(self, key: str) -> tuple[Table, Reading]:
        """The table of the stack with this key, and what its reading met."""
        settings = self._settings
        reader = Reader(self._volume, self._clock, key, settings.read_seconds)
        try:
            merged = within(settings.read_seconds + HANG_SECONDS, self._merge, reader)
        except TooLate as late:
            reader.reading.errors.append(f"{settings.store}: {late}: the volume hangs")
            merged = table.EMPTY
        self._uncovered = reader.reading.uncovered
        if reader.reading.errors:
            self.error = reader.reading.errors[0]
        return merged, reader.reading

    def _merge(self, reader: Reader) -> Table:
        settings = self._settings
        if not os.path.isdir(settings.store):
            self.error = f"{settings.store} is no directory"
        token, node = settings.retune_token, node_of(settings)
        if not settings.mirror_log:
            return table.merge(reader.shards(settings.store, settings.mirrors), token, node)
        self._mirrored = list(reader.mirrored(settings.mirrors))
        mirrored = (shard for _, shard in self._mirrored)
        return table.merge(itertools.chain(reader.shards(settings.store), mirrored), token, node)

    def compare_with_mirror(self, final: Table, planned: Iterable[str], key: str) -> None:
        """Prepare `mirror_shards` and their `mirror_lines`, when there is a mirror and it lacks rows of `final`."""
        if not self._settings.mirror_log:
            return
        from hipbmm_kernel.store import mirror_log  # noqa: PLC0415 - most pods have a shared volume

        fresh = mirror_log.unmirrored(final, self._mirrored, list(planned), key, self._settings.retune_token)
        self.mirror_shards += tuple(shards.name_of(data) for data in fresh)
        self.mirror_lines += [line for data in fresh for line in mirror_log.log_lines(data)]

    def mirror_plan(self, name: str, text: bytes) -> None:
        """The same for a plan, when no mirror holds it."""
        if any(os.path.exists(f"{mirror}/{name}.gz") for mirror in self._settings.mirrors):
            return
        from hipbmm_kernel.store import mirror_log  # noqa: PLC0415 - as above

        self.mirror_shards += (name,)
        self.mirror_lines += mirror_log.log_lines(text, name)

    def demand(self, key: str, notes: list[str]) -> list[Demand]:
        """What production asked for without a row, most called first; why a store could not be read is a note."""
        roots = (self._settings.store, *self._settings.mirrors)
        try:
            return within(HANG_SECONDS, demands.read, self._volume, roots, key, notes)
        except TooLate as late:
            notes.append(f"demand of the stores: {late}")
            return []

    def compact(self, key: str) -> str:
        """Make few shards of many, if there are many, so that no store outgrows what a start reads: what was done."""
        if self._uncovered < MANY or not self.is_writable():
            return ""
        from hipbmm_kernel.store.compactor import compact_key  # noqa: PLC0415 - few stores need it

        store, seconds = self._settings.store, self._settings.read_seconds
        with contextlib.suppress(TooLate):  # the store stays as it is, and somebody else compacts it
            done = within(COMPACT_SECONDS, compact_key, self._volume, self._clock, store, key, seconds, bounded=True)
            return f"compacted: {done.before} shards, {len(done.published)} new, {done.removed} removed"
        return ""

    def is_writable(self) -> bool:
        """Whether the store may be written, as far as errors and permissions say."""
        if self.error:
            return False
        try:
            return within(HANG_SECONDS, os.access, self._settings.store, os.W_OK)
        except TooLate:
            return False
