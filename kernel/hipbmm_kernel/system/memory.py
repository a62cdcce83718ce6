"""How much memory a container has left before the kernel ends it."""

from hipbmm_kernel.system.files import read_text

ROOT = "/sys/fs/cgroup"
_FILES = (
    ("memory.max", "memory.current", "memory.stat", "inactive_file"),
    ("memory/memory.limit_in_bytes", "memory/memory.usage_in_bytes", "memory/memory.stat", "total_inactive_file"),
)
"""Of cgroup v2 and v1: the limit, what is used, and what of that is page cache which the kernel gives back."""
NO_LIMIT = 1 << 60


def left(root: str = ROOT) -> int | None:
    """Bytes that this container may still take; None where it has no limit, or none that can be read."""
    for limit_name, used_name, stat_name, cache in _FILES:
        limit = _number(f"{root}/{limit_name}")
        if limit is None:
            continue
        used = _number(f"{root}/{used_name}") or 0
        return None if limit >= NO_LIMIT else max(0, limit - used + field(f"{root}/{stat_name}", cache))
    return None


def _number(path: str) -> int | None:
    text = read_text(path).strip()
    return NO_LIMIT if text == "max" else int(text) if text.isdecimal() else None


def field(path: str, name: str) -> int:
    """The number behind a name at the beginning of a line; 0 when there is none."""
    for line in read_text(path).splitlines():
        word, _, number = line.partition(" ")
        if word == name and number.strip().isdecimal():
            return int(number)
    return 0
