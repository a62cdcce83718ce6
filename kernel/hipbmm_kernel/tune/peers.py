"""What other pods do about the same plan, as far as the store shows it: their names, and the rows they have published.

The names are empty files in `v1/<key>/pods`, made when a pod begins to tune. Their times are compared with each other
only, as one server of the volume sets them. A name is a hint: a wrong one costs time and nothing else.
"""

import contextlib
import re
from collections import Counter
from collections.abc import Collection, Iterator, Sequence

from hipbmm_kernel.rows.gemm import Problem, Row, key_of
from hipbmm_kernel.store import table
from hipbmm_kernel.store.reader import Reader
from hipbmm_kernel.store.shard import Shard
from hipbmm_kernel.store.shard_origin import node_of
from hipbmm_kernel.system import volume as volumes
from hipbmm_kernel.system.time_limits import TooLate, within
from hipbmm_kernel.tune import cooperation
from hipbmm_kernel.tune.cooperation import Silence
from hipbmm_kernel.tune.handover import Handover
from hipbmm_kernel.tune.row_trust import believable

PUBLISH_SECONDS = 1.0
REFRESH_SECONDS = 1.0
SHARE_OF_TIME = 5
"""Reading the store takes at most a fifth of the time: a slow volume is read less often."""
READ_SECONDS = 5.0
RECENT_SECONDS = 900.0
"""Names that are older than this pod's by more are of pods that tune no more."""
OLD_SECONDS = 86_400.0
MAX_PODS = 256
"""That are counted with: the choice of a problem takes a hash of each."""
_POD = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,199}")


class Peers:
    """The store as it was last read, and the problems that this pod should leave to others."""

    def __init__(self, handover: Handover, problems: Sequence[Problem], uid: str, gpus: int) -> None:
        self._handover = handover
        self._problems = problems
        self._uid = uid
        self._gpus = gpus
        self._pods: Collection[str] = (uid,)
        self.rows: dict[Problem, Row] = {}
        """Verified rows of these problems that the store has."""
        self._begun: set[Problem] = set()
        self._published = Counter[str]()
        self._pause = REFRESH_SECONDS
        self._next_refresh = float("-inf")
        self._silence = Silence()

    def announce(self) -> None:
        """Leave this pod's name, and take away names a day older. What the volume refuses costs time, nothing else."""
        with contextlib.suppress(OSError, TooLate):
            within(READ_SECONDS, self._announce)

    def pick(self, left: Sequence[Problem]) -> Problem | None:
        """The next problem for this pod, hot first in `left`; None when all of it is with others."""
        ahead = cooperation.ahead(self._gpus, self._begun, self.rows.keys())
        found = cooperation.pick(left, self._uid, self._pods, self._silence.seconds, ahead)
        self._begun |= {found} if found else set()
        return found

    def refresh(self) -> bool:
        """Read the store again, if that is due; whether it was."""
        clock = self._handover.clock
        began = clock.monotonic()
        if began < self._next_refresh:
            return False
        with contextlib.suppress(OSError, TooLate):
            self._pods = within(READ_SECONDS, self._names)
        with contextlib.suppress(TooLate):
            verified, self._published = within(READ_SECONDS, self._read)
            self.rows |= verified
        self._silence.note(self._pods, self._published, self._pause, began - self._next_refresh)
        now = clock.monotonic()
        self._pause = max(REFRESH_SECONDS, SHARE_OF_TIME * (now - began))
        self._next_refresh = now + self._pause
        return True

    def _read(self) -> tuple[dict[Problem, Row], Counter[str]]:
        """Verified rows, and how many lines about these problems each origin has: who tunes others is silent."""
        made, settings, stack = self._handover, self._handover.settings, self._handover.identity.stack
        keys = {key_of(problem, stack.fp8_column): problem for problem in self._problems}
        reader = Reader(made.volume, made.clock, stack.key, READ_SECONDS)
        published = Counter[str]()

        def counted() -> Iterator[Shard]:
            for shard in reader.shards(settings.store):
                about = [*(row.key for row in shard.rows), *(veto.key for veto in shard.vetoes)]
                published[shard.origin] += sum(key in keys for key in about)
                yield shard

        merged = table.merge(counted(), settings.retune_token, node_of(settings))
        found = believable(merged, self._problems, stack.fp8_column, stack.product)
        best = {problem: found.best(key) for key, problem in keys.items()}
        return {problem: row for problem, row in best.items() if row is not None and row.verified}, published

    def _announce(self) -> None:
        volume = self._handover.volume
        with self._directory() as directory:
            own = self._made(directory)
            for name in volume.names(directory):
                with contextlib.suppress(OSError):
                    if volume.stat_name(name, directory).st_mtime < own - OLD_SECONDS:
                        volume.remove(name, at=directory)

    def _names(self) -> tuple[str, ...]:
        """Pods of about this time. Everybody may write into the directory: names and times may be anything."""
        volume = self._handover.volume
        ages: dict[str, float] = {}
        with self._directory() as directory:
            own = self._made(directory)
            for name in filter(_POD.fullmatch, volume.names(directory)):
                with contextlib.suppress(OSError):
                    ages[name] = own - volume.stat_name(name, directory).st_mtime
        recent = [name for name, age in ages.items() if -OLD_SECONDS <= age <= RECENT_SECONDS]
        nearest = sorted(recent, key=lambda name: (abs(ages[name]), name))[:MAX_PODS]
        return tuple(sorted({self._uid, *nearest}))

    def _made(self, directory: int) -> float:
        """The time of this pod's own name, which is made where it is missing: the volume may have refused it before."""
        volume = self._handover.volume
        try:
            return volume.stat_name(self._uid, directory).st_mtime
        except FileNotFoundError:
            volume.close(volume.create(self._uid, at=directory))
        return volume.stat_name(self._uid, directory).st_mtime

    def _directory(self) -> contextlib.AbstractContextManager[int]:
        made = self._handover
        parts = ("v1", made.identity.stack.key, "pods")
        return volumes.closing(made.volume, volumes.open_below(made.volume, made.settings.store, *parts, make=True))
