"""Whether a server ended in an orderly way: each of its processes leaves a mark that only its own orderly end removes.

The status says nothing: vLLM's API server ends with 0 also when its engine has died, and nobody in the pod sees it
(vllm-project/vllm#48966). But a process that a bad row ends (a signal, `exit` of AITER, an exception) does not come to
Python's finalizers, or comes there with its exception.
"""

import os
import sys
from contextlib import suppress
from multiprocessing import util

DIRECTORY = "processes"
VARIABLE = "HIPBMM_PROCESSES"
"""Names the directory of the marks to a server that has no table in memory, which is beside it."""
_ENDED = "ended"
_CREATE = os.O_CREAT | os.O_WRONLY | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK
_LAST = -1000
"""Priority among the finalizers of multiprocessing: the children have been joined before."""


class _Watch:
    """The marks of this process and of those that multiprocessing forks from it."""

    def __init__(self, directory: str) -> None:
        self._directory = directory

    def begin(self) -> None:
        """Mark this process until its orderly end. OSError when the mark cannot be made."""
        name = f"{self._directory}/{os.getpid()}"
        os.close(os.open(name, _CREATE, 0o644))
        util.Finalize(None, self._end, (name,), exitpriority=_LAST)

    def _end(self, name: str) -> None:
        if sys.exc_info()[0] in (None, SystemExit) and not hasattr(sys, "last_type"):
            with suppress(OSError):
                os.close(os.open(f"{self._directory}/{_ENDED}", _CREATE, 0o644))
                os.unlink(name)


_watches: list[_Watch] = []


def watch(directory: str) -> None:
    """Mark this process, and each that multiprocessing makes of it. OSError when there is no room for marks."""
    os.makedirs(directory, exist_ok=True)
    found = _Watch(directory)
    found.begin()
    _watches.append(found)  # the registry of multiprocessing holds it weakly
    util.register_after_fork(found, _Watch.begin)


def orderly(directory: str) -> bool:
    """Whether all processes that left a mark ended in an orderly way, and one did; the marks are gone then.

    A link is not followed, and nothing is removed but marks: what else is there stays, and no end is orderly then.
    """
    try:
        place = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
    except OSError:
        return False
    try:
        names = os.listdir(place)
        for name in names:
            if name == _ENDED or name.isdecimal():
                os.unlink(name, dir_fd=place)
    except OSError:
        return False
    finally:
        os.close(place)
    return names == [_ENDED]
