"""Publishes the demand that is on the pod's own disk, at intervals: in the store, and for the mirror.

The store is written in a thread: a volume that hangs holds up nothing. For the mirror the counts are lines of the log,
ever more seldom: the operator rewrites a ConfigMap each time, and what was asked for in the first half of a pod's life
says as much as the whole of it.
"""

import contextlib
import threading
from collections.abc import Callable

from hipbmm_kernel.contract.settings import Settings
from hipbmm_kernel.dispatch import demand
from hipbmm_kernel.dispatch.demand_lines import Demand
from hipbmm_kernel.harvest.dispatch_files import DispatchFiles
from hipbmm_kernel.harvest.harvester import read_json
from hipbmm_kernel.store import shard as shards
from hipbmm_kernel.store.shard_origin import pod_of
from hipbmm_kernel.system import volume as volumes
from hipbmm_kernel.system.clock import Clock
from hipbmm_kernel.system.volume import Volume

INTERVAL = 600.0
"""Between two files of one pod; the next `warm` that reads them may be days away."""
MAX_INTERVAL = 86400.0
"""Between two times in the log: at first INTERVAL, then twice as long each time, up to this."""


class DemandPublisher:
    """Publishes what this pod's server asked for without a row, when it has grown.

    `log` takes lines for people, `announce` the lines for the mirror (None: there is no mirror).
    """

    def __init__(
        self,
        settings: Settings,
        volume: Volume,
        clock: Clock,
        dispatched: DispatchFiles,
        log: Callable[[str], None],
        announce: Callable[[str], None] | None = None,
    ) -> None:
        self._settings = settings
        self._volume = volume
        self._clock = clock
        self._dispatched = dispatched
        self._log = log
        self._announce = announce
        self._origin = pod_of(settings)
        self._published: list[Demand] = []
        self._announced: list[Demand] = []
        self._due = self._announce_due = 0.0
        self._interval = INTERVAL
        self._thread: threading.Thread | None = None

    def turn(self) -> None:
        """Publish when it is time and counts have grown; never waits."""
        now = self._clock.monotonic()
        to_store = now >= self._due and not (self._thread is not None and self._thread.is_alive())
        to_log = self._announce is not None and now >= self._announce_due
        if not to_store and not to_log:
            return
        found = self._dispatched.demand()
        key = read_json(self._volume, self._settings.report_file).get("key")
        if not isinstance(key, str) or not shards.is_key(key):
            return
        if to_store and found != self._published:
            self._due = now + INTERVAL
            thread = threading.Thread(target=self._publish, args=(key, found), daemon=True)
            with contextlib.suppress(RuntimeError):  # a pod may have no room for a thread now
                thread.start()
                self._thread = thread
        if to_log:
            self._write(key, demand.for_mirror(found))

    def finish(self, seconds: float) -> None:
        """The last turn, within `seconds`."""
        self._due = self._announce_due = 0.0
        self.turn()
        if self._thread is not None:
            self._thread.join(seconds)

    def _publish(self, key: str, found: list[Demand]) -> None:
        try:
            demand.publish(self._volume, self._settings.store, key, self._origin, found)
        except OSError as error:
            self._log(f"demand was not published: {volumes.describe(error)}")
            return
        self._published = found

    def _write(self, key: str, found: list[Demand]) -> None:
        """Write the counts into the log; a later second takes the place of an earlier one."""
        if self._announce is None or found == self._announced:
            return
        from hipbmm_kernel.store import mirror_log  # noqa: PLC0415 - most pods have a shared volume

        for each in mirror_log.log_lines(demand.framed(key, self._origin, int(self._clock.wall()), found)):
            self._announce(each)
        self._announced = found
        self._announce_due = self._clock.monotonic() + self._interval
        self._interval = min(2 * self._interval, MAX_INTERVAL)
