"""Child processes of this program, for plans, tuning and acceptance: their start, their end, their last words.

A child has a directory and a session of its own. It may be ended by AITER (`exit(1)`), by the ROCm runtime (SIGABRT),
by a null dereference or by its deadline; whatever it started ends with it.
"""

import contextlib
import os
import signal
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import IO

FATAL_MARKS = ("hipBLAS error:", "Hip error:", "Memory access fault", "HSA_STATUS_ERROR", "out of memory")
"""What AITER and the ROCm runtime print before they end the process."""
LAST_LINES = 3
LOG_TAIL = 8192
"""Bytes of a log's end that are looked at."""
END_SECONDS = 5.0
"""How long a killed child may take to end. One that waits in the kernel for a hung GPU may never: it is left behind."""
LEFT_BEHIND = "it cannot be ended and is left behind"
PR_SET_PDEATHSIG = 1


def start(
    command: Sequence[str],
    directory: str | Path,
    env: Mapping[str, str],
    out: int | IO[bytes] = subprocess.PIPE,
    err: int | IO[bytes] = subprocess.PIPE,
    descriptors: tuple[int, ...] = (),
) -> subprocess.Popen[bytes]:
    """Start a child in `directory` with nothing on standard input; it inherits `descriptors`."""
    return subprocess.Popen(
        command,
        cwd=directory,
        env=dict(env),
        stdin=subprocess.DEVNULL,
        stdout=out,
        stderr=err,
        pass_fds=descriptors,
        start_new_session=True,
    )


def die_with_parent(parent: int) -> None:
    """Let the kernel kill this process when its parent ends, SIGKILL included; exit at once if it has ended already.

    A parent that died before the call never sends the signal, hence the comparison afterwards.
    """
    import ctypes  # noqa: PLC0415 - costs as much as a start may, and children alone ask

    libc = ctypes.CDLL(None, use_errno=True)
    if libc.prctl(PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0) != 0:
        raise OSError(ctypes.get_errno(), "prctl(PR_SET_PDEATHSIG)")
    if os.getppid() != parent:
        os._exit(1)


def kill_session(leader: int) -> None:
    """Kill a child and everything that it started."""
    with contextlib.suppress(ProcessLookupError, PermissionError):  # all of them have ended and been reaped
        os.killpg(leader, signal.SIGKILL)


def end(child: subprocess.Popen[bytes], seconds: float) -> int | None:
    """Kill a child with its session; how it ended, None when it is still there `seconds` later."""
    ended = child.poll()
    kill_session(child.pid)
    try:
        status = child.wait(seconds)
    except subprocess.TimeoutExpired:
        return None
    return status if ended is None else ended


def ending(status: int | None) -> str:
    """An exit status in words: `exit(1)`, `SIGSEGV`."""
    if status is None:
        return LEFT_BEHIND
    if status >= 0:
        return f"exit({status})"
    try:
        return signal.Signals(-status).name
    except ValueError:
        return f"signal {-status}"


def last_words(log: str) -> str:
    """What a library printed before it ended the child: its own error line, else the last lines; "" for none."""
    lines = [line.strip() for line in log.splitlines() if line.strip()]
    fatal = [line for line in lines if any(mark in line for mark in FATAL_MARKS)]
    return (fatal[-1] if fatal else " | ".join(lines[-LAST_LINES:]))[:400]


def last_words_in(path: str) -> str:
    """The same of a log file; "" when it cannot be read."""
    try:
        with open(path, "rb") as log:
            log.seek(max(0, log.seek(0, os.SEEK_END) - LOG_TAIL))
            return last_words(log.read(LOG_TAIL).decode("utf-8", "replace"))
    except OSError:
        return ""
