"""Reading stores: directories of shards, on volumes that may lag, fail for a while, or hold anything.

A store is the writable volume, a mounted ConfigMap, an image volume or an unpacked export: all have the same layout,
`<root>/v1/<key>/shards/<name>`. A ConfigMap is small, flat, and shows its keys as links: a mirror may therefore also be
flat, its shards may be gzipped, and links are followed there, which is never done on the writable volume.
Nothing that is read is trusted: names, sizes, counts and every line are checked, and what is refused is counted.
"""

from __future__ import annotations

import errno
import functools
from typing import TYPE_CHECKING, NamedTuple

from hipbmm_kernel.store import shard as shards
from hipbmm_kernel.store import shard_lines
from hipbmm_kernel.system import volume as volumes

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator
    from typing import TypeVar

    from hipbmm_kernel.store.shard import Shard
    from hipbmm_kernel.system.clock import Clock
    from hipbmm_kernel.system.volume import Volume

    T = TypeVar("T")

MAX_NAMES = 100_000
"""Names of one directory that are looked at; more than that is an attack or a broken writer."""
MAX_TOTAL_BYTES = 1 << 30
"""Bytes of one key's shards that are read."""
MAX_REFUSED = 20
GZIP = ".gz"
FIRST_PAUSE = 0.1
MAX_PAUSE = 2.0


class Refused(NamedTuple):
    """A file that is no shard of this key, and why."""

    name: str
    reason: str


class Reading:
    """What reading a set of stores met: how many shards counted, which files did not, and which errors stayed."""

    def __init__(self) -> None:
        self.shards = 0
        self.refused_count = 0
        self.refused: list[Refused] = []
        self.errors: list[str] = []

    def refuse(self, name: str, reason: str) -> None:
        """Count a file that was not used; the first ones are kept with their reason."""
        self.refused_count += 1
        if len(self.refused) < MAX_REFUSED:
            self.refused.append(Refused(name, reason))


class Reader:
    """Reads the shards of one key from any number of stores, within one budget of patience for all of them."""

    def __init__(self, volume: Volume, clock: Clock, key: str, seconds: float) -> None:
        self._volume = volume
        self._clock = clock
        self._key = key
        self._deadline = clock.monotonic() + seconds
        self._known = shard_lines.Known()
        self.reading = Reading()

    def shards(self, store: str, mirrors: Iterable[str] = ()) -> Iterator[Shard]:
        """Every valid shard of the key, one at a time, so that a large store is merged without holding it."""
        for root in (store, *mirrors):
            for _, shard in self._of(root, mirror=root != store):
                yield shard

    def mirrored(self, mirrors: Iterable[str]) -> Iterator[tuple[str, Shard]]:
        """Every valid shard of the mirrors with its name as a shard (a gzipped one has another file name)."""
        for root in mirrors:
            for name, shard in self._of(root, mirror=True):
                yield name.removesuffix(GZIP), shard

    def named(self, store: str) -> Iterator[tuple[str, Shard]]:
        """Every valid shard of a writable store with its file name."""
        return self._of(store, mirror=False)

    def _of(self, root: str, mirror: bool) -> Iterator[tuple[str, Shard]]:
        found = self._find(root)
        if found is not None:
            yield from self._directory(*found, mirror=mirror)

    def _find(self, root: str) -> tuple[str, list[str]] | None:
        """The directory of `root` that holds this key's shards, with its names; None when it has none."""
        for directory in (f"{root}/v1/{self._key}/shards", root):
            try:
                names = self._patiently(functools.partial(self._volume.names, directory))
            except (FileNotFoundError, NotADirectoryError):
                continue
            except OSError as error:
                self.reading.errors.append(f"{root}: {volumes.describe(error)}")
                return None
            return directory, names
        return None

    def _directory(self, directory: str, names: list[str], mirror: bool) -> Iterator[tuple[str, Shard]]:
        candidates = sorted(name for name in names if shards.parse_name(name.removesuffix(GZIP) if mirror else name))
        for name in candidates[MAX_NAMES:]:
            self.reading.refuse(name, f"more than {MAX_NAMES} files")
        budget = MAX_TOTAL_BYTES
        for name in candidates[:MAX_NAMES]:
            limit = min(budget, shards.MAX_BYTES)
            data = self._bytes(directory, name, limit, mirror)
            if data is None:
                continue
            budget -= len(data)
            shard = self._decoded(name, _unzipped(data, limit) if name.endswith(GZIP) else data, mirror)
            if shard is not None:
                self.reading.shards += 1
                yield name, shard

    def _decoded(self, name: str, data: bytes, mirror: bool) -> Shard | None:
        try:
            shard = shards.decode(data, self._known)
        except shards.ShardError as error:
            self.reading.refuse(name, str(error))
            return None
        if shard.key != self._key:
            # A flat mirror holds the shards of all stacks of its deployment, a store only those of its directory's key.
            if not mirror:
                self.reading.refuse(name, f"its key is {shard.key}")
            return None
        return shard

    def _bytes(self, directory: str, name: str, limit: int, follow: bool) -> bytes | None:
        """The bytes of a listed file. None when it is gone (compacted), or could not be read in time."""
        path = f"{directory}/{name}"
        try:
            return self._patiently(
                lambda: volumes.read_file(self._volume, path, limit, follow),
                still_there=lambda: name in self._volume.names(directory),
            )
        except FileNotFoundError:
            return None
        except OSError as error:
            self.reading.refuse(name, volumes.describe(error))
            if error.errno in volumes.TRANSIENT:
                self.reading.errors.append(volumes.describe(error))
            return None

    def _patiently(self, call: Callable[[], T], still_there: Callable[[], bool] | None = None) -> T:
        """`call()`, again while the volume gives errors that go away, until the deadline of this reader.

        A name that was listed and cannot be opened is waited for as long as it is listed (a stale directory cache);
        a missing directory is not waited for, since that is how every new store looks.
        """
        pause = FIRST_PAUSE
        while True:
            try:
                return call()
            except OSError as error:
                waits = error.errno in volumes.TRANSIENT
                if error.errno == errno.ENOENT and still_there is not None:
                    waits = self._listed(still_there)
                if not waits or self._clock.monotonic() + pause > self._deadline:
                    raise
            self._clock.sleep(pause)
            pause = min(pause * 2, MAX_PAUSE)

    @staticmethod
    def _listed(still_there: Callable[[], bool]) -> bool:
        try:
            return still_there()
        except OSError:
            return True


def _unzipped(data: bytes, limit: int) -> bytes:
    """What a gzipped shard of a mirror holds, at most `limit` bytes; b"" (no shard) when it is damaged or larger."""
    import zlib  # noqa: PLC0415 - only mirrors need it

    stream = zlib.decompressobj(wbits=31)
    try:
        text = stream.decompress(data, limit)
    except zlib.error:
        return b""
    return text if stream.eof else b""
