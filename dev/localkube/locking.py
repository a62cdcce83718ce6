"""Locks between processes by flock(2), which the kernel frees when the holder dies, and what is done under them."""

import contextlib
import fcntl
import os
import shutil
from collections.abc import Iterator
from pathlib import Path

from localkube.console import Console


@contextlib.contextmanager
def exclusive(path: Path, console: Console, waiting: str) -> Iterator[None]:
    """Hold the lock file `path`; when another process has it, say `waiting` once and wait."""
    path.parent.mkdir(parents=True, exist_ok=True)
    while True:
        with path.open("a", encoding="utf-8") as handle:
            try:
                fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                console.line(waiting)
                fcntl.flock(handle, fcntl.LOCK_EX)
            if _is(handle.fileno(), path):
                yield
                return
            # The holder before us removed the file: the next one locks a new file, and so must we.


def _is(descriptor: int, path: Path) -> bool:
    try:
        return os.path.samestat(os.fstat(descriptor), path.stat())
    except FileNotFoundError:
        return False


@contextlib.contextmanager
def scratch_directory(path: Path) -> Iterator[Path]:
    """An empty directory for work under a lock; what a killed process left in it is removed first."""
    if path.exists():
        shutil.rmtree(path)
    path.mkdir(parents=True)
    try:
        yield path
    finally:
        shutil.rmtree(path)
