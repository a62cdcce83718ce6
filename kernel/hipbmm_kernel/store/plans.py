"""Small files beside the shards, each with the key of what it answers: `<root>/v1/plans/<key>.json`.

The rules are those of shards: no rename, no append, no lock; a file is written under a name that nobody has, read back,
and trusted for its content only, which is a JSON object with its own key. A name whose file is damaged is left, and the
next one is taken (`<key>.2.json`).
"""

import contextlib
import errno
import re
from collections.abc import Iterator

from hipbmm_kernel.store import shard as shards
from hipbmm_kernel.system import json_text
from hipbmm_kernel.system import volume as volumes
from hipbmm_kernel.system.volume import Volume

NAMES = 3
MAX_BYTES = (1 << 20) + 4096
DIRECTORY = "v1/plans"
_NAME = r"([0-9a-f]+)(?:\.[2-9])?\.json"


def names(key: str) -> list[str]:
    """The names that the file of a key may have, in the order in which it is looked for."""
    return [f"{key}{'' if number == 1 else f'.{number}'}.json" for number in range(1, NAMES + 1)]


def paths(root: str, key: str) -> list[str]:
    """Where the file of a key may be."""
    return [f"{root}/{DIRECTORY}/{name}" for name in names(key)]


def key_of(name: str) -> str:
    """The key in a file's name; "" for a name that no such file has."""
    found = re.fullmatch(_NAME, name)
    return found[1] if found is not None and shards.is_key(found[1]) else ""


def damage(key: str, data: bytes) -> str:
    """Why these bytes are no file of the key; "" when they are. What reads a file checks its digest."""
    try:
        document = json_text.parsed(data)
    except ValueError as error:
        return f"not JSON: {error}"
    named = document.get("key") if isinstance(document, dict) else None
    return "" if named == key else "it does not name its key"


def read(volume: Volume, root: str, name: str) -> bytes:
    """The bytes of a file of that name in a store, in which no link is followed. OSError as the calls give it."""
    directory = volumes.open_below(volume, root, *DIRECTORY.split("/"))
    try:
        return volumes.read_file(volume, name, MAX_BYTES, at=directory)
    finally:
        volume.close(directory)


def whole(volume: Volume, root: str) -> Iterator[tuple[str, bytes]]:
    """Every key of a store with the bytes of its first file that is whole. Never raises: a plan can be asked again."""
    found: set[str] = set()
    try:
        directory = volumes.open_below(volume, root, *DIRECTORY.split("/"))
    except OSError:
        return
    try:
        for name in sorted(volume.names(directory)):
            key = key_of(name)
            with contextlib.suppress(OSError):
                data = volumes.read_file(volume, name, MAX_BYTES, at=directory) if key and key not in found else b""
                if data and not damage(key, data):
                    found.add(key)
                    yield key, data
    except OSError:
        return
    finally:
        volume.close(directory)


def keep(volume: Volume, root: str, key: str, data: bytes) -> str:
    """Write the file of a key into a store, in which no link is followed; "" when it is there and whole, else why."""
    error = ""
    try:
        directory = volumes.open_below(volume, root, *DIRECTORY.split("/"), make=True)
    except OSError as failed:
        return volumes.describe(failed)
    try:
        for name in names(key):
            try:
                _put(volume, name, data, directory)
            except OSError as failed:
                error = volumes.describe(failed)
                if failed.errno not in (errno.EEXIST, errno.EIO):
                    return error
            else:
                return ""
    finally:
        volume.close(directory)
    return error


def _put(volume: Volume, name: str, data: bytes, directory: int) -> None:
    """Write a new file and read it back. FileExistsError when another content, or half of one, has that name."""
    with contextlib.suppress(FileExistsError):
        fd = volume.create(name, at=directory)
        try:
            volumes.write_all(volume, fd, data)
            volume.sync(fd)
        finally:
            volume.close(fd)
    if volumes.read_file(volume, name, MAX_BYTES, at=directory) != data:
        raise FileExistsError(errno.EEXIST, "another content has this name", name)
