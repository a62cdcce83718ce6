"""A store as one file: what its members may be called, and the manifest that proves it is whole.

The file is a plain tar with the layout of a store and a manifest as its last member. An archive comes from anywhere, so
a member's name is compared with the few forms that exist instead of being cleaned, and sizes are bounded before
anything is unpacked.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, NamedTuple

from hipbmm_kernel.identity import stack as stacks
from hipbmm_kernel.store import shard as shards

if TYPE_CHECKING:
    from collections.abc import Mapping
import contextlib
import hashlib
import io
import tarfile
from typing import TYPE_CHECKING

from hipbmm_kernel.store.publisher import Publisher
from hipbmm_kernel.store.reader import Reader
from hipbmm_kernel.system import volume as volumes

if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import IO

    from hipbmm_kernel.system.clock import Clock
    from hipbmm_kernel.system.volume import Volume

MANIFEST = "manifest.json"
VERSION = 1
STACK_FILE = "stack.json"
MAX_MEMBERS = 100_000
MAX_TOTAL_BYTES = 2**30
MAX_MANIFEST_BYTES = 32 * 2**20
_HEX = frozenset("0123456789abcdef")
_SHA_DIGITS = 64
_SHARD_PARTS = 4
_STACK_PARTS = 3


class ArchiveError(ValueError):
    """An archive that is not a whole store. The message names the member and says why."""


class Member(NamedTuple):
    """A file of a store: the key it belongs to, and the shard's name ("" for stack.json)."""

    key: str
    shard: str

    @property
    def path(self) -> str:
        """Its place in a store and in an archive."""
        return f"v1/{self.key}/shards/{self.shard}" if self.shard else f"v1/{self.key}/{STACK_FILE}"

    @property
    def limit(self) -> int:
        """The most bytes it may have."""
        return shards.MAX_BYTES if self.shard else stacks.MAX_BYTES


class Entry(NamedTuple):
    """What the manifest says about a member."""

    size: int
    sha256: str


def member(path: str) -> Member | None:
    """The member with that path, or None when no file of a store can have it."""
    parts = path.split("/")
    if len(parts) == _SHARD_PARTS and parts[2] == "shards" and shards.parse_name(parts[3]) is not None:
        found = Member(parts[1], parts[3])
    elif len(parts) == _STACK_PARTS and parts[2] == STACK_FILE:
        found = Member(parts[1], "")
    else:
        return None
    return found if parts[0] == "v1" and shards.is_key(parts[1]) else None


def manifest(entries: Mapping[Member, Entry]) -> bytes:
    """The manifest of an archive with exactly these members."""
    files = {entry.path: {"bytes": what.size, "sha256": what.sha256} for entry, what in entries.items()}
    return json.dumps({"v": VERSION, "files": files}, sort_keys=True, separators=(",", ":")).encode("ascii")


def parse_manifest(data: bytes) -> dict[Member, Entry]:
    """The entries of a manifest. ArchiveError when it is not one, or promises more than is unpacked."""
    if len(data) > MAX_MANIFEST_BYTES:
        raise ArchiveError(f"{MANIFEST} is larger than {MAX_MANIFEST_BYTES} bytes")
    try:
        document = json.loads(data)
    except (ValueError, RecursionError) as error:
        raise ArchiveError(f"{MANIFEST} is not JSON") from error
    files = document.get("files") if isinstance(document, dict) and document.get("v") == VERSION else None
    if not isinstance(files, dict) or len(files) > MAX_MEMBERS:
        raise ArchiveError(f"{MANIFEST} is not one of version {VERSION} with at most {MAX_MEMBERS} files")
    entries = {}
    for path, what in files.items():
        found = member(path)
        if found is None:
            raise ArchiveError(f"{path[:120]!r} is not a file of a store")
        entries[found] = _entry(found, what)
    if sum(entry.size for entry in entries.values()) > MAX_TOTAL_BYTES:
        raise ArchiveError(f"more than {MAX_TOTAL_BYTES} bytes")
    return entries


def _entry(found: Member, what: object) -> Entry:
    size = what.get("bytes") if isinstance(what, dict) else None
    sha256 = what.get("sha256") if isinstance(what, dict) else None
    if isinstance(size, bool) or not isinstance(size, int) or not 0 <= size <= found.limit:
        raise ArchiveError(f"{found.path}: bytes must be between 0 and {found.limit}")
    if not isinstance(sha256, str) or len(sha256) != _SHA_DIGITS or not _HEX.issuperset(sha256):
        raise ArchiveError(f"{found.path}: sha256 is not {_SHA_DIGITS} hex digits")
    return Entry(size, sha256)


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
        _add(tar, MANIFEST, manifest(entries))
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
            promised = parse_manifest(data)
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
                found = MANIFEST if info.name == MANIFEST else member(info.name)
                if found is None or not info.isreg() or info.issparse():
                    raise ArchiveError(f"{info.name[:120]!r} is not a file of a store")
                limit = found.limit if isinstance(found, Member) else MAX_MANIFEST_BYTES
                total += info.size
                if info.size > limit or total > MAX_TOTAL_BYTES or count > MAX_MEMBERS + 1:
                    raise ArchiveError(f"{info.name[:120]!r} is larger than what is unpacked")
                yield found, _content(source, info)
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
