"""Locks between processes, by flock(2): the kernel frees them when the holder dies."""

import contextlib
import fcntl
from collections.abc import Iterator
from pathlib import Path

from localkube.console import Console


@contextlib.contextmanager
def exclusive(path: Path, console: Console, waiting: str) -> Iterator[None]:
    """Hold the lock file `path`; when another process has it, say `waiting` once and wait."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("a", encoding="utf-8") as handle:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            console.line(waiting)
            fcntl.flock(handle, fcntl.LOCK_EX)
        yield
