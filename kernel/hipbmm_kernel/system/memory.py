"""How much memory a container has left before the kernel ends it, and what a child has taken with all it started."""

import contextlib
import os

ROOT = "/sys/fs/cgroup"
_FILES = (
    ("memory.max", "memory.current", "memory.stat", "inactive_file"),
    ("memory/memory.limit_in_bytes", "memory/memory.usage_in_bytes", "memory/memory.stat", "total_inactive_file"),
)
"""Of cgroup v2 and v1: the limit, what is used, and what of that is page cache which the kernel gives back."""
_MAX_BYTES = 65536
_SESSION, _RESIDENT = 3, 21
"""Fields of /proc/PID/stat behind the name, which may hold blanks and brackets (proc(5))."""
NO_LIMIT = 1 << 60


def of_session(leader: int) -> int:
    """Resident bytes of all processes of a session; 0 when they have ended. What forks share counts for each."""
    pages = 0
    for name in filter(str.isdecimal, os.listdir("/proc")):
        with contextlib.suppress(OSError, IndexError), open(f"/proc/{name}/stat", "rb") as file:
            fields = file.read().rpartition(b")")[2].split()
            pages += int(fields[_RESIDENT]) if int(fields[_SESSION]) == leader else 0
    return pages * os.sysconf("SC_PAGE_SIZE")


def left(root: str = ROOT) -> int | None:
    """Bytes that this container may still take; None where it has no limit, or none that can be read."""
    for limit_name, used_name, stat_name, cache in _FILES:
        limit = _number(f"{root}/{limit_name}")
        if limit is None:
            continue
        used = _number(f"{root}/{used_name}") or 0
        return None if limit >= NO_LIMIT else max(0, limit - used + _field(f"{root}/{stat_name}", cache))
    return None


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
