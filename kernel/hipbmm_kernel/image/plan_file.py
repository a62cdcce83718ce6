"""Plans in a store: `<root>/v1/plans/<key>.json`, written once, with a digest, read from every store that is mounted.

The rules are those of shards: no rename, no append, no lock; a file is written under a name that nobody has, read back,
and trusted for its content only. A name whose file is damaged is left, and the next one is taken (`<key>.2.json`).
"""

from __future__ import annotations

import contextlib
import errno
import json
from typing import TYPE_CHECKING

from hipbmm_kernel.planner import answer
from hipbmm_kernel.planner.answer import Answer, AnswerInvalid
from hipbmm_kernel.system import volume as volumes
from hipbmm_kernel.system.digest import sha256

if TYPE_CHECKING:
    from collections.abc import Iterable

    from hipbmm_kernel.system.volume import Volume

NAMES = 3
MAX_BYTES = answer.MAX_BYTES + 4096
_MARK = "hipbmm-plan"
_VERSION = 1


def encode(key: str, found: Answer) -> bytes:
    """A plan file: one JSON object in canonical form, so that the same plan gives the same bytes in every pod."""
    plan = json.loads(answer.encode(found))
    return _canonical({_MARK: _VERSION, "key": key, "plan": plan, "sha256": sha256(_canonical(plan))}) + b"\n"


def decode(key: str, data: bytes) -> Answer:
    """The answer in a plan file of this key. AnswerInvalid when it is cut, damaged, or another key's."""
    try:
        document = json.loads(data)
    except (ValueError, RecursionError) as error:
        raise AnswerInvalid(f"not JSON: {error}") from error
    if not isinstance(document, dict) or document.get(_MARK) != _VERSION:
        raise AnswerInvalid("not a plan file")
    if document.get("key") != key:
        raise AnswerInvalid(f"its key is {str(document.get('key'))[:40]}")
    plan = _canonical(document.get("plan"))
    if document.get("sha256") != sha256(plan):
        raise AnswerInvalid("its digest does not fit its content")
    return answer.decode(plan)


def read(volume: Volume, roots: Iterable[str], key: str, problems: list[str]) -> Answer | None:
    """The plan of a key in the first store that has it; what was damaged or unreadable goes into `problems`.

    In a store plans are in v1/plans; a flat mirror, as a ConfigMap is, has them as `plan.<key>.json`.
    """
    for root in roots:
        for path in (*_paths(root, key), f"{root}/plan.{key}.json"):
            try:
                return decode(key, volumes.read_file(volume, path, MAX_BYTES, follow=True))
            except (FileNotFoundError, NotADirectoryError):
                continue
            except OSError as error:
                problems.append(f"{path}: {volumes.describe(error)}")
            except AnswerInvalid as invalid:
                problems.append(f"{path}: {invalid}")
    return None


def publish(volume: Volume, root: str, key: str, found: Answer) -> str:
    """Keep a plan in a store; "" when it is there and whole, else why not."""
    data = encode(key, found)
    error = ""
    for path in (f"{root}/v1", f"{root}/v1/plans"):
        with contextlib.suppress(OSError):  # there already; what else is wrong the write below says
            volume.make_directory(path)
    for path in _paths(root, key):
        try:
            _put(volume, path, data)
        except OSError as failed:
            error = volumes.describe(failed)
            if failed.errno not in (errno.EEXIST, errno.EIO):
                return error
        else:
            return ""
    return error


def _put(volume: Volume, path: str, data: bytes) -> None:
    """Write a new file and read it back. FileExistsError when another plan, or half of one, has that name."""
    with contextlib.suppress(FileExistsError):
        fd = volume.create(path)
        try:
            volumes.write_all(volume, fd, data)
            volume.sync(fd)
        finally:
            volume.close(fd)
    if volumes.read_file(volume, path, MAX_BYTES) != data:
        raise FileExistsError(errno.EEXIST, "another content has this name", path)


def _paths(root: str, key: str) -> list[str]:
    return [f"{root}/v1/plans/{key}{'' if number == 1 else f'.{number}'}.json" for number in range(1, NAMES + 1)]


def _canonical(document: object) -> bytes:
    return json.dumps(document, sort_keys=True, separators=(",", ":"), ensure_ascii=True).encode("ascii")
