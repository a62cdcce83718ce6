"""A child and all that it starts, also outside of its session: how much memory they take, and their end.

What has lost its parent comes to this process (PR_SET_CHILD_SUBREAPER of prctl(2)), so nothing gets away by a double
fork. Where the kernel refuses that, what is left of the child's own descendants is found.
"""

from __future__ import annotations

import contextlib
import os
import signal
import time
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Self  # Python 3.11, and only for the type checker

PR_SET_CHILD_SUBREAPER = 36
_PARENT, _RESIDENT = 1, 21
"""Fields of /proc/PID/stat behind the name, which may hold blanks and brackets (proc(5))."""
_END_SECONDS = 5.0
_GLANCE_SECONDS = 0.01


class ProcessTree:
    """While it is entered, it counts what this process starts, and all of that ends with it.

    The children that this process has before belong to others.
    """

    def __init__(self) -> None:
        self._others: set[int] = set()

    def __enter__(self) -> Self:
        self._others = {pid for pid, (parent, _) in _processes() if parent == os.getpid()}
        _adopt(yes=True)
        return self

    def __exit__(self, *_: object) -> None:
        # For a few seconds at most: one that starts others is killed before it starts many.
        deadline = time.monotonic() + _END_SECONDS
        while (members := self._members()) and time.monotonic() < deadline:
            for pid in members:
                with contextlib.suppress(ProcessLookupError, PermissionError):
                    os.kill(pid, signal.SIGKILL)
                with contextlib.suppress(ChildProcessError):
                    os.waitpid(pid, os.WNOHANG)
            time.sleep(_GLANCE_SECONDS)
        _adopt(yes=False)

    def memory(self) -> int:
        """Resident bytes of all of them. What forks share counts for each."""
        return sum(self._members().values()) * os.sysconf("SC_PAGE_SIZE")

    def _members(self) -> dict[int, int]:
        """Resident pages by process: all below this one, without the others and what is below them."""
        processes = dict(_processes())
        found: dict[int, int] = {}
        below = {os.getpid()}
        while below:
            below = {pid for pid, (parent, _) in processes.items() if parent in below and pid not in self._others}
            found |= {pid: processes[pid][1] for pid in below}
        return found


def _processes() -> Iterator[tuple[int, tuple[int, int]]]:
    """Each process that can be seen, with its parent and its resident pages."""
    for name in filter(str.isdecimal, os.listdir("/proc")):
        with contextlib.suppress(OSError, IndexError), open(f"/proc/{name}/stat", "rb") as file:
            fields = file.read().rpartition(b")")[2].split()
            yield int(name), (int(fields[_PARENT]), int(fields[_RESIDENT]))


def _adopt(*, yes: bool) -> None:
    """Whether processes that lose their parent become children of this one. It outlives exec, hence the way back."""
    with contextlib.suppress(ImportError, OSError, AttributeError):
        import ctypes  # noqa: PLC0415 - costs as much as a start may, and few starts ask

        ctypes.CDLL(None).prctl(PR_SET_CHILD_SUBREAPER, int(yes), 0, 0, 0)
