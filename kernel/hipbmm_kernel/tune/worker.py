"""One child process as the parent sees it: started in a directory and process group of its own, spoken to, ended."""

import math
import os
import shutil
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from hipbmm_kernel.contract.settings import SERVED_NAME
from hipbmm_kernel.rows.gemm import Row
from hipbmm_kernel.store.tail import Appended, Cursor, Tail
from hipbmm_kernel.system import process
from hipbmm_kernel.system.volume import Volume
from hipbmm_kernel.tune import protocol
from hipbmm_kernel.tune.protocol import Message

LOG_NAME = "child.log"


class Failure(NamedTuple):
    """Why a child could not start: the exception's name ("" when it only ended), and its words."""

    error: str
    reason: str


class Worker:
    """A running child on one GPU. `directory` is its working directory, made empty here; `command` what it runs.

    It is `ready` when it has started, and idle then while it has no `task`, for as long as it likes. Else it has until
    `deadline`, on the monotonic clock. OSError when it cannot be started.
    """

    def __init__(self, gpu: str, directory: str, env: Mapping[str, str], command: Sequence[str]) -> None:
        self.gpu = gpu
        self.directory = directory
        self.ready = False
        self.deadline = math.inf
        self.task: Any = None
        self.failure: Failure | None = None
        shutil.rmtree(directory, ignore_errors=True)
        os.makedirs(directory)
        commands_read, self._commands = os.pipe()
        self.events, events_write = os.pipe()
        self._begun = b""
        self._table = Tail(Volume(), f"{directory}/{SERVED_NAME}", Cursor())
        self._rows: dict[str, Row] = {}
        descriptors = (commands_read, events_write)
        arguments = [str(number) for number in (os.getpid(), *descriptors)]
        child_env = {**env, "HIP_VISIBLE_DEVICES": gpu}
        try:
            with open(f"{directory}/{LOG_NAME}", "ab") as log:
                self._process = process.start([*command, *arguments], directory, child_env, log, log, descriptors)
        except OSError:
            self._close(self._commands, self.events)
            raise
        finally:
            self._close(*descriptors)
        os.set_blocking(self.events, False)

    def send(self, command: Message) -> bool:
        """Give a command; False when the child is gone. Never waits: commands are smaller than a pipe's buffer."""
        try:
            os.write(self._commands, protocol.encode(command))
        except BrokenPipeError:
            return False
        return True

    def receive(self) -> list[Message] | None:
        """Messages that have come; None when the child has closed its end, that is, ended. ProtocolError on garbage."""
        messages: list[Message] = []
        while True:
            try:
                data = os.read(self.events, 65536)
            except BlockingIOError:
                return messages
            if not data:
                return messages or None
            *lines, self._begun = (self._begun + data).split(b"\n")
            if len(self._begun) > protocol.MAX_LINE:
                raise protocol.ProtocolError("a line longer than any message")
            messages += [protocol.decode(line) for line in lines if line]

    def written(self, key: str) -> tuple[Row | None, str]:
        """The row of a key that AITER has written into the table here, or why what it wrote last is none."""
        appended, rejected = Appended(more=True), ""
        while appended.more:
            appended = self._table.read()
            self._rows |= {row.key: row for row in appended.rows if row.key not in self._rows}
            rejected = appended.rejected[-1] if appended.rejected else rejected
        row = self._rows.get(key)
        return row, rejected if row is None else ""

    def kill(self) -> str:
        """End the child and everything it started, now; how it ended, for people."""
        self._close(self._commands, self.events)
        return process.ending(process.end(self._process, process.END_SECONDS))

    @staticmethod
    def _close(*ends: int) -> None:
        for end in ends:
            os.close(end)

    def last_words(self) -> str:
        """What the library printed before it ended the child."""
        return process.last_words_in(f"{self.directory}/{LOG_NAME}")

    def discard(self) -> None:
        """Remove the working directory."""
        shutil.rmtree(self.directory, ignore_errors=True)
