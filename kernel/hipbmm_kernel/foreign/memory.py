"""How much memory a container has left before the kernel ends it, and what that suffices for.

An init container that is killed for lack of memory starts again, and LeaderWorkerSet then makes the whole group anew.
So children that need more than is left are not started at all.
"""

from typing import NamedTuple

ROOT = "/sys/fs/cgroup"
_FILES = (
    ("memory.max", "memory.current", "memory.stat", "inactive_file"),
    ("memory/memory.limit_in_bytes", "memory/memory.usage_in_bytes", "memory/memory.stat", "total_inactive_file"),
)
"""Of cgroup v2 and v1: the limit, what is used, and what of that is page cache which the kernel gives back."""
_MAX_BYTES = 65536
NO_LIMIT = 1 << 60

IMAGE_CHILD = 2 << 30
"""vLLM's import and the model on the meta device: 1.1 GiB for the largest models, and what the kernel module needs."""
TUNE_CHILD = 4 << 30
"""torch for ROCm with hipBLASLt's code objects and one set of operands on the host."""


class Room(NamedTuple):
    """What may run: `ask` the image's vLLM, and on how many GPUs to tune. `note` says what may not."""

    ask: bool
    gpus: int
    note: str = ""


def left(root: str = ROOT) -> int | None:
    """Bytes that this container may still take; None where it has no limit, or none that can be read."""
    for limit_name, used_name, stat_name, cache in _FILES:
        limit = _number(f"{root}/{limit_name}")
        if limit is None:
            continue
        used = _number(f"{root}/{used_name}") or 0
        return None if limit >= NO_LIMIT else max(0, limit - used + _field(f"{root}/{stat_name}", cache))
    return None


def room(free: int | None, gpus: int) -> Room:
    """What `free` bytes suffice for in a pod with so many GPUs."""
    if free is None or free >= max(IMAGE_CHILD, gpus * TUNE_CHILD):
        return Room(ask=True, gpus=gpus)
    words = f"{free >> 20} MiB of the container's memory are left"
    fit = min(gpus, free // TUNE_CHILD)
    if fit:
        return Room(ask=True, gpus=fit, note=f"{words}: tuning on {fit} of {gpus} GPUs")
    if free >= IMAGE_CHILD:
        return Room(ask=True, gpus=0, note=f"{words}: too few to tune")
    return Room(ask=False, gpus=0, note=f"{words}: too few to ask the image's vLLM, or to tune")


def _number(path: str) -> int | None:
    text = _text(path).strip()
    return NO_LIMIT if text == "max" else int(text) if text.isdecimal() else None


def _field(path: str, name: str) -> int:
    for line in _text(path).splitlines():
        word, _, number = line.partition(" ")
        if word == name and number.strip().isdecimal():
            return int(number)
    return 0


def _text(path: str) -> str:
    try:
        with open(path, encoding="ascii", errors="replace") as file:
            return file.read(_MAX_BYTES)
    except OSError:
        return ""
