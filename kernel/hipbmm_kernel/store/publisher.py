"""Publishing one shard on a volume that may fail at any call.

A shard is written once, under a name nobody else uses, and read back before it counts. Every error ends that name for
good: after a failed fsync dirty pages may be marked clean, so a second fsync on the same file would lie. The next
attempt takes a new name. Readers trust only a shard's trailer, so a partial file that stays behind is harmless.
"""

from __future__ import annotations

import contextlib
import errno
import math
from typing import TYPE_CHECKING, NamedTuple

from hipbmm_kernel.store import shard as shards
from hipbmm_kernel.system import volume as volumes

if TYPE_CHECKING:
    from collections.abc import Callable

    from hipbmm_kernel.identity.stack import Stack
    from hipbmm_kernel.store.shard import Shard
    from hipbmm_kernel.system.clock import Clock
    from hipbmm_kernel.system.volume import Volume

FIRST_PAUSE = 0.05
MAX_PAUSE = 5.0
MAX_ERRORS = 8
HOPELESS = frozenset({errno.ENOENT, errno.ENOTDIR, errno.EROFS, errno.ENAMETOOLONG, errno.ELOOP, errno.EPERM})
"""Errors that waiting does not heal. One of them may still be a stale cache of a network volume; the same one twice in
a row is not."""
FULL = frozenset({errno.ENOSPC, errno.EDQUOT})
FULL_SECONDS = 10.0
"""How long a full volume is asked again: a compaction elsewhere frees some of it at once, or nobody does for long."""


class Published(NamedTuple):
    """A shard that is on the volume: its name, its place in the origin's numbering, and what went wrong before."""

    name: str
    seq: int
    errors: tuple[str, ...]


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
        self._directory = f"{root}/v1/{stack if isinstance(stack, str) else stack.key}"
        self._seq = 0

    def publish(
        self, build: Callable[[int], Shard], seconds: float, left: Callable[[], float] = lambda: math.inf
    ) -> Published:
        """Publish `build(seq)`, retrying under new names for `seconds`. PublishError when none of them held.

        `left` is asked before each retry and may end them sooner: the seconds that the caller still has.
        ShardError, a mistake of the caller, is not retried.
        """
        deadline = self._clock.monotonic() + seconds
        pause = FIRST_PAUSE
        errors: list[str] = []
        hopeless = 0
        until_full = deadline
        while True:
            self._seq += 1
            data = shards.encode(build(self._seq))
            try:
                name = self._attempt(data)
            except OSError as error:
                errors.append(volumes.describe(error))
                hopeless = hopeless + 1 if error.errno in HOPELESS else 0
                full = error.errno in FULL
                until_full = min(until_full, self._clock.monotonic() + FULL_SECONDS) if full else deadline
            else:
                return Published(name, self._seq, tuple(errors[-MAX_ERRORS:]))
            if hopeless > 1 or self._clock.monotonic() + pause > until_full or pause > left():
                raise PublishError(errors[-1], hopeless > 1)
            self._clock.sleep(pause)
            pause = min(pause * 2, MAX_PAUSE)

    def _attempt(self, data: bytes) -> str:
        self.prepare()
        self.describe()
        return self.put(shards.name_of(data), data)

    def put(self, name: str, data: bytes) -> str:
        """Write one shard under its own name, once, and read it back; the name. OSError when any call failed.

        The directories must be there (`prepare`).
        """
        directory = f"{self._directory}/shards"
        path = f"{directory}/{name}"
        try:
            self._write(path, data)
        except FileExistsError:
            # The name holds the hash of the content: either this is the same shard, written before a restart, or it is
            # what a retransmitted create left behind. The content decides.
            if volumes.read_file(self._volume, path, len(data)) != data:
                raise
            return name
        if volumes.read_file(self._volume, path, len(data)) != data:
            raise OSError(errno.EIO, "the volume returned other bytes than were written", path)
        self._sync_directory(directory)
        return name

    def prepare(self) -> None:
        """Make what is missing inside the store. The store itself is a mount: if it is missing, so is the volume."""
        for path in (f"{self._root}/v1", self._directory, f"{self._directory}/shards"):
            with contextlib.suppress(FileExistsError):
                self._volume.make_directory(path)

    def _write(self, path: str, data: bytes) -> None:
        fd = self._volume.create(path)
        try:
            try:
                volumes.write_all(self._volume, fd, data)
                self._volume.sync(fd)
            finally:
                self._volume.close(fd)
        except OSError:
            self._discard(path)
            raise

    def _discard(self, path: str) -> None:
        """Give a full volume its bytes back; what stays is no shard anyhow."""
        try:
            self._volume.remove(path)
        except OSError:
            return

    def _sync_directory(self, directory: str) -> None:
        """Make the name durable where the volume can; many network volumes cannot and need not."""
        try:
            fd = self._volume.open(directory)
        except OSError:
            return
        try:
            self._volume.sync(fd)
        except OSError:
            return
        finally:
            with contextlib.suppress(OSError):  # nothing was written through this descriptor
                self._volume.close(fd)

    def describe(self) -> None:
        """Leave stack.json beside the shards, for people and `export`; nothing depends on it, so nothing is raised."""
        data = self._description
        if data is None:
            return
        path = f"{self._directory}/stack.json"
        try:
            if volumes.read_file(self._volume, path, 2 * len(data)) == data:
                return
            self._volume.remove(path)
        except OSError:
            pass  # missing, which is the normal first time, or unreadable, which the write below shows
        try:
            self._write(path, data)
        except OSError:
            return
