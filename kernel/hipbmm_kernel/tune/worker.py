"""One child process as the parent sees it: started in a directory and process group of its own, spoken to, ended."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import subprocess
import sys
from typing import TYPE_CHECKING, NamedTuple

from hipbmm_kernel.tune import protocol

if TYPE_CHECKING:
    from collections.abc import Mapping

PROGRAM = (
    "import sys; sys.path.insert(0, sys.argv[1]); "
    "from hipbmm_kernel.tune.child.main import main; sys.exit(main(sys.argv[2:]))"
)
LOG_NAME = "child.log"
LOG_TAIL = 4096
LOG_LINES = 3
FATAL_MARKS = ("hipBLAS error:", "Hip error:", "Memory access fault", "HSA_STATUS_ERROR", "out of memory")
"""What AITER and the ROCm runtime print before they end the process."""
STARTING = "starting"
IDLE = "idle"
BUSY = "busy"


def program_root() -> str:
    """What must be on sys.path for the package to be importable: a directory, or the zip it runs from."""
    return os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))


class Failure(NamedTuple):
    """Why a child could not start: the exception's name ("" when it only ended), and its words."""

    error: str
    reason: str


class Worker:
    """A running child on one GPU. `directory` is its working directory, made empty here; `program` what it runs."""

    def __init__(self, gpu: str, directory: str, env: Mapping[str, str], program: str = PROGRAM) -> None:
        self.gpu = gpu
        self.directory = directory
        self.state = STARTING
        self.deadline = 0.0
        self.task: object = None
        self.failure: Failure | None = None
        shutil.rmtree(directory, ignore_errors=True)
        os.makedirs(directory)
        commands_read, self._commands = os.pipe()
        self.events, events_write = os.pipe()
        self._lines = protocol.Lines()
        with open(f"{directory}/{LOG_NAME}", "ab") as log:
            self._process = subprocess.Popen(
                [
                    sys.executable,
                    "-c",
                    program,
                    program_root(),
                    str(os.getpid()),
                    str(commands_read),
                    str(events_write),
                ],
                cwd=directory,
                env={**env, "HIP_VISIBLE_DEVICES": gpu},
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                pass_fds=(commands_read, events_write),
                start_new_session=True,
            )
        os.close(commands_read)
        os.close(events_write)
        os.set_blocking(self.events, False)

    @property
    def pid(self) -> int:
        """The child's process id, which is also its process group's."""
        return self._process.pid

    def send(self, command: Mapping[str, object]) -> bool:
        """Give a command; False when the child is gone. Never waits: commands are smaller than a pipe's buffer."""
        try:
            os.write(self._commands, protocol.encode(command))
        except BrokenPipeError:
            return False
        return True

    def receive(self) -> list[dict[str, object]] | None:
        """Messages that have come; None when the child has closed its end, that is, ended. ProtocolError on garbage."""
        messages: list[dict[str, object]] = []
        while True:
            try:
                data = os.read(self.events, 65536)
            except BlockingIOError:
                return messages
            if not data:
                return messages or None
            messages += [protocol.decode(line) for line in self._lines.feed(data)]

    def kill(self) -> str:
        """End the child and everything it started, now; how it ended, for people. Safe to call again."""
        for end in (self._commands, self.events):
            if end >= 0:
                os.close(end)
        self._commands = self.events = -1
        ended = self._process.poll()
        with contextlib.suppress(ProcessLookupError):  # every process of the group has ended and been reaped
            os.killpg(self._process.pid, signal.SIGKILL)
        status = self._process.wait()
        return _ending(status if ended is None else ended)

    def last_words(self) -> str:
        """What the library printed before it ended the child: its own error line, else the last lines of the log."""
        try:
            with open(f"{self.directory}/{LOG_NAME}", "rb") as log:
                log.seek(0, os.SEEK_END)
                log.seek(max(0, log.tell() - LOG_TAIL))
                text = log.read().decode("utf-8", "replace")
        except OSError:
            return ""
        lines = [line.strip() for line in text.splitlines() if line.strip()]
        fatal = [line for line in lines if any(mark in line for mark in FATAL_MARKS)]
        return (fatal[-1] if fatal else " | ".join(lines[-LOG_LINES:]))[:400]

    def discard(self) -> None:
        """Remove the working directory."""
        shutil.rmtree(self.directory, ignore_errors=True)


def _ending(status: int) -> str:
    """An exit status in words."""
    if status >= 0:
        return f"exit({status})"
    try:
        return signal.Signals(-status).name
    except ValueError:
        return f"signal {-status}"
