"""A store as one file: what its members may be called, and the manifest that proves it is whole.

The file is a plain tar with the layout of a store and a manifest as its last member. An archive comes from anywhere, so
a member's name is compared with the few forms that exist instead of being cleaned, and sizes are bounded before
anything is unpacked.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, NamedTuple

from hipbmm_kernel import shard as shards
from hipbmm_kernel import stack as stacks

if TYPE_CHECKING:
    from collections.abc import Mapping

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
