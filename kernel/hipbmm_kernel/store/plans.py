"""Small files beside the shards, each with the key of what it answers: `<root>/v1/plans/<key>.json`.

The rules are those of shards: no rename, no append, no lock; a file is written under a name that nobody has, read back,
and trusted for its content only, which is a JSON object with its own key. A name whose file is damaged is left, and the
next one is taken (`<key>.2.json`).

A mirror is flat and holds what the operator found in a log. There such a file has a shard's frame, so that whoever
carries shards carries it: origin `plan.<key>`, kind `plan`, the file in base64 as its lines.
"""

import contextlib
import errno
import re
from collections.abc import Callable, Iterable, Iterator
from typing import Any, TypeVar

from hipbmm_kernel.store import frames
from hipbmm_kernel.store import shard as shards
from hipbmm_kernel.store.publisher import put
from hipbmm_kernel.system import json_text
from hipbmm_kernel.system import volume as volumes
from hipbmm_kernel.system.volume import Volume

T = TypeVar("T")

SECONDS = 10.0
"""For an answer on a shared volume; beyond it the image is asked again, which takes as long."""
NAMES = 3
MAX_BYTES = (1 << 20) + 4096
DIRECTORY = "v1/plans"
_NAME = r"([0-9a-f]+)(?:\.[2-9])?\.json"
_GZIP = ".gz"
_LINE = 1000
"""Characters of a line in a mirror, of which a shard's have at most 1024."""


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


def document(key: str, data: bytes) -> dict[str, Any]:
    """The JSON object of a file of the key. ValueError when it is none; who reads the object checks its digest."""
    try:
        found = json_text.parsed(data)
    except ValueError as error:
        raise ValueError(f"not JSON: {error}") from error
    named = found.get("key") if isinstance(found, dict) else None
    if not isinstance(found, dict) or named != key:
        raise ValueError(f"its key is {str(named)[:40]}")
    return found


def find(
    volume: Volume, roots: Iterable[str], key: str, parse: Callable[[str, bytes], T], problems: list[str]
) -> T | None:
    """What `parse` makes of the file of a key, in the first store or mirror where it raises no ValueError.

    What was damaged or unreadable goes into `problems`.
    """
    for root in roots:
        for path in (*paths(root, key), *_mirrored(volume, root, key)):
            try:
                return parse(key, _unframed(volume, path) if path.endswith(_GZIP) else _read(volume, root, path))
            except (FileNotFoundError, NotADirectoryError):
                continue
            except (OSError, ValueError) as error:
                problems.append(f"{path}: {volumes.describe(error)}")
    return None


def _mirrored(volume: Volume, root: str, key: str) -> list[str]:
    try:
        with volumes.closing(volume, volume.open_directory(root, follow=True)) as directory:
            names = sorted(volume.names(directory))
    except OSError:
        return []
    start = f"{shards.PLAN}.{key}."
    return [f"{root}/{name}" for name in names if name.startswith(start) and name.endswith(_GZIP)]


def frame(key: str, data: bytes) -> bytes:
    """The text of a file for a mirror: that of a shard of kind `plan`."""
    import base64  # noqa: PLC0415 - only mirrors need it

    text = base64.b64encode(data).decode("ascii")
    lines = [text[at : at + _LINE] for at in range(0, len(text), _LINE)]
    return frames.frame(key, f"{shards.PLAN}.{key}", 0, shards.PLAN, (shards.PLAN, *lines))


def _read(volume: Volume, root: str, path: str) -> bytes:
    """The bytes of a file of a store, in which no link is followed."""
    with volumes.closing(volume, volumes.open_below(volume, root, *DIRECTORY.split("/"))) as directory:
        return volumes.read_file(volume, path.rpartition("/")[2], MAX_BYTES, at=directory)


def _unframed(volume: Volume, path: str) -> bytes:
    """The file in a mirror's gzip. ValueError when it is damaged."""
    import base64  # noqa: PLC0415 - only mirrors need it

    packed = volumes.read_file(volume, path, MAX_BYTES, follow=True)
    _, lines = frames.unframe(path.rpartition("/")[2].removesuffix(_GZIP), packed, 2 * MAX_BYTES)
    return base64.b64decode("".join(lines[1:]), validate=True)


def whole(volume: Volume, root: str) -> Iterator[tuple[str, bytes]]:
    """Every key of a store with the bytes of its first file that is whole. Never raises: a plan can be asked again."""
    found: set[str] = set()
    with (
        contextlib.suppress(OSError),
        volumes.closing(volume, volumes.open_below(volume, root, *DIRECTORY.split("/"))) as directory,
    ):
        for name in sorted(volume.names(directory)):
            key = key_of(name)
            with contextlib.suppress(OSError, ValueError):
                if key and key not in found:
                    data = volumes.read_file(volume, name, MAX_BYTES, at=directory)
                    document(key, data)
                    found.add(key)
                    yield key, data


def keep(volume: Volume, root: str, key: str, data: bytes) -> str:
    """Write the file of a key into a store, in which no link is followed; "" when it is there and whole, else why."""
    error = ""
    for name in names(key):
        try:
            opened = volumes.open_below(volume, root, *DIRECTORY.split("/"), make=True, sync=True)
            with volumes.closing(volume, opened) as directory:
                put(volume, name, data, directory)
        except OSError as failed:
            error = volumes.describe(failed)
            if failed.errno not in (errno.EEXIST, errno.EIO):  # the name holds something else
                break
        else:
            return ""
    return error
