"""Counts starts of a server without `exec` in front of it, in a plugin of vLLM; a crash loop loses the table.

Where the ENTRYPOINT is the image's, kubelet reads the file `env` at each start of the container, and nothing of ours
runs before vLLM loads its plugins: in the API server first, then in the engine and each worker. The first of them
counts, by `start_mode`'s rules. After two early ends this start has no table any more, and the file is emptied, so
that the next one is as if we were not there.
"""

import contextlib
import fcntl
import logging
import os

from hipbmm_kernel.contract import report
from hipbmm_kernel.contract.settings import ONLINE_TUNING
from hipbmm_kernel.dispatch import end_marks, process_reports
from hipbmm_kernel.dispatch.plugin import NO_TUNING
from hipbmm_kernel.foreign import env_file
from hipbmm_kernel.foreign.decision import TABLE
from hipbmm_kernel.pod import start_mode, state_file
from hipbmm_kernel.system import volume as volumes
from hipbmm_kernel.system.clock import Clock
from hipbmm_kernel.system.volume import Volume

WARMUP_SECONDS = 1800.0
WAIT_SECONDS = 30.0
"""For a process that counts: it reads and writes small files of the pod's own disk."""
PAUSE_SECONDS = 0.05
MAX_BYTES = 1 << 20

logger = logging.getLogger("hipbmm_starts")


def register() -> None:
    """Count this start of the container, once for all its processes; take the table away where that is due.

    Does nothing in a pod without a file `env`, or where `exec --foreign` or a parent process has counted. Never raises.
    """
    table, counted = os.environ.get(TABLE), os.environ.get(NO_TUNING)
    if counted and not table:
        os.environ[ONLINE_TUNING] = "0"  # vLLM sets it anew in each process
    if counted or not table:
        return
    home = os.path.dirname(os.path.dirname(table))
    if not os.path.lexists(f"{home}/{env_file.NAME}"):
        return
    try:
        given = env_file.decode(_read(f"{home}/{env_file.NAME}")).get(TABLE)
        reason = _counted(home) if given == table else "an earlier process has turned the table off"
    except Exception as error:  # noqa: BLE001 - a start that cannot be counted must not serve what may end it
        reason = f"this start could not be counted: {type(error).__name__}: {error}"
    os.environ[NO_TUNING] = "1"
    if reason:
        _give_up(home, reason)


def _counted(home: str) -> str:
    """Why this start must not have the table; "" when it may."""
    volume, directory = Volume(), f"{home}/starts"
    os.makedirs(directory, exist_ok=True)
    with volumes.closing(volume, volume.open_directory(directory)) as place:
        # Processes of torchrun begin at once, none below another: all wait for the one that counts.
        _lock(place, Clock())
        mark = f"{directory}/{start_of_container()}"
        if os.path.lexists(mark):
            state = state_file.read(volume, f"{home}/state.json")
        else:
            state = _next(volume, home)
            os.close(os.open(mark, os.O_CREAT | os.O_WRONLY, 0o644))
    return "" if state.mode == start_mode.TUNED else state.reason


def _lock(place: int, clock: Clock) -> None:
    """Have a directory alone. TimeoutError when that takes long: who has it may be stopped, and no start waits then."""
    deadline = clock.monotonic() + WAIT_SECONDS
    while clock.monotonic() < deadline:
        with contextlib.suppress(BlockingIOError):
            fcntl.flock(place, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return
        clock.sleep(PAUSE_SECONDS)
    raise TimeoutError("another process is at it")


def _next(volume: Volume, home: str) -> start_mode.State:
    """Count this start."""
    path, clock = f"{home}/state.json", Clock()
    with contextlib.suppress(OSError):
        process_reports.begin(f"{home}/dispatch", 1)
    before = state_file.read(volume, path)
    found, _ = report.read(volume, f"{home}/report.json")
    now, boot = clock.monotonic(), state_file.boot_id()
    orderly = end_marks.orderly(f"{home}/dispatch/{end_marks.DIRECTORY}")
    state = start_mode.next_start(before, found, now, boot, WARMUP_SECONDS, orderly=orderly)
    state_file.write(path, state, clock.wall())
    logger.warning("hipbmm: start %d of the server, mode %s", state.starts, state.mode)
    return state


def _give_up(home: str, reason: str) -> None:
    with contextlib.suppress(OSError):
        process_reports.write(f"{home}/dispatch", reason)
    os.environ.pop(TABLE, None)
    os.environ[ONLINE_TUNING] = "0"
    logger.warning("hipbmm: no table in this start, and none of our variables in the next: %s", reason)
    try:
        volumes.replace_file(Volume(), f"{home}/{env_file.NAME}", b"")
    except OSError as error:
        logger.warning("hipbmm: %s/%s: %s", home, env_file.NAME, volumes.describe(error))


def start_of_container() -> str:
    """A name for this start of this container: its first process, and when that began.

    That is process 1, also for a process of `kubectl exec`; where the containers of a pod share their processes it is
    the ancestor without a parent in here.
    """
    first, (began, parent) = os.getpid(), _stat(os.getpid())
    while parent:
        first, (began, parent) = parent, _stat(parent)
    with contextlib.suppress(OSError):  # process 1 may be hidden from us
        if _read("/proc/1/cgroup") == _read("/proc/self/cgroup"):
            first, (began, _) = 1, _stat(1)
    return f"{state_file.boot_id()}-{first}-{began}"


def _stat(pid: int) -> tuple[str, int]:
    """When a process began, in ticks since the boot, and its parent (proc(5))."""
    fields = _read(f"/proc/{pid}/stat").decode("ascii", "replace").rpartition(")")[2].split()
    return fields[19], int(fields[1])


def _read(path: str) -> bytes:
    with open(path, "rb") as file:
        return file.read(MAX_BYTES)
