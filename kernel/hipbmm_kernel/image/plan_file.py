"""Plans in a store (`store/plans.py`), written once, with a digest, read from every store that is mounted.

A mirror is flat and holds what the operator found in a log. There a plan has a shard's frame, so that whoever carries
shards carries it: origin `plan.<key>`, kind `plan`, the file in base64 as its lines.
"""

import json
from collections.abc import Callable, Iterable
from typing import TypeVar

from hipbmm_kernel.planner import answer
from hipbmm_kernel.planner.answer import Answer, AnswerInvalid
from hipbmm_kernel.store import frames, plans
from hipbmm_kernel.store import shard as shards
from hipbmm_kernel.system import json_text
from hipbmm_kernel.system import volume as volumes
from hipbmm_kernel.system.digest import canonical, sha256
from hipbmm_kernel.system.volume import Volume

T = TypeVar("T")

_GZIP = ".gz"
_MARK = "hipbmm-plan"
_VERSION = 1
_LINE = 1000
"""Characters of a line in a mirror, of which a shard's have at most 1024."""


def encode(key: str, found: Answer) -> bytes:
    """A plan file: one JSON object in canonical form, so that the same plan gives the same bytes in every pod."""
    plan = json.loads(answer.encode(found))
    return canonical({_MARK: _VERSION, "key": key, "plan": plan, "sha256": sha256(canonical(plan))}) + b"\n"


def decode(key: str, data: bytes) -> Answer:
    """The answer in a plan file of this key. AnswerInvalid when it is cut, damaged, or another key's."""
    try:
        document = json_text.parsed(data)
    except ValueError as error:
        raise AnswerInvalid(f"not JSON: {error}") from error
    if not isinstance(document, dict) or document.get(_MARK) != _VERSION:
        raise AnswerInvalid("not a plan file")
    if document.get("key") != key:
        raise AnswerInvalid(f"its key is {str(document.get('key'))[:40]}")
    plan = canonical(document.get("plan"))
    if document.get("sha256") != sha256(plan):
        raise AnswerInvalid("its digest does not fit its content")
    return answer.decode(plan)


def read(volume: Volume, roots: Iterable[str], key: str, problems: list[str]) -> Answer | None:
    """The plan of a key in the first store that has it; what was damaged or unreadable goes into `problems`."""
    return find(volume, roots, key, decode, problems)


def find(
    volume: Volume, roots: Iterable[str], key: str, parse: Callable[[str, bytes], T], problems: list[str]
) -> T | None:
    """What `parse` makes of the file of a key, in the first store where it raises no AnswerInvalid.

    In a store plans are in v1/plans; a flat mirror, as a ConfigMap is, has them beside its shards.
    """
    for root in roots:
        for path in (*plans.paths(root, key), *_mirrored(volume, root, key)):
            try:
                if not path.endswith(_GZIP):
                    return parse(key, plans.read(volume, root, path.rpartition("/")[2]))
                return parse(key, _unframed(path, volumes.read_file(volume, path, plans.MAX_BYTES, follow=True)))
            except (FileNotFoundError, NotADirectoryError):
                continue
            except OSError as error:
                problems.append(f"{path}: {volumes.describe(error)}")
            except AnswerInvalid as invalid:
                problems.append(f"{path}: {invalid}")
    return None


def framed(key: str, found: Answer) -> tuple[str, bytes]:
    """Name and text of a plan for a mirror: that of a shard of kind `plan`."""
    return frame(key, encode(key, found))


def frame(key: str, data: bytes) -> tuple[str, bytes]:
    """The same for the bytes of any file that stores keep beside plans."""
    import base64  # noqa: PLC0415 - only mirrors need it

    text = base64.b64encode(data).decode("ascii")
    lines = [text[at : at + _LINE] for at in range(0, len(text), _LINE)]
    return frames.frame(key, f"{shards.PLAN}.{key}", 0, shards.PLAN, (shards.PLAN, *lines))


def _unframed(path: str, packed: bytes) -> bytes:
    """The plan file in a mirror's gzip. AnswerInvalid when it is damaged."""
    import base64  # noqa: PLC0415 - only mirrors need it

    try:
        _, lines = frames.unframe(path.rpartition("/")[2].removesuffix(_GZIP), packed, 2 * plans.MAX_BYTES)
        return base64.b64decode("".join(lines[1:]), validate=True)
    except ValueError as error:
        raise AnswerInvalid(str(error)) from error


def _mirrored(volume: Volume, root: str, key: str) -> list[str]:
    """Paths of this plan in a flat mirror."""
    try:
        directory = volume.open_directory(root, follow=True)
    except OSError:
        return []
    try:
        names = volume.names(directory)
    except OSError:
        return []
    finally:
        volume.close(directory)
    return [
        f"{root}/{name}" for name in sorted(names) if name.startswith(f"{shards.PLAN}.{key}.") and name.endswith(_GZIP)
    ]


def publish(volume: Volume, root: str, key: str, found: Answer) -> str:
    """Keep a plan in a store; "" when it is there and whole, else why not."""
    return plans.keep(volume, root, key, encode(key, found))
