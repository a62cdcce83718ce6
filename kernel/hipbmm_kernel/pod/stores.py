"""The stores of a pod as `warm` uses them: the table of this stack from all of them, and what the mirror lacks.

A store that cannot be read is an empty one and an error in the report; a volume that hangs is left behind.
"""

import contextlib
import itertools
import os
from collections.abc import Callable, Iterable
from typing import TypeVar

from hipbmm_kernel.contract.settings import Settings
from hipbmm_kernel.dispatch import demand as demands
from hipbmm_kernel.dispatch.demand_lines import Demand
from hipbmm_kernel.store import plans, table
from hipbmm_kernel.store import shard as shards
from hipbmm_kernel.store.reader import MANY, Reader, Reading
from hipbmm_kernel.store.shard_origin import node_of
from hipbmm_kernel.store.table import Table
from hipbmm_kernel.system.clock import Clock
from hipbmm_kernel.system.time_limits import TooLate, within
from hipbmm_kernel.system.volume import Volume

T = TypeVar("T")

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
            # Only with the table that has their rows: what goes into the mirror takes the place of these shards.
            merged, self._mirrored = within(settings.read_seconds + HANG_SECONDS, self._merge, reader)
        except TooLate as late:
            reader.reading.errors.append(f"{settings.store}: {late}: the volume hangs")
            merged = table.EMPTY
        self._uncovered = reader.reading.uncovered
        if reader.reading.errors:
            self.error = reader.reading.errors[0]
        return merged, reader.reading

    def _merge(self, reader: Reader) -> tuple[Table, list[tuple[str, shards.Shard]]]:
        """The table, and the mirrors' shards in it where what they lack is to be written."""
        settings = self._settings
        if not os.path.isdir(settings.store):
            self.error = f"{settings.store} is no directory"
        token, node = settings.retune_token, node_of(settings)
        if not settings.mirror_log:
            return table.merge(reader.shards(settings.store, settings.mirrors), token, node), []
        found = itertools.chain.from_iterable(reader.found(mirror, mirror=True) for mirror in settings.mirrors)
        mirrored = [(name, shard) for name, shard, _ in found]
        of_mirrors = (shard for _, shard in mirrored)
        return table.merge(itertools.chain(reader.shards(settings.store), of_mirrors), token, node), mirrored

    def compare_with_mirror(self, final: Table, planned: Iterable[str], key: str) -> None:
        """Prepare what goes into the mirror, where there is one and it lacks rows of `final`."""
        if self._settings.mirror_log:
            from hipbmm_kernel.store import mirror_log  # noqa: PLC0415 - most pods have a shared volume

            token = self._settings.retune_token
            self._mirror(*mirror_log.unmirrored(final, self._mirrored, list(planned), key, token))

    def find_plan(self, key: str, parse: Callable[[str, bytes], T], problems: list[str]) -> T | None:
        """What `parse` makes of the file of a key beside the shards (`plans.find`). TooLate when a volume hangs."""
        roots = (self._settings.store, *self._settings.mirrors)
        return within(plans.SECONDS, plans.find, self._volume, roots, key, parse, problems)

    def keep_plan(self, key: str, data: bytes, *, new: bool) -> str:
        """Put such a file into the store where it is `new`, and into the mirror that lacks it; why the first failed."""
        settings, error = self._settings, ""
        if new:
            try:
                error = within(plans.SECONDS, plans.keep, self._volume, settings.store, key, data)
            except TooLate as late:
                error = str(late)
        if settings.mirror_log:
            text = plans.frame(key, data)
            if not any(os.path.exists(f"{mirror}/{shards.name_of(text)}.gz") for mirror in settings.mirrors):
                self._mirror(text)
        return error

    def _mirror(self, *texts: bytes) -> None:
        from hipbmm_kernel.store import mirror_log  # noqa: PLC0415 - as above

        self.mirror_shards += tuple(map(shards.name_of, texts))
        self.mirror_lines += itertools.chain.from_iterable(map(mirror_log.log_lines, texts))

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
