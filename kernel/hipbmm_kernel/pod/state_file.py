"""state.json: what is remembered between starts, in one block that is allocated early and overwritten in place.

A pod's emptyDir can fill up, lose its last inode or become read-only at any time. A new file and a rename would fail
then, and starts that nobody counts would crash for ever in the same mode. What the disk refuses goes to a spare file
in /dev/shm: it is memory, and it lives as long as the pod, not as long as a container.
"""

import contextlib
import errno
import json
import math
import os
import stat

from hipbmm_kernel.pod.start_mode import MODES, State
from hipbmm_kernel.system import volume as volumes
from hipbmm_kernel.system.clock import timestamp
from hipbmm_kernel.system.digest import sha256
from hipbmm_kernel.system.files import read_text
from hipbmm_kernel.system.volume import Volume

BYTES = 4096
MAX_REASON = 400
MAX_COUNT = 1_000_000_000
BOOT_ID = "/proc/sys/kernel/random/boot_id"
SPARE_DIRECTORY = "/dev/shm"  # noqa: S108 - the pod's own: containers of a pod share it, others do not see it


class StateError(Exception):
    """What was remembered cannot be read; the message says why."""


def spare(path: str, pod_uid: str) -> str:
    """The spare file of the state file at `path`. Pods that share the memory of their host have different ones."""
    return f"{SPARE_DIRECTORY}/hipbmm-{sha256(f'{pod_uid} {path}'.encode())[:16]}.json"


def last(volume: Volume, path: str, pod_uid: str) -> tuple[State, str]:
    """The later one of what file and spare file remember; why the file itself cannot be used, "" when it can."""
    found, unusable = [], ""
    for name in (path, spare(path, pod_uid)):
        try:
            found.append(read(volume, name))
        except StateError as error:
            unusable = unusable or (str(error) if name == path else "")
    return max(found, key=lambda state: state.starts, default=State()), unusable


def read(volume: Volume, path: str) -> State:
    """The state; the first one when there is no file yet. StateError when there is one that cannot be used."""
    try:
        document = json.loads(volumes.read_file(volume, path, BYTES))
        return _state(document)
    except FileNotFoundError:
        return State()
    except OSError as error:
        raise StateError(f"{path}: {volumes.describe(error)}") from error
    except (ValueError, TypeError, KeyError, RecursionError, OverflowError) as error:
        raise StateError(f"{path} is damaged: {type(error).__name__}") from error


def _state(document: dict[str, object]) -> State:
    counts = [document["starts"], document["crashes"], document.get("attempts", 0)]
    whole = [count for count in counts if type(count) is int and 0 <= count <= MAX_COUNT]
    started, mode = document["started"], document["mode"]
    if len(whole) < len(counts) or not isinstance(started, (int, float)) or mode not in MODES:
        raise ValueError("fields")
    seconds = float(started)
    if not math.isfinite(seconds):
        raise ValueError("started")
    reason, boot = str(document.get("reason") or ""), str(document.get("boot"))
    return State(whole[0], whole[1], str(mode), reason, seconds, boot, whole[2])


def write(path: str, state: State, wall: float) -> None:
    """Overwrite the file in place, or create it. OSError when the disk does not take it."""
    document = {**state._asdict(), "reason": state.reason[:MAX_REASON], "time": timestamp(wall)}
    data = json.dumps(document, ensure_ascii=True).encode("ascii").ljust(BYTES - 1) + b"\n"
    fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC, 0o644)
    try:
        if not stat.S_ISREG(os.fstat(fd).st_mode):
            raise OSError(errno.EINVAL, "not a regular file", path)
        written = 0
        while written < len(data):
            written += os.pwrite(fd, data[written:], written)
        os.truncate(fd, len(data))
        os.fsync(fd)
    finally:
        os.close(fd)


def begin_attempt(volume: Volume, path: str, wall: float) -> int:
    """Count a run of `warm` that begins; how many before it have not come to their end. OSError as from `write`."""
    try:
        state = read(volume, path)
    except StateError:
        state = State()
    write(path, state._replace(attempts=state.attempts + 1), wall)
    return state.attempts


def end_attempt(volume: Volume, path: str, wall: float) -> None:
    """This run of `warm` has come to its end. OSError as from `write`."""
    with contextlib.suppress(StateError):
        write(path, read(volume, path)._replace(attempts=0), wall)


def boot_id() -> str:
    """Which boot the monotonic clock belongs to; `unknown` where the kernel does not say."""
    return read_text(BOOT_ID).strip() or "unknown"
