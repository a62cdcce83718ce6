"""The processes of an instance, found by a mark in their environment: true after a kill -9 and for reused pids."""

import os
import signal
import time
from dataclasses import dataclass
from pathlib import Path

from localkube.supervisor import COMPONENT_VARIABLE, INSTANCE_VARIABLE

SUPERVISOR = "supervisor"


@dataclass(frozen=True)
class Process:
    """One marked process; `component` is empty for helpers that a component started."""

    pid: int
    component: str
    rss_bytes: int


def of_instance(root: Path, proc: Path = Path("/proc")) -> list[Process]:
    """All processes of the instance in `root` that this user may see, by pid."""
    mark = f"{INSTANCE_VARIABLE}={root}".encode()
    found = []
    for entry in proc.iterdir():
        if not entry.name.isdigit():
            continue
        try:
            environ = (entry / "environ").read_bytes().split(b"\0")
            if mark in environ:
                found.append(Process(int(entry.name), _component(environ), _rss(entry)))
        except (PermissionError, ProcessLookupError, FileNotFoundError):
            continue
    return sorted(found, key=lambda process: process.pid)


def supervisor(root: Path) -> int | None:
    """The pid of the supervisor (in the node profile the first of its pid namespace), None when it is not up."""
    # `unshare` carries the same mark and is the older; the supervisor proper is its child.
    pids = [process.pid for process in of_instance(root) if process.component == SUPERVISOR]
    return pids[-1] if pids else None


def stop(root: Path, seconds: float = 40.0) -> None:
    """Ask the supervisor to stop everything, then kill what is left."""
    pid = supervisor(root)
    if pid is not None:
        _signal(pid, signal.SIGTERM)
        _wait_gone(root, seconds)
    while left := of_instance(root):
        for process in left:
            _signal(process.pid, signal.SIGKILL)
        _wait_gone(root, 5.0)


def _wait_gone(root: Path, seconds: float) -> None:
    deadline = time.monotonic() + seconds
    while of_instance(root) and time.monotonic() < deadline:
        time.sleep(0.1)


def _signal(pid: int, number: int) -> None:
    try:
        os.kill(pid, number)
    except ProcessLookupError:
        return


def _component(environ: list[bytes]) -> str:
    prefix = f"{COMPONENT_VARIABLE}=".encode()
    return next((item[len(prefix) :].decode() for item in environ if item.startswith(prefix)), "")


def _rss(entry: Path) -> int:
    pages = int((entry / "statm").read_text(encoding="ascii").split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE")
