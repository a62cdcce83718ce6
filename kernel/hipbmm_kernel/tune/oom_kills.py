"""How often the kernel killed a process of this container for lack of memory.

With cgroup v2 the kubelet lets the kernel end the whole container (memory.oom.group), which Kubernetes shows as
`OOMKilled`. With cgroup v1, and where a container opted out, only the largest process ends, which is a child of ours:
then this counter is the only place that shows the difference from any other SIGKILL.
"""

from hipbmm_kernel.system.memory import ROOT, field

_FILES = ("memory.events", "memory/memory.oom_control")
"""Of cgroup v2 and v1; both have a line `oom_kill N`. The kernel counts before it sends the signal."""


class OomKills:
    """The counter, and how much of it has been reported."""

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
        return max(field(f"{self._root}/{name}", "oom_kill") for name in _FILES)
