"""Demand from the pod's own disk to the store, now and then, in a thread: a volume that hangs holds up nothing."""

import threading
from collections.abc import Callable
from contextlib import suppress

from hipbmm_kernel.contract.settings import Settings
from hipbmm_kernel.dispatch import demand
from hipbmm_kernel.dispatch.demand_lines import Demand
from hipbmm_kernel.harvest.dispatched import Dispatched
from hipbmm_kernel.harvest.harvester import read_json
from hipbmm_kernel.store import shard as shards
from hipbmm_kernel.system import volume as volumes
from hipbmm_kernel.system.clock import Clock
from hipbmm_kernel.system.volume import Volume

INTERVAL = 600.0
"""Between two files of one pod; the next `warm` that reads them may be days away."""


class Demanding:
    """Publishes what this pod's server asked for without a row, when it has grown."""

    def __init__(
        self, settings: Settings, volume: Volume, clock: Clock, dispatched: Dispatched, log: Callable[[str], None]
    ) -> None:
        self._settings = settings
        self._volume = volume
        self._clock = clock
        self._dispatched = dispatched
        self._log = log
        self._origin = demand.origin_of(settings.pod_uid)
        self._published: list[Demand] = []
        self._due = 0.0
        self._thread: threading.Thread | None = None

    def turn(self) -> None:
        """Start to publish when it is time and counts have grown; never waits."""
        if self._clock.monotonic() < self._due or (self._thread is not None and self._thread.is_alive()):
            return
        found = self._dispatched.demand()
        key = read_json(self._volume, self._settings.report_file).get("key")
        if found == self._published or not isinstance(key, str) or not shards.is_key(key):
            return
        self._due = self._clock.monotonic() + INTERVAL
        self._thread = threading.Thread(target=self._publish, args=(key, found), daemon=True)
        self._thread.start()

    def finish(self, seconds: float) -> None:
        """The last turn, within `seconds`."""
        self._due = 0.0
        self.turn()
        if self._thread is not None:
            with suppress(RuntimeError):
                self._thread.join(seconds)

    def _publish(self, key: str, found: list[Demand]) -> None:
        try:
            demand.publish(self._volume, self._settings.store, key, self._origin, found)
        except OSError as error:
            self._log(f"demand was not published: {volumes.describe(error)}")
            return
        self._published = found
