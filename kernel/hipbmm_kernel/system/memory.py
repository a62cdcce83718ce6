"""How much memory a container has left before the kernel ends it, and how often it has ended a process for it."""

from hipbmm_kernel.system.files import read_text

ROOT = "/sys/fs/cgroup"
_FILES = (
    ("memory.max", "memory.current", "memory.stat", "inactive_file"),
    ("memory/memory.limit_in_bytes", "memory/memory.usage_in_bytes", "memory/memory.stat", "total_inactive_file"),
)
"""Of cgroup v2 and v1: the limit, what is used, and what of that is page cache which the kernel gives back."""
NO_LIMIT = 1 << 60
_EVENTS = ("memory.events", "memory/memory.oom_control")
"""Of cgroup v2 and v1; both have a line `oom_kill N`. The kernel counts before it sends the signal."""


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
    text = read_text(path).strip()
    return NO_LIMIT if text == "max" else int(text) if text.isdecimal() else None


def _field(path: str, name: str) -> int:
    """The number behind a name at the beginning of a line; 0 when there is none."""
    for line in read_text(path).splitlines():
        word, _, number = line.partition(" ")
        if word == name and number.strip().isdecimal():
            return int(number)
    return 0


class OomKills:
    """How often the kernel killed a process of this container for lack of memory, and how much of it was reported.

    With cgroup v2 the kubelet lets the kernel end the whole container (memory.oom.group), which Kubernetes shows as
    `OOMKilled`. With cgroup v1, and where a container opted out, only the largest process ends, which is a child of
    ours: then this counter is the only place that shows the difference from any other SIGKILL.
    """

    def __init__(self, root: str = ROOT) -> None:
        self._root = root
        self._reported = self._count()

    def new(self) -> bool:
        """Whether there was a kill since the last time this was asked."""
        count = self._count()
        before, self._reported = self._reported, count
        return count > before

    def _count(self) -> int:
        """Kills so far; 0 where nothing says so."""
        return max(_field(f"{self._root}/{name}", "oom_kill") for name in _EVENTS)
