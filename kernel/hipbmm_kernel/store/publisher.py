"""Publishing one shard on a volume that may fail at any call.

A shard is written once, under a name nobody else uses, and read back before it counts. Every error ends that name for
good: after a failed fsync dirty pages may be marked clean, so a second fsync on the same file would lie. The next
attempt takes a new name. Readers trust only a shard's trailer, so a partial file that stays behind is harmless.
"""

import contextlib
import errno
import math
from collections.abc import Callable

from hipbmm_kernel.identity.stack import Stack
from hipbmm_kernel.store import shard as shards
from hipbmm_kernel.store.shard import Shard
from hipbmm_kernel.system import volume as volumes
from hipbmm_kernel.system.clock import Clock
from hipbmm_kernel.system.volume import Volume

FIRST_PAUSE = 0.05
MAX_PAUSE = 5.0
HOPELESS = frozenset({errno.ENOENT, errno.ENOTDIR, errno.EROFS, errno.ENAMETOOLONG, errno.ELOOP, errno.EPERM})
"""Errors that waiting does not heal. One of them may still be a stale cache of a network volume; the same one twice in
a row is not."""
FULL = frozenset({errno.ENOSPC, errno.EDQUOT})
FULL_SECONDS = 10.0
"""How long a full volume is asked again: a compaction elsewhere frees some of it at once, or nobody does for long."""

STACK_NAME = "stack.json"


class PublishError(OSError):
    """The shard could not be published; `hopeless` when waiting longer would not have helped."""

    def __init__(self, message: str, hopeless: bool) -> None:
        super().__init__(message)
        self.hopeless = hopeless


class Publisher:
    """Publishes shards of one key into one store. Numbers count up over its life and are never used twice."""

    def __init__(self, volume: Volume, clock: Clock, root: str, stack: Stack | str) -> None:
        """`stack` may be a key alone where the stack itself is not known; then no stack.json is written."""
        self._volume = volume
        self._clock = clock
        self._description = None if isinstance(stack, str) else stack.canonical() + b"\n"
        self._root = root
        self._key = stack if isinstance(stack, str) else stack.key
        self._seq = 0

    def publish(self, shard: Shard, seconds: float, left: Callable[[], float] = lambda: math.inf) -> str:
        """Publish a shard, retrying with new numbers for `seconds`; its name. PublishError when none held.

        `left` is asked before each retry and may end them sooner: the seconds that the caller still has.
        ShardError, a mistake of the caller, is not retried.
        """
        deadline = self._clock.monotonic() + seconds
        pause = FIRST_PAUSE
        hopeless = 0
        until_full = deadline
        while True:
            self._seq += 1
            data = shards.encode(shard._replace(seq=self._seq))
            name = shards.name_of(data)
            try:
                self.describe()
                self.put(name, data)
            except OSError as error:
                problem = volumes.describe(error)
                hopeless = hopeless + 1 if error.errno in HOPELESS else 0
                full = error.errno in FULL
                until_full = min(until_full, self._clock.monotonic() + FULL_SECONDS) if full else deadline
            else:
                return name
            if hopeless > 1 or self._clock.monotonic() + pause > until_full or pause > left():
                raise PublishError(problem, hopeless > 1)
            self._clock.sleep(pause)
            pause = min(pause * 2, MAX_PAUSE)

    def put(self, name: str, data: bytes) -> None:
        """Write one shard under its own name, once, and read it back. OSError when any call failed.

        The store itself is a mount: if it is missing, so is the volume. What is missing inside is made, and a link
        inside is not followed: it could lead anywhere.
        """
        with self._directory("shards", sync=True) as directory:
            put(self._volume, name, data, directory)

    def _directory(self, *parts: str, sync: bool = False) -> contextlib.AbstractContextManager[int]:
        """A directory of the key, made where it is missing."""
        opened = volumes.open_below(self._volume, self._root, "v1", self._key, *parts, make=True, sync=sync)
        return volumes.closing(self._volume, opened)

    def describe(self) -> None:
        """Leave stack.json beside the shards, for people and `export`; nothing depends on it, so nothing is raised."""
        data = self._description
        if data is None:
            return
        # Whatever is wrong with the volume, the shard that follows shows it.
        with contextlib.suppress(OSError), self._directory() as directory:
            with contextlib.suppress(OSError):  # missing, which is the normal first time, or another one
                if volumes.read_file(self._volume, STACK_NAME, 2 * len(data), at=directory) == data:
                    return
                self._volume.remove(STACK_NAME, at=directory)
            volumes.write_new(self._volume, STACK_NAME, data, directory)


def put(volume: Volume, name: str, data: bytes, directory: int) -> None:
    """Write a file once, and read it back; one that is there already counts if it has this content."""
    try:
        volumes.write_new(volume, name, data, directory)
    except FileExistsError:
        # It was written before a restart or by another pod, or it is what a retransmitted create left behind. The
        # content decides, once it is on the device.
        with volumes.closing(volume, volume.open(name, at=directory)) as fd:
            if volume.stat(fd).st_size != len(data) or volumes.read_file(volume, name, len(data), at=directory) != data:
                raise
            volume.sync(fd)
    else:
        if volumes.read_file(volume, name, len(data), at=directory) != data:
            raise OSError(errno.EIO, "the volume returned other bytes than were written", name)
    volumes.sync_names(volume, directory)
