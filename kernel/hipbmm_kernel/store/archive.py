"""A store as one file: a plain tar with the layout of a store, and a manifest as its last member.

An archive comes from anywhere. So a member's name is compared with the few forms that exist instead of being cleaned,
only regular files and long names are understood of the tar format, and sizes are bounded before anything is read.
`import` reads it twice: nothing is written before all of it was found to be what it says, and each file is proved again
before it is written.
"""

import contextlib
import hashlib
import io
import itertools
import json
import tarfile
from collections.abc import Iterator, Mapping
from typing import IO, NamedTuple

from hipbmm_kernel.identity import stack as stacks
from hipbmm_kernel.store import plans
from hipbmm_kernel.store import shard as shards
from hipbmm_kernel.store.publisher import STACK_NAME, Publisher
from hipbmm_kernel.store.reader import WHOLE, Reader
from hipbmm_kernel.system import volume as volumes
from hipbmm_kernel.system.clock import Clock
from hipbmm_kernel.system.shown import shown
from hipbmm_kernel.system.volume import Volume

MANIFEST = "manifest.json"
VERSION = 1
MAX_MEMBERS = 100_000
MAX_TOTAL_BYTES = 2**30
MAX_MANIFEST_BYTES = 32 * 2**20
MAX_HEADER_BYTES = 4096
"""Longest header of a long name: a shard's path has at most 200 characters."""
_BLOCK = tarfile.BLOCKSIZE


class ArchiveError(ValueError):
    """An archive that is not a whole store. The message names the member and says why."""


class Member(NamedTuple):
    """A file of a store: the key it belongs to, and the shard's name ("" for stack.json); a plan's key is its own."""

    key: str
    shard: str = ""
    plan: bool = False

    @property
    def path(self) -> str:
        """Its place in a store and in an archive."""
        if self.plan:
            return plans.paths("", self.key)[0][1:]
        return f"v1/{self.key}/shards/{self.shard}" if self.shard else f"v1/{self.key}/{STACK_NAME}"


Sums = dict[Member, tuple[int, str]]
"""Size and sha256 of each member."""


class Moved(NamedTuple):
    """How many files of a store were written, their bytes, and the keys they belong to."""

    files: int
    bytes: int
    keys: tuple[str, ...]


def member(path: str) -> Member | None:
    """The member with that path, or None when no file of a store can have it."""
    parts = path.split("/")
    if path.startswith(f"{plans.DIRECTORY}/"):
        planned = Member(plans.key_of(parts[-1]), plan=True)
        return planned if planned.path == path and planned.key else None
    if len(parts) < len(("v1", "key", "file")) or not shards.is_key(parts[1]):
        return None
    found = Member(parts[1], parts[3] if len(parts) > len(("v1", "key", "shards")) else "")
    return found if found.path == path and (not found.shard or shards.is_name(found.shard)) else None


def manifest(sums: Mapping[Member, tuple[int, str]]) -> bytes:
    """The manifest of an archive with exactly these members."""
    files = {entry.path: {"bytes": size, "sha256": sha256} for entry, (size, sha256) in sums.items()}
    return json.dumps({"v": VERSION, "files": files}, sort_keys=True, separators=(",", ":")).encode("ascii")


def export_store(volume: Volume, clock: Clock, store: str, keys: list[str], target: IO[bytes], seconds: float) -> Moved:
    """Write every valid shard of `keys`, their stacks, and the plans that there is room for.

    OSError when the store cannot be read, ArchiveError when the keys are more than an import takes.
    """
    sums: Sums = {}
    total = MAX_MANIFEST_BYTES
    of_keys = itertools.chain.from_iterable(_files(volume, clock, store, key, seconds) for key in keys)
    of_plans = ((Member(key, plan=True), data) for key, data in plans.whole(volume, store))
    with tarfile.open(fileobj=target, mode="w", format=tarfile.PAX_FORMAT) as tar:
        for found, data in itertools.chain(of_keys, of_plans):
            total += len(data)
            if len(sums) == MAX_MEMBERS or total > MAX_TOTAL_BYTES:
                if found.plan:  # which can be asked again
                    break
                raise ArchiveError("the store is larger than what is unpacked: compact it, or export each key alone")
            sums[found] = _sum(data)
            _add(tar, found.path, data)
        _add(tar, MANIFEST, manifest(sums))
    return _moved({found: size for found, (size, _) in sums.items()})


def import_store(volume: Volume, clock: Clock, source: IO[bytes], store: str) -> Moved:
    """Put everything of an archive into `store`. ArchiveError when it is not whole, OSError when the store refuses."""
    sizes = {found: len(data) for found, data in _files_in(source)}
    for found, data in _files_in(source):  # each is proved once more: what changed meanwhile is not written
        if found.plan:
            error = plans.keep(volume, store, found.key, data)
            if error:
                raise OSError(f"{found.path}: {error}")
        elif found.shard:
            Publisher(volume, clock, store, found.key).put(found.shard, data)
        else:
            Publisher(volume, clock, store, stacks.parse(data)).describe()
    return _moved(sizes)


def _moved(sizes: Mapping[Member, int]) -> Moved:
    return Moved(len(sizes), sum(sizes.values()), tuple(sorted({found.key for found in sizes if not found.plan})))


def _sum(data: bytes) -> tuple[int, str]:
    return len(data), hashlib.sha256(data).hexdigest()


def _files(volume: Volume, clock: Clock, store: str, key: str, seconds: float) -> Iterator[tuple[Member, bytes]]:
    """The files of one key: those that `merge` takes, in the order of names."""
    reader = Reader(volume, clock, key, seconds, WHOLE)
    found = {name: data for name, _, data in reader.found(store)}
    if reader.reading.errors:
        raise OSError("; ".join(reader.reading.errors))
    with (
        volumes.closing(volume, volumes.open_below(volume, store, "v1", key)) as directory,
        contextlib.suppress(OSError, stacks.StackError),  # a store without its description is still a store
    ):
        described = volumes.read_file(volume, STACK_NAME, stacks.MAX_BYTES, at=directory)
        if stacks.parse(described).key == key:
            yield Member(key, ""), described
    for name in sorted(found):
        yield Member(key, name), found[name]


def _add(tar: tarfile.TarFile, path: str, data: bytes) -> None:
    """One regular file with nothing of this machine in its header, so that equal stores give equal archives."""
    info = tarfile.TarInfo(path)
    info.size = len(data)
    info.mode = 0o644
    tar.addfile(info, io.BytesIO(data))


def _files_in(source: IO[bytes]) -> Iterator[tuple[Member, bytes]]:
    """The files of an archive in order, each proved to be what its name says, and at the end that none is missing.

    ArchiveError at the first thing that may not be there, before anything larger than a file of a store is read.
    """
    source.seek(0)
    sums: Sums = {}
    total = 0
    while (header := _header(source)) is not None:
        path, size = header
        found = member(path)
        if found is None and path != MANIFEST:
            raise ArchiveError(f"{shown(path)} is not a file of a store")
        total += size
        if size > _limit(found) or total > MAX_TOTAL_BYTES or len(sums) > MAX_MEMBERS:
            raise ArchiveError(f"{shown(path)} is larger than what is unpacked")
        data = _content(source, size)
        if found is None:
            if data != manifest(sums):
                raise ArchiveError("the manifest and the files differ")
            if _header(source) is not None:
                raise ArchiveError("there is something behind the manifest")
            return
        if found in sums:
            raise ArchiveError(f"{found.path} is there twice")
        _check(found, data)
        sums[found] = _sum(data)
        yield found, data
    raise ArchiveError("there is no manifest: the archive is cut, or none of a store")


def _check(found: Member, data: bytes) -> None:
    """ArchiveError unless the bytes are a shard of that name and key, or the stack or plan of that key."""
    try:
        if found.plan:
            plans.document(found.key, data)
            return
        key = shards.decode(data, name=found.shard).key if found.shard else stacks.parse(data).key
    except ValueError as error:
        raise ArchiveError(f"{found.path}: {error}") from error
    if key != found.key:
        raise ArchiveError(f"{found.path}: a file of another key")


def _limit(found: Member | None) -> int:
    """The largest size of a file; None is the manifest."""
    if found is None:
        return MAX_MANIFEST_BYTES
    return plans.MAX_BYTES if found.plan else shards.MAX_BYTES if found.shard else stacks.MAX_BYTES


def _header(source: IO[bytes]) -> tuple[str, int] | None:
    """Path and size of the next regular file; None at the end of the archive."""
    info = _block(source)
    path = None
    if info is not None and info.type == tarfile.XHDTYPE:
        if info.size > MAX_HEADER_BYTES:
            raise ArchiveError("a member's header is longer than any of a store")
        path = _long_path(_content(source, info.size))
        info = _block(source)
    if info is None:
        if path is not None:
            raise ArchiveError("the archive ends behind a member's header")
        return None
    if info.type not in (tarfile.REGTYPE, tarfile.AREGTYPE):
        raise ArchiveError(f"{shown(info.name)} is no regular file")
    return path or info.name, info.size


def _block(source: IO[bytes]) -> tarfile.TarInfo | None:
    """The next header alone, without the content that it announces; None for the empty one at the end."""
    data = source.read(_BLOCK)
    if len(data) == _BLOCK and not data.strip(b"\0"):
        return None
    try:
        info = tarfile.TarInfo.frombuf(data, "ascii", "strict")
    except (tarfile.TarError, ValueError) as error:
        raise ArchiveError(f"not a tar file: {error}") from error
    if info.size < 0:
        raise ArchiveError(f"{shown(info.name)} has a negative size")
    return info


def _long_path(data: bytes) -> str:
    """The path in a pax header that holds nothing else: `<length> path=<path>` and a line end."""
    length, _, record = data.partition(b" ")
    if length != str(len(data)).encode() or not (record.startswith(b"path=") and record.endswith(b"\n")):
        raise ArchiveError("a member's header holds more than its path")
    return record[len(b"path=") : -1].decode("ascii", "replace")


def _content(source: IO[bytes], size: int) -> bytes:
    data = source.read(size)
    if len(data) != size or len(source.read(-size % _BLOCK)) != -size % _BLOCK:
        raise ArchiveError("the archive is cut")
    return data
