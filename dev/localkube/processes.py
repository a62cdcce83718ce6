"""The processes of an instance, found by a mark in their environment: true after a kill -9 and for reused pids."""

import os
import signal
import time
from dataclasses import dataclass
from pathlib import Path

from localkube.errors import LocalkubeError
from localkube.supervisor import COMPONENT_VARIABLE, INSTANCE_VARIABLE

SUPERVISOR = "supervisor"


@dataclass(frozen=True)
class Process:
    """One marked process; `component` is empty for helpers that a component started."""

    pid: int
    component: str
    rss_bytes: int
    parent: int
    command: str


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
                found.append(_process(entry, environ))
        except (PermissionError, ProcessLookupError, FileNotFoundError):
            continue
    return sorted(found, key=lambda process: process.pid)


def supervisor(root: Path) -> int | None:
    """The pid of the supervisor (in the node profile the first of its pid namespace), None when it is not up."""
    return choose_supervisor([process for process in of_instance(root) if process.component == SUPERVISOR])


def choose_supervisor(marked: list[Process]) -> int | None:
    """The supervisor among those with its mark: `unshare`, its parent, and its children before their exec."""
    pids = {process.pid for process in marked}
    for top in (process for process in marked if process.parent not in pids):
        if top.command != "unshare":
            return top.pid
        return next((process.pid for process in marked if process.parent == top.pid), None)
    return None


def stop(root: Path, *, politely: bool, seconds: float = 120.0) -> None:
    """Kill everything; `politely` asks the supervisor to stop it first.

    The supervisor alone is killed at first: all else dies with it, and its parent `unshare` stays to collect it.
    """
    pid = supervisor(root)
    if pid is not None:
        _signal(pid, signal.SIGTERM if politely else signal.SIGKILL)
        _wait_gone(root, seconds if politely else 10.0)
    deadline = time.monotonic() + seconds
    while left := of_instance(root):
        if time.monotonic() > deadline:
            raise LocalkubeError(f"processes {[process.pid for process in left]} of {root.name} do not die")
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


def _process(entry: Path, environ: list[bytes]) -> Process:
    prefix = f"{COMPONENT_VARIABLE}=".encode()
    component = next((item[len(prefix) :].decode() for item in environ if item.startswith(prefix)), "")
    pages = int((entry / "statm").read_text(encoding="ascii").split()[1])
    # The command stands in parentheses and may hold any character, a parenthesis too.
    before, _, after = (entry / "stat").read_text(encoding="utf-8", errors="replace").rpartition(")")
    command, parent = before.partition("(")[2], int(after.split()[1])
    return Process(int(entry.name), component, pages * os.sysconf("SC_PAGE_SIZE"), parent, command)
