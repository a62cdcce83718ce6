"""Reading stores: directories of shards, on volumes that may lag, fail for a while, or hold anything.

A store is the writable volume, a mounted ConfigMap, an image volume or an unpacked export: all have the same layout,
`<root>/v1/<key>/shards/<name>`. A ConfigMap is small, flat, and shows its keys as links: a mirror may therefore also be
flat, its shards may be gzipped, and links are followed there, which is never done on the writable volume.

Nothing that is read is trusted: names, sizes, counts and every line are checked, and what is refused is counted. What
one reading may cost is bounded, and origins take turns (`read_order`): no writer hides the shards of the others.

A name that cannot be opened was removed by a compaction since the directory was listed, or is not visible yet. In both
cases the directory is listed again: what took the name's place is in the new listing, or was in the old one and only
half written. So a file that was no valid shard is read once more if it has changed.
"""

import errno
import stat
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from itertools import islice
from typing import NamedTuple, TypeVar

from hipbmm_kernel.store import frames, read_order, shard_lines
from hipbmm_kernel.store import shard as shards
from hipbmm_kernel.store.read_order import File
from hipbmm_kernel.store.shard import Shard
from hipbmm_kernel.system import volume as volumes
from hipbmm_kernel.system.clock import Clock
from hipbmm_kernel.system.volume import Volume

T = TypeVar("T")

MAX_NAMES = 200_000
"""Names of one directory that are looked at; more than that is an attack or a broken writer."""
MANY = 64
"""Shards in no compaction that are worth one which nobody asked for."""
MAX_REFUSED = 20
FILE_LINES = 5
"""What opening a file costs, in lines."""
GZIP = ".gz"
MAX_UNZIPPED = 8 << 20
"""Bytes of a gzipped shard: the operator keeps none that is larger."""
QUICK_LISTINGS = 4
"""A compaction takes one more; a directory whose names change all the time is not listed without a pause."""
FIRST_PAUSE = 0.1
MAX_PAUSE = 2.0
TOO_MUCH = "the store is larger than what is read at once: `compact` makes it small"
INCOMPLETE = f"incomplete: fewer than {shards.MIN_BYTES} bytes"
_WAITED_FOR = volumes.TRANSIENT | {errno.ENOENT}


class Limits(NamedTuple):
    """What one reading may cost: lines, of which an opened file counts as FILE_LINES more, and bytes."""

    lines: int
    bytes: int


START = Limits(180_000, 96 << 20)
"""For a pod that starts: 1.5 s of processor time and 150 MB. What is beyond it waits for a compaction."""
WHOLE = Limits(40_000_000, 8 << 30)
"""For those that must see everything."""


class Refused(NamedTuple):
    """A file that is not used, and why."""

    name: str
    reason: str


class Found(NamedTuple):
    """A valid shard: the name it has in a store, its content, and the very bytes."""

    name: str
    shard: Shard
    data: bytes


class Reading:
    """What reading a set of stores met: how many shards counted, which files did not, and which errors stayed."""

    def __init__(self) -> None:
        self.shards = 0
        self.covered: set[str] = set()
        """Names of the writable store that a compaction gives as its inputs."""
        self.uncovered = 0
        """Files of the writable store that none does."""
        self.refused_count = 0
        self.refused: list[Refused] = []
        self.errors: list[str] = []

    def refuse(self, name: str, reason: str, count: int = 1) -> None:
        """Count a file (or more) that was not used; the first ones are kept with their reason."""
        self.refused_count += count
        if len(self.refused) < MAX_REFUSED:
            self.refused.append(Refused(name, reason))


def keys_of(volume: Volume, store: str) -> list[str]:
    """The keys of a store, sorted. OSError when it is none."""
    with volumes.closing(volume, volumes.open_below(volume, store, "v1")) as directory:
        return sorted(name for name in volume.names(directory) if shards.is_key(name))


class Reader:
    """Reads the shards of one key from any number of stores, within one time limit and one cost for all of them."""

    def __init__(self, volume: Volume, clock: Clock, key: str, seconds: float, limits: Limits = START) -> None:
        self._volume = volume
        self._clock = clock
        self._key = key
        self._deadline = clock.monotonic() + seconds
        self._pause = FIRST_PAUSE
        self._lines, self._bytes = limits
        self._inputs = MAX_NAMES
        self._known = shard_lines.Known()
        self._invalid: dict[str, tuple[int, float, str]] = {}
        """Files of the store that is read now that are no valid shard yet: size and ctime as they were, and why."""
        self.reading = Reading()

    def shards(self, store: str, mirrors: Iterable[str] = ()) -> Iterator[Shard]:
        """Every valid shard of the key, one at a time, so that a large store is merged without holding it."""
        for root in (store, *mirrors):
            for found in self.found(root, mirror=root != store):
                yield found.shard

    def found(self, root: str, *, mirror: bool = False) -> Iterator[Found]:
        """The shards of one store, from as many listings of its directory as it takes to have read every name."""
        done: set[str] = set()
        missed: dict[str, OSError] = {}
        passes = 0
        while True:
            try:
                directory, names, more = self._within_the_limit(lambda: self._listing(root, mirror))
            except OSError as error:
                if not isinstance(error, FileNotFoundError) or missed:
                    self.reading.errors.append(f"{root}: {volumes.describe(error)}")
                break
            try:
                if more and not (done or missed):
                    self.reading.refuse(f"{more} files", f"more than {MAX_NAMES}", more)
                names = [name for name in names if name not in done]
                passes += 1
                if (passes > QUICK_LISTINGS or not missed.keys().isdisjoint(names)) and not self._wait():
                    self._give_up(missed)
                    break
                missed.clear()
                yield from self._pass(directory, names, mirror, missed)
                done.update(name for name in names if name not in missed and name not in self._invalid)
            finally:
                self._volume.close(directory)
            if not missed:
                break
        for name, (*_, reason) in self._invalid.items():
            self.reading.refuse(name, reason)
        self._invalid.clear()

    def _listing(self, root: str, mirror: bool) -> tuple[int, list[str], int]:
        """The open directory that holds this key's shards, the names in it that a shard can have, and how many more."""
        directory = self._open(root, mirror)
        try:
            listed = self._volume.names(directory)
        except OSError:
            self._volume.close(directory)
            raise
        if mirror:
            listed = [name for name in listed if not shards.is_beside(name)]
        some = read_order.first(listed, MAX_NAMES)
        names = [name for name in some if shards.is_name(name.removesuffix(GZIP) if mirror else name)]
        return directory, names, len(listed) - len(some)

    def _open(self, root: str, mirror: bool) -> int:
        if not mirror:
            return volumes.open_below(self._volume, root, "v1", self._key, "shards")
        try:
            return self._volume.open_directory(f"{root}/v1/{self._key}/shards", follow=True)
        except (FileNotFoundError, NotADirectoryError):
            return self._volume.open_directory(root, follow=True)

    def _pass(self, directory: int, names: list[str], mirror: bool, missed: dict[str, OSError]) -> Iterator[Found]:
        """The shards of a listing. Compactions come first, what they contain comes last: it is worth the least.

        But whoever calls a file a compaction, or names the shards of others in one, may lie. So a quarter is kept for
        what is no compaction, and of that a quarter for what is named.
        """
        files = read_order.in_turns(self._sized(directory, names, mirror, missed))
        covered = set[str]() if mirror else self.reading.covered
        later, kept = [], self._quarter()
        for file in files:
            if not file.compaction or self._bytes - file.size < kept.bytes:
                later.append(file)
                continue
            data = self._read(directory, file, mirror, missed, kept.bytes)
            if data is not None and self._lines - _cost(data) < kept.lines:
                inputs = list(islice(shards.inputs_of(data), self._inputs))
                self._inputs -= len(inputs)
                covered.update(inputs)
                later.append(file)
            else:
                found = self._found(file, data, mirror)
                covered.update(name for each in found for name in each.shard.inputs)
                yield from found
        fresh = deque(file for file in later if file.name not in covered)
        inner = sorted((file for file in later if file.name in covered), key=lambda file: file.compaction)
        self.reading.uncovered += sum(file.name not in covered for file in files) if not mirror else 0
        kept = self._quarter() if inner else Limits(0, 0)
        while fresh and self._bytes - fresh[0].size >= kept.bytes:
            data = self._read(directory, fresh[0], mirror, missed, kept.bytes)
            if data is not None and self._lines - _cost(data) < kept.lines:
                break
            yield from self._found(fresh.popleft(), data, mirror)
        for file in (*inner, *fresh):
            yield from self._found(file, self._read(directory, file, mirror, missed), mirror)

    def _found(self, file: File, data: bytes | None, mirror: bool) -> list[Found]:
        """The shard in a file's bytes; none where they could not be read, or are no shard of this key."""
        if data is None:
            return []
        if _cost(data) > self._lines:
            self._lines -= FILE_LINES
            self.reading.refuse(file.name, TOO_MUCH)
            return []
        self._lines -= _cost(data)
        name = file.name.removesuffix(GZIP) if mirror else file.name
        try:
            shard = shards.decode(data, self._known, name)
        except shards.ShardError as error:
            self._invalid[file.name] = (file.size, file.changed, str(error))
            return []
        if shard.key != self._key:
            # A flat mirror holds the shards of all stacks of its deployment, a store only those of its directory's key.
            if not mirror:
                self.reading.refuse(file.name, f"its key is {shard.key}")
            return []
        self.reading.shards += 1
        return [Found(name, shard, data)]

    def _quarter(self) -> Limits:
        return Limits(self._lines // 4, self._bytes // 4)

    def _sized(self, directory: int, names: list[str], mirror: bool, missed: dict[str, OSError]) -> Iterator[File]:
        """The listed files whose size a shard can have; nothing is opened for it."""
        for name in names:
            invalid = self._invalid.pop(name, None)  # it is judged anew, and refused for one reason
            try:
                status = self._volume.stat_name(name, directory, follow=mirror)
            except OSError as error:
                self._miss(name, error, missed)
                continue
            size, changed = status.st_size, status.st_ctime
            if not stat.S_ISREG(status.st_mode):
                self.reading.refuse(name, "not a regular file")
            elif size > shards.MAX_BYTES:
                self.reading.refuse(name, f"larger than {shards.MAX_BYTES} bytes")
            elif size < shards.MIN_BYTES and not name.endswith(GZIP):
                self._invalid[name] = (size, changed, INCOMPLETE)
            elif invalid and invalid[:2] == (size, changed):
                self._invalid[name] = invalid
            else:
                yield read_order.file(name, size, changed)

    def _read(
        self, directory: int, file: File, mirror: bool, missed: dict[str, OSError], kept: int = 0
    ) -> bytes | None:
        """The bytes of a file, unpacked; None when they cannot be read, or leave less than `kept` bytes to be read."""
        if file.size > self._bytes or self._lines < FILE_LINES:
            self.reading.refuse(file.name, TOO_MUCH)
            return None
        limit = min(self._bytes - kept, shards.MAX_BYTES)
        try:
            data = volumes.read_file(self._volume, file.name, limit, mirror, directory)
        except OSError as error:
            self._miss(file.name, error, missed)
            return None
        if file.name.endswith(GZIP):
            data = frames.unzipped(data, min(limit, MAX_UNZIPPED))
        self._bytes -= len(data)
        return data

    def _miss(self, name: str, error: OSError, missed: dict[str, OSError]) -> None:
        """Note a file that could not be read: to be tried again, or refused when waiting does not help."""
        if error.errno in _WAITED_FOR:
            missed[name] = error
        else:
            self.reading.refuse(name, volumes.describe(error))

    def _give_up(self, missed: dict[str, OSError]) -> None:
        for name, error in missed.items():
            self.reading.refuse(name, volumes.describe(error))
        first = next(iter(missed.values()))
        self.reading.errors.append(f"{len(missed)} shards could not be read in time: {volumes.describe(first)}")

    def _within_the_limit(self, call: Callable[[], T]) -> T:
        """`call()`, again while the volume gives errors that go away, until the deadline of this reader.

        A missing directory is not waited for, since that is how every new store looks.
        """
        while True:
            try:
                return call()
            except OSError as error:
                if error.errno not in volumes.TRANSIENT or not self._wait():
                    raise

    def _wait(self) -> bool:
        """Wait before something is tried again; whether there was time to."""
        if self._clock.monotonic() + self._pause > self._deadline:
            return False
        self._clock.sleep(self._pause)
        self._pause = min(self._pause * 2, MAX_PAUSE)
        return True


def _cost(data: bytes) -> int:
    return data.count(b"\n") + FILE_LINES
