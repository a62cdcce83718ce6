"""A store as one tar file, and back. What a tar may hold is `archive`'s business; this module only moves bytes.

An archive is untrusted: no name of it is ever used but those that a store can have, nothing but regular files is
unpacked, every size is bounded before it is read, and nothing is written until the whole archive was found whole.
"""

from __future__ import annotations

import contextlib
import hashlib
import io
import tarfile
from typing import TYPE_CHECKING, NamedTuple

from hipbmm_kernel import archive
from hipbmm_kernel import shard as shards
from hipbmm_kernel import stack as stacks
from hipbmm_kernel import volume as volumes
from hipbmm_kernel.archive import MANIFEST, ArchiveError, Entry, Member
from hipbmm_kernel.publish import Publisher
from hipbmm_kernel.store import Reader

if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import IO

    from hipbmm_kernel.clock import Clock
    from hipbmm_kernel.volume import Volume

MAX_HEADER_BYTES = 64 * 1024
"""Longest header of a member: tarfile reads long names into memory before anybody can look at them."""


class Moved(NamedTuple):
    """How many files of a store were written, their bytes, and the keys they belong to."""

    files: int
    bytes: int
    keys: tuple[str, ...]


def export_store(volume: Volume, clock: Clock, store: str, keys: list[str], target: IO[bytes], seconds: float) -> Moved:
    """Write every valid shard of `keys` and their stacks to `target`. OSError when the store cannot be read."""
    entries: dict[Member, Entry] = {}
    with tarfile.open(fileobj=target, mode="w", format=tarfile.PAX_FORMAT) as tar:
        for key in keys:
            for member, data in _files(volume, clock, store, key, seconds):
                entries[member] = Entry(len(data), hashlib.sha256(data).hexdigest())
                _add(tar, member.path, data)
        _add(tar, MANIFEST, archive.manifest(entries))
    return _moved(entries)


def import_store(volume: Volume, clock: Clock, source: IO[bytes], store: str) -> Moved:
    """Put everything of an archive into `store`. ArchiveError when it is not whole, OSError when the store refuses."""
    entries = _verified(source)
    for member, data in _members(source):
        if isinstance(member, Member) and member.shard:
            publisher = Publisher(volume, clock, store, member.key)
            publisher.prepare()
            publisher.put(member.shard, data)
        elif isinstance(member, Member):
            publisher = Publisher(volume, clock, store, stacks.parse(data))
            publisher.prepare()
            publisher.describe()
    return _moved(entries)


def _moved(entries: dict[Member, Entry]) -> Moved:
    keys = tuple(sorted({member.key for member in entries}))
    return Moved(len(entries), sum(entry.size for entry in entries.values()), keys)


def _files(volume: Volume, clock: Clock, store: str, key: str, seconds: float) -> Iterator[tuple[Member, bytes]]:
    """The files of one key. Shards are encoded again: that is their only text, so the bytes are the same."""
    with contextlib.suppress(OSError, stacks.StackError):  # a store without its description is still a store
        data = volumes.read_file(volume, f"{store}/v1/{key}/stack.json", stacks.MAX_BYTES)
        if stacks.parse(data).key == key:
            yield Member(key, ""), data
    reader = Reader(volume, clock, key, seconds)
    for name, shard in reader.named(store):
        data = shards.encode(shard)
        if shards.name_of(data) == name:
            yield Member(key, name), data
    if reader.reading.errors:
        raise OSError("; ".join(reader.reading.errors))


def _add(tar: tarfile.TarFile, path: str, data: bytes) -> None:
    """One regular file with nothing of this machine in its header, so that equal stores give equal archives."""
    info = tarfile.TarInfo(path)
    info.size = len(data)
    info.mode = 0o644
    tar.addfile(info, io.BytesIO(data))


def _verified(source: IO[bytes]) -> dict[Member, Entry]:
    """The manifest's entries, once every file was found to be what it says. ArchiveError otherwise."""
    found: dict[Member, Entry] = {}
    promised: dict[Member, Entry] | None = None
    for member, data in _members(source):
        if promised is not None:
            raise ArchiveError("there is something behind the manifest")
        if not isinstance(member, Member):
            promised = archive.parse_manifest(data)
            continue
        if member in found:
            raise ArchiveError(f"{member.path} is there twice")
        _check(member, data)
        found[member] = Entry(len(data), hashlib.sha256(data).hexdigest())
    if promised is None:
        raise ArchiveError("there is no manifest: the archive is cut, or none of a store")
    if found != promised:
        differing = sorted(member.path for member in found.keys() ^ promised.keys()) or ["a file's content"]
        raise ArchiveError(f"the manifest and the files differ: {differing[0]}")
    return found


def _check(member: Member, data: bytes) -> None:
    """ArchiveError unless the bytes are a shard of that name and key, or the stack of that key."""
    try:
        if member.shard:
            right = shards.decode(data).key == member.key and shards.name_of(data) == member.shard
        else:
            right = stacks.parse(data).key == member.key
    except (shards.ShardError, stacks.StackError) as error:
        raise ArchiveError(f"{member.path}: {error}") from error
    if not right:
        raise ArchiveError(f"{member.path} is a file of another name or key")


class _Bounded(io.RawIOBase):
    """A file whose single reads are bounded, because tarfile reads a header as long as the header says it is."""

    def __init__(self, source: IO[bytes]) -> None:
        super().__init__()
        self._source = source

    def read(self, size: int = -1, /) -> bytes:
        if not 0 <= size <= MAX_HEADER_BYTES:
            raise ArchiveError("a member's header is longer than any of a store")
        return self._source.read(size)

    def seek(self, offset: int, whence: int = 0, /) -> int:
        return self._source.seek(offset, whence)

    def tell(self) -> int:
        return self._source.tell()

    def seekable(self) -> bool:
        return True

    def readable(self) -> bool:
        return True


def _members(source: IO[bytes]) -> Iterator[tuple[Member | str, bytes]]:
    """The files of an archive in order, the manifest as MANIFEST. ArchiveError at the first that may not be there."""
    source.seek(0)
    total = 0
    try:
        with tarfile.open(fileobj=_Bounded(source), mode="r:") as tar:
            for count, info in enumerate(tar, 1):
                member = MANIFEST if info.name == MANIFEST else archive.member(info.name)
                if member is None or not info.isreg() or info.issparse():
                    raise ArchiveError(f"{info.name[:120]!r} is not a file of a store")
                limit = member.limit if isinstance(member, Member) else archive.MAX_MANIFEST_BYTES
                total += info.size
                if info.size > limit or total > archive.MAX_TOTAL_BYTES or count > archive.MAX_MEMBERS + 1:
                    raise ArchiveError(f"{info.name[:120]!r} is larger than what is unpacked")
                yield member, _content(source, info)
    except tarfile.TarError as error:
        raise ArchiveError(f"not a tar file: {error}") from error


def _content(source: IO[bytes], info: tarfile.TarInfo) -> bytes:
    place = source.tell()
    source.seek(info.offset_data)
    data = source.read(info.size)
    source.seek(place)
    if len(data) != info.size:
        raise ArchiveError(f"{info.name[:120]!r} is cut")
    return data
