"""Compacts the store at intervals, in a child: its memory is given back, and a volume that hangs holds up nothing."""

import contextlib
import os
import signal
import sys
from collections.abc import Callable

from hipbmm_kernel.contract.settings import Settings
from hipbmm_kernel.system import digest, own_program
from hipbmm_kernel.system.clock import Clock

INTERVAL = 3600
NICE = 10


class BackgroundCompaction:
    """Starts `compact --bounded` when this pod has published something; pods of one store do not start together."""

    def __init__(self, settings: Settings, clock: Clock, published: Callable[[], int]) -> None:
        self._store = settings.store
        self._clock = clock
        self._published = published
        self._seen = 0
        self._due = clock.monotonic() + int(digest.sha256(settings.pod_uid.encode())[:8], 16) % INTERVAL
        self._child = 0

    def turn(self) -> None:
        """Start a child when it is time; never waits."""
        if self._running() or self._clock.monotonic() < self._due or self._published() == self._seen:
            return
        self._seen = self._published()
        self._due = self._clock.monotonic() + INTERVAL
        python, *program = own_program.command("__main__")
        command = [python, "-I", *program, "compact", "--bounded", self._store]
        quiet = [(os.POSIX_SPAWN_OPEN, 1, os.devnull, os.O_WRONLY, 0)]
        with contextlib.suppress(OSError):  # a pod may have no room for a process now; the next time is due in an hour
            self._child = os.posix_spawn(sys.executable, command, os.environ, file_actions=quiet)
            os.setpriority(os.PRIO_PROCESS, self._child, NICE)

    def close(self) -> None:
        """End a child that runs: what it leaves behind is a store as good as before."""
        if self._running():
            with contextlib.suppress(ProcessLookupError):
                os.kill(self._child, signal.SIGKILL)

    def _running(self) -> bool:
        if self._child and os.waitpid(self._child, os.WNOHANG)[0]:
            self._child = 0
        return self._child != 0
